"""These tests need root and a kernel with BPF. In CI that is required: a skip would hide a failure."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def privileged() -> None:
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("the BPF tests need root")
        pytest.skip("needs root")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """start([...]) runs a process in the background; it is gone after the test."""
    processes: list[subprocess.Popen[str]] = []

    def start_(arguments: list[str | Path], **options: object) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        process = subprocess.Popen(arguments, text=True, **pipes)  # type: ignore[call-overload]
        processes.append(process)
        return process

    yield start_
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], None]:
    """wait_for(condition) returns when it holds, and fails after half a minute."""

    def wait(condition: Callable[[], object]) -> None:
        for _ in range(600):
            if condition():
                return
            time.sleep(0.05)
        pytest.fail("it never came to that")

    return wait
