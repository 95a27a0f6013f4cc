"""These tests need root and a kernel with BPF. In CI that is required: a skip would hide a failure."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

#: The strategies to test, best first: fewer than all where scripts/test-kernels boots a kernel that
#: cannot have the others. Anywhere else a strategy that is missing is a failure.
STRATEGIES = os.environ.get("FUNCSNOOP_KERNEL_TESTS", "session multi perf").split()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "attach(strategy): shows what only this strategy does")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests of other strategies."""

    def strategy(item: pytest.Item) -> str:
        marker = item.get_closest_marker("attach")
        parameters = getattr(item, "callspec", None)
        wanted = marker.args[0] if marker else parameters and parameters.params.get("attach")
        return str(wanted or STRATEGIES[0])

    missing = [item for item in items if strategy(item) not in STRATEGIES]
    if missing:
        config.hook.pytest_deselected(items=missing)
        items[:] = [item for item in items if item not in missing]


@pytest.fixture(autouse=True)
def privileged() -> None:
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("the BPF tests need root")
        pytest.skip("needs root")


def end_all(mark: str) -> None:
    """Kill all whose environment holds `mark`: the command of a recorder that was killed runs on."""
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (place / "environ").read_bytes():
                os.kill(int(place.name), signal.SIGKILL)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """start([...]) runs a process in the background; it is gone after the test."""
    processes: list[subprocess.Popen[str]] = []
    mark = str(uuid.uuid4())

    def start_(arguments: list[str | Path], **options: object) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        environment = dict(pipes.pop("env", os.environ), FUNCSNOOP_TEST=mark)  # type: ignore[call-overload]
        process = subprocess.Popen(arguments, text=True, env=environment, **pipes)  # type: ignore[call-overload]
        processes.append(process)
        return process

    yield start_
    end_all(mark)
    for process in processes:
        process.communicate(timeout=30)


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], None]:
    """wait_for(condition) returns when it holds, and fails after half a minute."""
    rounds = int(600 * float(os.environ.get("FUNCSNOOP_TIME_FACTOR", "1")))

    def wait(condition: Callable[[], object]) -> None:
        for _ in range(rounds):
            if condition():
                return
            time.sleep(0.05)
        pytest.fail("it never came to that")

    return wait
