"""Exits that are found for all functions at once, against those that are found by following each."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from funcsnoop.record.debug_files import find_tables
from funcsnoop.record.elf import ElfFile
from funcsnoop.record.exit_sites import ExitSite, Walk, _plain_sites
from funcsnoop.record.functions import Function, read_functions
from funcsnoop.record.plain_exits import plain_exits
from funcsnoop.record.surroundings import Surroundings

from .test_prologue import whole
from .test_sites import libraries

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="exits of x86-64")


def test_whole_libraries():
    share = []
    for path in libraries():
        with ExitStack() as opened:
            elf = opened.enter_context(ElfFile.open(path))
            table = read_functions(elf, find_tables(elf, path, "", opened))
            around = Surroundings(elf, table)
            plain = plain_exits(elf, table.functions, table, around.frames)
            sites = _plain_sites(elf, table.functions, plain)
            ends: set[int] = set()
            for i in np.flatnonzero(plain.known).tolist():
                function = table.functions[i]
                walk = Walk(function, around)
                found = walk.exits()
                assert (found.reason, sorted(found.sites)) == (None, sorted(sites[i].sites)), (path, function)
                ends |= set(walk.ends)
            assert set(plain.ends.tolist()) == ends
            share.append(plain.known.mean())
    assert min(share) > 0.8


def plain_sites(path: Path) -> tuple[Function, tuple[ExitSite, ...] | None]:
    """Function f, and its exits if it is plain."""
    with ExitStack() as opened:
        elf = opened.enter_context(ElfFile.open(str(path)))
        table = read_functions(elf, find_tables(elf, str(path), "", opened))
        plain = plain_exits(elf, table.functions, table, Surroundings(elf, table).frames)
        i = next(i for i, f in enumerate(table.functions) if f.symbol == "f")
        sites = _plain_sites(elf, table.functions, plain)[i].sites
        return table.functions[i], sites if plain.known[i] else None


@pytest.mark.parametrize(
    ("body", "exits"),
    [
        ("ret", [(0, "ret", None)]),
        ("test %edi,%edi\nje g\nrepz ret", [(2, "jump", 4), (4, "ret", None)]),
        ("test %edi,%edi\nje 1f\njmp g\n1: ud2", [(4, "jump", None)]),
        ("1: dec %edi\njnz 1b\njmp *place(%rip)", [(4, "jump", None)]),
        ("call g\nhlt", []),
        ("call f\nret $8", [(5, "ret", None)]),
        ("jrcxz 1f\n1: ret", [(2, "ret", None)]),
        # All others are for who follows jumps.
        ("jmp *%rax", None),
        ("jmp *place(,%rax,8)", None),
        ("jrcxz g\nret", None),
        ("call 1f\n1: ret", None),
        ("jmp g+1", None),
        ("jmp f+1\nret", None),
        ("test %edi,%edi\nje 1f+1\n1: mov $1,%eax\nret", None),
        ("nop", None),
        ("ret\nnop", None),
        ("ret\nint3", None),
        ("xbegin g\nret", None),
        (".byte 0x66\nret", None),
        ("lret", None),
        ("in %dx,%al\nret", None),
        ("ret\n.byte 0x06", None),
        (".cfi_startproc\npush %rbx\n.cfi_def_cfa_offset 16\nret\n.cfi_endproc", None),
        (".cfi_startproc\nret\n.cfi_endproc", [(0, "ret", None)]),
    ],
)
def test_one_function(build_text, body, exits):
    path = build_text(whole(body, ".data\nplace: .quad f\n.text\n"), "-no-pie", suffix=".s")
    function, found = plain_sites(path)
    expected = None if exits is None else tuple(ExitSite(function.offset + at, *rest) for at, *rest in exits)
    assert found == expected
