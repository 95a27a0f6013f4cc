"""Paths of calls: the same in parts as at once, and what is left when small ones are forgotten."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from funcsnoop.analyze.pairing import pair
from funcsnoop.analyze.paths import Paths

from .traces import Recording
from .trees import FUNCTIONS, PROGRAMS, Node, record


def names(paths: Paths, place: int) -> list[int]:
    found = []
    while place >= 0:
        found.append(paths.functions[place])
        place = paths.parents[place]
    return found[::-1]


@settings(deadline=None)
@given(PROGRAMS, st.integers(1, 7), st.randoms(use_true_random=False))
def test_parts_are_as_the_whole(program: list[list[Node]], rows: int, rng: random.Random) -> None:
    recording, *_ = record(program, rng)
    calls = pair(recording.frame(), recording.about()).collect()
    whole, parts = Paths(len(FUNCTIONS)), Paths(len(FUNCTIONS))
    places = whole.place(calls).tolist()
    found = [place for part in calls.iter_slices(rows) for place in parts.place(part).tolist()]
    assert [names(parts, place) for place in found] == [names(whole, place) for place in places]
    assert [len(names(whole, place)) - 1 for place in range(len(whole))] == whole.levels
    assert all(parent < place for place, parent in enumerate(parts.parents))


def test_recursion_is_folded() -> None:
    recording = Recording()
    for depth, name in enumerate("fgfhg"):
        recording.entry(name, 10 + depth, 1000 - depth)
    calls = pair(recording.frame(), recording.about()).collect()
    paths = Paths(3)
    assert paths.place(calls).tolist() == [0, 1, 0, 2, 3]
    assert (paths.parents, paths.functions, paths.levels) == ([-1, 0, 0, 2], [0, 1, 2, 1], [0, 1, 1, 2])


def test_what_is_kept() -> None:
    recording = Recording(functions=list("abcde"))
    for at, chain in enumerate(("abc", "ad", "e", "ab")):
        for depth, name in enumerate(chain):
            recording.entry(name, 100 * at + depth, 1000 - depth)
        for depth, name in reversed(list(enumerate(chain))):
            recording.exit(name, 100 * at + 50 - depth, 1000 - depth)
    calls = pair(recording.frame(), recording.about()).collect()
    paths = Paths(5)
    assert paths.place(calls[:6]).tolist() == [0, 2, 4, 0, 3, 1]  # a b c, a d, e
    assert paths.totals(np.array([1, 2, 4, 8, 16])).tolist() == [29, 2, 20, 8, 16]
    # Wanted is d alone: what is around it stays, and e, in which the last call is.
    stay, nearest = paths.keep(np.array([False, False, False, True, False]))
    assert stay.tolist() == [True, True, False, True, False]
    assert nearest.tolist() == [0, 1, 0, 2, 0]
    assert (paths.parents, paths.functions, paths.levels) == ([-1, -1, 0], [0, 4, 3], [0, 0, 1])
    assert paths.place(calls[6:]).tolist() == [0, 3]
    assert names(paths, 3) == [0, 1]
    assert paths.place(calls[:0]).tolist() == []
    assert Paths(0).totals(np.zeros(0, np.int64)).tolist() == []
