from __future__ import annotations

import lzma
import os
import random
import re
import shutil
import struct
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from funcsnoop.errors import TargetError
from funcsnoop.record import debug_files, functions
from funcsnoop.record.debug_files import find_tables
from funcsnoop.record.elf import ElfFile
from funcsnoop.record.elf_dynamic import read_dynamic
from funcsnoop.record.functions import FunctionTable, read_functions
from funcsnoop.record.listing import list_functions
from funcsnoop.record.spec import parse_pattern
from funcsnoop.record.target import Target
from funcsnoop.record.unwind import function_size

CODE = """
__attribute__((noinline)) int magic(void) { return 0x5eed1234; }
static __attribute__((noinline, used)) int hidden(int x) { return x * 3; }
int strong(int x) { return x + 7; }
int weakling(int x) __attribute__((weak, alias("strong")));
int _under(int x) __attribute__((alias("strong")));
int data = 4;
int main(int argc, char **argv) { return magic() + hidden(argc); }
"""
#: What the linker and the C start-up files bring along.
START = {"deregister_tm_clones", "register_tm_clones", "__do_global_dtors_aux", "frame_dummy"}


def table_of(path: Path | str) -> FunctionTable:
    with ExitStack() as opened:
        elf = opened.enter_context(ElfFile.open(str(path)))
        return read_functions(elf, find_tables(elf, str(path), "", opened))


def names_of(path: Path | str) -> set[str]:
    return {name for function in table_of(path).functions for name in function.names}


def readelf_functions(path: str) -> dict[int, set[str]]:
    """An oracle: address → names of the functions that may be traced, from binutils."""
    sections = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
    plt = {int(n) for n in re.findall(r"\[ *(\d+)\] \.i?plt", sections)}
    dump = subprocess.run(["readelf", "-sW", path], capture_output=True, text=True, check=True).stdout
    tables = {part.split("'")[1]: part for part in dump.split("Symbol table ")[1:]}
    found: dict[int, set[str]] = {}
    resolvers = set()
    for line in tables.get(".symtab", tables.get(".dynsym", "")).splitlines():
        fields = line.split()
        if len(fields) < 8 or fields[3] not in ("FUNC", "IFUNC") or fields[6] in ("UND", "ABS"):
            continue
        name = fields[7].partition("@")[0]
        if fields[3] == "IFUNC":
            resolvers.add(int(fields[1], 16))
        elif (
            int(fields[2], 0)
            and int(fields[6]) not in plt
            and name not in ("_start", "_init", "_fini")
            and not re.search(r"\.part\.\d+|\.cold(\.\d+)?$", name)
        ):
            found.setdefault(int(fields[1], 16), set()).add(name)
    return {address: names for address, names in found.items() if address not in resolvers}


def libraries() -> list[str]:
    with open("/proc/self/maps") as maps:
        return sorted({line.split()[-1] for line in maps if re.search(r"r-xp.*/lib[^/]*\.so", line)})


@pytest.mark.parametrize("flags", [("-pie",), ("-no-pie",), ("-static",)])
def test_functions_equal_those_of_readelf(build_text, flags):
    path = str(build_text(CODE, "-O1", *flags))
    ours = {f.address: set(f.names) for f in table_of(path).functions}
    assert {"strong", "weakling", "_under"} in ours.values()
    assert ours == readelf_functions(path)


def test_libraries_of_this_process_equal_readelf(monkeypatch, tmp_path):
    monkeypatch.setattr(debug_files, "DEBUG_ROOT", str(tmp_path))
    paths = [path for path in libraries() if re.match(r"lib(c|m|z|ssl)[.-]", os.path.basename(path))]
    assert paths
    for path in paths:
        assert {f.address: set(f.names) for f in table_of(path).functions} == readelf_functions(path)


def test_small_program_has_exactly_its_functions(build_text):
    assert names_of(build_text(CODE, "-O1")) - START == {
        "magic", "hidden", "strong", "weakling", "_under", "main",
    }  # fmt: skip


@pytest.mark.parametrize("flags", [("-pie",), ("-no-pie",), ("-no-pie", "-Wl,-Ttext-segment=0x7000000")])
def test_offset_is_where_the_code_stands_in_the_file(build_text, flags):
    path = build_text(CODE, "-O1", *flags)
    function = next(f for f in table_of(path).functions if f.symbol == "magic")
    code = path.read_bytes()[function.offset : function.offset + function.size]
    assert struct.pack("<I", 0x5EED1234) in code
    with ElfFile.open(str(path)) as elf:
        assert (
            elf.address_of(function.offset)
            == elf.offset_of(function.address) - function.offset + function.address
        )


def test_aliases_make_one_function_whose_name_is_the_global_one(build_text):
    (function,) = (f for f in table_of(build_text(CODE, "-O1")).functions if "strong" in f.names)
    assert function.symbol == "strong"
    assert set(function.aliases) == {"weakling", "_under"}


