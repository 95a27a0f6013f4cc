"""Pairing on hand-written events, with exact nanoseconds."""

from __future__ import annotations

import polars as pl
import pytest

from funcsnoop.analyze import pairing
from funcsnoop.errors import TraceError

from .traces import Recording, function

FIELDS = ("name", "depth", "parent", "start", "end", "self_ns", "status")
Row = tuple[str, int, int | None, int | None, int | None, int | None, str | None]


def pair(recording: Recording) -> pl.DataFrame:
    return pairing.pair(recording.frame(), recording.about()).collect()


def calls(recording: Recording) -> list[Row]:
    """(name, depth, parent, start, end, self_ns, status) of each call."""
    frame = pair(recording)
    names = [f["symbol"] for f in recording.table()]
    return [
        (names[row["function"]], row["depth"], row["parent_id"], *(row[k] for k in FIELDS[3:]))
        for row in frame.iter_rows(named=True)
    ]


def test_a_call_and_its_child() -> None:
    recording = Recording()
    recording.entry("f", 10, 1000).entry("g", 25, 900).exit("g", 40, 900).exit("f", 110, 1000)
    assert calls(recording) == [
        ("f", 0, None, 10, 110, 85, "complete"),
        ("g", 1, 0, 25, 40, 15, "complete"),
    ]


def test_recursion() -> None:
    recording = Recording()
    for level in range(4):
        recording.entry("f", 10 * level, 1000 - 100 * level)
    for level in reversed(range(4)):
        recording.exit("f", 100 - 7 * level, 1000 - 100 * level)
    assert calls(recording) == [
        ("f", 0, None, 0, 100, 100 - 83, "complete"),
        ("f", 1, 0, 10, 93, 83 - 66, "complete"),
        ("f", 2, 1, 20, 86, 66 - 49, "complete"),
        ("f", 3, 2, 30, 79, 49, "complete"),
    ]


def test_mutual_recursion_with_equal_frames_in_turn() -> None:
    recording = Recording()
    recording.entry("f", 0, 1000)
    recording.entry("g", 1, 900).entry("f", 2, 800).exit("f", 3, 800).exit("g", 4, 900)
    recording.entry("f", 5, 900).entry("g", 6, 800).exit("g", 7, 800).exit("f", 9, 900)
    recording.exit("f", 12, 1000)
    assert [(row[0], row[1], row[2], row[4]) for row in calls(recording)] == [
        ("f", 0, None, 12),
        ("g", 1, 0, 4),
        ("f", 2, 1, 3),
        ("f", 1, 0, 9),
        ("g", 2, 3, 7),
    ]


def test_threads_do_not_mix_though_frames_and_functions_are_equal() -> None:
    recording = Recording()
    recording.entry("f", 1, 1000, pid=7).entry("f", 2, 1000, pid=8).entry("f", 3, 1000, pid=7, tgid=9)
    recording.exit("f", 11, 1000, pid=8).exit("f", 23, 1000, pid=7, tgid=9).exit("f", 31, 1000, pid=7)
    frame = pair(recording)
    assert frame.select("tgid", "pid", "start", "end").rows() == [(7, 7, 1, 31), (7, 8, 2, 11), (9, 7, 3, 23)]
    assert frame["process"].to_list() == [0, 0, 1]


def test_the_file_need_not_be_sorted_by_time_across_threads() -> None:
    recording = Recording()
    recording.entry("f", 500, 1000, pid=8).exit("f", 600, 1000, pid=8)
    recording.entry("f", 1, 1000, pid=7).exit("f", 2, 1000, pid=7)
    assert [row[3:5] for row in calls(recording)] == [(1, 2), (500, 600)]


def test_functions_of_one_name_in_two_modules_stay_apart() -> None:
    other = function(2, "f2", demangled="f", module="/lib/other.so")
    recording = Recording(functions=["f", other])
    recording.entry("f", 1, 1000).entry("f2", 2, 900).exit("f2", 3, 900).exit("f", 4, 1000)
    assert [row[0] for row in calls(recording)] == ["f", "f2"]


def test_a_tail_call_runs_inside_its_caller() -> None:
    recording = Recording()
    recording.entry("f", 0, 1000).entry("g", 10, 1000).entry("h", 20, 1000)
    recording.exit("h", 50, 1000).exit("g", 51, 1000).exit("f", 53, 1000)
    assert calls(recording) == [
        ("f", 0, None, 0, 53, 53 - 41, "complete"),
        ("g", 1, 0, 10, 51, 41 - 30, "complete"),
        ("h", 2, 1, 20, 50, 30, "complete"),
    ]


def test_tail_recursion_of_one_function() -> None:
    recording = Recording()
    recording.entry("f", 0, 1000).entry("f", 1, 1000).entry("f", 2, 1000)
    recording.exit("f", 10, 1000).exit("f", 11, 1000).exit("f", 12, 1000)
    assert [row[1:5] for row in calls(recording)] == [(0, None, 0, 12), (1, 0, 1, 11), (2, 1, 2, 10)]


