"""Rows of processes and threads, where ids come again: ends and events reach the census in any order."""

from __future__ import annotations

import time

import pytest

from funcsnoop.bpf.program import Birth, EndedThread
from funcsnoop.record.census import Census

#: Larger than any id that a process can have, so that /proc shows nothing of it.
GONE = 5_000_011
OTHER = GONE + 1


def ended(at, pid=GONE, tgid=GONE, name="life"):
    return EndedThread(pid, tgid, f"{name} {at}", at)


def rows(census):
    threads = [(t["tgid"], t["pid"], t["name"], t["end_ns"]) for t in census.threads()]
    return threads, [(p["tgid"], p["end_ns"]) for p in census.processes()]


@pytest.fixture
def census():
    return Census()


def test_an_end_that_is_known_before_the_events_of_the_next(census):
    census.meet([(GONE, GONE)], [10], [20])
    census.refresh(lambda: [ended(30)])
    census.meet([(GONE, GONE)], [40], [50])
    census.refresh(lambda: [ended(60)])
    assert rows(census) == (
        [(GONE, GONE, "life 30", 30), (GONE, GONE, "life 60", 60)],
        [(GONE, 30), (GONE, 60)],
    )


def test_ends_that_are_known_after_the_events_of_all(census):
    census.meet([(GONE, GONE)], [10], [90])
    census.meet([(GONE, GONE)], [95], [99])
    census.refresh(lambda: [ended(60), ended(30), ended(100)])
    threads, processes = rows(census)
    assert [end for *_, end in threads] == [30, 60, 100]
    assert [end for _, end in processes] == [30, 60, 100]


def test_events_that_come_after_the_ends_of_their_threads(census):
    now = time.monotonic_ns()
    census.refresh(lambda: [ended(now + 30), ended(now + 60)])
    census.meet([(GONE, GONE)], [now + 10], [now + 50])
    threads, processes = rows(census)
    assert [end - now for *_, end in threads] == [30, 60]
    assert len(processes) == 2


def test_what_ended_long_ago_is_forgotten(census):
    census.refresh(lambda: [ended(30)])
    census.meet([(GONE, GONE)], [40], [50])
    assert [end for *_, end in rows(census)[0]] == [None]


def test_a_thread_that_sent_nothing_has_no_row(census):
    census.meet([(GONE, GONE)], [10], [20])
    census.refresh(lambda: [ended(15, pid=OTHER), ended(30)])
    assert rows(census) == ([(GONE, GONE, "life 30", 30)], [(GONE, 30)])


def test_a_thread_id_comes_again_within_a_process(census):
    census.meet([(GONE, GONE), (GONE, OTHER)], [10, 20], [12, 30])
    census.refresh(lambda: [ended(25, pid=OTHER), ended(40, pid=OTHER), ended(50)])
    threads, processes = rows(census)
    assert [(pid, end) for _, pid, _, end in threads] == [(GONE, 50), (OTHER, 25), (OTHER, 40)]
    assert processes == [(GONE, 50)]


def test_another_thread_takes_the_first_ones_id_in_an_exec(census):
    """It is the same process, whether that is known before the first one's end or after."""
    census.meet([(GONE, GONE)], [10], [20])
    census.replace_first_thread(GONE, 31)
    census.meet([(GONE, GONE)], [40], [50])
    census.refresh(lambda: [ended(30), ended(60)])
    threads, processes = rows(census)
    assert [end for *_, end in threads] == [30, 60]
    assert processes == [(GONE, 60)]


def test_children_of_one_id_are_told_apart_by_when_they_were_born(census):
    shift = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    now = time.monotonic_ns()
    births = [now + n * 1_000_000 for n in (1, 3, 5)]
    census.meet([(GONE, GONE)], [births[0] + 100], [births[2] + 100])
    for born in births:
        census.add_child(Birth(GONE, 7, born + shift, GONE))
    census.refresh(lambda: [ended(born + 500_000) for born in births])
    threads, processes = rows(census)
    assert [end for *_, end in threads] == [born + 500_000 for born in births]
    assert [end for _, end in processes] == [born + 500_000 for born in births]
    assert [p["start_ns"] for p in census.processes()] == [born + shift for born in births]
    assert {p["parent_tgid"] for p in census.processes()} == {7}


def test_a_process_without_an_end_ends_when_it_is_missed(census):
    census.meet([(GONE, GONE)], [10], [20])
    before = time.monotonic_ns()
    assert census.living() == [GONE]
    assert census.refresh(list) == [GONE]
    ((_, end),) = rows(census)[1]
    assert before <= end <= time.monotonic_ns()
    assert census.living() == []
