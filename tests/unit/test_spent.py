"""Which functions lose their probes, and when not."""

from __future__ import annotations

import os

import numpy as np
import pytest

from funcsnoop.bpf import syscall
from funcsnoop.bpf.closing import Closing
from funcsnoop.bpf.layout import BY_RETURN, LIVE_PLACE, LIVE_STACK, WHOLE_TURN_SHIFT, live_call_dtype
from funcsnoop.bpf.under_way import CallUnderWay, calls_on_stacks
from funcsnoop.errors import KernelError
from funcsnoop.record.spent import Spent


class Fake:
    """Programs, links and attaching in one."""

    def __init__(self) -> None:
        self.under_way: list[CallUnderWay] = []
        self.left_out: list[set[int]] = []
        self.released = 0
        self.catches = False
        self.ready = True
        self.error: KernelError | None = None

    def calls_under_way(self) -> list[CallUnderWay]:
        return self.under_way

    def release(self, _: object) -> None:
        self.released += 1

    def leave_out(self, functions: set[int]) -> bool:
        if self.error:
            raise self.error
        if self.ready:
            self.left_out.append(functions)
        return self.ready


@pytest.fixture
def waits(monkeypatch):
    """How often running programs were waited for."""
    calls: list[int] = []
    monkeypatch.setattr(syscall, "wait_for_programs", lambda: calls.append(1))
    return calls


def test_functions_go_once_and_when_none_of_their_calls_goes_on(waits):
    fake, notices = Fake(), []
    spent = Spent(fake, fake, fake, notices)
    spent.look([])
    assert not waits
    fake.under_way = [CallUnderWay(7, 2, 0), CallUnderWay(7, 9, None)]
    spent.look([1, 2, 3])
    assert fake.left_out == [{1, 3}]
    spent.look([1, 2, 3])
    assert fake.left_out == [{1, 3}]
    fake.under_way = []
    spent.look([1, 2, 3, 4])
    assert fake.left_out == [{1, 3}, {2, 4}]
    looks = len(waits)
    spent.look([1, 2, 3, 4])
    assert len(waits) == looks  # there is nothing to do
    fake.catches = True
    spent.look([1, 2, 3, 4])
    assert fake.released == looks + 1
    assert notices == []


def test_another_try_where_it_cannot_be_done_yet(waits):
    fake = Fake()
    spent = Spent(fake, fake, fake, [])
    fake.ready = False
    spent.look([5])
    fake.ready = True
    spent.look([5])
    assert fake.left_out == [{5}]


def test_no_other_try_where_it_fails(waits):
    fake, notices = Fake(), []
    spent = Spent(fake, fake, fake, notices)
    fake.error = KernelError("too many open files", "Raise it.")
    spent.look([5])
    fake.error = None
    spent.look([5])
    assert fake.left_out == []
    assert notices == ["functions whose budget is spent keep their probes from now on: too many open files"]


def test_calls_under_way_are_those_that_have_not_been_left():
    dtype = live_call_dtype(0)

    def call(function, seen_by):
        row = np.zeros(1, dtype)
        row["function"], row["seen_by"] = function, seen_by
        return row.tobytes()

    def place(pid, level):
        return np.array((pid, level), LIVE_PLACE).tobytes()

    def stack(pid, tgid, level):
        row = np.zeros(1, LIVE_STACK)
        row["tgid"], row["level"] = tgid, level
        return pid.to_bytes(4, "little"), row.tobytes()

    by_session = BY_RETURN >> WHOLE_TURN_SHIFT | 300
    calls = {
        place(11, 0): call(1, by_session),
        place(11, 1): call(2, 0),
        place(11, 2): call(3, 0),  # has returned
        place(12, 0): call(4, 0),  # so has this, with its thread
    }
    # Of thread 13 nothing is kept any more: it ended between the two looks.
    found = calls_on_stacks([stack(11, 10, 2), stack(13, 10, 1)], calls, dtype)
    assert found == [CallUnderWay(10, 1, 300), CallUnderWay(10, 2, None)]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("has_threads", [True, False])
def test_links_are_closed_whether_there_are_threads_or_not(monkeypatch, at_once, has_threads):
    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    if not has_threads:
        monkeypatch.setattr("_thread.start_new_thread", no_thread)
    read, write = os.pipe()
    closing = Closing(at_once)
    closing.begin([write])
    closing.begin(os.dup(read) for _ in range(5))
    closing.finish()
    assert closing.pending == 0
    assert os.read(read, 1) == b""  # the end: nobody can write any more
    os.close(read)
