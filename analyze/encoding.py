"""Columns of events as small codes, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..errors import TraceError
from ..schemas import TraceMetadata
from .arrays import Addresses, Codes, Flags


def whole(column: pa.ChunkedArray[Any]) -> pa.Array[Any]:
    """A column in one piece."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def buffers(array: pa.Array[Any]) -> tuple[NDArray[Any], NDArray[np.uint8] | None, int]:
    """The values of an array of numbers; where there are nulls, the bitmap, and which bit is the first."""
    validity, data = array.buffers()
    kind = np.dtype(str(array.type))  # Arrow's own conversion would import pandas
    values = np.frombuffer(data, kind, len(array), array.offset * kind.itemsize)
    if not array.null_count:
        return values, None, 0
    return values, np.frombuffer(validity, np.uint8), array.offset


def is_entry(column: pa.ChunkedArray[Any]) -> Flags:
    """Whether each value of the column `type` is `entry`."""
    encoded = whole(column)
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    kinds = encoded.dictionary.to_pylist()
    if not len(encoded) or "entry" not in kinds:
        return np.zeros(len(encoded), np.bool_)
    found: Flags = buffers(encoded.indices)[0] == kinds.index("entry")
    return found


def thread_keys(table: pa.Table) -> pa.ChunkedArray[Any]:
    """`tgid << 32 | pid` of each event."""
    tgid = pc.shift_left(table["tgid"].cast(pa.uint64()), pa.scalar(32, pa.uint64()))
    return pc.bit_wise_or(tgid, table["pid"].cast(pa.uint64()))


def function_rows(column: pa.ChunkedArray[Any], metadata: TraceMetadata) -> Codes:
    """Each event's row in the metadata's function table."""
    row_of = {function["cookie"]: row for row, function in enumerate(metadata["functions"])}
    code, cookies = encode(column)
    try:
        rows = np.array([row_of[cookie] for cookie in cookies.tolist()], np.int32)
    except KeyError as missing:
        raise unknown_function(missing.args[0]) from None
    return rows[code] if len(rows) else np.zeros(0, np.int32)


def unknown_function(cookie: int) -> TraceError:
    return TraceError(
        f"the trace has events of a function (cookie {cookie}) that its function table lacks",
        "the file is damaged, or was put together from several traces; analyse the original",
    )


def encode(column: pa.ChunkedArray[Any]) -> tuple[Codes, Addresses]:
    """Dictionary-encode a column without nulls: codes, and the values that they stand for."""
    encoded = column.dictionary_encode().unify_dictionaries().combine_chunks()
    if not len(encoded):
        return np.zeros(0, np.int32), np.zeros(0, np.uint64)
    return encoded.indices.to_numpy(), encoded.dictionary.to_numpy(zero_copy_only=False).copy()
