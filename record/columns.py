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

_TYPES = pa.array([ENTRY_NAME, EXIT_NAME])


class Columns:
    """Converts structured arrays (`bpf.layout.event_dtype`) to record batches of schema `EVENTS`.

    `symbols[i]` is the name of the function with cookie i + 1.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        # Functions of different modules can share a name; a dictionary holds it once.
        self._names = pa.array(list(dict.fromkeys(symbols)), pa.string())
        position = {name: i for i, name in enumerate(dict.fromkeys(symbols))}
        self._name_of_cookie = np.array([0, *(position[symbol] for symbol in symbols)], np.int32)

    def convert(self, events: NDArray[Any]) -> pa.RecordBatch:
        """One record batch with a row for each record, in the same order."""
        kinds = events["type"].astype(np.int8)
        is_exit = kinds != ENTRY
        cookies = np.ascontiguousarray(events["cookie"])
        arguments = events["args"] if "args" in (events.dtype.names or ()) else None
        recorded = 0 if arguments is None else arguments.shape[1]
        columns: list[pa.Array] = [
            pa.DictionaryArray.from_arrays(pa.array(is_exit.view(np.int8)), _TYPES),
            pa.array(cookies),
            pa.array(np.ascontiguousarray(events["pid"])),
            pa.array(np.ascontiguousarray(events["tgid"])),
            pa.array(events["timestamp"].astype(np.int64)),
            self._names_of(cookies),
            pa.array(np.ascontiguousarray(events["frame"])),
        ]
        for i in range(MAX_ARGS):
            if arguments is not None and i < recorded:
                columns.append(pa.array(np.ascontiguousarray(arguments[:, i]), mask=is_exit))
            else:
                columns.append(pa.nulls(len(events), pa.uint64()))
        columns.append(pa.array(np.ascontiguousarray(events["ret_val"]), mask=kinds != EXIT))
        return pa.RecordBatch.from_arrays(columns, schema=EVENTS)

    def _names_of(self, cookies: NDArray[np.uint64]) -> pa.DictionaryArray:
        """Only the names that occur: Parquet writes the whole dictionary into each row group."""
        indices = self._name_of_cookie[cookies]
        used = np.flatnonzero(np.bincount(indices, minlength=len(self._names)))
        compact = np.zeros(len(self._names), np.int32)
        compact[used] = np.arange(len(used), dtype=np.int32)
        return pa.DictionaryArray.from_arrays(pa.array(compact[indices]), self._names.take(pa.array(used)))
