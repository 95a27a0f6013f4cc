"""The ring's reader is woken when the ring is filling, and not by a few events."""

import subprocess
import time

import numpy as np
import pytest

from funcsnoop.bpf.features import Strategy
from funcsnoop.bpf.links import Links
from funcsnoop.bpf.probes import Probe
from funcsnoop.bpf.program import Programs, Sizes
from funcsnoop.record.plan import make_plan
from funcsnoop.record.target import Target

RING_BYTES = 256 * 1024


@pytest.fixture
def ring(build):
    """recorded(calls) starts so many calls of step(), each two events; the ring that they go to."""
    target = None
    with (
        Programs(Sizes(ring_bytes=RING_BYTES, arguments=0)) as programs,
        Links(programs, Strategy.SESSION) as links,
    ):
        ring = programs.ring()
        ring.await_filling(0)  # what is in it already does not count as filling

        def recorded(calls):
            nonlocal target
            target = subprocess.Popen(
                [build("sequence.c", "-O1"), str(calls), "0"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert target.stdout.readline() == "ready\n"
            (function,) = make_plan(Target.for_pids([target.pid]), ["step"], []).functions
            programs.follow(target.pid)
            links.attach(f"/proc/{target.pid}/exe", [Probe(function.site, 1, returns=True)], target.pid)
            target.communicate("\n", timeout=60)
            return ring

        yield recorded
        ring.close()


@pytest.mark.attach("session")
def test_few_events_wake_nobody(ring):
    filling = ring(97)
    begin = time.monotonic()
    filling.await_filling(0.4)
    assert time.monotonic() - begin >= 0.4
    assert len(filling.take()) == 2 * 97


@pytest.mark.attach("session")
def test_an_eighth_of_the_ring_wakes(ring):
    """Each CPU has a share of it; so it is less that wakes, where one of them does all."""
    filling = ring(RING_BYTES // 8 // 2 // 50)
    begin = time.monotonic()
    filling.await_filling(60)
    assert time.monotonic() - begin < 30
    taken = filling.take()
    assert (np.bincount(taken["type"]) == len(taken) // 2).all()


@pytest.mark.attach("session")
def test_wake_ends_the_wait(ring):
    filling = ring(1)
    filling.wake()
    begin = time.monotonic()
    for _ in range(3):
        filling.await_filling(60)
    assert time.monotonic() - begin < 30
