"""The live figures, from hand-written events with exact nanoseconds."""

import numpy as np
import pytest

from funcsnoop.bpf.layout import ENTRY, EXIT, TAIL, event_dtype
from funcsnoop.record.live import LiveCalls


def events(*rows):
    """(type, cookie, pid, frame, timestamp) each."""
    batch = np.zeros(len(rows), event_dtype("lean", 0))
    for name, column in zip(
        ("type", "cookie", "pid", "frame", "timestamp"), zip(*rows, strict=True), strict=True
    ):
        batch[name] = column
    return batch


def shown(live):
    view = live.view()
    return {
        cookie: (calls, returned, total, p50)
        for cookie, calls, returned, total, p50 in zip(
            view.cookie.tolist(),
            view.calls.tolist(),
            view.returned.tolist(),
            view.total_ns.tolist(),
            view.p50_ns.tolist(),
            strict=True,
        )
    }


def test_calls_are_paired_across_batches_and_threads():
    live = LiveCalls(3)
    live.add(events((ENTRY, 1, 10, 800, 100), (ENTRY, 2, 10, 700, 110), (ENTRY, 1, 11, 800, 111)))
    assert shown(live) == {1: (2, 0, 0, -1), 2: (1, 0, 0, -1)}
    live.add(events((EXIT, 2, 10, 700, 117), (EXIT, 1, 11, 800, 124), (EXIT, 1, 10, 800, 153)))
    assert shown(live) == {1: (2, 2, 53 + 13, 13), 2: (1, 1, 7, 7)}


def test_tail_calls_share_a_frame():
    live = LiveCalls(3)
    inner = (ENTRY, 2, 10, 800, 105), (EXIT, 2, 10, 800, 116)
    live.add(events((ENTRY, 1, 10, 800, 100), *inner, (EXIT, 1, 10, 800, 119)))
    inner = (ENTRY, 2, 10, 800, 205), (EXIT, 2, 10, 800, 236)
    live.add(events((ENTRY, 1, 10, 800, 200), (TAIL, 1, 10, 800, 203), *inner))
    assert shown(live) == {1: (2, 2, 22, 3), 2: (2, 2, 42, 11)}


def test_calls_that_never_return_do_not_pile_up():
    live = LiveCalls(2)
    for start in range(0, 200_000, 50_000):
        rows = np.arange(start, start + 50_000)
        batch = np.zeros(len(rows), event_dtype("lean", 0))
        batch["cookie"], batch["pid"], batch["frame"], batch["timestamp"] = 1, 10, rows * 8, rows
        live.add(batch)
    # The latest still find their exits, the first have been given up.
    live.add(events((EXIT, 1, 10, 199_999 * 8, 200_001), (EXIT, 1, 10, 0, 200_002)))
    assert shown(live) == {1: (200_000, 1, 2, 2)}


def test_exits_without_an_entry_count_nothing():
    live = LiveCalls(2)
    live.add(events((EXIT, 2, 10, 800, 100)))
    assert shown(live) == {}


@pytest.mark.parametrize("octave", range(0, 50, 7))
def test_percentiles_are_near(octave):
    generator = np.random.default_rng(octave)
    durations = np.sort(generator.integers(1 << octave, 2 << octave, 997))
    live = LiveCalls(1)
    batch = np.zeros(2 * 997, event_dtype("lean", 0))
    batch["type"] = np.tile([ENTRY, EXIT], 997)
    batch["cookie"], batch["pid"], batch["frame"] = 1, 10, 800
    batch["timestamp"][1::2] = durations
    live.add(batch)
    view = live.view()
    assert view.returned[0] == 997
    for percentile, rank in ((view.p50_ns[0], 499), (view.p99_ns[0], 988)):
        assert percentile == pytest.approx(durations[rank - 1], rel=1 / 64, abs=1)
