"""The first bytes of functions: what of them does nothing, and the straight line that follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from .elf import Bytes, ElfFile
from .functions import Function
from .instructions import WINDOW, Flags, Numbers, decode
from .prologue import FARTHEST, find_emulated
from .site_classes import SiteClass, is_emulated, nops_are_fast

ENDBR64: Final = bytes.fromhex("f30f1efa")
NOP5: Final = bytes.fromhex("0f1f440000")
_MOST_READ: Final = len(ENDBR64) + len(NOP5) + FARTHEST + WINDOW
_BATCH_BYTES: Final = 32 << 20
#: The classes of sites, as `classes` of `Candidates` numbers them.
CLASSES: Final = tuple(SiteClass)
_NOP5, _EMULATED, STEPPED = range(len(CLASSES))


class Candidates(NamedTuple):
    """Places for the probes of functions, one row for each: distances behind the entry.

    `heads` are the first instructions that do something, or NOPs that are as good, and `classes` theirs.
    `lines` are the first emulated ones on the straight line behind, or the heads where there are none;
    `moved` is how far the stack pointer has moved down by then.
    """

    heads: Numbers
    classes: Numbers
    lines: Numbers
    moved: Numbers


def find_candidates(
    elf: ElfFile, functions: Sequence[Function], arguments: int, on_nops: Callable[[], bool]
) -> Candidates:
    """The places in each of `functions`, in order. TargetError when the file cannot be read.

    At the lines, `arguments` argument registers are what they are at the entry. `on_nops` is asked, once
    there is a 5-byte NOP, whether a probe may sit on it.
    """
    offsets = np.fromiter((f.offset for f in functions), np.int64)
    sizes = np.fromiter((f.size for f in functions), np.uint64)
    sizes = np.minimum(sizes, np.uint64(elf.size)).astype(np.int64)
    found = Candidates(*(np.zeros(len(functions), np.int64) for _ in Candidates._fields))
    for rows in _batches(offsets):
        low, high = int(offsets[rows[0]]), int(offsets[rows[-1]]) + _MOST_READ
        raw = elf.bytes_at(low, min(high, elf.size) - low)
        code = np.frombuffer(raw.ljust(high - low, b"\0"), np.uint8)
        inside = np.minimum(sizes[rows], elf.size - offsets[rows])
        values = _batch(code, offsets[rows] - low, inside, arguments, on_nops)
        for column, part in zip(found, values, strict=True):
            column[rows] = part
    return found


def _batches(offsets: Numbers) -> Iterator[Numbers]:
    """The rows of functions that lie together, in the order of their offsets."""
    order = np.argsort(offsets, kind="stable")
    ordered = offsets[order]
    start = 0
    while start < len(order):
        end = int(np.searchsorted(ordered, ordered[start] + _BATCH_BYTES))
        yield order[start:end]
        start = end


def _batch(
    code: Bytes, starts: Numbers, sizes: Numbers, arguments: int, on_nops: Callable[[], bool]
) -> Candidates:
    has_endbr, after_endbr = _begins(code, starts, ENDBR64), _begins(code, starts + len(ENDBR64), NOP5)
    has_nop = np.where(has_endbr, after_endbr, _begins(code, starts, NOP5))
    on_nop = has_nop & bool(has_nop.any() and on_nops())
    heads = len(ENDBR64) * has_endbr + len(NOP5) * (has_nop & ~on_nop)
    # A function of nothing else: its last instruction is as good as any. So it is where none knows the end.
    heads = np.where((heads < sizes) | (sizes == 0), heads, 0)
    emulated = is_emulated(decode(code, starts + heads))
    on_nop &= nops_are_fast()
    classes = np.where(on_nop, _NOP5, np.where(emulated, _EMULATED, STEPPED))
    lines, moved = heads.copy(), np.zeros(len(starts), np.int64)
    slow = np.flatnonzero((classes == STEPPED) & (sizes > 0))
    skips, down = find_emulated(code, (starts + heads)[slow], (starts + sizes)[slow], arguments)
    found = skips > 0
    lines[slow[found]] += skips[found]
    moved[slow[found]] = down[found]
    return Candidates(heads, classes, lines, moved)


def _begins(code: Bytes, starts: Numbers, what: bytes) -> Flags:
    """Whether `what` stands at each of `starts`."""
    found: Flags = (code[starts[:, None] + np.arange(len(what))] == np.frombuffer(what, np.uint8)).all(axis=1)
    return found
