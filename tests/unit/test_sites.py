from __future__ import annotations

import bisect
import os
import re
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from funcsnoop.record.debug_files import find_tables
from funcsnoop.record.elf import ElfFile
from funcsnoop.record.functions import read_functions
from funcsnoop.record.probeable import is_probeable
from funcsnoop.record.site_classes import SiteClass
from funcsnoop.record.sites import LOOP, REFUSED, Site, Sites, find_sites

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="sites of x86-64")

NOP5 = ".byte 0x0f,0x1f,0x44,0x00,0x00"
LONG = "inc %eax\n.skip 300,0x90"


def function(body: str) -> str:
    return f".globl f\n.type f,@function\nf:\n{body}\n.size f,.-f\n"


def sites_of(path: Path, **options: object) -> dict[str, Sites]:
    with ExitStack() as opened:
        elf = opened.enter_context(ElfFile.open(str(path)))
        table = read_functions(elf, find_tables(elf, str(path), "", opened))
        sites = find_sites(elf, table.functions, table, **options)  # type: ignore[arg-type]
        return {f.symbol: found for f, found in zip(table.functions, sites, strict=True)}


def heads_of(path: Path) -> dict[str, Site]:
    """Where the sites are at the heads of the functions, without their class."""
    found = sites_of(path, at_entry=True)
    assert all(sites.alone == sites.with_return for sites in found.values())
    return {symbol: sites.alone._replace(kind=SiteClass.STEPPED) for symbol, sites in found.items()}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("push %rbx\npop %rbx\nret", Site(0)),
        ("ret", Site(0)),
        ("endbr64\nret", Site(4)),
        (f"{NOP5}\nret", Site(5)),
        (f"endbr64\n{NOP5}\nret", Site(9)),
        (f"{NOP5}\nendbr64\nret", Site(5)),
        # Nothing behind: any instruction is as good.
        ("endbr64", Site(0)),
        # Loops to the entry, near and far, in every encoding.
        ("dec %edi\njnz f\nret", Site(0, LOOP)),
        (f"{LONG}\njnz f\nret", Site(0, LOOP)),
        (f"{LONG}\njmp f\nret", Site(0, LOOP)),
        ("1: nop\njmp f\nret", Site(0, LOOP)),
        ("nop\nloop f\nret", Site(0, LOOP)),
        ("nop\njrcxz f\nret", Site(0, LOOP)),
        ("nop\n.byte 0x2e\njnz f\nret", Site(0, LOOP)),
        ("endbr64\nnop\njmp f", Site(0, LOOP)),
        # Loops to what follows an endbr64: the entry itself is still reached once for each call.
        ("endbr64\n1: dec %edi\njnz 1b\nret", Site(0)),
        (f"endbr64\n1: {LONG}\njnz 1b\nret", Site(0)),
        (f"endbr64\n{NOP5}\n1: dec %edi\njnz 1b\nret", Site(0)),
        (f"endbr64\n1: {NOP5}\ndec %edi\njnz 1b\nret", Site(0)),
        # No site is left: a probe must not sit on a 5-byte NOP.
        (f"{NOP5}\n1: dec %edi\njnz 1b\nret", Site(0, LOOP)),
        # A call of itself is a call, and a loop further down is nobody's business.
        ("nop\ncall f\nret", Site(0)),
        ("endbr64\nnop\n1: dec %edi\njnz 1b\nret", Site(4)),
        # Bytes that look like a jump inside another instruction: mov $0xfceb....
        ("endbr64\nmov $0x9090f9eb,%eax\nret", Site(4)),
        ("movl $0xfffffae9,%eax\nret", Site(0)),
        # Go: behind the check of the stack, which comes back to the entry.
        ("cmp 0x10(%r14),%rsp\njbe 1f\nnop\nret\n1: nop\njmp f", Site(6)),
        ("lea -0x200(%rsp),%r12\ncmp 0x10(%r14),%r12\njbe 1f\nnop\nret\n.skip 200\n1: jmp f", Site(18)),
        ("cmp 0x10(%r14),%rsp\njbe 1f\n2: dec %eax\njnz 2b\nret\n1: jmp f", Site(0, LOOP)),
        # What takes no probe: `lock`, VEX instructions that look like `outs`; the endbr64 before does.
        ("lock incl (%rdi)\nret", Site(0, REFUSED)),
        ("vmovd %esi,%xmm0\nret", Site(0, REFUSED)),
        ("endbr64\nvmovd %esi,%xmm0\nret", Site(0)),
        (f"{NOP5}\nint $3\nret", Site(0, REFUSED)),
        # What the kernel would take for jumps: vzeroupper has the opcode of `ja`.
        ("vzeroupper\nret", Site(0, REFUSED)),
        ("vpbroadcastb %esi,%ymm16\nret", Site(0, REFUSED)),
        ("xchg %r8,%rax\nret", Site(0, REFUSED)),
        ("pause\nret", Site(0)),
        # Data that cannot be decoded: in doubt a jump is one.
        ("endbr64\nret\n.byte 0x06,0x06\n.byte 0xeb,0xfa\n", Site(0, LOOP)),
    ],
)
def test_sites(build_text, body, expected):
    code = f".text\n{function(body)}\n.globl main\n.type main,@function\nmain: jmp f\n.size main,.-main\n"
    path = build_text(code + '.section .note.GNU-stack,"",@progbits\n', suffix=".s")
    found = heads_of(path)["f"]
    if "0x06,0x06" in body:
        assert found.skip == 0  # the entry or nothing, never behind the endbr64
    else:
        assert found == expected


