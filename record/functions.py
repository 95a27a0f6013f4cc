"""Which functions an ELF file defines: symbols filtered, joined by address, placed in the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from . import elf_symbols
from .elf import ElfFile
from .elf_symbols import Symbols

#: Run once by the C start-up code, before or after everything that can be called a function.
_START_UP: Final = frozenset({"_start", "_init", "_fini"})
#: Pieces that gcc moves out of a function. They are reached by jumps, or have lost arguments.
_FRAGMENT: Final = re.compile(r"\.part\.\d+|\.cold(\.\d+)?$")

START_UP = "start-up code"
FRAGMENT = "a fragment of another function"
PLT = "a PLT stub"
NO_SIZE = "the symbol has no size"
RESOLVER = "it chooses the code of an IFUNC, and only the loader calls it"
NOT_CODE = "not in executable memory"


class Function(NamedTuple):
    """A function of a file: `offset` is in the file, `size` in bytes and 0 where unknown."""

    symbol: str
    address: int
    offset: int
    size: int
    aliases: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (self.symbol, *self.aliases)


class LeftOut(NamedTuple):
    symbol: str
    reason: str


@dataclass(frozen=True)
class FunctionTable:
    """`functions` by address; `ifuncs` are GNU indirect functions, whose code is elsewhere.

    Each of `ifuncs` is a set of names that share one resolver.
    """

    functions: Sequence[Function]
    ifuncs: Sequence[frozenset[str]]
    left_out: Sequence[LeftOut]


def read_functions(elf: ElfFile, tables: Sequence[Symbols]) -> FunctionTable:
    """The functions that `tables` name in `elf`.

    `tables` may come from a separate debug file: its addresses are those of `elf`, its file offsets
    are not, so that segments are always those of `elf`.

    Several names of one address make one function. Its symbol is the one that others link to: global
    before weak before local, then without leading underscore, then the shortest, then the first in
    order of characters. The others are its aliases.
    """
    names: list[str] = []
    parts: list[list[np.ndarray]] = [[], [], [], []]
    resolvers: dict[int, set[str]] = {}
    left_out: list[LeftOut] = []
    for table in tables:
        entries = table.entries
        kind = entries["info"] & 15
        index = entries["shndx"]
        defined = (index != elf_symbols.SHN_UNDEF) & (
            (index < elf_symbols.SHN_LORESERVE) | (index == elf_symbols.SHN_XINDEX)
        )
        indirect = entries[defined & (kind == elf_symbols.STT_GNU_IFUNC)]
        for address, name in zip(indirect["value"].tolist(), table.names(indirect), strict=True):
            if name:
                resolvers.setdefault(address, set()).add(name)
        entries = entries[defined & (kind == elf_symbols.STT_FUNC)]
        offsets = elf.executable_offset(entries["value"])
        plt = [i for i, s in enumerate(table.elf.sections) if s.name.startswith((".plt", ".iplt"))]
        in_plt = np.isin(entries["shndx"], plt)
        found = table.names(entries)
        good = (entries["size"] > 0) & (offsets >= 0) & ~in_plt
        for i in np.flatnonzero(~good).tolist():
            if found[i]:
                reason = PLT if in_plt[i] else NOT_CODE if offsets[i] < 0 else NO_SIZE
                left_out.append(LeftOut(found[i], reason))
        for i in np.flatnonzero(good).tolist():
            name = found[i]
            if not name:
                good[i] = False
            elif name in _START_UP:
                good[i] = False
                left_out.append(LeftOut(name, START_UP))
            elif "." in name and _FRAGMENT.search(name):
                good[i] = False
                left_out.append(LeftOut(name, FRAGMENT))
        kept = np.flatnonzero(good)
        names += [found[i] for i in kept.tolist()]
        entries = entries[kept]
        for part, values in zip(
            parts, (entries["value"], offsets[kept], entries["size"], entries["info"] >> 4), strict=True
        ):
            part.append(values)
    functions = _join(names, *(np.concatenate(part) for part in parts)) if names else []
    if resolvers:
        left_out += [LeftOut(f.symbol, RESOLVER) for f in functions if f.address in resolvers]
        functions = [f for f in functions if f.address not in resolvers]
    return FunctionTable(functions, [frozenset(group) for group in resolvers.values()], left_out)


def _join(
    names: list[str], addresses: np.ndarray, offsets: np.ndarray, sizes: np.ndarray, bindings: np.ndarray
) -> list[Function]:
    """One function for each address."""
    order = np.argsort(addresses, kind="stable")
    addresses, offsets = addresses[order], offsets[order]
    starts = np.flatnonzero(np.concatenate(([True], addresses[1:] != addresses[:-1])))
    # A size that runs past the segment's end is a damaged symbol's; nothing reads so many bytes.
    largest = np.maximum.reduceat(np.minimum(sizes[order], np.uint64(1 << 62)), starts).tolist()
    ends = np.append(starts[1:], len(order)).tolist()
    ordered = order.tolist()
    rank = {elf_symbols.STB_GLOBAL: 0, elf_symbols.STB_GNU_UNIQUE: 0, elf_symbols.STB_WEAK: 1}
    functions = []
    for start, end, address, offset, size in zip(
        starts.tolist(), ends, addresses[starts].tolist(), offsets[starts].tolist(), largest, strict=True
    ):
        if end - start == 1:
            functions.append(Function(names[ordered[start]], address, offset, size, ()))
            continue
        best: dict[str, int] = {}
        for i in ordered[start:end]:
            best[names[i]] = min(best.get(names[i], 2), rank.get(int(bindings[i]), 2))
        first, *others = sorted(best, key=lambda name: (best[name], name.startswith("_"), len(name), name))
        functions.append(Function(first, address, offset, size, tuple(others)))
    return functions
