"""The verifier takes every program, with every set of macros that a recording can ask for."""

import os
from pathlib import Path

import pytest

from funcsnoop.bpf import syscall
from funcsnoop.bpf.compile import Sizes
from funcsnoop.bpf.filters import Filters
from funcsnoop.bpf.program import Programs

ATTACH_TYPES = {
    "session": syscall.ATTACH_UPROBE_SESSION,
    "multi": syscall.ATTACH_UPROBE_MULTI,
    "perf": 0,
}
NAMESPACE = (4, Path("/proc/self/ns/pid").stat().st_ino)
SIZES = {
    "default": Sizes(),
    "least": Sizes(processes=1, functions=1, ring_bytes=4096, arguments=0),
    "full": Sizes(layout="full", arguments=4),
    "large": Sizes(processes=8192, functions=40_000, ring_bytes=64 << 20, follow=True),
    "everyone": Sizes(all_processes=True),
    "namespace": Sizes(layout="full", pid_namespace=NAMESPACE),
    "namespace and forks": Sizes(follow=True, pid_namespace=NAMESPACE),
    "spans": Sizes(filters=Filters(spans=True)),
    "spans without arguments": Sizes(arguments=0, filters=Filters(spans=True)),
    "slow calls": Sizes(layout="full", pid_namespace=NAMESPACE, filters=Filters(min_duration_ns=50_000)),
    "depth": Sizes(filters=Filters(max_depth=3)),
    "samples": Sizes(follow=True, filters=Filters(sample=100)),
    "budget": Sizes(filters=Filters(budget=1009)),
    "slow calls of samples": Sizes(filters=Filters(min_duration_ns=1_000_000, sample=10, max_depth=5)),
    "all at once": Sizes(
        follow=True,
        pid_namespace=NAMESPACE,
        layout="full",
        filters=Filters(spans=True, sample=10, max_depth=5, budget=7),
    ),
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("attach", ATTACH_TYPES)
def test_every_program_loads(attach, sizes):
    attach_type = ATTACH_TYPES[attach]
    names = ["generic_entry", "generic_exit", "generic_leave", "entry_and_leave"]
    with Programs(sizes) as programs:
        if sizes.filters.budget and attach_type:
            names.append("generic_catch")
        for name in [*names, *(["generic_session"] if attach == "session" else [])]:
            programs.load(name, syscall.ATTACH_UPROBE_MULTI if name in names and attach_type else attach_type)
        for link in programs.watch_tasks(follow=sizes.follow):
            os.close(link)