def test_tail_calls_from_others_are_calls(build_text):
    code = ".text\n.globl main\n.type main,@function\nmain: jmp f\n.size main,.-main\n"
    after = ".type g,@function\ng: jmp f\n.size g,.-g\n"
    path = build_text(
        code + function("nop\nret") + after + '.section .note.GNU-stack,"",@progbits\n', suffix=".s"
    )
    assert heads_of(path)["f"] == Site(0)


def test_functions_inside_one_another_are_each_read_whole(build_text):
    code = (
        ".text\n.globl f, inner, main\n.type f,@function\nf: nop\n"
        ".type inner,@function\ninner: nop\n.size inner,1\nnop\njmp f\nret\n.size f,.-f\n"
        '.type main,@function\nmain: ret\n.size main,1\n.section .note.GNU-stack,"",@progbits\n'
    )
    found = heads_of(build_text(code, suffix=".s"))
    assert found["f"] == Site(0, LOOP)
    assert found["inner"] == Site(0)


def libraries() -> list[str]:
    with open("/proc/self/maps") as maps:
        paths = {line.split()[-1] for line in maps if "r-xp" in line and ".so" in line}
    return sorted(path for path in paths if re.match(r"lib(c|m|crypto)[.-]", os.path.basename(path)))


def test_whole_libraries_agree_with_objdump():
    """An oracle: every direct jump that objdump decodes, and where it leads."""
    paths = libraries()
    assert paths
    for path in paths:
        dump = subprocess.run(
            ["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True
        ).stdout
        prefixes = r"(?:(?:bnd|notrack|cs|ds|repz?|repnz) )*"
        pattern = rf"^ +([0-9a-f]+):\t{prefixes}(?:j\w+|loop\w*)(?:,p[nt])? +([0-9a-f]+)\b"
        jumps = sorted((int(a, 16), int(b, 16)) for a, b in re.findall(pattern, dump, re.MULTILINE))
        assert len(jumps) > 1000
        with ExitStack() as opened:
            elf = opened.enter_context(ElfFile.open(path))
            table = read_functions(elf, find_tables(elf, path, "", opened))
            functions = table.functions
            for f, sites in zip(functions, find_sites(elf, functions, table, at_entry=True), strict=True):
                site = sites.alone._replace(kind=SiteClass.STEPPED)
                head = elf.bytes_at(f.offset, min(f.size, 16))
                skip = 4 if head.startswith(b"\xf3\x0f\x1e\xfa") else 0
                skip += 5 if head[skip:].startswith(b"\x0f\x1f\x44\0\0") else 0
                own = slice(bisect.bisect(jumps, (f.address,)), bisect.bisect(jumps, (f.address + f.size,)))
                targets = {target - f.address for _, target in jumps[own]}
                if site.reason == REFUSED or (skip and not site.skip and not targets & {*range(skip + 1)}):
                    assert not is_probeable(elf.bytes_at(f.offset + skip, 15)), f
                elif not any(0 <= target <= skip for target in targets):
                    assert site == Site(skip if skip < f.size else 0), f
                elif 0 in targets:
                    assert site == Site(0, LOOP), f
                else:
                    assert site.skip == 0, f
