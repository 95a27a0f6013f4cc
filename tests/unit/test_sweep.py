"""Code that is decoded in pieces side by side, against a decoder that goes from start to end."""

from __future__ import annotations

import os
from bisect import bisect, bisect_left

import numpy as np
import pytest

from funcsnoop.record.instructions import WINDOW
from funcsnoop.record.sweep import Swept, sweep

from .test_instructions import decoder, texts

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="instructions of x86-64")


def swept(code: bytes, starts: list[int], ends: list[int]) -> Swept:
    padded = np.frombuffer(code + bytes(WINDOW), np.uint8)
    return sweep(padded, np.array(starts, np.int64), np.array(ends, np.int64))


def begins(code: bytes) -> list[int]:
    return [address for address, *_ in decoder().disasm_lite(code, 0)]


def test_long_pieces_of_whole_programs():
    """Each is cut into some dozens of chunks, most of which begin inside of an instruction."""
    size = 1 << 16
    compared = 0
    for path, code in texts():
        # From one that is an instruction to wherever one begins near the end.
        begin = begins(code)
        starts = [begin[bisect(begin, at)] for at in range(0, begin[-1] - 2 * size, size + 4096)]
        ends = [begin[bisect(begin, start + size)] for start in starts]
        found = swept(code, starts, ends)
        for start, end, known in zip(starts, ends, found.known.tolist(), strict=True):
            if known:
                compared += 1
                expected = begin[bisect_left(begin, start) : bisect_left(begin, end)]
                assert (np.flatnonzero(found.begins[start:end]) + start).tolist() == expected, (path, start)
    assert compared > 10


@pytest.mark.parametrize("distance", range(1, 12))
def test_chunks_fall_into_step(distance):
    """An instruction of ten bytes lies over the end of a chunk, however it does; its bytes are others too."""
    code = b"\x90" * (1024 - distance) + bytes.fromhex("48b8" + "eb05" * 4) + b"\x50" * 1500 + b"\xc3"
    found = swept(code, [0], [len(code)])
    assert found.known.tolist() == [True]
    assert np.flatnonzero(found.begins).tolist() == begins(code)


def test_pieces_do_not_know_of_each_other():
    code = bytes.fromhex("e811223344c3") + bytes.fromhex("554889e55dc3") + bytes.fromhex("0f0b")
    found = swept(code, [0, 6, 12], [6, 12, 14])
    assert found.known.tolist() == [True, True, True]
    assert np.flatnonzero(found.begins).tolist() == [0, 5, 6, 7, 10, 11, 12]


@pytest.mark.parametrize(
    "code",
    [
        "554889e5",  # nothing is wrong with it, but the last instruction has a byte more
        "5506c3",  # not an instruction
        "c3" + "90" * 1100 + "06",  # in the second chunk
        "66e811223344c3",  # of which nobody knows how long it is
    ],
)
def test_what_is_not_known(code):
    raw = bytes.fromhex(code)
    short = raw[:-1] if code == "554889e5" else raw
    assert swept(short, [0], [len(short)]).known.tolist() == [False]


def test_nothing_and_little():
    assert swept(b"", [], []).known.tolist() == []
    assert swept(b"\xc3", [0], [1]).known.tolist() == [True]


def test_never_in_step(monkeypatch):
    """A chunk that is never met is not believed."""
    monkeypatch.setattr("funcsnoop.record.sweep._MOST_BRIDGES", 1)
    code = b"\x90" * 1023 + bytes.fromhex("48b8" + "48b8" * 4) + b"\x90" * 30
    assert swept(code, [0], [len(code)]).known.tolist() == [False]
