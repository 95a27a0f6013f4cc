"""Links are made again with calls under way: at each stage of it some return, and others begin."""

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
from funcsnoop.record.target import Target

NAMES = ["nest", "plain", "main"]
NEST, PLAIN, GONE = 1, 2, 3
#: In turn, so that calls of each stage return in several later ones. The kernel follows 64 nested returns.
ORDERS = ["eclll", "ece", "lllc", "eee"]
BEFORE, TIMES = 40, 4


class Obeying:
    """The program, and what it has done."""

    def __init__(self, process):
        self._process = process
        self._orders = iter(())
        self.depth = 0
        self.stages = 0
        self.events = []
        assert process.stdout.read(1) == b"."

    def do(self, orders):
        for order in orders:
            self._process.stdin.write(order.encode())
            self._process.stdin.flush()
            assert self._process.stdout.read(1) == b"."
            self.depth += {"e": 1, "l": -1, "c": 0}[order]
            self.events += {
                "e": [(ENTRY, NEST)],
                "l": [(EXIT, NEST)],
                "c": [(ENTRY, PLAIN), (EXIT, PLAIN)],
            }[order]

    def stage(self):
        self.do(ORDERS[self.stages % len(ORDERS)])
        self.stages += 1


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
def test_nothing_is_missed_or_seen_twice(build, monkeypatch, attach, exits, filtered):
    with ExitStack() as undo:
        program = build("obeys.c", "-O1", "-fno-optimize-sibling-calls")
        process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        undo.enter_context(process)
        undo.callback(process.stdin.close)
        target = Obeying(process)
        plan = make_plan(Target.for_pids([process.pid]), NAMES, [], exit_policy=exits)
        numbers = dict(zip(NAMES, (NEST, PLAIN, GONE), strict=True))
        probes = {
            numbers[function.symbol]: Probe(
                function.site,
                numbers[function.symbol],
                function.exit == "return",
                tuple(
                    Leave(site.offset, site.kind == "jump", site.condition) for site in function.exit_sites
                ),
                function.moved,
            )
            for function in plan.functions
        }
        programs = undo.enter_context(Programs(Sizes(arguments=0, filters=Filters(budget=1 << 20))))
        links = undo.enter_context(Links(programs, Strategy(attach)))
        ring = programs.ring()
        undo.callback(ring.close)
        programs.follow(process.pid)

        def attach_all(functions):
            chosen = [probes[function] for function in functions]
            links.attach(f"/proc/{process.pid}/exe", chosen, process.pid if filtered else None)

        attach_all([NEST, PLAIN, GONE])
        target.do("e" * BEFORE)
        set_turn = programs.set_turn

        def with_stages(*turn, **options):
            target.stage()
            set_turn(*turn, **options)
            target.stage()

        monkeypatch.setattr(programs, "set_turn", with_stages)
        for _ in range(TIMES):
            links.relink(lambda: (attach_all([NEST, PLAIN]), target.stage()))
        monkeypatch.undo()
        assert target.stages >= TIMES * 7
        assert links.catches == (exits == "return" and attach == "session")
        target.do("l" * target.depth)
        links.release(programs.calls_under_way())
        assert not links.catches

        taken = ring.take()
        assert list(zip(taken["type"].tolist(), taken["cookie"].tolist(), strict=True)) == target.events
        assert programs.counts().lost == 0
        links.close()
        target.do("cecl")
        assert len(ring.take()) == 0
