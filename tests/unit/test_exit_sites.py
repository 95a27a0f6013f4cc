from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from funcsnoop.errors import TargetError
from funcsnoop.record.debug_files import find_tables
from funcsnoop.record.elf import ElfFile
from funcsnoop.record.elf_symbols import dynsym, symtab
from funcsnoop.record.exit_sites import ExitSites, find_exit_sites
from funcsnoop.record.functions import Function, FunctionTable, read_functions

from . import stepper

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="exits of x86-64")

PROGRAMS = Path(__file__).parent.parent / "programs"
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")


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


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """compiled(compiler, source, *flags): the program and a stripped copy of it."""
    top = tmp_path_factory.mktemp("ways_out")

    @cache
    def compile_(compiler: str, source: str, *flags: str) -> tuple[Path, Path]:
        if not shutil.which(compiler):
            pytest.skip(f"{compiler} is not installed")
        program = top / f"program{len(list(top.iterdir()))}"
        subprocess.run([compiler, "-o", program, PROGRAMS / source, *flags], check=True, capture_output=True)
        stripped = program.with_suffix(".stripped")
        subprocess.run(["strip", "-o", stripped, program], check=True)
        return program, stripped

    return compile_


def told(program: Path, functions: list[Function]) -> dict[str, ExitSites]:
    """The exits of `functions`, which `program` may have no names for."""
    with ElfFile.open(str(program)) as elf:
        tables = [table for table in (symtab(elf), dynsym(elf)) if table]
        found = find_exit_sites(elf, functions, read_functions(elf, tables))
        return dict(zip([f.symbol for f in functions], found, strict=True))


def observe(program: Path, named: Path) -> tuple[stepper.Observed, dict[str, str]]:
    """What a run of `program` shows, and the reasons of the functions in it that have no exits."""
    where = stepper.layout(named)
    with ElfFile.open(str(named)) as elf:
        functions = list(read_functions(elf, [symtab(elf)]).functions)
    exits = told(program, functions)
    sites: dict[int, dict[int, int | None] | None] = dict.fromkeys(where.entries)
    for f in functions:
        found = exits[f.symbol]
        if found.reason is None:
            sites[f.address] = {s.offset - f.offset + f.address: s.condition for s in found.sites}
    observed = stepper.check(program, where, sites)
    reasons = {f.symbol: exits[f.symbol].reason for f in functions if f.address in observed.reached}
    return observed, {name: reason for name, reason in reasons.items() if reason}


#: It keeps addresses of its own code in memory, which no one can tell from pointers to functions.
THREADED = {"threaded"}


