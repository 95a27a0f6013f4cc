"""Loss windows: all events accounted for, and merged ones say no more than they know."""

from types import SimpleNamespace

import numpy as np

from funcsnoop.bpf.filters import FilteredCounts, Filters
from funcsnoop.bpf.layout import LOSS
from funcsnoop.record.losses import loss_windows
from funcsnoop.record.so_far import add_unsaved, count
from funcsnoop.schemas.metadata import unplaced_loss


def losses(*rows):
    table = np.zeros(len(rows), LOSS)
    for i, (pid, first, last, frame, events) in enumerate(rows):
        table[i] = (first, last, frame, events, pid, 7)
    return table


def short(windows):
    return [(w["pid"], w["start_ns"], w["end_ns"], w["frame"], w["events"]) for w in windows]


def test_ordered_by_thread_and_time():
    batches = [losses((2, 50, 60, 9, 3), (1, 30, 40, 8, 2)), losses((1, 10, 20, 7, 1))]
    assert short(loss_windows(batches, 0)) == [(1, 10, 20, 7, 1), (1, 30, 40, 8, 2), (2, 50, 60, 9, 3)]


def test_none():
    assert loss_windows([], 0) == []


def test_events_without_a_record_can_be_anywhere():
    (window,) = loss_windows([], 5)
    assert short([window]) == [(None, 0, 2**63 - 1, 2**64 - 1, 5)]


def test_too_many_are_merged_within_their_thread():
    rows = [(1, 10 * i, 10 * i + 5, 100 + i, 1) for i in range(7)] + [(2, 1, 2, 5, 11)]
    merged = short(loss_windows([losses(*rows)], 0, most=4))
    assert merged == [(1, 0, 35, 103, 4), (1, 40, 65, 106, 3), (2, 1, 2, 5, 11)]


def test_never_fewer_than_one_for_each_thread():
    rows = [(pid, 1, 2, 3, 1) for pid in range(10)]
    assert len(loss_windows([losses(*rows)], 0, most=4)) == 10


def test_what_was_not_run_is_lost_and_what_was_not_written_is_told_apart():
    drain = SimpleNamespace(
        produced=73,
        lost=5,
        missed=SimpleNamespace(events=0),
        filtered=FilteredCounts(brief=20, deep=13, untracked=2),
    )
    encoder = SimpleNamespace(after_limit=1)
    filters = Filters(min_duration_ns=1, max_depth=3)
    assert count(drain, encoder, filters, 29)["lost"] == {"buffer": 3, "calls": 2}
    drain.missed.events = 5
    counts = count(drain, encoder, filters, 29)
    windows = [unplaced_loss(17, 5)]
    add_unsaved(counts, windows, 17)
    assert counts == {
        "produced": 78,
        "recorded": 29,
        "lost": {"buffer": 3, "calls": 2, "missed": 5, "unsaved": 5},
        "filtered": {"min-duration": 20, "max-depth": 13},
        "after_limit": 1,
    }
    assert [(w["start_ns"], w["events"]) for w in windows] == [(17, 5), (17, 5)]
