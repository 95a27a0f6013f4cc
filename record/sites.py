"""Where in a function its entry probe sits.

The kernel single-steps most instructions under a probe, at ten times the cost of those it emulates. An
`endbr64` is one of the slow ones, and a 5-byte NOP is dangerous: on some kernels a probe on it kills
forked children. Neither does anything, so the probe sits behind them: arguments, stack pointer and
return address are still those of the entry.

An instruction that a jump inside the function reaches again, the head of a loop, is no site: each turn
would count as a call. Jumps from other functions are tail calls, which are calls. Indirect jumps (a
switch back to the entry) are not seen. Go's functions all are such loops, through the growth of their
stack; there the probe sits behind the check for it, where stack and return address are still those of the
entry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ..bpf.arch import X86_64
from .elf import HOST_MACHINE, Bytes, ElfFile
from .functions import Function
from .probeable import LONGEST, is_probeable

_ENDBR64: Final = bytes.fromhex("f30f1efa")
_NOP5: Final = bytes.fromhex("0f1f440000")
_PROLOGUE: Final = len(_ENDBR64) + len(_NOP5)
#: Go's check for room on the stack: [lea …(%rsp),%r12] cmp 0x10(%r14),%rsp or %r12; jbe to where it grows.
_GO_CHECK: Final = re.compile(
    rb"(?:\x49\x3b\x66\x10|(?:\x4c\x8d\x64\x24.|\x4c\x8d\xa4\x24....)\x4d\x3b\x66\x10)(?:\x76.|\x0f\x86....)",
    re.DOTALL,
)
#: Zeroes after each function, so that no instruction is read across two of them.
_GAP: Final = 16
_NUMBER: Final = re.compile("0x[0-9a-f]+|[0-9]+")
_BATCH_BYTES: Final = 32 << 20
#: Where the size is not known, as much is looked at.
UNKNOWN_SIZE: Final = 4096
#: Disassembly takes about a second per megabyte; beyond this a jump that looks so is one.
_MOST_DISASSEMBLED: Final = 256 << 10

LOOP = "its first instruction is the head of a loop, where every turn would count as a call"
REFUSED = "its first instruction can carry no probe"
OVERLAP = "the file's symbols overlap beyond reason"


class Site(NamedTuple):
    """`skip` is the distance from the entry in bytes; with a `reason` there is no site."""

    skip: int
    reason: str | None = None


def never() -> bool:
    return False


def find_sites(
    elf: ElfFile, functions: Sequence[Function], on_nops: Callable[[], bool] = never
) -> list[Site]:
    """The site of each function of `elf`, in order. TargetError when the file cannot be read.

    `on_nops` is asked, once there is a 5-byte NOP, whether the probe may sit on it: the fastest place.
    """
    if X86_64.elf_machine != HOST_MACHINE:
        # Other architectures have fixed-size instructions that are probed where they stand.
        return [Site(0)] * len(functions)
    sites: list[Site] = []
    batch: list[Function] = []
    size = 0
    budget = 4 * elf.size + _BATCH_BYTES
    for function in functions:
        length = function.size or UNKNOWN_SIZE
        if batch and size + length > _BATCH_BYTES:
            sites += _batch(elf, batch, on_nops)
            batch, size = [], 0
        budget -= length
        if budget < 0:
            sites += _batch(elf, batch, on_nops)
            return sites + [Site(0, OVERLAP)] * (len(functions) - len(sites))
        batch.append(function)
        size += length + _GAP
    return sites + _batch(elf, batch, on_nops)


def _batch(elf: ElfFile, functions: Sequence[Function], on_nops: Callable[[], bool]) -> list[Site]:
    if not functions:
        return []
    parts = []
    for f in functions:
        size = min(f.size or UNKNOWN_SIZE, elf.size - f.offset)
        parts += [elf.bytes_at(f.offset, size), bytes(_GAP)]
    code = np.frombuffer(b"".join(parts), np.uint8)
    lengths = np.array([len(part) for part in parts[::2]], np.int64)
    starts = np.cumsum(lengths + _GAP) - lengths - _GAP
    skips = _skips(code, starts, lengths, on_nops)
    looping = _looping(code, starts, lengths, skips)
    sites = [Site(skip) for skip in skips.tolist()]
    for i in np.flatnonzero(looping).tolist():
        sites[i] = _confirm(parts[2 * i], int(skips[i]))
    # Where the instruction behind those that do nothing takes no probe, an endbr64 does.
    return [_accepted(part, site) for part, site in zip(parts[::2], sites, strict=True)]


def _accepted(code: bytes, site: Site) -> Site:
    if site.reason is not None or is_probeable(code[site.skip : site.skip + LONGEST]):
        return site
    return Site(0) if code.startswith(_ENDBR64) else Site(0, REFUSED)


def _skips(
    code: Bytes,
    starts: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    on_nops: Callable[[], bool],
) -> npt.NDArray[np.int64]:
    """How many bytes of each function's start do nothing, and are no site."""
    heads = code[starts[:, None] + np.arange(_PROLOGUE)]
    endbr, nop = np.frombuffer(_ENDBR64, np.uint8), np.frombuffer(_NOP5, np.uint8)
    has_endbr = (heads[:, :4] == endbr).all(axis=1)
    has_nop = np.where(has_endbr, (heads[:, 4:9] == nop).all(axis=1), (heads[:, :5] == nop).all(axis=1))
    skips = 4 * has_endbr + 5 * (has_nop & (not (has_nop.any() and on_nops())))
    # A function of nothing else: its last instruction is as good as any.
    skips = np.where(skips < lengths, skips, 0)
    return skips.astype(np.int64)


