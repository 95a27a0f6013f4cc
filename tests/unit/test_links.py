"""What the links refuse, whoever asks for it."""

from __future__ import annotations

import pytest

from funcsnoop.bpf.features import Strategy
from funcsnoop.bpf.links import Links
from funcsnoop.bpf.probes import Probe
from funcsnoop.errors import KernelError


class NoPrograms:
    def load(self, *_: object) -> int:
        raise AssertionError("it came as far as the kernel")


@pytest.mark.parametrize("strategy", Strategy)
def test_no_return_probe_where_the_stack_pointer_has_moved(strategy):
    """It would replace a word of the program's that is no return address."""
    probes = [Probe(0x1000, 1, returns=True), Probe(0x2007, 2, returns=True, moved=8)]
    with pytest.raises(KernelError, match="would not sit where the return address is"):
        Links(NoPrograms(), strategy).attach("/proc/self/exe", probes, 1)


@pytest.mark.parametrize("strategy", [Strategy.MULTI, Strategy.PERF])
def test_no_return_probe_in_bystanders(strategy):
    with pytest.raises(KernelError, match="need session links"):
        Links(NoPrograms(), strategy).attach("/proc/self/exe", [Probe(0x1000, 1, returns=True)], None)
