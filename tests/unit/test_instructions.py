"""The decoder of many instructions at once, against one that decodes them one by one."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator

import capstone
import numpy as np
import pytest

from funcsnoop.record.elf import ElfFile
from funcsnoop.record.instructions import NO_BASE, RIP, WINDOW, Decoded, decode
from funcsnoop.record.site_classes import is_emulated

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="instructions of x86-64")

MOST_BYTES = 1 << 20


def decoder(detail: bool = False) -> capstone.Cs:
    made = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    made.detail = detail
    return made


def decoded(code: bytes, at: list[int]) -> Decoded:
    return decode(np.frombuffer(code + bytes(WINDOW), np.uint8), np.array(at, np.int64))


def one(code: str) -> dict[str, int]:
    row = decoded(bytes.fromhex(code), [0])
    return {name: int(column[0]) for name, column in zip(Decoded._fields, row, strict=True)}


def texts() -> Iterator[tuple[str, bytes]]:
    """The code of what this process has loaded: compiled C and C++, assembly, vector instructions."""
    with open("/proc/self/maps") as maps:
        paths = {line.split()[-1] for line in maps if "r-xp" in line and "/" in line}
    wanted = r"(libc|libm|libcrypto|libstdc\+\+|_multiarray_umath.*|python.*)[.-]|python3"
    for path in sorted(path for path in paths if re.match(wanted, os.path.basename(path))):
        with ElfFile.open(path) as elf:
            section = elf.section(".text")
            assert section
            yield path, elf.bytes_at(section.offset, min(section.size, MOST_BYTES))


def test_lengths_in_whole_programs():
    seen = 0
    for path, code in texts():
        at, lengths = [], []
        start = 0
        while start < len(code):
            for address, size, _, _ in decoder().disasm_lite(code[start:], start):
                at.append(address)
                lengths.append(size)
            # Over a byte of data.
            start = max(start, at[-1] + lengths[-1] if at else 0) + 1
        found = decoded(code, at).length
        wrong = np.flatnonzero((found != lengths) & (found != 0)).tolist()
        assert not wrong, (path, [code[at[i] : at[i] + 15].hex() for i in wrong[:5]])
        assert (found == 0).mean() < 0.002, path
        seen += len(at)
    assert seen > 500_000


def test_lengths_of_random_bytes():
    """What is known is right, whatever the bytes; most that begin with an instruction are known."""
    random.seed(7919)
    prefixes = ["", "", "", "66", "f3", "f2", "48", "41", "6648", "64", "c5", "c4e2", "c4e3", "62f1"]
    starts = [bytes.fromhex(prefix + escape) for prefix in prefixes for escape in ("", "0f")]
    texts = [(random.choice(starts) + random.randbytes(15))[:15] for _ in range(40_000)]
    # Of `ret` with an operand and both prefixes capstone says that it has two bytes more.
    texts = [text for text in texts if not text.startswith(b"\x66\x48\xc2")]
    found = decoded(b"".join(texts), [15 * i for i in range(len(texts))]).length.tolist()
    sizes = [next((i[1] for i in decoder().disasm_lite(text, 0, 1)), 0) for text in texts]
    both = zip(texts, found, sizes, strict=True)
    assert not [(text.hex(), mine, size) for text, mine, size in both if mine and size and mine != size]
    assert sum(map(bool, found)) > 0.9 * sum(map(bool, sizes))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("4883ec18", {"length": 4, "opcode": 0x83, "rex": 0x48, "modrm": 0xEC, "immediate": 0x18}),
        ("4881c480000000", {"length": 7, "immediate": 0x80}),
        ("4883c480", {"length": 4, "immediate": -0x80}),
        ("488d642488", {"length": 5, "base": 4, "indexed": 0, "displacement": -0x78}),
        ("4989e2", {"length": 3, "rex": 0x49, "base": NO_BASE}),
        ("488b0511223300", {"length": 7, "base": RIP, "displacement": 0x332211}),
        (
            "64488b042528000000",
            {"length": 9, "segment": 1, "base": NO_BASE, "indexed": 0, "displacement": 0x28},
        ),
        ("488b44c708", {"length": 5, "base": 7, "indexed": 1, "displacement": 8}),
        ("4a8b0424", {"length": 4, "base": 4, "indexed": 1}),  # r12 is an index, rsp is none
        ("48b81122334455667788", {"length": 10, "immediate": 0x44332211}),
        ("66b81122", {"length": 4, "size16": 1, "immediate": 0x2211}),
        ("f3c3", {"length": 2, "repeat": 0xF3, "prefixes": 1}),
        ("c5f877", {"length": 3}),
        ("62f17c48104001", {"length": 7}),
        ("660f1f840000000000", {"length": 9, "map": 1, "opcode": 0x1F}),
        ("66e811223344", {"length": 0}),  # how long, depends on the processor
        ("06", {"length": 0}),
    ],
)
def test_parts(code, expected):
    found = one(code)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("53", True),  # push rbx
        ("4154", True),  # push r12
        ("4855", False),  # the kernel only knows the other prefix
        ("6653", False),
        ("6a03", False),
        ("ff7708", False),
        ("90", True),
        ("6690", True),
        ("f390", True),
        ("4190", False),  # xchg r8d, eax
        ("0f1f4000", False),  # only newer kernels
        ("e811223344", True),
        ("e911223344", True),
        ("eb02", True),
        ("f2e911223344", True),
        ("7402", True),
        ("0f8411223344", True),
        ("660f8411223344", False),
        ("2e7402", False),
        ("e302", False),  # jrcxz
        ("ff25112233", False),
        ("c3", False),
        ("f30f1efa", False),
        ("0f1f440000", False),
        ("c5fd74c0", False),  # vpcmpeqb, whose opcode is that of je
    ],
)
def test_what_the_kernel_emulates(code, expected):
    assert bool(is_emulated(decoded(bytes.fromhex(code), [0]))[0]) == expected
