"""Programs that are run twice, alone and recorded, and must not tell the difference."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import funcsnoop
from funcsnoop.analyze.trace import Trace

PROGRAMS = Path(__file__).parent / "programs"
#: How often what depends on chance is run: FUNCSNOOP_FAULT_RUNS, few by default.
RUNS = int(os.environ.get("FUNCSNOOP_FAULT_RUNS", "1"))

Survives = Callable[..., Trace]


@pytest.fixture(autouse=True)
def privileged() -> None:
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("the fault tests need root")
        pytest.skip("needs root")


@pytest.fixture
def make(build, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """make("throws.cc", "-O2", ...): a program of tests/faults/programs, compiled."""

    def make_(source: str, *flags: str, name: str | None = None) -> Path:
        if source.endswith(".go"):
            return elsewhere("go", ["build", *flags], source)
        if source.endswith(".rs"):
            return elsewhere("rustc", flags, source)
        return build(str(PROGRAMS / source), *flags, name=name)

    def elsewhere(compiler: str, arguments: Sequence[str], source: str) -> Path:
        if not shutil.which(compiler):
            if os.environ.get("CI"):
                pytest.fail(f"{compiler} is missing: CI=true scripts/setup test")
            pytest.skip(
                f"{compiler} is missing: apt-get install {'golang-go' if compiler == 'go' else compiler}"
            )
        output = tmp_path_factory.mktemp(compiler) / Path(source).stem
        cache = {"GOCACHE": str(output.parent / "cache"), "GOFLAGS": "-mod=mod"} if compiler == "go" else {}
        subprocess.run(
            [compiler, *arguments, "-o", output, PROGRAMS / source],
            check=True,
            env=os.environ | cache,
            timeout=120,
        )
        return output

    return make_


@pytest.fixture
def survives(run, tmp_path: Path) -> Survives:
    """survives([program, argument], *options): run it alone, then recorded; the opened trace.

    What it prints on stdout and stderr and its exit status must be the same, and no event be lost.
    """
    count = 0

    def survives_(command: Sequence[str | Path], *options: str | Path) -> Trace:
        nonlocal count
        count += 1
        output = tmp_path / f"survived{count}.parquet"
        alone = subprocess.run(
            list(command), capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, cwd=tmp_path
        )
        # Quiet, so that all that is on stderr is the program's, unless something is wrong.
        recorded = run("record", "-q", "-o", output, *options, "--", *command)
        status = 128 - alone.returncode if alone.returncode < 0 else alone.returncode
        assert (recorded.stdout, recorded.stderr, recorded.status) == (alone.stdout, alone.stderr, status)
        trace = funcsnoop.open(output)
        counts = trace.metadata["counts"]
        assert counts["lost"] == {"buffer": 0}
        assert counts["produced"] == counts["recorded"]
        return trace

    return survives_
