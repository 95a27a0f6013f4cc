"""The level of the stack at many addresses at once, against the reader of one description at a time."""

from __future__ import annotations

import os
from contextlib import ExitStack

import numpy as np
import pytest

from funcsnoop.record.cfi import Frames
from funcsnoop.record.debug_files import find_tables
from funcsnoop.record.elf import ElfFile
from funcsnoop.record.functions import read_functions
from funcsnoop.record.levels import AT_ENTRY_LEVEL, NOT_TOLD, UNDESCRIBED, levels, piece_ends

from .test_sites import libraries

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="stack frames of x86-64")


def one_by_one(frames: Frames, address: int) -> int:
    piece = frames.at(address)
    if piece is None:
        return UNDESCRIBED
    return AT_ENTRY_LEVEL if piece.at(address).at_entry_level else NOT_TOLD


def test_whole_libraries():
    for path in libraries():
        with ElfFile.open(path) as elf:
            frames = Frames(elf)
        begins = frames.begins
        assert len(begins) > 500
        addresses = np.concatenate([begins + distance for distance in (-1, 0, 1, 4, 13, 40, 150, 1000)])
        found = levels(frames, addresses).tolist()
        told = 0
        for address, level in zip(addresses.tolist(), found, strict=True):
            expected = one_by_one(frames, address)
            # What is written in ways that only the other reads is not told.
            assert level in (expected, NOT_TOLD), (path, hex(address))
            told += level == expected
        assert told > 0.98 * len(found)
        ends = piece_ends(frames, np.arange(len(begins)))
        pieces = [frames.at(begin) for begin in begins.tolist()]
        for piece, begin, end in zip(pieces, begins.tolist(), ends.tolist(), strict=True):
            assert piece is None or end in (piece.end, begin)


def frames_of(build_text, *directives: str) -> tuple[Frames, int]:
    """The descriptions of a program whose function `f` has a NOP before each of `directives`; where f is."""
    body = "".join(f"nop\n{directive}\n" for directive in directives)
    text = f".globl f, main\n.type f,@function\nf: .cfi_startproc\n{body}ret\n.cfi_endproc\n.size f,.-f\n"
    end = '.type main,@function\nmain: ret\n.size main,1\n.section .note.GNU-stack,"",@progbits\n'
    path = str(build_text(f".text\n{text}{end}", "-no-pie", suffix=".s"))
    with ElfFile.open(path) as elf:
        with ExitStack() as opened:
            table = read_functions(elf, find_tables(elf, path, "", opened))
        return Frames(elf), next(f.address for f in table.functions if f.symbol == "f")


@pytest.mark.parametrize(
    ("directives", "expected"),
    [
        ([], [1]),
        ([".cfi_def_cfa_offset 16", ".cfi_def_cfa_offset 8"], [1, 0, 1]),
        ([".cfi_def_cfa_register 6", ".cfi_def_cfa 7, 8"], [1, 0, 1]),
        ([".cfi_adjust_cfa_offset 70000", ".cfi_adjust_cfa_offset -70000"], [1, 0, 1]),
        ([".cfi_remember_state", ".cfi_def_cfa_offset 32", ".cfi_restore_state"], [1, 1, 0, 1]),
        ([".cfi_offset 3, -16", ".cfi_restore 3"], [1, 1, 1]),
        ([".cfi_escape 0x2e, 0x10"], [1, 1]),
        ([".cfi_escape 0x0f, 0x03, 0x77, 0x08, 0x06", ".cfi_def_cfa 7, 8"], [1, 0, 1]),
        # What is not read here: a state too deep, one that was not remembered, what nobody writes.
        ([".cfi_remember_state"] * 5, [0] * 6),
        ([".cfi_escape 0x0b"], [0, 0]),
        ([".cfi_escape 0x0e, 0x88, 0x80, 0x80, 0x80, 0x00"], [0, 0]),
    ],
)
def test_programs(build_text, directives, expected):
    frames, f = frames_of(build_text, *directives)
    assert levels(frames, f + np.arange(len(directives) + 1)).tolist() == expected
