"""The clock of the day is set while a recording runs: its times, and its end, don't depend on it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import funcsnoop

from .sequences import (
    FUNCSNOOP,
    OPTIONS,
    Target,
    check_sequence,
    has_breakpoints,
    sequence,
    wait_until,
)

CALLS = 100_003
steps = pytest.mark.parametrize(("step", "way"), [(3600, "forward"), (-3600, "back")])


@pytest.fixture
def with_step(build, make, tmp_path):
    """with_step(seconds, option, ...): a target while it is recorded, after the clock was set.

    Only the recorder sees another clock, through a library of ours: the machine's is everybody's.
    """
    shim = make("steps_clock.c", "-O1", "-shared", "-fPIC")
    file = tmp_path / "step"

    @contextmanager
    def with_step_(step: int, *options: str) -> Iterator[Target]:
        with sequence(build("sequence.c", "-O1"), CALLS) as target:
            words = ["record", *OPTIONS, *options, "-o", tmp_path / "t.parquet", "-p", str(target.pid)]
            with subprocess.Popen(
                [FUNCSNOOP, *words],
                env=os.environ | {"LD_PRELOAD": str(shim), "CLOCK_STEP": str(file)},
                stderr=subprocess.PIPE,
                text=True,
            ) as process:
                wait_until(lambda: has_breakpoints(target.pid))
                file.write_text(str(step))
                yield target
                _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors

    return with_step_


def metadata_of(trace: Path, step: int, way: str) -> dict[str, Any]:
    """The metadata, which tell of the step."""
    metadata = funcsnoop.open(trace).metadata
    started, ended = metadata["started"], metadata["ended"]
    assert abs((ended["realtime_ns"] - started["realtime_ns"]) / 1e9 - step) < 120
    (notice,) = [notice for notice in metadata["notices"] if "clock" in notice]
    assert notice.startswith(f"the clock was set {way} by 3,600.0 s meanwhile")
    return metadata


@steps
def test_a_duration_lasts_as_long(with_step, tmp_path, step, way):
    with with_step(step, "--duration", "3s"):
        pass  # the target waits, and so does the recorder
    metadata = metadata_of(tmp_path / "t.parquet", step, way)
    assert metadata["end_reason"] == "duration"
    assert 3 <= (metadata["ended"]["monotonic_ns"] - metadata["started"]["monotonic_ns"]) / 1e9 < 60


@steps
def test_events_have_the_times_of_another_clock(with_step, tmp_path, step, way):
    with with_step(step) as target:
        target.go()
        target.ends_as_if_alone()
    metadata = metadata_of(tmp_path / "t.parquet", step, way)
    assert check_sequence(tmp_path / "t.parquet") == 2 * CALLS
    times = funcsnoop.open(tmp_path / "t.parquet").events.collect()["timestamp"]
    assert times.is_sorted()
    assert metadata["started"]["monotonic_ns"] < times[0] < times[-1] < metadata["ended"]["monotonic_ns"]
