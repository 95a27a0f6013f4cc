"""How the columns of a row group are encoded: what repeats in a dictionary, numbers by what they differ."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from ..schemas import EVENTS

#: Columns whose values may be all different: what a dictionary of those costs is twice what the rest costs.
_VALUES: Final = [name for name in EVENTS.names if name.startswith("arg") or name == "ret_val"]
#: Values of a column that are looked at.
_SAMPLE: Final = 1024


def encodings(table: pa.Table | None) -> dict[str, Any]:
    """The arguments of a `ParquetWriter` that choose encodings for `table`, of schema `EVENTS`; None for one
    without rows.

    DELTA_BINARY_PACKED, and the dictionary, are what every reader of Parquet knows.
    """
    by_difference = ["timestamp"]
    if table is not None:
        step = max(1, table.num_rows // _SAMPLE)
        # Odd: entries and exits often take turns, and each has nulls where the other has values.
        places = np.arange(0, table.num_rows, step | 1, dtype=np.int64)
        # `pa.array` imports pandas where that is installed, which takes longer than all else here.
        rows = pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)])
        sample = table.select(_VALUES).take(rows)
        by_difference += [name for name in _VALUES if not _repeats(sample[name])]
    return {
        "use_dictionary": [name for name in EVENTS.names if name not in by_difference],
        "column_encoding": dict.fromkeys(by_difference, "DELTA_BINARY_PACKED"),
    }


def _repeats(sample: pa.ChunkedArray) -> bool:
    """Whether at most half of the values are different from each other."""
    values = sample.drop_null()
    return len(values.unique()) * 2 <= len(values)
