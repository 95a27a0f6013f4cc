"""Damaged and hostile ELF files in `list` and in plans: an error of two lines or functions, soon."""

from __future__ import annotations

import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from .hostile import MUTATIONS, CrashError, Worker, complaint

_HEADER = 64
_SEGMENT, _SECTION, _SYMBOL = 56, 64, 24
#: Numbers at which sums overflow, sizes explode and indexes leave their tables.
NUMBERS = (0, 1, 7, 0xFF, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)


@pytest.fixture
def binaries(build: Callable[..., Path]) -> list[Path]:
    """Programs with symbols and without, with exceptions, static with IFUNCs; a library."""
    return [
        build("calls.c", "-O1", "-pthread"),
        build("calls.c", "-O1", "-pthread", "-static"),
        build("throws_through_shared.cc", "-O2", "-shared", "-fPIC"),
        build("ways_out.c", "-O2"),
        build("calls.c", "-O0", "-pthread", "-Wl,-s", "-rdynamic"),
        Path("/lib/x86_64-linux-gnu/libz.so.1"),
    ]


def tables(whole: bytes) -> list[tuple[int, int, int]]:
    """(offset, entry size, bytes) of the tables of an ELF file, the interesting part of it."""
    phoff, shoff = struct.unpack_from("<QQ", whole, 32)
    phnum, shnum = struct.unpack_from("<H", whole, 56)[0], struct.unpack_from("<H", whole, 60)[0]
    found = [(0, 8, _HEADER), (phoff, _SEGMENT, phnum * _SEGMENT), (shoff, _SECTION, shnum * _SECTION)]
    for number in range(shnum):
        kind, _, _, offset, size = struct.unpack_from("<IQQQQ", whole, shoff + number * _SECTION + 4)
        # Symbols, strings, relocations, notes, hash tables, the dynamic section: all that is read.
        if kind not in (0, 1, 8) and size:
            found.append((offset, _SYMBOL, size))
        elif kind == 1 and size < 1 << 16:
            found.append((offset, 8, size))
    return found


def mutated(whole: bytes, rng: random.Random) -> bytes:
    content = bytearray(whole)
    places = tables(whole)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        offset, entry, size = rng.choice(places)
        at = min(offset + rng.randrange(size), len(content) - 1)
        act = rng.randrange(8)
        if act == 0:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        elif act == 1:
            content[at] ^= 1 << rng.randrange(8)
        elif act == 2:
            content[at : at + 1] = rng.randbytes(1)
        elif act == 3:
            # One entry over another.
            other = offset + rng.randrange(size) // entry * entry
            here = offset + (at - offset) // entry * entry
            content[here : here + entry] = content[other : other + entry]
        elif act == 4:
            width = rng.choice([4, 8])
            at = offset + (at - offset) // width * width
            content[at : at + width] = (rng.choice(NUMBERS) & (1 << 8 * width) - 1).to_bytes(width, "little")
        elif act == 5:
            content[at : at + rng.choice([8, 64])] = b""
        elif act == 6:
            content[at : at + 16] = rng.randbytes(16)
        else:
            content = content[: rng.randrange(1, len(content) + 1)]
            break
    return bytes(content)


def questions(path: Path) -> list[list[str]]:
    spec = f"{path}:*"
    return [
        ["list", str(path)],
        ["list", str(path), "*a*", "--format", "csv"],
        ["record", "--dry-run", "--exit", "auto", "-f", spec, "--", "/bin/true"],
        ["record", "--dry-run", "--exit", "ret", "-f", spec, "--", "/bin/true"],
        ["record", "--dry-run", "--", str(path)],
    ]


def test_mutations(binaries: list[Path], tmp_path: Path) -> None:
    problems: list[str] = []
    outcomes = [0, 0]
    path = tmp_path / "program"
    with Worker() as worker:
        for seed in range(MUTATIONS):
            rng = random.Random(seed)
            path.unlink(missing_ok=True)
            path.write_bytes(mutated(binaries[seed % len(binaries)].read_bytes(), rng))
            path.chmod(0o755)
            try:
                replies = worker.ask({"commands": questions(path)})
            except CrashError as crash:
                problems.append(f"{seed}: {crash}")
                continue
            for words, reply in zip(questions(path), replies, strict=True):
                wrong = complaint(reply)
                outcomes[reply["status"] != 0] += 1
                if wrong is None and reply["seconds"] > 20:
                    wrong = f"took {reply['seconds']:.0f} s"
                if wrong is None and reply["peak"] > 2 << 30:
                    wrong = f"took {reply['peak'] >> 20} MiB"
                if wrong:
                    problems.append(f"{seed} {' '.join(words)}: {wrong}")
    assert not problems, f"{len(problems)}:\n" + "\n".join(problems[:30])
    assert min(outcomes) > MUTATIONS // 4, outcomes


def test_intact_files_are_read(binaries: list[Path]) -> None:
    with Worker() as worker:
        for path in binaries:
            for reply in worker.ask({"commands": questions(path)[:2]}):
                assert complaint(reply) is None
                assert reply["status"] == 0, reply["stderr"]


def test_a_sparse_file_that_claims_all_its_size(binaries: list[Path], tmp_path: Path) -> None:
    """A symbol table of 64 GiB costs a hostile file nothing."""
    path = tmp_path / "program"
    shutil.copy(binaries[0], path)
    whole = path.read_bytes()
    shoff, shnum = struct.unpack_from("<Q", whole, 40)[0], struct.unpack_from("<H", whole, 60)[0]
    for number in range(shnum):
        at = shoff + number * _SECTION
        if struct.unpack_from("<I", whole, at + 4)[0] in (2, 11):
            whole = whole[: at + 32] + struct.pack("<Q", 1 << 36) + whole[at + 40 :]
    path.write_bytes(whole)
    os.truncate(path, 1 << 37)
    with Worker() as worker:
        for reply in worker.ask({"commands": questions(path)}):
            assert complaint(reply) is None
            assert reply["status"] == 1
            assert reply["peak"] < 1 << 30