def test_a_chain_whose_inner_exit_was_lost() -> None:
    recording = Recording()
    recording.entry("f", 0, 1000).entry("g", 10, 1000).exit("f", 53, 1000)
    assert [(row[0], row[3], row[4], row[6]) for row in calls(recording)] == [
        ("f", 0, 53, "complete"),
        ("g", 10, None, "unwound"),
    ]


def test_a_chain_whose_inner_entry_was_lost() -> None:
    recording = Recording()
    recording.entry("f", 0, 1000).exit("g", 50, 1000).exit("f", 53, 1000)
    assert [(row[0], row[3], row[4]) for row in calls(recording)] == [("f", 0, 53), ("g", None, 50)]


def test_exits_that_are_no_chain_leave_older_entries_alone() -> None:
    # f lost its exit; g ran on the same frame; later an f lost its entry. Only g is whole.
    recording = Recording()
    recording.entry("f", 0, 1000).entry("g", 10, 1000).exit("g", 20, 1000)
    recording.entry("h", 30, 900).exit("h", 40, 900).exit("f", 50, 1000)
    whole = [row for row in calls(recording) if row[6] == "complete"]
    assert [row[0] for row in whole] == ["g", "h"]


def test_never_across_functions() -> None:
    recording = Recording()
    recording.entry("f", 0, 1000).exit("g", 10, 1000)
    assert [row[3:5] for row in calls(recording)] == [(0, None), (None, 10)]


def test_open_at_the_start_and_at_the_end() -> None:
    recording = Recording()
    recording.exit("f", 5, 1000).entry("g", 10, 1000).entry("h", 20, 900)
    assert calls(recording) == [
        ("f", 0, None, None, 5, None, "open"),
        ("g", 0, None, 10, None, None, "open"),
        ("h", 1, 1, 20, None, None, "open"),
    ]


def test_longjmp_leaves_the_skipped_calls_unwound_and_later_calls_where_they_belong() -> None:
    recording = Recording()
    recording.entry("f", 0, 1000).entry("g", 10, 900).entry("h", 20, 800)  # h jumps back into f
    recording.entry("g", 30, 900).exit("g", 40, 900).exit("f", 100, 1000)
    assert calls(recording) == [
        ("f", 0, None, 0, 100, 90, "complete"),
        ("g", 1, 0, 10, None, None, "unwound"),
        ("h", 2, 1, 20, None, None, "unwound"),
        ("g", 1, 0, 30, 40, 10, "complete"),
    ]


def test_time_of_complete_calls_inside_an_incomplete_child_counts_against_the_grandparent() -> None:
    recording = Recording()
    recording.entry("f", 0, 1000).entry("g", 10, 900).entry("h", 20, 800).exit("h", 50, 800)
    recording.exit("f", 100, 1000)  # g was left by longjmp
    by_name = {row[0]: row for row in calls(recording)}
    assert by_name["h"][1] == 2
    assert by_name["f"][5] == 100 - 30
    assert by_name["g"][5] is None


def test_past_the_64_returns_that_the_kernel_follows() -> None:
    recording = Recording()
    for level in range(201):
        recording.entry("f", level, 100_000 - 100 * level)
    for level in reversed(range(64)):
        recording.exit("f", 1000 - level, 100_000 - 100 * level)
    rows = calls(recording)
    assert [row[1] for row in rows] == list(range(201))
    assert [row[6] for row in rows] == ["complete"] * 64 + ["unwound"] * 137


@pytest.mark.parametrize(
    ("thread_end", "process_end", "after_limit", "expected"),
    [
        (None, None, 0, "open"),
        (500, None, 0, "unwound"),
        (None, 500, 0, "unwound"),
        (900_001, None, 0, "open"),  # it ended after the recording did
        (500, None, 3, "open"),  # the limit cut the trace, so the exit may have been cut off
    ],
)
def test_a_thread_that_ended_has_left_its_calls(
    thread_end: int | None, process_end: int | None, after_limit: int, expected: str
) -> None:
    recording = Recording()
    recording.entry("f", 10, 1000)
    about = recording.about()
    about["threads"][0]["end_ns"] = thread_end
    about["processes"][0]["end_ns"] = process_end
    about["counts"]["after_limit"] = after_limit
    assert pairing.pair(recording.frame(), about).collect()["status"].to_list() == [expected]


