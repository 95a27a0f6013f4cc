"""Clocks that were set, a machine that slept: told apart."""

import pytest

from funcsnoop.record.clocks import clock_notices, clock_snapshot

S = 1_000_000_000


@pytest.mark.parametrize(
    ("monotonic", "boottime", "realtime", "said"),
    [
        (10, 10, 10, []),
        (10, 10, 10.4, []),
        (10, 10, 3610, ["the clock was set forward by 3,600.0 s"]),
        (10, 10, -50, ["the clock was set back by 60.0 s"]),
        (10, 100, 100, ["the machine slept for 90.0 s"]),
        (10, 100, 70, ["the clock was set back by 30.0 s", "the machine slept for 90.0 s"]),
    ],
)
def test_what_is_said(monotonic, boottime, realtime, said):
    started = clock_snapshot()
    passed = {"monotonic_ns": monotonic, "boottime_ns": boottime, "realtime_ns": realtime}
    ended = {clock: started[clock] + int(seconds * S) for clock, seconds in passed.items()}
    notices = list(clock_notices(started, ended))
    assert [notice.split(" meanwhile")[0] for notice in notices] == said
