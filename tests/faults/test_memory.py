"""Too little memory: at the start, suddenly, and so that the kernel kills the recorder for it.

The recorder says so in two lines, or is killed as by `kill -9`; it never hangs; the target does not notice.
"""

from __future__ import annotations

import re
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import funcsnoop

from .conftest import RUNS
from .sequences import FUNCSNOOP, check_sequence, committed, has_breakpoints, recorder, sequence, wait_until

CALLS = 100_003
LIMITS = {
    # Python alone takes 40 MiB; of data, 20.
    resource.RLIMIT_AS: range(60, 1400, 20) if RUNS > 1 else (90, 400, 780, 1300),
    resource.RLIMIT_DATA: range(30, 500, 10) if RUNS > 1 else (40, 120, 210, 400),
}


@pytest.mark.parametrize(("kind", "mebibytes"), [(kind, size) for kind in LIMITS for size in LIMITS[kind]])
def test_limited_from_the_start(build, tmp_path, kind, mebibytes):
    """A recording that is whole, or none: what is refused is refused before there is a file."""
    limit = mebibytes << 20
    output = tmp_path / "t.parquet"
    command = [build("sequence.c", "-O1"), str(CALLS), "3"]
    with subprocess.Popen(
        [FUNCSNOOP, "record", "-o", output, "-f", "step", "--", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(kind, (limit, limit)),
    ) as process:
        out, errors = process.communicate("\n", timeout=60)
    if process.returncode == 3:
        assert out == f"ready\n{CALLS * (CALLS + 1) // 2}\n"
        assert check_sequence(output) == 2 * CALLS
        return
    assert (process.returncode, out) == (1, "")
    first, second = errors.splitlines()
    assert "out of memory" in first
    assert second.startswith("  ")
    assert list(tmp_path.iterdir()) == []
    assert mebibytes < (1300 if kind == resource.RLIMIT_AS else 400)


@pytest.mark.parametrize("mebibytes", [-8, 0, 1, 4, 16] if RUNS > 1 else [0, 4])
@pytest.mark.parametrize("begun", [False, True])
def test_no_more_while_it_records(build, tmp_path, mebibytes, begun):
    """What was committed is saved, and the events that were not are known as lost."""
    output, partial = tmp_path / "t.parquet", tmp_path / "t.parquet.partial"
    calls = 1_000_003
    with sequence(build("sequence.c", "-O1"), calls) as target, recorder(target, output) as process:
        wait_until(lambda: has_breakpoints(target.pid))
        if begun:
            target.go()
            wait_until(lambda: committed(partial))
        status = Path(f"/proc/{process.pid}/status").read_text()
        limit = (int(re.search(r"VmData:\s+(\d+)", status)[1]) << 10) + (mebibytes << 20)
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (limit, limit))
        if not begun:
            target.go()
        target.ends_as_if_alone()
        _, errors = process.communicate(timeout=60)
    assert output.exists(), (errors, process.returncode)
    counts = funcsnoop.open(output).metadata["counts"]
    assert counts["recorded"] == check_sequence(output)
    assert counts["produced"] == counts["recorded"] + sum(counts["lost"].values())
    if process.returncode == 0:
        assert (errors, counts["produced"]) == ("", 2 * calls)
        return
    assert process.returncode == 1
    first, second = errors.splitlines()
    assert "out of memory" in first
    assert f"{counts['recorded']:,} events were saved before that, in {output}" in first
    assert second.startswith("  ")
    assert funcsnoop.open(output).metadata["end_reason"] == "error"
    assert counts["lost"]["unsaved"] > 0


@contextmanager
def memory_group() -> Iterator[tuple[Path, str]]:
    """A control group of this process's, and the name of its limit; nothing is left in it afterwards."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        place = {"": "/sys/fs/cgroup", "memory": "/sys/fs/cgroup/memory"}.get(controllers)
        name = "memory.max" if controllers == "" else "memory.limit_in_bytes"
        if place is None:
            continue
        group = Path(place + path) / "funcsnoop-test"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / name).exists():
                yield group, name
                return
        finally:
            group.rmdir()
    pytest.skip("no control group for memory can be made here")


def test_killed_by_the_kernel_for_want_of_memory(build, tmp_path, run):
    """As `kill -9`: what was committed is recovered, and the target does not notice."""
    output, partial = tmp_path / "t.parquet", tmp_path / "t.parquet.partial"
    with (
        memory_group() as (group, name),
        sequence(build("sequence.c", "-O1"), 1_000_003) as target,
        recorder(target, output) as process,
    ):
        wait_until(lambda: has_breakpoints(target.pid))
        target.go()
        wait_until(lambda: committed(partial))
        # What it has already stays in the account of the group above: what it takes from now on is here.
        (group / name).write_text(str(1 << 20))
        (group / "cgroup.procs").write_text(str(process.pid))
        target.ends_as_if_alone()
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (-signal.SIGKILL, "")
    assert run("recover", partial).status == 0
    assert check_sequence(output) > 0
    assert funcsnoop.open(output).metadata["end_reason"] == "recovered"
