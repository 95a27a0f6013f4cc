"""Fixtures for all tests: build C programs, run the installed command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

import funcsnoop
from funcsnoop.analyze.trace import Trace

PROGRAMS = Path(__file__).parent / "programs"
FUNCSNOOP = Path(sys.executable).with_name("funcsnoop")

#: How many times longer than usual anything may take: an emulated machine is slow.
TIME_FACTOR = float(os.environ.get("FUNCSNOOP_TIME_FACTOR", "1"))

# How long an example takes depends on what else runs.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

Build = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """Multiply the time limit of every wait for a process by `TIME_FACTOR`."""
    popen = subprocess.Popen
    communicate, wait = popen.communicate, popen.wait

    def stretch(timeout: float | None) -> float | None:
        return timeout and timeout * TIME_FACTOR

    with pytest.MonkeyPatch.context() as patch:
        if TIME_FACTOR != 1:
            patch.setattr(
                popen,
                "communicate",
                lambda self, input=None, timeout=None: communicate(self, input, stretch(timeout)),
            )
            patch.setattr(popen, "wait", lambda self, timeout=None: wait(self, stretch(timeout)))
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that record run one after the other, beside those that only compute."""
    for item in items:
        if {"bpf", "faults", "interop"} & set(item.path.parts):
            item.add_marker(pytest.mark.xdist_group("kernel"))


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """build("calls.c", "-O1", ...) compiles a program of tests/programs once; its path."""
    directory = tmp_path_factory.mktemp("programs")
    built: dict[tuple[str, ...], Path] = {}

    def compile_(source: str, *flags: str, name: str | None = None) -> Path:
        key = (source, *flags)
        if key not in built:
            place = directory / str(len(built))
            place.mkdir()
            built[key] = place / (name or Path(source).stem)
            compiler = "g++" if source.endswith(".cc") else "gcc"
            subprocess.run([compiler, "-o", built[key], PROGRAMS / source, *flags], check=True)
        return built[key]

    return compile_


@dataclass(frozen=True)
class Finished:
    """A funcsnoop command that has ended."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Finished]:
    """run("record", "-f", "x", "--", "./a.out"): the installed command, in an empty directory."""

    def run_(*arguments: str | Path, env: dict[str, str] | None = None, **options: object) -> Finished:
        done = subprocess.run(
            [FUNCSNOOP, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"COLUMNS": "100"} | (env or {}),
            **options,  # type: ignore[call-overload]
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run_


@pytest.fixture
def record(run: Callable[..., Finished], tmp_path: Path) -> Callable[..., Trace]:
    """record(options, command): a recording that is to work; the opened trace."""
    count = 0

    def record_(
        options: Sequence[str | Path], command: Sequence[str | Path] = (), *, status: int = 0
    ) -> Trace:
        nonlocal count
        count += 1
        output = tmp_path / f"trace{count}.parquet"
        after = ["--", *command] if command else []
        done = run("record", "-o", output, *options, *after)
        assert done.status == status, done.stderr
        return funcsnoop.open(output)

    return record_
