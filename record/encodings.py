"""How the columns of a row group are encoded: what repeats in a dictionary, numbers by what they differ."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from ..schemas import EVENTS

#: Columns whose values may be all different: what a dictionary of those costs is twice what the rest costs.
_VALUES: Final = [name for name in EVENTS.names if name.startswith("arg") or name == "ret_val"]
#: Values of a column that are looked at.
_SAMPLE: Final = 1024


def encodings(table: pa.Table) -> dict[str, Any]:
    """The arguments of a `ParquetWriter` that choose encodings for `table`, of schema `EVENTS`.

    DELTA_BINARY_PACKED, and the dictionary, are what every reader of Parquet knows.
    """
    step = max(1, table.num_rows // _SAMPLE)
    # Odd: entries and exits often take turns, and each has nulls where the other has values.
    places = pa.array(range(0, table.num_rows, step | 1), pa.int64())
    sample = table.select(_VALUES).take(places)
    by_difference = ["timestamp", *(name for name in _VALUES if not _repeats(sample[name]))]
    return {
        "use_dictionary": [name for name in EVENTS.names if name not in by_difference],
        "column_encoding": dict.fromkeys(by_difference, "DELTA_BINARY_PACKED"),
    }


def _repeats(sample: pa.ChunkedArray) -> bool:
    """Whether at most half of the values are different from each other."""
    values = sample.drop_null()
    return len(values.unique()) * 2 <= len(values)
