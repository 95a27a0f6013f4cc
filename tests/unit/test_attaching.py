"""Which functions get probes again: those whose budget is spent do not."""

from __future__ import annotations

import pytest

from funcsnoop.errors import KernelError
from funcsnoop.record.attaching import Attaching
from funcsnoop.record.plan import Plan, PlannedFunction, PlannedModule, Seen
from funcsnoop.record.replan import added, rows_before
from funcsnoop.record.target import Target


class Links:
    """Remembers the cookies of each attaching."""

    def __init__(self, *, one_by_one=False, can=True):
        self.one_by_one = one_by_one
        self.can_remove = self.can_relink = can
        self.attached = []
        self.removed = []
        self.fails = False

    def attach(self, path, probes, pid):
        self.attached.append([probe.cookie for probe in probes])

    def load(self, *, leaves):
        pass

    def relink(self, make):
        if self.fails:
            raise KernelError("no", "nothing")
        make()

    def exchange(self, make):
        make()
        return 1, 2

    def remove(self, functions):
        self.removed.append(functions)


def function(cookie, reserve):
    seen = None if reserve is None else Seen(reserve, "code came")
    how = Seen("return", "nothing unwinds")
    return PlannedFunction(cookie, f"f{cookie}", "", cookie, cookie, 1, (), cookie, "push", 0, how, seen)


def module(*functions):
    return PlannedModule("/bin/x", "/bin/x", "/bin/x", None, None, functions, False, ())


PLAN = Plan(
    Target.for_everything(),
    None,
    (
        module(function(1, "ret"), function(2, "none"), function(3, "none"), function(4, None)),
        module(function(5, "none")),
    ),
    (),
    (),
)


def attaching(links):
    return Attaching(PLAN, links, (), True, [])


def test_rows_that_are_added_know_those_before():
    assert rows_before(PLAN) == {6: 2, 7: 3, 8: 5}
    assert [f.cookie for f in added(PLAN).functions] == [6, 7, 8]


def test_what_is_left_out_stays_out():
    links = Links()
    these = attaching(links)
    assert these.leave_out({1, 2, 5})
    assert links.attached == [[3, 4]]  # of the other module nothing is left
    assert these.leave_out({4})
    assert links.attached[1:] == [[3]]
    these.exchange("code came", 0)
    assert links.attached[2:] == [[7]]  # the third function, in its new row


def test_a_failure_leaves_all_as_it_was():
    links = Links()
    these = attaching(links)
    links.fails = True
    with pytest.raises(KernelError):
        these.leave_out({1})
    links.fails = False
    assert these.leave_out({3})
    assert links.attached == [[1, 2, 4], [5]]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_it_may_have_to_wait(one_by_one):
    links = Links(one_by_one=one_by_one, can=False)
    these = attaching(links)
    assert not these.leave_out({1})
    assert (links.attached, links.removed) == ([], [])
    links.can_relink = links.can_remove = True
    assert these.leave_out({1})
    assert links.removed == ([{1}] if one_by_one else [])
    assert links.attached == ([] if one_by_one else [[2, 3, 4], [5]])
