"""The compiled stack walk (`walk/*.c`), called through ctypes on NumPy's arrays.

A call lets go of the interpreter's lock, so that walks, and who reads for them, run at once. Where there
was no compiler when funcsnoop was installed there is no library, and NumPy does the work.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import c_int64, c_uint64, c_void_p
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import TraceError
from ..schemas import MAX_ARGS
from .arrays import Flags, Ints
from .encoding import unknown_function

#: As in walk.h: a library that was built from other sources is not called.
_VERSION: Final = 4
_NO_MEMORY, _STRANGER, _CHANGED = -1, -2, -3

#: Registers of an event: arg0 … arg5, ret_val.
COLUMNS: Final = MAX_ARGS + 1
SKETCH_BITS: Final = 14
#: Of positive values, and as many of negative ones.
OCTAVES: Final = 65


def _each(name: str, kind: str | None) -> dict[str, str | None]:
    return {f"{name}{column}": kind for column in range(COLUMNS)}


def _spreads(name: str) -> dict[str, str | None]:
    arrays: dict[str, str | None] = dict.fromkeys(
        (f"{name}_{part}" for part in ("kept", "buckets", "value", "bucket", "count")), "i8"
    )
    return arrays | dict.fromkeys(f"{name}_place{i}" for i in range(3))


#: The structs of walk/*.h: integers of 64 bits, and arrays by the type of their items.
_STRUCTS: Final[dict[str, dict[str, str | None]]] = {
    "batch": {
        "rows": None, "first_row": None, "entry": "u1", "cookie": "u8", "pid": "u4", "tgid": "u4",
        "timestamp": "i8", "frame": "u8",
        **_each("value", "u8"), **_each("valid", "u1"), **_each("offset", None),
    },
    "setup": {
        "functions": None, "cookie": "u8", "exit_traced": "u1", "outside": "i8", "inside": "i8",
        "loss_start": "i8", "loss_end": "i8", "loss_frame": "u8", "anywhere": None,
        "losing": None, "losing_thread": "u8", "loss_bounds": "i8",
        "tgids": "u8", "tgid_count": None, "pids": "u8", "pid_count": None, "part": None, "parts": None,
    },
    "rows": {
        "parent": "i8", "outer": "i8", "depth": "i4", "function": "i4", "caller": "i4", "start": "i8",
        "end": "i8", "duration": "i8", "self_ns": "i8", "self_known": "u1", "entry_row": "i8",
        "exit_row": "i8", "status": "i1", "sides": "u1", "chosen": "u1",
        **_each("value", "u8"), **_each("valid", "u1"),
    },
    "plan": {
        "layers": None, "functions": "u1", "beneath": None, "since": None, "until": None, "tally": None,
        "kinds": "i1", "keep_function": None, "keep_group": None, "keep_bytes": None, "value_bits": None,
        "most_places": None,
    },
    "arrays": {
        "ways": "i8", "places": "i8", "edges": "i8", "functions": "i8", **_spreads("durations"),
        "registers": "i8", "value": "u8", "count": "i8", "value_bucket": "i8", "value_bucket_count": "i8",
        "sketches": "u1", "group": "i8", **_spreads("groups"),
    },
}  # fmt: skip

WAY: Final = (
    "place", "edge", "function", "cut", "calls", "complete", "open", "unwound", "lost", "silent",
    "self_known", "self_ns", "total_function", "total_edge", "total_place",
)  # fmt: skip
FUNCTION: Final = ("function", "sum", "squares_low", "squares_high", "least", "greatest")
REGISTER: Final = (
    "function", "column", "count", "missed", "sum_low", "sum_high", "least", "greatest", "is_signed",
    "values", "sketched", "value_buckets", "groups",
)  # fmt: skip
THREAD: Final = ("calls", "events", "first", "last", "busy")
_SIZES: Final = (
    "ways", "places", "edges", "functions", "durations", "duration_buckets", "registers", "values",
    "value_buckets", "sketches", "groups", "group_durations", "group_buckets",
)  # fmt: skip

_WALK: Final = c_void_p
_FUNCTIONS: Final[dict[str, tuple[Any, list[Any]]]] = {
    "walk_version": (c_int64, []),
    "walk_new": (_WALK, [c_void_p]),
    "walk_match": (c_int64, [_WALK, c_void_p]),
    "walk_matched": (c_int64, [_WALK]),
    "walk_threads": (None, [_WALK, *[c_void_p] * 4]),
    "walk_begin": (c_int64, [_WALK, *[c_void_p] * 5]),
    "walk_nest": (c_int64, [_WALK, c_void_p]),
    "walk_running": (c_int64, [_WALK]),
    "walk_nested": (c_int64, [_WALK]),
    "walk_sizes": (None, [_WALK, c_void_p]),
    "walk_export": (None, [_WALK, c_void_p]),
    "walk_thread_tallies": (None, [_WALK, c_void_p]),
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
    """A struct of walk/*.h. `values` are its fields, 0 or no array where left out, and live as long as it."""

    def __init__(self, name: str, **values: Any) -> None:
        kinds = _STRUCTS[name]
        assert values.keys() <= kinds.keys(), name
        self.values = values
        self._words = (c_int64 * len(kinds))()
        for i, (field, kind) in enumerate(kinds.items()):
            value = values.get(field)
            if value is not None and kind is not None:
                assert value.dtype == np.dtype(kind), field
                assert value.flags.c_contiguous, field
                value = value.ctypes.data
            self._words[i] = value or 0

    @property
    def address(self) -> int:
        return ctypes.addressof(self._words)


class Walk:
    """One walk: `match` every batch, `matched`; then `begin`, `nest` the same batches, `nested`.

    Raises TraceError; after an error it takes no more, and can only be thrown away.
    """

    def __init__(self, setup: Struct) -> None:
        self._library = library()
        self._walk = self._library.walk_new(setup.address)
        self._failed = False
        if not self._walk:
            raise MemoryError

    def match(self, batch: Struct) -> None:
        self._step(self._library.walk_match, batch)

    def matched(self) -> dict[str, NDArray[Any]]:
        """The threads in order of appearance: `key`, tgid << 32 | pid, `events`, `calls`, `first` (ns)."""
        self._count = self._library.walk_matched(self._walk)
        kinds = {"key": np.uint64, "events": np.int64, "calls": np.int64, "first": np.int64}
        found = {name: np.zeros(self._count, kind) for name, kind in kinds.items()}
        self._library.walk_threads(self._walk, *(array.ctypes.data for array in found.values()))
        return found

    def begin(self, plan: Struct, base: Ints, ended: Flags, skipped: Flags, rows: Struct | None) -> None:
        """Of each thread, those of `matched`, calls are numbered from `base`, and it may be skipped; with
        `rows` calls go there.
        """
        arrays = (array.ctypes.data for array in (base, ended, skipped))
        address = None if rows is None else rows.address
        self._check(self._library.walk_begin(self._walk, plan.address, *arrays, address))

    def nest(self, batch: Struct) -> None:
        self._step(self._library.walk_nest, batch)

    @property
    def running(self) -> int:
        """How many chosen calls have begun in the second pass, and are not known to be over."""
        return int(self._library.walk_running(self._walk))

    def nested(self) -> None:
        """The second pass is over: all events have come, or no chosen call runs any more and none is to
        come.
        """
        self._check(self._library.walk_nested(self._walk))

    def gathered(self) -> dict[str, NDArray[Any]]:
        """The arrays of the struct `arrays`, and `threads`; those with several columns have a row each."""
        words = (c_int64 * len(_SIZES))()
        self._library.walk_sizes(self._walk, ctypes.addressof(words))
        size = dict(zip(_SIZES, words, strict=True))
        shapes = {
            "ways": (size["ways"], len(WAY)),
            "places": (size["places"], 2),
            "edges": (size["edges"], 2),
            "functions": (size["functions"], len(FUNCTION)),
            "durations_kept": size["functions"],
            "durations_buckets": size["functions"],
            "durations_value": size["durations"],
            "durations_bucket": size["duration_buckets"],
            "durations_count": size["duration_buckets"],
            "registers": (size["registers"], len(REGISTER)),
            "value": size["values"],
            "count": size["values"],
            "value_bucket": size["value_buckets"],
            "value_bucket_count": size["value_buckets"],
            "sketches": (size["sketches"], 1 << SKETCH_BITS),
            "group": size["groups"],
            "groups_kept": size["groups"],
            "groups_buckets": size["groups"],
            "groups_value": size["group_durations"],
            "groups_bucket": size["group_buckets"],
            "groups_count": size["group_buckets"],
        }
        # One more than there are: an array without items might have no address.
        found = {
            name: np.zeros(np.add(shape, (1, 0) if isinstance(shape, tuple) else 1), _STRUCTS["arrays"][name])
            for name, shape in shapes.items()
        }
        arrays = Struct("arrays", **found)
        self._library.walk_export(self._walk, arrays.address)
        threads = np.zeros((self._count + 1, len(THREAD)), np.int64)
        self._library.walk_thread_tallies(self._walk, threads.ctypes.data)
        return {name: array[:-1] for name, array in (found | {"threads": threads}).items()}

    def _step(self, step: Callable[[c_void_p, int], int], batch: Struct) -> None:
        # Who feeds a walk may be some batches ahead of its error.
        if not self._failed:
            self._check(step(self._walk, batch.address))

    def _check(self, result: int) -> None:
        self._failed = result < 0
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
