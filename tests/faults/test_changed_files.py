"""A traced file changes on disk: what runs the old one is recorded, what runs the new one runs as alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import funcsnoop

from .sequences import FUNCSNOOP, has_breakpoints, wait_until

#: Run, change, run again.
TWICE = "./prog </dev/null; echo $?; {change}; ./prog </dev/null; echo $?"
OUTPUT = "ready\none 97\n3\nready\ntwo 89\n5\n"


@pytest.fixture
def two_builds(make, tmp_path, monkeypatch) -> Path:
    """The current directory has `prog` and `new`, its next build."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(make("build_one.c", "-O1"), "prog")
    shutil.copy(make("build_two.c", "-O1"), "new")
    return tmp_path


def calls_of_work(path: str) -> int:
    calls = funcsnoop.open(path).calls().collect()
    return sum(name == "work" for name in calls["name"].cast(str))


@pytest.mark.parametrize(
    ("attach", "exit_"), [("session", "return"), ("session", "ret"), ("multi", "ret"), ("perf", "none")]
)
def test_overwritten_in_place(two_builds, run, attach, exit_):
    """Whoever writes waits until the probes are out: else the new code would have breakpoints anywhere."""
    command = TWICE.format(change="cp new prog")
    options = ["--follow", "--attach", attach, "--exit", exit_, "-f", "./prog:*"]
    done = run("record", *options, "--", "sh", "-c", command)
    assert (done.status, done.stdout) == (0, OUTPUT), done.stderr
    assert calls_of_work("trace.parquet") == 97
    metadata = funcsnoop.open("trace.parquet").metadata
    assert metadata["end_reason"] == "overwritten"
    assert metadata["counts"]["lost"] == {"buffer": 0}
    (notice,) = [notice for notice in metadata["notices"] if "overwritten" in notice]
    assert notice in done.stderr


def test_replaced_by_another_file(two_builds, run):
    command = TWICE.format(change="mv new prog")
    done = run("record", "--follow", "-f", "./prog:*", "--", "sh", "-c", command)
    assert (done.status, done.stdout) == (0, OUTPUT), done.stderr
    assert calls_of_work("trace.parquet") == 97
    metadata = funcsnoop.open("trace.parquet").metadata
    assert metadata["end_reason"] == "command-exit"
    (notice,) = [notice for notice in metadata["notices"] if "was replaced" in notice]
    (build_id,) = {function["build_id"] for function in metadata["functions"]}
    assert build_id[:12] in notice
    assert notice.count("build id") == 1
    assert notice in done.stderr


@pytest.mark.parametrize("module", ["", "./prog:", "prog:"])
def test_replaced_before(two_builds, run, module):
    """The process runs the old file, whose functions are elsewhere: that one is recorded, and it is said."""
    old = Path("prog").stat().st_ino
    with subprocess.Popen(["./prog"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as target:
        assert target.stdout.readline() == "ready\n"
        os.replace("new", "prog")
        assert Path("prog").stat().st_ino != old
        with subprocess.Popen(
            [FUNCSNOOP, "record", "-p", str(target.pid), "-f", f"{module}work"],
            stderr=subprocess.PIPE,
            text=True,
        ) as recorder:
            wait_until(lambda: has_breakpoints(target.pid))
            assert target.communicate("\n", timeout=60) == ("one 97\n", None)
            _, errors = recorder.communicate(timeout=60)
    assert (target.returncode, recorder.returncode) == (3, 0), errors
    assert calls_of_work("trace.parquet") == 97
    assert "was replaced on disk since it was loaded: recorded is what runs" in errors