def window(start: int, end: int, frame: int = 2**64 - 1, pid: int | None = None) -> dict[str, int | None]:
    tgid = None if pid is None else 7
    return {"pid": pid, "tgid": tgid, "start_ns": start, "end_ns": end, "frame": frame, "events": 1}


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([], "unwound"),
        ([window(0, 9)], "unwound"),  # before the call
        ([window(41, 99)], "unwound"),  # after it had been left
        ([window(40, 99)], "lost"),  # the moment it was seen to be left counts
        ([window(0, 10)], "lost"),
        ([window(15, 16)], "lost"),
        ([window(0, 5), window(41, 45)], "unwound"),
        ([window(0, 50), window(41, 42)], "lost"),  # windows of several threads overlap
        ([window(15, 16, 899)], "unwound"),  # of deeper calls only
        ([window(15, 16, 900)], "lost"),
        ([window(15, 16, pid=7)], "lost"),
        ([window(15, 16, pid=8)], "unwound"),  # of another thread
        ([window(11, 12, 5), window(13, 14, 950), window(16, 17, 7), window(19, 20, 6)], "lost"),
        ([window(t, t, 800) for t in range(11, 40, 3)] + [window(50, 60)], "unwound"),
    ],
)
def test_an_entry_is_lost_only_if_its_exit_could_have_been(
    windows: list[dict[str, int | None]], expected: str
) -> None:
    recording = Recording(metadata={"loss_windows": windows})
    recording.entry("g", 10, 900).entry("f", 40, 1000).exit("f", 50, 1000)
    assert calls(recording)[0][6] == expected


@pytest.mark.parametrize(
    ("windows", "expected"), [([], "open"), ([window(21, 30)], "open"), ([window(1, 20)], "lost")]
)
def test_an_exit_is_lost_only_if_its_entry_could_have_been(
    windows: list[dict[str, int | None]], expected: str
) -> None:
    recording = Recording(metadata={"loss_windows": windows})
    recording.exit("f", 20, 1000)
    assert calls(recording)[0][6] == expected


def test_loss_without_known_times_can_have_hit_any_call() -> None:
    counts = {"produced": 3, "recorded": 2, "lost": {"buffer": 1}, "filtered": {}, "after_limit": 0}
    recording = Recording(metadata={"counts": counts})
    recording.entry("f", 10, 1000).exit("g", 20, 900)
    assert [row[6] for row in calls(recording)] == ["lost", "lost"]


def test_entry_only_functions_are_leaves_without_a_status() -> None:
    silent = function(2, "g", exit="none", exit_reason="the process can unwind")
    recording = Recording(functions=["f", silent, "h"])
    recording.entry("f", 0, 1000).entry("g", 10, 900).entry("h", 20, 800).exit("h", 30, 800).exit(
        "f", 50, 1000
    )
    assert calls(recording) == [
        ("f", 0, None, 0, 50, 40, "complete"),
        ("g", 1, 0, 10, None, None, None),
        ("h", 1, 0, 20, 30, 10, "complete"),
    ]


def test_an_entry_only_tail_callee_does_not_hide_its_caller() -> None:
    recording = Recording(functions=["f", function(2, "g", exit="none")])
    recording.entry("f", 0, 1000).entry("g", 10, 1000).exit("f", 50, 1000)
    assert [row[3:5] for row in calls(recording)] == [(0, 50), (10, None)]


def test_coroutines_keep_their_durations_and_get_no_false_self_time() -> None:
    # f on one stack, g on another, entered and left crosswise.
    recording = Recording()
    recording.entry("f", 0, 1000).entry("g", 10, 5000).exit("f", 40, 1000).exit("g", 100, 5000)
    rows = {row[0]: row for row in calls(recording)}
    assert rows["f"][3:5] == (0, 40)
    assert rows["g"][3:5] == (10, 100)
    assert rows["f"][5] is None
    assert rows["g"][5] == 90


def test_a_process_id_that_was_used_twice() -> None:
    recording = Recording()
    recording.entry("f", 300_000, 1000).exit("f", 300_001, 1000)
    about = recording.about()
    later = about["processes"][0] | {"start_ns": about["started"]["boottime_ns"] + 200_000}
    about["processes"] = [about["processes"][0], later, later | {"start_ns": later["start_ns"] + 200_000}]
    assert pairing.pair(recording.frame(), about).collect()["process"].to_list() == [1]


def test_no_events() -> None:
    assert pair(Recording()).height == 0


def test_events_of_an_unknown_function_are_refused() -> None:
    recording = Recording()
    recording.entry("f", 1, 1000)
    about = recording.about() | {"functions": []}
    with pytest.raises(TraceError, match="cookie 1"):
        pairing.pair(recording.frame(), about).collect()


def test_batches_of_threads_give_the_same_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording()
    for pid in range(7, 30):
        recording.entry("f", pid, 1000, pid=pid).entry("g", pid + 1, 900, pid=pid)
        recording.exit("g", pid + 5, 900, pid=pid).exit("f", pid + 9, 1000, pid=pid)
    whole = pair(recording)
    monkeypatch.setattr(pairing, "BATCH_EVENTS", 10)
    assert pair(recording).equals(whole)


@pytest.mark.parametrize("frames", [(1000, 900), (1003, 901), (1 << 63, 1 << 20), (1 << 40, 1 << 20)])
def test_any_distance_between_frames(frames: tuple[int, int]) -> None:
    high, low = frames
    recording = Recording()
    for start in range(0, 100, 10):
        recording.entry("f", start, high).entry("g", start + 1, low)
        recording.exit("g", start + 3, low).exit("f", start + 9, high)
    assert {row[5] for row in calls(recording)} == {7, 2}
    assert {row[6] for row in calls(recording)} == {"complete"}
