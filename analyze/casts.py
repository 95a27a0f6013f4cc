"""Read raw registers as the types that they hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import UsageError
from ..schemas import MAX_ARGS
from .arrays import Addresses, Ints
from .globs import matches

Values = NDArray[np.uint64] | NDArray[np.int64]

#: Type name to (bits, signed). A bool is one byte; the rest of its register is undefined.
KINDS = {f"{sign}{bits}": (bits, sign == "i") for sign in "iu" for bits in (8, 16, 32, 64)} | {
    "ptr": (64, False),
    "bool": (8, False),
}


@dataclass(frozen=True)
class Cast:
    """Read a register of the functions that match `pattern` as a `kind`."""

    pattern: str
    arg: str
    kind: str

    @classmethod
    def parse(cls, text: str) -> Cast:
        """Read `FUNC:arg0=i32`; raises UsageError where it isn't that."""
        found = re.fullmatch(r"(.+):(arg\d+|ret_val)=(\w+)", text, re.DOTALL)
        if found is None:
            raise UsageError(f"--as {text!r} is not a cast", "write it as FUNC:arg0=i32, or FUNC:ret_val=i64")
        pattern, arg, kind = found.groups()
        if arg != "ret_val" and int(arg[3:]) >= MAX_ARGS:
            raise UsageError(f"--as {text!r}: there is no {arg}", f"arguments are arg0 to arg{MAX_ARGS - 1}")
        if kind not in KINDS:
            raise UsageError(f"--as {text!r}: {kind} is not a type", f"types are {', '.join(KINDS)}")
        return cls(pattern, arg, kind)

    def applies(self, demangled: str, symbol: str, arg: str) -> bool:
        return arg == self.arg and matches(self.pattern, demangled, symbol)


def check_used(casts: Sequence[Cast], names: Sequence[tuple[str, str]]) -> None:
    """Raises UsageError for a cast that applies to none of the functions, (demangled, symbol)."""
    for cast in casts:
        if not any(cast.applies(demangled, symbol, cast.arg) for demangled, symbol in names):
            raise UsageError(
                f"--as {cast.pattern}:{cast.arg}={cast.kind} matches no function of the trace",
                "give a name as `funcsnoop analyze latency` prints it, or a glob",
            )


def kind_of(casts: Sequence[Cast], name: tuple[str, str], arg: str) -> str | None:
    """The type that `arg` of a function, (demangled, symbol), is read as; None for a raw register. The last
    cast that applies wins.
    """
    return next((cast.kind for cast in reversed(casts) if cast.applies(*name, arg)), None)


def kinds_of(casts: Sequence[Cast], functions: pl.LazyFrame) -> Callable[[int, str], str | None]:
    """`kind_of` by row of the function table and register. Raises UsageError for a cast that applies to
    nothing.
    """
    names = functions.select("demangled", "symbol").collect().rows()
    check_used(casts, names)
    return cache(lambda function, arg: kind_of(casts, names[function], arg))


def parse_all(casts: Sequence[Cast | str] | Mapping[str, str]) -> list[Cast]:
    """Casts as people write them: `["FUNC:arg0=i32"]`, or `{"FUNC:arg0": "i32"}`."""
    if isinstance(casts, Mapping):
        casts = [f"{where}={kind}" for where, kind in casts.items()]
    return [Cast.parse(cast) if isinstance(cast, str) else cast for cast in casts]


def apply(raw: Addresses, kind: str) -> Values:
    """The low bits of registers as a type: int64 for signed types, else uint64."""
    bits, signed = KINDS[kind]
    if kind == "bool":
        flags: Addresses = ((raw & np.uint64(0xFF)) != 0).astype(np.uint64)
        return flags
    spare = np.uint64(64 - bits)
    if signed:
        shifted: Ints = (raw << spare).view(np.int64) >> np.int64(spare)
        return shifted
    low: Addresses = (raw << spare) >> spare
    return low


def apply_one(raw: int, kind: str) -> int:
    """One register as a type."""
    return int(apply(np.array([raw], np.uint64), kind)[0])


def limits(kind: str) -> tuple[int, int]:
    """The least and the greatest value of a type."""
    bits, signed = KINDS[kind]
    if kind == "bool":
        return 0, 1
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
