"""How the columns of a row group are encoded.

Few readers know more than these: a dictionary, plain values, and DELTA_BINARY_PACKED, numbers by what they
differ (https://parquet.apache.org/docs/file-format/data-pages/encodings/). Behind each of them is Zstandard.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from ..schemas import EVENTS

_VALUES: Final = [name for name in EVENTS.names if name.startswith("arg") or name == "ret_val"]
#: What has few values.
_FEW: Final = [name for name in EVENTS.names if name != "timestamp" and name not in _VALUES]
#: Rows that are looked at.
_SAMPLE: Final = 2048


def encodings(table: pa.Table | None) -> dict[str, Any]:
    """The arguments of a `ParquetWriter` that choose encodings for `table`, of schema `EVENTS`; None for one
    without rows.

    Registers are plain: what repeats in them Zstandard finds, in less time and, in traces of libsqlite3,
    libcrypto and CPython, less space than a dictionary takes (docs/performance.md). It finds no counters.
    """
    by_difference = ["timestamp"]
    if table is not None:
        sample = table.select(_VALUES).slice(table.num_rows // 2, _SAMPLE)
        by_difference += [name for name in _VALUES if _counts(sample[name].combine_chunks())]
    return {
        "use_dictionary": _FEW,
        "column_encoding": dict.fromkeys(by_difference, "DELTA_BINARY_PACKED"),
    }


def _counts(sample: pa.Array) -> bool:
    """Whether values, most of which are different, go up or down in steps that are not."""
    values = sample.drop_null()
    return _repeats(pc.pairwise_diff(values).drop_null()) and not _repeats(values)


def _repeats(values: pa.Array) -> bool:
    """Whether at most half of the values are different from each other."""
    return len(values.unique()) * 2 <= len(values)
