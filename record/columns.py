"""From the ring's records to the columns of the events table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..bpf.layout import ENTRY, EXIT
from ..schemas.events import ENTRY as ENTRY_NAME
from ..schemas.events import EVENTS, MAX_ARGS
from ..schemas.events import EXIT as EXIT_NAME


class Columns:
    """Converts structured arrays (`bpf.layout.event_dtype`) to record batches of schema `EVENTS`.

    `symbols[i]` is the name of the function with cookie i + 1.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        # Functions of different modules can share a name; a dictionary holds it once.
        self._names = _strings(list(dict.fromkeys(symbols)))
        self._types = _strings([ENTRY_NAME, EXIT_NAME])
        position = {name: i for i, name in enumerate(dict.fromkeys(symbols))}
        self._name_of_cookie = np.array([0, *(position[symbol] for symbol in symbols)], np.int32)

    def convert(self, events: NDArray[Any]) -> pa.RecordBatch:
        """One record batch with a row for each record, in the same order."""
        kinds = events["type"]
        is_entry = kinds == ENTRY
        cookies = np.ascontiguousarray(events["cookie"])
        arguments = events["args"] if "args" in (events.dtype.names or ()) else None
        recorded = 0 if arguments is None else arguments.shape[1]
        types = _column(pa.int8(), (~is_entry).view(np.int8))
        columns: list[pa.Array] = [
            pa.DictionaryArray.from_arrays(types, self._types),
            _column(pa.uint64(), cookies),
            _column(pa.uint32(), events["pid"]),
            _column(pa.uint32(), events["tgid"]),
            _column(pa.int64(), events["timestamp"].view(np.int64)),
            self._names_of(cookies),
            _column(pa.uint64(), events["frame"]),
        ]
        on_entries = _bitmap(is_entry)
        for i in range(MAX_ARGS):
            if arguments is not None and i < recorded:
                columns.append(_column(pa.uint64(), arguments[:, i], on_entries))
            else:
                columns.append(pa.nulls(len(events), pa.uint64()))
        columns.append(_column(pa.uint64(), events["ret_val"], _bitmap(kinds == EXIT)))
        return pa.RecordBatch.from_arrays(columns, schema=EVENTS)

    def _names_of(self, cookies: NDArray[np.uint64]) -> pa.DictionaryArray:
        """Only the names that occur: Parquet writes the whole dictionary into each row group."""
        indices = self._name_of_cookie[cookies]
        used = np.flatnonzero(np.bincount(indices, minlength=len(self._names)))
        compact = np.zeros(len(self._names), np.int32)
        compact[used] = np.arange(len(used), dtype=np.int32)
        names = self._names.take(_column(pa.int64(), used))
        return pa.DictionaryArray.from_arrays(_column(pa.int32(), compact[indices]), names)


def _column(kind: pa.DataType, values: NDArray[Any], valid: pa.Buffer | None = None) -> pa.Array:
    """`values` as they lie in memory. `pa.array` would do, and import pandas where that is installed."""
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(np.ascontiguousarray(values))])


def _strings(values: Sequence[str]) -> pa.Array:
    encoded = [value.encode() for value in values]
    offsets = np.cumsum([0, *(len(value) for value in encoded)], dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def _bitmap(valid: NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(valid, bitorder="little"))
