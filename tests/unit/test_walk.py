"""The compiled walk and NumPy's pairing give the same calls, whatever the events."""

from __future__ import annotations

import random
from collections.abc import Iterator

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from funcsnoop.analyze import call_rows, native, pairing
from funcsnoop.analyze.pruning import Pruning
from funcsnoop.errors import TraceError

from .test_pairing_property import loss_windows
from .traces import Recording, function
from .trees import PROGRAMS, Node, record

SEEDS = st.integers(0, 2**32)


def walk(recording: Recording, rows: int) -> pl.DataFrame:
    """The calls by the compiled walk, which gets `rows` events at a time."""

    events = recording.events()

    def parts(columns: list[str], pruning: Pruning) -> Iterator[tuple[int, pa.Table]]:
        for first in range(0, max(len(events), 1), rows):
            yield first, events.slice(first, rows)

    return call_rows.pair(parts, recording.about(), 2)


def same(recording: Recording, rows: int = 7) -> pl.DataFrame:
    found = walk(recording, rows)
    assert_frame_equal(found, pairing.pair(recording.frame(), recording.about()).collect())
    return found


def test_the_library_is_built() -> None:
    assert native.library() is not None


@settings(deadline=None, max_examples=150)
@given(PROGRAMS, SEEDS, st.sampled_from([0.0, 0.05, 0.3, 0.8]), st.booleans(), st.integers(1, 50))
def test_call_trees(program: list[list[Node]], seed: int, lost: float, placed: bool, rows: int) -> None:
    rng = random.Random(seed)
    recording, _, owners = record(program, rng)
    kept = [rng.random() >= lost for _ in owners]
    if placed:
        recording.metadata["loss_windows"] = loss_windows(recording, kept)
    recording.rows = [row for row, keep in zip(recording.rows, kept, strict=True) if keep]
    same(recording, rows)


def soup(rng: random.Random) -> Recording:
    """Random events on few frames: stacks that are switched, chains, exits of nothing, times that go back."""
    functions, frames, threads = rng.randint(1, 4), rng.randint(1, 6), rng.randint(1, 3)
    table = [function(1, "f"), function(2, "g", exit="none"), function(3, "h"), function(4, "i")]
    recording = Recording(functions=list(table))
    names = ["f", "h", "i", "g"][:functions]
    for i in range(rng.randint(0, 120)):
        place = (rng.choice(names), i * 10 + rng.randrange(15), 1000 - 100 * rng.randrange(frames))
        pid = 7 + rng.randrange(threads)
        if rng.random() < 0.5:
            recording.entry(*place, *rng.choices([0, 1, 2**63, 2**64 - 1, 300 + i], k=2), pid=pid)
        else:
            recording.exit(*place, rng.choice([None, 0, 255, 2**64 - 1]), pid=pid)
    recording.metadata["loss_windows"] = [
        {
            "pid": pid,
            "tgid": None if pid is None else 7,
            "start_ns": (start := rng.randrange(1200)),
            "end_ns": start + rng.randrange(100),
            "frame": 1000 - 100 * rng.randrange(frames),
            "events": 1,
        }
        for pid in rng.choices([None, 7, 8, 99], k=rng.randint(0, 3))
    ]
    recording.metadata["threads"] = [
        {"pid": 7 + i, "tgid": 7, "name": None, "end_ns": rng.choice([None, 500])} for i in range(threads)
    ]
    return recording


@settings(deadline=None, max_examples=400)
@given(SEEDS)
def test_events_that_make_no_sense(seed: int) -> None:
    rng = random.Random(seed)
    same(soup(rng), rng.randint(1, 50))


def test_longjmp_over_many_calls() -> None:
    recording = Recording()
    recording.entry("f", 0, 100_000)
    for turn in range(1, 200):
        for level in range(1, 20):
            recording.entry("g", 1000 * turn + level, 100_000 - 16 * level)
        recording.exit("g", 1000 * turn + 20, 100_000 - 16 * 19)
    recording.exit("f", 10**6, 100_000)
    found = same(recording)
    assert found["status"].value_counts(sort=True).rows() == [("unwound", 18 * 199), ("complete", 200)]


def test_many_stacks_in_one_thread() -> None:
    """Coroutines: more open calls than are looked through, left in any order."""
    rng = random.Random(1)
    recording = Recording()
    now = 0
    stacks = [(1 << 40) + (1 << 20) * i for i in range(300)]
    waiting: list[int] = []
    for _ in range(3):
        for frame in stacks:
            recording.entry("f", (now := now + 1), frame).entry("g", (now := now + 1), frame - 64)
        waiting = list(stacks)
        rng.shuffle(waiting)
        for frame in waiting:
            recording.entry("h", (now := now + 1), frame - 128).exit("h", (now := now + 1), frame - 128)
            recording.exit("g", (now := now + 1), frame - 64).exit("f", (now := now + 1), frame)
    found = same(recording)
    assert found["status"].unique().to_list() == ["complete"]
    assert len(found) == 3 * 3 * 300


@pytest.mark.parametrize("functions", [1, 7])
def test_long_chains_on_one_frame_take_time_in_proportion(functions: int) -> None:
    names = [f"f{i}" for i in range(functions)]
    recording = Recording(functions=[*names, "odd"])
    for i in range(20_000):
        recording.entry(names[i % functions], i, 1000)
    for i in range(20_000):
        recording.exit("odd" if i % 3 else names[i * 5 % functions], 20_000 + i, 1000)
    same(recording, 100_000)


def test_more_frames_than_there_was_room_for() -> None:
    recording = Recording()
    rng = random.Random(5)
    frames = rng.sample(range(1 << 20, 1 << 40, 8), 3000)
    for now, frame in enumerate(frames):
        recording.entry("f", now, frame)
        if now % 3:
            recording.exit("f", now + 10_000, frame)
    same(recording, 1000)


def test_no_events() -> None:
    assert same(Recording()).height == 0


def test_events_of_an_unknown_function_are_refused() -> None:
    recording = Recording()
    recording.entry("f", 1, 1000).entry("g", 2, 900)
    recording.metadata["functions"] = recording.table()[:1]
    with pytest.raises(TraceError, match="cookie 2"):
        walk(recording, 10)


def test_a_trace_that_changes_between_the_passes_is_refused() -> None:
    whole, part, other = Recording(), Recording(), Recording()
    whole.entry("f", 1, 1000).exit("f", 2, 1000)
    part.entry("f", 1, 1000)
    other.entry("g", 1, 1000, pid=9).exit("f", 2, 1000)
    swapped = Recording()
    swapped.exit("f", 1, 1000).exit("f", 2, 900)
    for changed in (part, other, swapped):
        tables = iter([whole.events(), changed.events()])
        with pytest.raises(TraceError, match="changed"):
            call_rows.pair(lambda *_, tables=tables: [(0, next(tables))], whole.about(), 2)