def _looping(
    code: Bytes, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], skips: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which functions hold bytes that, read as a direct jump, lead to their entry, site or between.

    Every jump is among them, whatever instruction its bytes belong to.
    """
    following = np.append(code[1:], np.uint8(0))
    short = ((code & 0xF0) == 0x70) | (code == 0xEB) | ((code & 0xFC) == 0xE0)
    at = np.flatnonzero(short & (following >= 0x80))
    targets = [at + 2 + code[at + 1].view(np.int8).astype(np.int64)]
    places = [at]
    for opcode, length in (((code == 0xE9), 5), ((code == 0x0F) & ((following & 0xF0) == 0x80), 6)):
        at = np.flatnonzero(opcode[: len(code) - length])
        displacement = np.zeros(len(at), np.uint32)
        for i in range(4):
            displacement |= code[at + (length - 4 + i)].astype(np.uint32) << np.uint32(8 * i)
        targets.append(at + length + displacement.view(np.int32).astype(np.int64))
        places.append(at)
    place, target = np.concatenate(places), np.concatenate(targets)
    owner = np.searchsorted(starts, place, side="right") - 1
    hit = (
        (target >= starts[owner]) & (target <= (starts + skips)[owner]) & (place < (starts + lengths)[owner])
    )
    looping = np.zeros(len(starts), np.bool_)
    looping[owner[hit]] = True
    return looping


def _confirm(code: bytes, skip: int) -> Site:
    """The site of a function in which a jump to its head seems to be."""
    targets = _jump_targets(code, skip)
    if not any(0 <= target <= skip for target in targets):
        return Site(skip)
    # A Go function starts again when its stack has grown. Behind the check it stands once in each call.
    check = _GO_CHECK.match(code)
    if check and not targets & {*range(1, check.end() + 1)}:
        return Site(check.end())
    # Never on a 5-byte NOP, which the entry of a function is that has no endbr64 before it.
    if 0 in targets or code.startswith(_NOP5):
        return Site(0, LOOP)
    return Site(0)


def _jump_targets(code: bytes, skip: int) -> set[int]:
    """Distances from the entry to which direct jumps lead. All of 0…skip where it cannot be told."""
    import capstone

    in_doubt = set(range(skip + 1))
    if len(code) > _MOST_DISASSEMBLED:
        return in_doubt
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    targets, end = set(), 0
    for address, size, mnemonic, operands in decoder.disasm_lite(code, 0):
        end = address + size
        if mnemonic.split()[-1].startswith(("j", "loop")) and _NUMBER.fullmatch(operands):
            targets.add(int(operands, 0))
    # Data between instructions: what comes after may have been read out of step.
    return targets if end == len(code) else in_doubt
