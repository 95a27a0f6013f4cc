"""The recorder is killed with SIGKILL at random moments: what it had committed is there, all of it."""

from __future__ import annotations

import json
import os
import random
import re
import struct
import subprocess
import time
import zlib
from contextlib import nullcontext
from pathlib import Path

import pytest

import funcsnoop

from .sequences import (
    FUNCSNOOP,
    changed_code,
    check_sequence,
    has_breakpoints,
    recorder,
    sequence,
    state,
    wait_until,
)

#: How often the recorder is killed; FUNCSNOOP_FAULT_RUNS=50 for the full count.
RUNS = int(os.environ.get("FUNCSNOOP_FAULT_RUNS", "8"))
CALLS = 3_000_000


def sealed_rows(content: bytes) -> int:
    """Rows in sealed commits, found without funcsnoop's own reader."""
    rows = 0
    for found in re.finditer(b"FSNPSEAL", content):
        raw = content[found.start() : found.start() + 32]
        if len(raw) == 32:
            _, start, count, checksum, own = struct.unpack("<8sQQII", raw)
            if own == zlib.crc32(raw[:28]) and checksum == zlib.crc32(content[start : found.start()]):
                rows += count
    return rows


def bpf_objects(pid: int) -> set[tuple[str, int]]:
    """Ids of the programs and links that a process holds."""
    found = set()
    try:
        for info in Path(f"/proc/{pid}/fdinfo").iterdir():
            text = info.read_text()
            for kind in ("link", "prog"):
                if match := re.search(rf"^{kind}_id:\s+(\d+)$", text, re.MULTILINE):
                    found.add((kind, int(match[1])))
    except FileNotFoundError:
        pass
    return found


def loaded_objects() -> set[tuple[str, int]]:
    """Ids of all programs and links that the kernel has."""
    return {
        (kind, entry["id"])
        for kind in ("link", "prog")
        for entry in json.loads(
            subprocess.run(["bpftool", "-j", kind, "show"], check=True, capture_output=True).stdout
        )
    }


@pytest.mark.parametrize("attempt", range(RUNS))
def test_killed_at_a_random_moment(build, run, tmp_path, attempt):
    output, partial = tmp_path / "t.parquet", tmp_path / "t.parquet.partial"
    delay = random.Random(attempt).uniform(0.02, 2.5)
    with sequence(build("sequence.c", "-O1"), CALLS) as target, recorder(target, output) as process:
        wait_until(lambda: has_breakpoints(target.pid))
        target.go()
        time.sleep(delay)
        # Every second one stands somewhere in the function that is traced, so that it can be looked at.
        with target.stopped() if attempt % 2 else nullcontext():
            committed = sealed_rows(partial.read_bytes())
            mine = bpf_objects(process.pid)
            process.kill()
            process.wait()
            assert {kind for kind, _ in mine} == {"link", "prog"}
            wait_until(lambda: not mine & loaded_objects())
            if state(target.pid) == "T":
                assert changed_code(target.pid) == 0
        target.ends_as_if_alone()

    assert not output.exists()
    left = partial.read_bytes()
    done = run("recover", partial)
    assert done.status == 0, done.stderr
    assert not partial.exists()
    rows = check_sequence(output)
    assert rows == sealed_rows(left) >= committed
    metadata = funcsnoop.open(output).metadata
    counts = metadata["counts"]
    assert metadata["end_reason"] == "recovered"
    assert counts["recorded"] == rows
    assert counts["lost"]["buffer"] == 0
    assert counts["produced"] == rows + counts["lost"]["unsaved"]
    # At most the last second is missing, and what waited for its turn: this machine may be busy.
    if delay > 2.2:
        assert rows > 0


@pytest.mark.parametrize("attempt", range(max(2, RUNS // 4)))
def test_killed_while_it_starts(build, run, tmp_path, attempt):
    """Before there is an event: nothing, or a file that says so, and a target that never notices."""
    output, partial = tmp_path / "t.parquet", tmp_path / "t.parquet.partial"
    with sequence(build("sequence.c", "-O1"), 1000) as target, recorder(target, output) as process:
        time.sleep(random.Random(attempt).uniform(0.1, 1.5))
        mine = bpf_objects(process.pid)
        process.kill()
        process.wait()
        wait_until(lambda: not mine & loaded_objects())
        assert changed_code(target.pid) == 0
        target.go()
        target.ends_as_if_alone()
    if not partial.exists():
        return
    done = run("recover", partial)
    assert len(done.stderr.splitlines()) == 2, done.stderr
    assert (done.status == 0) == output.exists() != partial.exists()
    if output.exists():
        assert funcsnoop.open(output).rows == 0
    else:
        assert "nothing in" in done.stderr


def test_a_command_outlives_its_recorder(build, run, tmp_path):
    """Launched rather than found: its output is whole, and what was committed as well."""
    program, output = build("sequence.c", "-O1"), tmp_path / "t.parquet"
    partial = tmp_path / "t.parquet.partial"
    words = [FUNCSNOOP, "record", "-f", "step", "--exit", "return", "-o", output, "--", program]
    with subprocess.Popen(
        [*words, str(CALLS), "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
        wait_until(lambda: partial.exists() and sealed_rows(partial.read_bytes()) > 0)
        process.kill()
        # The pipe ends when the command, which has inherited it, does.
        assert process.stdout.read() == f"{CALLS * (CALLS + 1) // 2}\n"
    rows = sealed_rows(partial.read_bytes())
    assert run("recover", partial).status == 0
    assert funcsnoop.open(output).rows == rows > 0
