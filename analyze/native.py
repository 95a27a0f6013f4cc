"""The compiled stack walk (`walk/*.c`), called through ctypes on NumPy's arrays.

A call lets go of the interpreter's lock, so that walks, and who reads for them, run at once. Where there
was no compiler when funcsnoop was installed there is no library, and NumPy does the work.
"""

from __future__ import annotations

import ctypes
from ctypes import c_int64, c_uint64, c_void_p
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import TraceError
from .arrays import Flags, Ints
from .encoding import unknown_function

#: As in walk.h: a library that was built from other sources is not called.
_VERSION: Final = 1
_NO_MEMORY, _STRANGER, _CHANGED = -1, -2, -3

#: The structs of walk.h: integers of 64 bits, and arrays by the type of their items.
_STRUCTS: Final[dict[str, dict[str, str | None]]] = {
    "batch": {
        "rows": None, "first_row": None, "entry": "u1", "cookie": "u8", "pid": "u4", "tgid": "u4",
        "timestamp": "i8", "frame": "u8",
    },
    "setup": {
        "functions": None, "cookie": "u8", "exit_traced": "u1",
        "loss_start": "i8", "loss_end": "i8", "loss_frame": "u8", "anywhere": None,
        "losing": None, "losing_thread": "u8", "loss_bounds": "i8", "part": None, "parts": None,
    },
    "rows": {
        "parent": "i8", "outer": "i8", "depth": "i4", "function": "i4", "caller": "i4", "start": "i8",
        "end": "i8", "self_ns": "i8", "self_known": "u1", "entry_row": "i8", "exit_row": "i8", "status": "i1",
    },
}  # fmt: skip

_WALK: Final = c_void_p
_FUNCTIONS: Final[dict[str, tuple[Any, list[Any]]]] = {
    "walk_version": (c_int64, []),
    "walk_new": (_WALK, [c_void_p]),
    "walk_match": (c_int64, [_WALK, c_void_p]),
    "walk_matched": (c_int64, [_WALK]),
    "walk_threads": (None, [_WALK, *[c_void_p] * 4]),
    "walk_begin": (None, [_WALK, c_void_p, c_void_p, c_void_p]),
    "walk_nest": (c_int64, [_WALK, c_void_p]),
    "walk_nested": (c_int64, [_WALK]),
    "walk_stranger": (c_uint64, [_WALK]),
    "walk_free": (None, [_WALK]),
}


@cache
def library() -> Any:
    """The compiled walk, or None where there is none that fits."""
    for suffix in EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_walk{suffix}")
        if path.exists():
            try:
                loaded = ctypes.CDLL(str(path))
                for name, (result, arguments) in _FUNCTIONS.items():
                    function = getattr(loaded, name)
                    function.restype, function.argtypes = result, arguments
            except (OSError, AttributeError):
                return None  # built for another machine, or from other sources
            return loaded if loaded.walk_version() == _VERSION else None
    return None


class Struct:
    """A struct of walk.h; `values` are its fields, and stay as long as it does."""

    def __init__(self, name: str, **values: Any) -> None:
        kinds = _STRUCTS[name]
        assert values.keys() == kinds.keys(), name
        self.values = values
        self._words = (c_int64 * len(kinds))()
        for i, (field, kind) in enumerate(kinds.items()):
            value = values[field]
            if kind is not None:
                assert value.dtype == np.dtype(kind), field
                assert value.flags.c_contiguous, field
                value = value.ctypes.data
            self._words[i] = value

    @property
    def address(self) -> int:
        return ctypes.addressof(self._words)


class Walk:
    """One walk: `match` every batch, `matched`; then `begin`, `nest` the same batches, `nested`.

    Raises TraceError; after an error it can only be thrown away.
    """

    def __init__(self, setup: Struct) -> None:
        self._library = library()
        self._walk = self._library.walk_new(setup.address)
        if not self._walk:
            raise MemoryError

    def match(self, batch: Struct) -> None:
        self._check(self._library.walk_match(self._walk, batch.address))

    def matched(self) -> dict[str, NDArray[Any]]:
        """The threads in order of appearance: `key`, tgid << 32 | pid, `events`, `calls`, `first` (ns)."""
        count = self._library.walk_matched(self._walk)
        kinds = {"key": np.uint64, "events": np.int64, "calls": np.int64, "first": np.int64}
        found = {name: np.zeros(count, kind) for name, kind in kinds.items()}
        self._library.walk_threads(self._walk, *(array.ctypes.data for array in found.values()))
        return found

    def begin(self, base: Ints, ended: Flags, rows: Struct | None) -> None:
        """Calls are numbered from `base` in each thread, those of `matched`; with `rows` they go there."""
        flags = ended.astype(np.uint8)
        address = None if rows is None else rows.address
        self._library.walk_begin(self._walk, base.ctypes.data, flags.ctypes.data, address)

    def nest(self, batch: Struct) -> None:
        self._check(self._library.walk_nest(self._walk, batch.address))

    def nested(self) -> None:
        self._check(self._library.walk_nested(self._walk))

    def _check(self, result: int) -> None:
        if result == _NO_MEMORY:
            raise MemoryError
        if result == _STRANGER:
            raise unknown_function(self._library.walk_stranger(self._walk))
        if result == _CHANGED:
            raise TraceError(
                "the trace changed while it was read", "wait until nobody writes it, and try again"
            )

    def __del__(self) -> None:
        if getattr(self, "_walk", None):
            self._library.walk_free(self._walk)
            self._walk = None
