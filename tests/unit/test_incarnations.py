"""Ids that came again: each thread, and each process, keeps its own calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

import funcsnoop
from funcsnoop.analyze.incarnations import Incarnations

from .test_walk import same
from .traces import Recording

#: CLOCK_BOOTTIME less CLOCK_MONOTONIC, in these recordings.
ASLEEP = 5_000_000_000


def again(ends: list[int | None], processes: list[tuple[int, int | None]], **other: Any) -> Recording:
    """A recording in which thread 7 of process 7 ended so often; processes by start and end."""
    recording = Recording()
    about = recording.entry("f", 0, 1000).about()
    recording.rows.clear()
    thread, process = about["threads"][0], about["processes"][0]
    recording.metadata = {
        "threads": [thread | {"end_ns": end, "name": f"life {i}"} for i, end in enumerate(ends)],
        "processes": [
            process | {"start_ns": start + ASLEEP, "end_ns": end, "command": [f"command {i}"]}
            for i, (start, end) in enumerate(processes)
        ],
    } | other
    return recording


def test_calls_do_not_reach_into_the_next_life() -> None:
    recording = again([3000, 6000, None], [(900, 3000), (3500, 6000), (6001, None)])
    for life, begin in enumerate((2000, 5000, 7000)):
        # The same frames each time; the outer call of each life does not return.
        recording.entry("f", begin, 1000).entry("g", begin + 10 + life, 900).exit("g", begin + 100, 900)
    found = same(recording, rows=2)
    assert found["status"].to_list() == ["unwound", "complete", "unwound", "complete", "open", "complete"]
    assert found["duration_ns"].drop_nulls().to_list() == [90, 89, 88]
    assert found["depth"].to_list() == [0, 1] * 3
    assert found["parent_id"].to_list() == [None, 0, None, 2, None, 4]
    assert found["process"].to_list() == [0, 0, 1, 1, 2, 2]
    assert set(found["pid"].to_list()) == set(found["tgid"].to_list()) == {7}


def test_an_exit_of_a_later_life_belongs_to_no_earlier_call() -> None:
    recording = again([3000, None], [(900, None)]).entry("f", 2000, 1000).exit("f", 4000, 1000)
    found = same(recording, rows=1)
    assert found["duration_ns"].to_list() == [None, None]
    assert found["process"].to_list() == [0, 0]


def test_the_report_on_threads_has_a_row_for_each(tmp_path) -> None:
    recording = again([3000, 6000, None], [(900, 3000), (3500, 6000), (6001, None)])
    for begin, calls in ((2000, 3), (5000, 1), (7000, 2)):
        for i in range(calls):
            recording.entry("f", begin + 20 * i, 1000).exit("f", begin + 20 * i + 10, 1000)
    trace = funcsnoop.open(recording.write(tmp_path / "t.parquet"))
    rows = trace.threads().select("pid", "thread_name", "calls", "first_ns").sort("first_ns").collect()
    assert rows.rows() == [(7, "life 0", 3, 2000), (7, "life 1", 1, 5000), (7, "life 2", 2, 7000)]


def test_a_process_that_began_in_the_tick_in_which_the_last_one_ended() -> None:
    """/proc cuts the start of the second one to before the events of the first."""
    recording = again([3000, None], [(900, 3000), (1000, None)])
    recording.entry("f", 2000, 1000).exit("f", 2100, 1000).entry("f", 4000, 1000).exit("f", 4100, 1000)
    assert same(recording)["process"].to_list() == [0, 1]


def test_losses_of_every_life() -> None:
    window = {"pid": 7, "tgid": 7, "start_ns": 4500, "end_ns": 4600, "frame": 2**64 - 1, "events": 1}
    recording = again([3000, None], [(900, 3000), (3500, None)], loss_windows=[window])
    recording.entry("f", 2000, 1000).entry("f", 4000, 1000)
    assert same(recording, rows=1)["status"].to_list() == ["unwound", "lost"]


@pytest.mark.parametrize("count", [2, 1024, 5000])
def test_very_many_lives(count: int) -> None:
    recording = again([*range(1, count), None], [(0, None)])
    ids = Incarnations(recording.about())
    times = np.arange(count) + 1
    assert ids.numbers(np.full(count, 7, np.uint32), np.full(count, 7, np.uint32), times).tolist() == list(
        range(count)
    )
    for time in range(0, count, 7):
        recording.entry("f", time + 1, 1000)
    apart = ids.told_apart(recording.events())
    keys = (apart["tgid"].to_numpy().astype(np.uint64) << np.uint64(32)) | apart["pid"].to_numpy()
    assert [ids.split(key) for key in keys.tolist()] == [(7, 7, time) for time in range(0, count, 7)]
    assert list(ids.keys(7, 7, 0, count))[::7] == keys.tolist()
    assert ids.order(keys[::-1]).tolist() == list(range(len(keys)))[::-1]


def test_others_are_left_alone() -> None:
    recording = Recording().entry("f", 1, 1000).entry("f", 2, 1000, pid=8)
    events = recording.events()
    assert Incarnations(recording.about()).told_apart(events) is events
    other = again([3000, None], [(0, None)]).entry("f", 4000, 1000).entry("f", 4000, 1000, pid=8)
    apart = Incarnations(other.about()).told_apart(other.events())
    assert apart["pid"].to_pylist() == [7 + (1 << 22), 8]
    frame = pl.from_arrow(apart)
    assert isinstance(frame, pl.DataFrame)
    assert frame["tgid"].to_list() == [7, 7]
