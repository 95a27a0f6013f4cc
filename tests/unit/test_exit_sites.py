from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from funcsnoop.record.debug_files import find_tables
from funcsnoop.record.elf import ElfFile
from funcsnoop.record.exit_sites import ExitSites, find_exit_sites
from funcsnoop.record.functions import Function, read_functions

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="exits of x86-64")


def exits_of(path: Path) -> dict[str, tuple[Function, ExitSites]]:
    with ExitStack() as opened:
        elf = opened.enter_context(ElfFile.open(str(path)))
        table = read_functions(elf, find_tables(elf, str(path), "", opened))
        found = find_exit_sites(elf, table.functions, table)
        return {f.symbol: (f, exits) for f, exits in zip(table.functions, found, strict=True)}


def function(body: str, name: str = "f") -> str:
    return f".globl {name}\n.type {name},@function\n{name}:\n{body}\n.size {name},.-{name}\n"


SURROUNDINGS = (
    function("nop\n.globl middle\nmiddle: nop\nnop\nret", "other")
    + function("jmp f", "main")
    + ".type nowhere,@object\nnowhere: nop\nnop\nret\n"
    + '.section .note.GNU-stack,"",@progbits\n'
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("ret", [(0, "ret", None)]),
        ("nop\nret $16", [(1, "ret", None)]),
        ("repz ret", [(0, "ret", None)]),
        ("bnd ret", [(0, "ret", None)]),
        ("jmp other", [(0, "jump", None)]),
        ("test %edi,%edi\n{disp32} je other\nret", [(2, "jump", 4), (8, "ret", None)]),
        ("bnd jmp other", [(0, "jump", None)]),
        (".byte 0x2e\n{disp32} jg other\nret", [(0, "jump", 15), (7, "ret", None)]),
        ("jmp *stdout@GOTPCREL(%rip)", [(0, "jump", None)]),
        ("jmp puts@PLT", [(0, "jump", None)]),
        # Padding is not code, a jump to the entry does not leave.
        ("ret\nint3\nud2\n.skip 9,0", [(0, "ret", None)]),
        ("dec %edi\nje f\n1: jmp 1b", []),
        ("jrcxz 1f\nnop\n1: ret", [(3, "ret", None)]),
        ("call abort@PLT", []),
        ("nop\nje 1f\nlock\n1: incl (%rdi)\nret", [(6, "ret", None)]),
    ],
)
def test_exits(build_text, body, expected):
    path = build_text(f".text\n{function(body)}{SURROUNDINGS}", suffix=".s")
    f, exits = exits_of(path)["f"]
    assert exits.reason is None
    assert [(site.offset - f.offset, *site[1:]) for site in exits.sites] == expected


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("jrcxz other\nret", "a jump at +0x0 leaves it on a condition that cannot be evaluated"),
        ("jmp *%rax", "an indirect jump at +0x0 may leave it"),
        ("jmp *8(%rax)", "an indirect jump at +0x0 may leave it"),
        ("jmp other+1", "a jump at +0x0 leads into another function"),
        ("jmp nowhere+1", "a jump at +0x0 leads to code that is not known"),
        ("jmp 0x1000000", "a jump at +0x0 leads to code that is not known"),
        ("nop", "it runs on into what follows it"),
        ("je f", "it runs on into what follows it"),
        ("ret\n.byte 0x06\nret", "its bytes at +0x1 are no instruction"),
        ("lret", "its bytes at +0x0 are no instruction of a program"),
        ("iretq", "its bytes at +0x0 are no instruction of a program"),
        ("jmp 1f+1\n1: mov $0x90909090,%eax\nret", "a jump at +0x0 leads between instructions"),
        ("call 1f\nret\n1: ret", "a call at +0x0 calls a part of it"),
        (".byte 0x66\njmp other\nret", "its bytes at +0x0 are no instruction of a program"),
        (
            ".cfi_startproc\npush %rdi\n.cfi_def_cfa_offset 16\nret\n.cfi_endproc",
            "the return at +0x1 finds the stack not as it was at the entry",
        ),
        (
            ".cfi_startproc\npush %rdi\n.cfi_def_cfa_offset 16\njmp other\n.cfi_endproc",
            "a jump at +0x1 finds the stack not as it was at the entry",
        ),
        ("ret\n.globl g\n.type g,@function\ng:ret\n.size g,1", "it overlaps another function"),
    ],
)
def test_entry_only(build_text, body, reason):
    path = build_text(f".text\n{function(body)}{SURROUNDINGS}", suffix=".s")
    assert exits_of(path)["f"][1] == ExitSites((), reason)
