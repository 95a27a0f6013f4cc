"""Links are exchanged with calls under way: at each stage of it some return, and others begin."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack

import pytest

from funcsnoop.bpf.compile import Sizes
from funcsnoop.bpf.features import Strategy
from funcsnoop.bpf.filters import Filters
from funcsnoop.bpf.layout import ENTRY, EXIT
from funcsnoop.bpf.links import Links
from funcsnoop.bpf.probes import Leave, Probe
from funcsnoop.bpf.program import Programs
from funcsnoop.record.plan import make_plan
from funcsnoop.record.spans import expand
from funcsnoop.record.target import Target

NAMES = ["nest", "plain", "main"]
NEST, PLAIN, MAIN = 1, 2, 3
#: In turn, so that calls of each stage return in several later ones. The kernel follows 64 nested returns.
BEFORE = "e" * 40
ORDERS = ["eclll", "ece", "lllc", "eee"]
#: The same where each stage begins inside of an outermost call, and ends inside of another, at level 2.
ROOTS = ["cllcece", "lclcecleec", "ecllleeclce"]
HOUR = 3_600_000_000_000


class Obeying:
    """The program with these probes, and what it has done: (type, function, level, outermost call)."""

    def __init__(self, undo, build, exits, orders):
        program = build("obeys.c", "-O1", "-fno-optimize-sibling-calls")
        self._process = process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        undo.enter_context(process)
        undo.callback(process.stdin.close)
        assert process.stdout.read(1) == b"."
        self._orders = orders
        self.pid = process.pid
        self.depth = self.roots = self.stages = 0
        self.events = []

    def do(self, orders):
        for order in orders:
            if order != "l" and not self.depth:
                self.roots += 1
            if order != "e":
                self.depth -= order == "l"
            row = self.depth, self.roots
            self.events += {
                "e": [(ENTRY, NEST, *row)],
                "l": [(EXIT, NEST, *row)],
                "c": [(ENTRY, PLAIN, *row), (EXIT, PLAIN, *row)],
            }[order]
            self.depth += order == "e"
            self._process.stdin.write(order.encode())
            assert self._process.stdout.read(1) == b"."

    def stage(self):
        self.do(self._orders[self.stages % len(self._orders)])
        self.stages += 1

    def probes(self, exits):
        plan = make_plan(Target.for_pids([self.pid]), NAMES, [], exit_policy=exits)
        numbers = dict(zip(NAMES, (NEST, PLAIN, MAIN), strict=True))
        return {
            numbers[function.symbol]: Probe(
                function.site,
                numbers[function.symbol],
                function.exit == "return",
                tuple(Leave(s.offset, s.kind == "jump", s.condition) for s in function.exit_sites),
                function.moved,
            )
            for function in plan.functions
        }


class Exchanging:
    """Links on the program that can be exchanged, and the ring that they fill."""

    def __init__(self, undo, monkeypatch, target, attach, filtered, filters):
        self.target = target
        self.programs = undo.enter_context(Programs(Sizes(arguments=0, filters=filters)))
        self.links = undo.enter_context(Links(self.programs, Strategy(attach)))
        self.ring = self.programs.ring()
        undo.callback(self.ring.close)
        self._filter = target.pid if filtered else None
        self._monkeypatch = monkeypatch
        self.programs.follow(target.pid)

    def attach(self, probes):
        self.links.attach(f"/proc/{self.target.pid}/exe", list(probes), self._filter)

    def attach_in_stages(self, probes):
        self.target.stage()
        self.attach(probes)
        self.target.stage()

    def in_stages(self, exchange):
        """Have the program go on before and after each change of turns."""
        set_turn = self.programs.set_turn

        def with_stages(*turn, **options):
            self.target.stage()
            set_turn(*turn, **options)
            self.target.stage()

        with self._monkeypatch.context() as patch:
            patch.setattr(self.programs, "set_turn", with_stages)
            exchange()

    def taken(self):
        events = expand(self.ring.take()) if self.programs.sizes.filters.waits else self.ring.take()
        assert self.programs.counts().lost == 0
        return list(zip(events["type"].tolist(), events["cookie"].tolist(), strict=True))


@pytest.mark.parametrize("times", [4])
@pytest.mark.parametrize(
    "filters",
    [
        Filters(budget=1 << 20),
        Filters(budget=1 << 20, max_depth=35),
        Filters(budget=1 << 20, spans=True),
    ],
    ids=["budget", "depth", "spans"],
)
@pytest.mark.parametrize(
    ("attach", "exits", "filtered"),
    [
        ("session", "return", False),
        ("session", "return", True),
        ("session", "ret", False),
        ("multi", "return", True),
        ("multi", "ret", True),
    ],
)
def test_the_same_probes_on_fewer_functions(build, monkeypatch, attach, exits, filtered, filters, times):
    with ExitStack() as undo:
        target = Obeying(undo, build, exits, ORDERS)
        probes = target.probes(exits)
        these = Exchanging(undo, monkeypatch, target, attach, filtered, filters)
        these.attach(probes.values())
        target.do(BEFORE)
        for _ in range(times):
            these.in_stages(
                lambda: these.links.relink(lambda: these.attach_in_stages([probes[NEST], probes[PLAIN]]))
            )
        assert target.stages >= times * 8
        assert these.links.catches == (exits == "return" and attach == "session")
        target.do("l" * target.depth)
        these.links.release(these.programs.calls_under_way())
        assert not these.links.catches
        most = filters.max_depth or 64
        assert these.taken() == [event[:2] for event in target.events if event[2] < most]
        these.links.close()
        target.do("cecl")
        assert these.taken() == []


def check_sample(taken, target, one_in):
    """Whole outermost calls, one of each so many in a row."""
    trees = [[e[:2] for e in target.events if e[3] == root] for root in range(1, target.roots + 1)]
    chosen = []
    for i, tree in enumerate(trees):
        # Trees can be equal, but then one is as good as the other: the first of a round that fits is taken.
        if taken[: len(tree)] == tree and len(chosen) <= i // one_in:
            chosen.append(i)
            taken = taken[len(tree) :]
    assert taken == []
    assert target.roots // one_in <= len(chosen) <= -(target.roots // -one_in)


@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(spans=True),
        Filters(min_duration_ns=1),
        Filters(min_duration_ns=HOUR),
        Filters(max_depth=1),
        Filters(max_depth=3, spans=True),
        Filters(budget=29),
        Filters(sample=3),
        Filters(sample=3, min_duration_ns=1),
    ],
    ids=["all", "spans", "slow", "none", "outermost", "depth", "budget", "sample", "slow sample"],
)
@pytest.mark.parametrize(("attach", "filtered"), [("session", False), ("multi", True)])
def test_return_probes_for_probes_on_ret(build, monkeypatch, attach, filtered, filters):
    """What is left out is so on both sides of the exchange; nothing else is."""
    with ExitStack() as undo:
        target = Obeying(undo, build, "return", ROOTS)
        before, after = target.probes("return"), target.probes("ret")
        these = Exchanging(undo, monkeypatch, target, attach, filtered, filters)
        these.attach([before[NEST], before[PLAIN]])
        target.do("ece")
        these.in_stages(
            lambda: these.links.exchange(lambda: these.attach_in_stages([after[NEST], after[PLAIN]]))
        )
        assert target.stages >= 8
        target.do("l" * target.depth)
        taken = these.taken()
        left_out = these.programs.filtered()
        if filters.sample:
            check_sample(taken, target, filters.sample)
            return
        calls = {NEST: 0, PLAIN: 0}
        kept, open_calls = [], []
        for kind, function, level, _ in target.events:
            if kind == ENTRY:
                calls[function] += 1
                open_calls.append(
                    level < (filters.max_depth or 64)
                    and calls[function] <= (filters.budget or 1 << 20)
                    and filters.min_duration_ns != HOUR
                )
            if open_calls[-1]:
                kept.append((kind, function))
            if kind == EXIT:
                open_calls.pop()
        assert taken == kept
        spared = left_out.deep + left_out.over_budget + left_out.brief
        assert these.programs.counts().produced == len(taken) + spared
        assert (spared > 0) == (len(kept) < len(target.events))
