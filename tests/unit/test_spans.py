"""Calls as spans: they nest on each lane, whatever is missing and however stacks are switched."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcsnoop.analyze.export.spans import spans
from funcsnoop.analyze.pairing import pair

from .traces import ENDED, Recording, function
from .trees import PROGRAMS, Node, record


def drawn(recording: Recording, rows: int = 1 << 18, kept: pl.Expr | None = None) -> list[Any]:
    """The steps in order: (thread, lane, call, time), the call as `~call` at its end."""
    calls = pair(recording.frame(), recording.about()).collect()
    calls = calls if kept is None else calls.filter(kept)
    found = []
    for part in spans(calls.iter_slices(rows), ENDED["monotonic_ns"]):
        ids, pids = part.calls["call_id"].to_list(), part.calls["pid"].to_list()
        for step in part.steps.tolist():
            row = step if step >= 0 else ~step
            call = ids[row] if step >= 0 else ~ids[row]
            at = part.begin[row] if step >= 0 else part.end[row]
            found.append((pids[row], int(part.lane[row]), call, int(at)))
    return found


def check(recording: Recording, steps: list[Any]) -> None:
    """Every call is opened and closed once, the innermost first; complete ones keep their times."""
    paired = pair(recording.frame(), recording.about()).collect()
    calls = {call["call_id"]: call for call in paired.to_dicts()}
    stacks: dict[Any, list[int]] = {}
    times: dict[Any, int] = {}
    begins: dict[int, int] = {}
    closed = set()
    for pid, lane, call, at in steps:
        stack = stacks.setdefault((pid, lane), [])
        assert at >= times.get((pid, lane), 0)
        times[pid, lane] = at
        if call >= 0:
            assert call not in begins
            begins[call] = at
            stack.append(call)
            continue
        call = ~call
        assert stack.pop() == call
        closed.add(call)
        whole = calls[call]
        if whole["duration_ns"] is not None:
            assert (begins[call], at) == (whole["start"], whole["end"])
        else:
            assert begins[call] == (whole["end"] if whole["start"] is None else whole["start"])
    assert closed == set(calls)


@settings(deadline=None)
@given(PROGRAMS, st.integers(1, 7), st.floats(0, 0.4), st.booleans(), st.randoms(use_true_random=False))
def test_spans_nest(
    program: list[list[Node]], rows: int, lost: float, switched: bool, rng: random.Random
) -> None:
    recording, *_ = record(program, rng)
    recording.rows = [row for row in recording.rows if rng.random() >= lost]
    if switched:
        # The threads become coroutines of one, each on a stack of its own.
        for row in recording.rows:
            row["frame"] += (row["pid"] - 100) << 30
            row["pid"] = 100
    steps = drawn(recording)
    check(recording, steps)
    assert drawn(recording, rows) == steps


def test_one_lane_while_calls_nest() -> None:
    recording = Recording().entry("f", 10, 900).entry("g", 10, 800).exit("g", 20, 800).exit("f", 20, 900)
    recording.entry("h", 20, 900).exit("h", 20, 900)
    assert drawn(recording) == [
        (7, 0, 0, 10),
        (7, 0, 1, 10),
        (7, 0, ~1, 20),
        (7, 0, ~0, 20),
        (7, 0, 2, 20),
        (7, 0, ~2, 20),
    ]


def test_a_call_that_outlasts_its_caller_has_a_lane_of_its_own() -> None:
    recording = Recording().entry("f", 10, 900).entry("g", 20, 800).exit("f", 30, 900)
    recording.entry("h", 40, 700).exit("h", 50, 700).exit("g", 60, 800).entry("f", 70, 900)
    steps = drawn(recording)
    check(recording, steps)
    lanes = {call: lane for _, lane, call, _ in steps if call >= 0}
    assert lanes == {0: 0, 1: 1, 2: 1, 3: 0}


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_incomplete_calls_end_when_they_were_last_seen(rows: int) -> None:
    recording = Recording().entry("f", 10, 900).entry("g", 20, 800).entry("h", 30, 700).exit("h", 40, 700)
    recording.entry("h", 50, 900).exit("h", 60, 900)  # f and g are gone
    recording.exit("g", 70, 900)  # it ran when the recording began
    recording.entry("f", 80, 900)  # and this one when it ended
    ends = {~call: at for _, _, call, at in drawn(recording, rows) if call < 0}
    assert ends == {0: 40, 1: 40, 2: 40, 3: 60, 4: 70, 5: ENDED["monotonic_ns"]}


def test_entry_only_calls_are_around_nothing() -> None:
    recording = Recording(functions=[function(1, "f", exit="none"), "g"])
    recording.entry("g", 5, 950).entry("f", 10, 900).entry("g", 20, 800).exit("g", 30, 800).exit("g", 40, 950)
    steps = drawn(recording)
    check(recording, steps)
    assert [step[2:] for step in steps] == [(0, 5), (1, 10), (~1, 11), (2, 20), (~2, 30), (~0, 40)]


def test_calls_that_are_not_kept_still_end_others() -> None:
    """g is left by a jump into the f that is not drawn; the h in there is not one of g's."""
    recording = Recording().entry("f", 10, 900).entry("g", 20, 800).entry("f", 30, 900)
    recording.entry("g", 40, 800).entry("h", 50, 700).exit("h", 60, 700).exit("g", 70, 800).exit("f", 80, 900)
    steps = drawn(recording, kept=pl.col("call_id").is_in([1, 4]))
    assert steps == [(7, 0, 1, 20), (7, 0, ~1, 21), (7, 0, 4, 50), (7, 0, ~4, 60)]