@pytest.mark.parametrize("stripped", [False, True], ids=["symbols", "stripped"])
@pytest.mark.parametrize(
    "flags",
    [
        ("-O0",),
        ("-O1",),
        ("-O2", "-fcf-protection"),
        ("-O2", "-fno-plt", "-fno-omit-frame-pointer"),
        ("-O2", "-fno-pie", "-no-pie"),
        ("-O3",),
        ("-O3", "-flto"),
        ("-Os",),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_c_is_left_at_exits_only(compiled, compiler, flags, stripped):
    programs = compiled(compiler, "ways_out.c", *flags)
    observed, reasons = observe(programs[stripped], programs[0])
    assert not observed.problems
    assert observed.ends > 230
    assert set(reasons) <= THREADED


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_without_unwind_tables_fewer_are_told(compiled, compiler):
    programs = compiled(compiler, "ways_out.c", "-O2", "-fno-asynchronous-unwind-tables")
    for program in programs:
        observed, reasons = observe(program, programs[0])
        assert not observed.problems
        assert observed.ends > 100
        assert all(re.search("may leave it|not known", reason) for reason in reasons.values())


@pytest.mark.parametrize("stripped", [False, True], ids=["symbols", "stripped"])
@pytest.mark.parametrize("flags", [("-O0",), ("-O2", "-fcf-protection"), ("-O3",), ("-Os",)], ids=" ".join)
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_cpp_is_left_at_exits_only(compiled, compiler, flags, stripped):
    programs = compiled(compiler, "ways_out.cc", *flags)
    observed, reasons = observe(programs[stripped], programs[0])
    assert not observed.problems
    assert observed.ends > 140
    # clang -O0 keeps a jump that nothing reaches, behind a rethrow, and to behind the function's end.
    assert set(reasons) <= ({"_Z5againi"} if flags == ("-O0",) else set())


def test_rust_is_left_at_exits_only(compiled):
    programs = compiled("rustc", "ways_out.rs", "-Copt-level=3")
    for program in programs:
        observed, reasons = observe(program, programs[0])
        assert not observed.problems
        assert observed.ends > 100
        assert not reasons


def test_the_observer_sees_what_is_wrong(compiled):
    program, _ = compiled("gcc", "ways_out.c", "-O1")
    where = stepper.layout(program)
    nothing: stepper.Sites = {entry: {} for entry in where.entries}
    assert any("leaves, and is no site" in p for p in stepper.check(program, where, nothing).problems)
    leaf = next(entry for entry, name in where.entries.items() if name == "leaf")
    entries: stepper.Sites = {entry: {leaf: None} for entry in where.entries}
    assert "leaf+0x0 is a site, and does not leave" in stepper.check(program, where, entries).problems


@pytest.mark.parametrize("name", ["libm.so.6", "libsqlite3.so.0", "libstdc++.so.6"])
def test_returns_are_those_of_objdump(name):
    path = LIBRARIES / name
    if not path.exists():
        pytest.skip(f"{name} is not installed")
    with ElfFile.open(str(path)) as elf:
        table = dynsym(elf)
        assert table
        known = read_functions(elf, [table])
        begin = time.process_time()
        exits = find_exit_sites(elf, known.functions, known)
        spent = time.process_time() - begin
    listing = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", path], check=True, capture_output=True, text=True
    ).stdout
    returns = {int(at, 16) for at in re.findall(r"^ *([0-9a-f]+):\t(?:\w+ )*ret", listing, re.M)}
    seen = 0
    for f, found in zip(known.functions, exits, strict=True):
        if found.reason is None:
            span = range(f.address, f.address + f.size)
            places = {s.offset - f.offset + f.address for s in found.sites if s.kind == "ret"}
            assert places & {*span} == returns & {*span}, f.symbol
            seen += 1
    assert seen > 0.95 * len(exits)
    # A tenth of it where nothing else runs.
    assert spent < 0.005 * len(exits) + 5


def test_code_that_other_functions_run_too_has_no_exits(build_text):
    shared = function("nop\n.Lshared: nop\nret", "f")
    path = build_text(f".text\n{shared}{function('nop;nop;jmp .Lshared', 'user')}{SURROUNDINGS}", suffix=".s")
    found = exits_of(path)
    assert found["f"][1] == ExitSites((), "other code leads to +0x1 of it")
    assert found["user"][1] == ExitSites((), "a jump at +0x2 leads into another function")


def test_damaged_sizes(build_text):
    path = build_text(f".text\n{function('ret')}{SURROUNDINGS}", suffix=".s")
    with ElfFile.open(str(path)) as elf:
        f = exits_of(path)["f"][0]
        reasons = {}
        for size in (0, 1 << 20, 1 << 40, 1 << 61):
            (found,) = find_exit_sites(elf, [f._replace(size=size)], FunctionTable([], [], []))
            reasons[size] = found.reason
    assert reasons == {
        0: "its size is not known",
        **dict.fromkeys((1 << 20, 1 << 40, 1 << 61), "its size reaches past the end of its code"),
    }


@pytest.fixture(scope="module")
def victim(compiled) -> bytes:
    return compiled("gcc", "ways_out.c", "-O2")[0].read_bytes()


@given(
    st.lists(st.tuples(st.integers(0, 1 << 24), st.binary(min_size=1, max_size=8)), min_size=1, max_size=30),
    st.integers(0, 1 << 16),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files(victim, changes, cut):
    content = bytearray(victim)
    for at, change in changes:
        at %= len(victim) - 8
        content[at : at + len(change)] = change
    content = content[: len(content) - (cut if cut < 4096 else 0)]
    begin = time.process_time()
    try:
        elf = ElfFile("damaged", content=bytes(content))
        tables = [table for table in (symtab(elf), dynsym(elf)) if table]
        known = read_functions(elf, tables)
        for found in find_exit_sites(elf, known.functions, known):
            assert all(0 <= site.offset < elf.size for site in found.sites)
            assert not (found.reason and found.sites)
    except TargetError:
        pass
    assert time.process_time() - begin < 10


@given(st.binary(min_size=1, max_size=300))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes(victim, code):
    elf = ElfFile("any", content=victim)
    f = next(f for f in read_functions(elf, [symtab(elf)]).functions if f.symbol == "main")
    content = bytearray(victim)
    content[f.offset : f.offset + len(code)] = code
    elf = ElfFile("any", content=bytes(content))
    find_exit_sites(elf, [f._replace(size=len(code))], FunctionTable([], [], []))