def test_fragments_start_code_and_sizeless_symbols_are_left_out(build_text):
    path = build_text(
        ".text\n.globl main, f, g\n.type main,@function\nmain: ret\n.size main,1\n"
        ".type f.cold,@function\nf.cold: ret\n.size f.cold,1\n"
        ".type f.part.0,@function\nf.part.0: ret\n.size f.part.0,1\n"
        ".type f.constprop.0,@function\nf.constprop.0: ret\n.size f.constprop.0,1\n"
        ".type f,@function\nf: ret\n"
        '.data\n.type g,@function\ng: .long 0\n.size g,4\n.section .note.GNU-stack,"",@progbits\n',
        suffix=".s",
    )
    table = table_of(path)
    assert {f.symbol for f in table.functions} - START == {"main", "f.constprop.0"}
    left_out = {symbol: reason for symbol, reason in table.left_out if symbol not in START}
    assert left_out["f.cold"] == left_out["f.part.0"] == functions.FRAGMENT
    assert left_out["f"] == functions.NO_SIZE
    assert left_out["g"] == functions.NOT_CODE
    assert left_out["_start"] == functions.START_UP


def test_names_that_are_not_utf8_are_escaped(build_text, tmp_path):
    path = tmp_path / "odd"
    path.write_bytes(build_text(CODE, "-O1").read_bytes().replace(b"\0magic\0", b"\0mag\xff\x1b\0"))
    assert "mag\\xff\x1b" in names_of(path)


def test_sizes_from_the_unwind_tables_equal_those_of_symbols(build_text):
    path = build_text(CODE, "-O1", "-fasynchronous-unwind-tables")
    with ElfFile.open(str(path)) as elf:
        for function in table_of(path).functions:
            if function.symbol in ("magic", "hidden", "strong", "main"):
                assert function_size(elf, function.address) == function.size
        assert function_size(elf, 1) == 0


def test_build_id_equals_readelf(build_text):
    path = build_text(CODE, "-O1", "-Wl,--build-id")
    notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True).stdout
    with ElfFile.open(str(path)) as elf:
        assert elf.build_id == re.search("Build ID: ([0-9a-f]+)", notes)[1]
    with ElfFile.open(str(build_text(CODE, "-Wl,--build-id=none"))) as elf:
        assert elf.build_id is None


def test_dynamic_section(build_text):
    path = build_text(
        "", "-shared", "-Wl,-soname,libme.so.1", "-Wl,-rpath,/a:$ORIGIN/b", "-Wl,--enable-new-dtags"
    )
    with ElfFile.open(str(path)) as elf:
        dynamic = read_dynamic(elf)
    assert (dynamic.soname, dynamic.runpath, dynamic.rpath) == ("libme.so.1", ("/a", "$ORIGIN/b"), ())
    assert not dynamic.static
    for flags, static in ((("-static",), True), (("-static-pie",), True), ((), False)):
        with ElfFile.open(str(build_text(CODE, *flags))) as elf:
            assert read_dynamic(elf).static is static


