"""Random call trees come back as they were, and with events missing nothing false comes back."""

from __future__ import annotations

import random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from funcsnoop.analyze.pairing import pair

from .traces import Recording
from .trees import PROGRAMS, Node, record

SEEDS = st.integers(0, 2**32)


def paired(recording: Recording) -> pl.DataFrame:
    return pair(recording.frame(), recording.about()).collect()


@settings(deadline=None, max_examples=150)
@given(PROGRAMS, SEEDS)
def test_random_trees_come_back_the_same(program: list[list[Node]], seed: int) -> None:
    recording, threads, _ = record(program, random.Random(seed))
    found = paired(recording)
    expected, first = [], 0
    for thread, calls in enumerate(threads):
        for call in calls:
            parent = None if call.parent is None else first + call.parent
            expected.append(
                (
                    100 + thread,
                    call.function,
                    call.depth,
                    parent,
                    call.start,
                    call.end,
                    call.self_ns,
                    "complete",
                )
            )
        first += len(calls)
    columns = ["pid", "function", "depth", "parent_id", "start", "end", "self_ns", "status"]
    assert found.select(columns).rows() == expected
    assert found["call_id"].to_list() == list(range(len(expected)))


@settings(deadline=None, max_examples=150)
@given(PROGRAMS, SEEDS, st.floats(0.02, 0.6))
def test_with_events_missing_no_call_is_invented(program: list[list[Node]], seed: int, lost: float) -> None:
    rng = random.Random(seed)
    recording, _, owners = record(program, rng)
    kept = [rng.random() >= lost for _ in owners]
    survivors = [call for call, keep in zip(owners, kept, strict=True) if keep]
    recording.rows = [row for row, keep in zip(recording.rows, kept, strict=True) if keep]
    found = paired(recording)

    # Every event belongs to exactly one call.
    rows = [*found["entry_row"].drop_nulls(), *found["exit_row"].drop_nulls()]
    assert sorted(rows) == list(range(len(recording.rows)))
    pairs = {}
    for row in found.filter(pl.col("duration_ns").is_not_null()).iter_rows(named=True):
        entry, exit_ = recording.rows[row["entry_row"]], recording.rows[row["exit_row"]]
        assert (entry["type"], exit_["type"]) == ("entry", "exit")
        for key in ("cookie", "pid", "tgid", "frame"):
            assert entry[key] == exit_[key]
        assert row["duration_ns"] > 0
        pairs[row["start"]] = row["end"]
    # Calls of a chain share a frame with one another and, when an exit is missing, with nothing that
    # tells an older entry from theirs. Every other call with both events is found.
    whole = {id(call): call for call in survivors if sum(other is call for other in survivors) == 2}
    for call in whole.values():
        if not call.chained:
            assert pairs.get(call.start) == call.end


def loss_windows(recording: Recording, kept: list[bool]) -> list[dict[str, object]]:
    """What the kernel would report: for each thread, runs of lost events with their highest frame."""
    windows: list[dict[str, object]] = []
    current: dict[int, dict[str, object]] = {}
    for row, keep in zip(recording.rows, kept, strict=True):
        if keep:
            current.pop(row["pid"], None)
        elif row["pid"] in current:
            window = current[row["pid"]]
            window["end_ns"] = row["timestamp"]
            window["frame"] = max(window["frame"], row["frame"])
            window["events"] += 1
        else:
            window = {"pid": row["pid"], "tgid": row["tgid"], "start_ns": row["timestamp"]}
            window |= {"end_ns": row["timestamp"], "frame": row["frame"], "events": 1}
            current[row["pid"]] = window
            windows.append(window)
    return windows


@settings(deadline=None, max_examples=200)
@given(PROGRAMS, SEEDS, st.floats(0.02, 0.9))
def test_with_the_kernels_loss_windows_no_pair_is_false(
    program: list[list[Node]], seed: int, lost: float
) -> None:
    """Every complete call is a real one, and every incomplete one is said to be lost."""
    rng = random.Random(seed)
    recording, threads, owners = record(program, rng)
    kept = [rng.random() >= lost for _ in owners]
    recording.metadata["loss_windows"] = loss_windows(recording, kept)
    recording.rows = [row for row, keep in zip(recording.rows, kept, strict=True) if keep]
    found = paired(recording)
    real = {(call.start, call.end) for calls in threads for call in calls}
    complete = found.filter(pl.col("duration_ns").is_not_null())
    assert set(complete.select("start", "end").rows()) <= real
    assert set(found.filter(pl.col("duration_ns").is_null())["status"].to_list()) <= {"lost"}
    # A call that lost neither side, and in which nothing as high as itself was lost, is found.
    survivors = [call for call, keep in zip(owners, kept, strict=True) if keep]
    whole = [call for call in survivors if sum(other is call for other in survivors) == 2]
    pairs = set(complete.select("start", "end").rows())
    assert all((call.start, call.end) in pairs for call in whole if not call.chained)


@settings(deadline=None, max_examples=100)
@given(PROGRAMS, SEEDS, st.integers(0, 1000))
def test_a_window_of_lost_events_marks_what_it_touched(
    program: list[list[Node]], seed: int, cut: int
) -> None:
    """Of a recording with one hole, known to the metadata, every call without a side says so."""
    recording, _, owners = record(program, random.Random(seed))
    first = cut % len(owners)
    hole = range(first, min(first + 1 + cut // 7, len(owners)))
    times = [recording.rows[i]["timestamp"] for i in hole]
    recording.metadata["loss_windows"] = [
        {
            "pid": None,
            "tgid": None,
            "start_ns": times[0],
            "end_ns": times[-1],
            "frame": 2**64 - 1,
            "events": 1,
        }
    ]
    recording.rows = [row for i, row in enumerate(recording.rows) if i not in hole]
    incomplete = paired(recording).filter(pl.col("duration_ns").is_null())
    assert set(incomplete["status"].to_list()) <= {"lost"}


@settings(deadline=None, max_examples=50)
@given(PROGRAMS, SEEDS, st.floats(0.0, 0.5))
def test_depth_counts_what_is_around(program: list[list[Node]], seed: int, lost: float) -> None:
    """Parents against a stack in plain Python: the innermost call that holds a call's first event."""
    rng = random.Random(seed)
    recording, _, _ = record(program, rng)
    recording.rows = [row for row in recording.rows if rng.random() >= lost]
    found = paired(recording)
    frames = [row["frame"] for row in recording.rows]
    for pid in found["pid"].unique().to_list():
        rows = [i for i, row in enumerate(recording.rows) if row["pid"] == pid]
        calls = found.filter(pl.col("pid") == pid).rows(named=True)
        spans = []
        for call in calls:
            if call["entry_row"] is None:
                continue
            end = call["exit_row"]
            if end is None:
                mine = frames[call["entry_row"]]
                end = next(
                    (i - 0.5 for i in rows if i > call["entry_row"] and frames[i] >= mine), float("inf")
                )
            spans.append((call["entry_row"], end, call["call_id"]))
        depth: dict[int, int] = {}
        for call in calls:
            at = call["exit_row"] if call["entry_row"] is None else call["entry_row"]
            around = [span for span in spans if span[0] < at < span[1]]
            parent = max(around)[2] if around else None
            assert call["parent_id"] == parent
            depth[call["call_id"]] = 0 if parent is None else depth[parent] + 1
            assert call["depth"] == depth[call["call_id"]]