def changed(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: b"", "not an ELF file"),
        (lambda c: b"#!/bin/sh\n", "not an ELF file"),
        (lambda c: c[:20], "truncated"),
        (lambda c: c[:200], "truncated"),
        (lambda c: c[: len(c) // 2], "truncated"),
        (lambda c: changed(c, 4, b"\1"), "32-bit"),
        (lambda c: changed(c, 5, b"\2"), "big-endian"),
        (lambda c: changed(c, 18, b"\x16\0"), "made for s390"),
        (lambda c: changed(c, 18, b"\xb7\0" if os.uname().machine == "x86_64" else b"\x3e\0"), "made for"),
        (lambda c: changed(c, 16, b"\1\0"), "neither an executable nor a shared library"),
        (lambda c: changed(c, 40, b"\xff" * 8), "truncated"),
        (lambda c: changed(c, 54, b"\1\0"), "program headers are damaged"),
        (lambda c: changed(c, 58, b"\1\0"), "section headers are damaged"),
    ],
)
def test_unfit_files_are_refused_with_the_reason(build_text, tmp_path, change, message):
    path = tmp_path / "unfit"
    path.write_bytes(change(build_text(CODE, "-O1").read_bytes()))
    with pytest.raises(TargetError, match=message) as caught:
        table_of(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message + caught.value.hint


def test_what_is_not_a_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, message in (
        (tmp_path, "is a directory"),
        (tmp_path / "fifo", "not a regular file"),
        (tmp_path / "none", "no such file"),
        (tmp_path / "a\0b", "NUL"),
    ):
        with pytest.raises(TargetError, match=message):
            table_of(path)


def test_no_symbols_is_said(build_text, tmp_path):
    path = shutil.copy(build_text(CODE, "-static"), tmp_path)
    subprocess.run(["strip", path], check=True)
    with pytest.raises(TargetError, match="it has no symbols"):
        table_of(path)


def split(program: Path, directory: Path, debug: Path, *, link: bool) -> Path:
    """A stripped copy of `program` in `directory` and its symbols in `debug`."""
    debug.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
    stripped = directory / program.name
    flags = [f"--add-gnu-debuglink={debug}"] if link else []
    subprocess.run(["objcopy", "--strip-all", *flags, program, stripped], check=True)
    return stripped


@pytest.mark.parametrize("place", ["program.debug", ".debug/program.debug", "root{}/program.debug"])
@pytest.mark.parametrize("flags", [("-pie",), ("-no-pie",)])
def test_symbols_come_from_a_debuglink(build_text, tmp_path, monkeypatch, place, flags):
    monkeypatch.setattr(debug_files, "DEBUG_ROOT", str(tmp_path / "root"))
    program = build_text(CODE, "-O1", "-Wl,--build-id=none", *flags)
    debug = tmp_path / place.format(tmp_path)
    stripped = split(program, tmp_path, debug, link=True)
    assert table_of(stripped).functions == table_of(program).functions
    # One byte more, and the checksum says that it belongs to another build.
    with debug.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(TargetError, match="has no function symbols"):
        list_functions(Target.for_everything(), str(stripped), parse_pattern("*"))


def test_symbols_come_from_a_debug_file_by_build_id(build_text, tmp_path, monkeypatch):
    monkeypatch.setattr(debug_files, "DEBUG_ROOT", str(tmp_path / "root"))
    program = build_text(CODE, "-O1", "-Wl,--build-id")
    with ElfFile.open(str(program)) as elf:
        build_id = elf.build_id
    debug = tmp_path / "root" / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug"
    stripped = split(program, tmp_path, debug, link=False)
    assert table_of(stripped).functions == table_of(program).functions
    other = build_text(CODE.replace("0x5eed1234", "7"), "-O1", "-Wl,--build-id")
    subprocess.run(["objcopy", "--only-keep-debug", other, debug], check=True)
    assert "hidden" not in names_of(stripped)


def with_minidebuginfo(program: Path, stripped: Path, packed: bytes) -> Path:
    data = stripped.with_suffix(".xz")
    data.write_bytes(packed)
    subprocess.run(["objcopy", "--strip-all", program, stripped], check=True)
    subprocess.run(["objcopy", f"--add-section=.gnu_debugdata={data}", stripped], check=True)
    return stripped


def test_minidebuginfo_adds_to_the_dynamic_symbols(build_text, tmp_path):
    program = build_text(CODE, "-O1", "-rdynamic")
    debug = tmp_path / "mini.debug"
    subprocess.run(["objcopy", "--only-keep-debug", "-K", "hidden", "-S", program, debug], check=True)
    stripped = with_minidebuginfo(program, tmp_path / "stripped", lzma.compress(debug.read_bytes()))
    assert names_of(stripped) - START == {"magic", "hidden", "strong", "weakling", "_under", "main"}
    hidden = {f.symbol: f for f in table_of(program).functions}["hidden"]
    assert hidden in table_of(stripped).functions
    for damaged in (b"", b"junk", lzma.compress(b"junk"), lzma.compress(debug.read_bytes())[:-20]):
        path = with_minidebuginfo(program, tmp_path / "damaged", damaged)
        assert names_of(path) - START == {"magic", "strong", "weakling", "_under", "main"}


def test_damaged_files_give_an_error_and_nothing_else(build_text, tmp_path):
    content = build_text(CODE, "-O1", "-rdynamic").read_bytes()
    tables = [content.find(b"\0magic\0"), content.find(b".shstrtab"), len(content) - 64 * 20]
    dice = random.Random(4711)
    path = tmp_path / "damaged"
    results = {"listed": 0, "refused": 0}
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(dice.choice((1, 4, 30))):
            centre = dice.choice((0, 32, 64, 400, *tables))
            damaged[min(len(content) - 1, centre + dice.randrange(600))] = dice.choice((0, 1, 127, 128, 255))
        if dice.random() < 0.2:
            del damaged[dice.randrange(len(damaged)) :]
        path.write_bytes(damaged)
        try:
            list_functions(Target.for_everything(), str(path), parse_pattern("*"))
            results["listed"] += 1
        except TargetError:
            results["refused"] += 1
    assert min(results.values()) > 20


def test_a_table_of_overlapping_names_is_refused(build_text, tmp_path):
    # Every symbol names the same megabytes of a string table that has no end.
    with ElfFile.open(str(build_text(CODE, "-O1"))) as elf:
        content = bytearray(Path(elf.path).read_bytes())
        symbols = next(s for s in elf.sections if s.type == 2)
        index = elf.sections.index(elf.sections[symbols.link])
        at = elf._sections_at[0] + index * 64
        own = elf._sections_at[0] + elf.sections.index(symbols) * 64
    count = 4000
    function = struct.pack("<IBBHQQ", 1, 0x12, 0, 1, 0x1000, 16)
    struct.pack_into("<QQ", content, own + 24, len(content), count * 24)
    struct.pack_into("<QQ", content, at + 24, len(content) + count * 24, 4 << 20)
    path = tmp_path / "overlapping"
    path.write_bytes(bytes(content) + function * count + b"a" * (4 << 20))
    with pytest.raises(TargetError, match="the symbol names are damaged"):
        table_of(path)
