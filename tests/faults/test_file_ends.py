"""The place where the file goes fails during the recording: no room, no directory, no name."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import funcsnoop
from funcsnoop.analyze.partial import open_partial

from .sequences import check_sequence, committed, has_breakpoints, recorder, sequence, wait_until

CALLS = 1_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 512 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def two_lines(text: str) -> tuple[str, str]:
    first, second = text.splitlines()
    assert first.startswith("funcsnoop: ")
    assert second.startswith("  ")
    return first, second


def test_disk_full(build, run, small_disk):
    """What was committed is a finished trace; the target runs to its end; the error names both."""
    output = small_disk / "t.parquet"
    with sequence(build("sequence.c", "-O1"), CALLS) as target, recorder(target, output) as process:
        wait_until(lambda: (small_disk / "t.parquet.partial").exists())
        wait_until(lambda: has_breakpoints(target.pid))
        target.go()
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        target.ends_as_if_alone()
    wrong, todo = two_lines(errors)
    assert "No space left on device" in wrong
    saved = int(re.search(r"([\d,]+) events were saved", wrong)[1].replace(",", ""))
    assert saved > 0
    if not output.exists():
        # Not even the footer had room.
        assert f"funcsnoop recover {output}.partial" in todo
        shutil.copy(f"{output}.partial", small_disk.parent)
        partial = small_disk.parent / "t.parquet.partial"
        assert run("recover", partial).status == 0
        output = small_disk.parent / "t.parquet"
    else:
        assert wrong.endswith(f"in {output}")
    assert check_sequence(output) == saved
    metadata = funcsnoop.open(output).metadata
    counts = metadata["counts"]
    assert metadata["end_reason"] == "error"
    assert counts["recorded"] == saved
    assert counts["produced"] == saved + sum(counts["lost"].values())
    assert counts["lost"]["unsaved"] > 0


def test_no_room_for_recovery_either(build, run, small_disk, tmp_path):
    """`recover` on a disk without a free byte leaves the file as it was; -o and free space both help."""
    output, partial = small_disk / "t.parquet", small_disk / "t.parquet.partial"
    with sequence(build("sequence.c", "-O1"), 100_000) as target, recorder(target, output) as process:
        wait_until(lambda: has_breakpoints(target.pid))
        target.go()
        wait_until(lambda: committed(partial))
        process.kill()
        process.wait()
        target.ends_as_if_alone()
    rows = open_partial(partial).rows
    # What was torn off would be room for the footer.
    os.truncate(partial, open_partial(partial).end)
    with (small_disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(b"x" * 4096)
    before = partial.read_bytes()
    done = run("recover", partial)
    assert done.status == 1
    assert "No space left" in two_lines(done.stderr)[0]
    assert not output.exists()
    assert partial.read_bytes() == before
    assert run("recover", partial, "-o", tmp_path / "saved.parquet").status == 0
    assert check_sequence(tmp_path / "saved.parquet") == rows
    (small_disk / "filler").unlink()
    assert run("recover", partial).status == 0
    assert check_sequence(output) == rows


def test_the_directory_is_removed(build, tmp_path, monkeypatch):
    """The recording is saved elsewhere, and the error says where."""
    place, elsewhere = tmp_path / "gone", tmp_path / "tmp"
    place.mkdir()
    elsewhere.mkdir()
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    with (
        sequence(build("sequence.c", "-O1"), 100_000) as target,
        recorder(target, place / "t.parquet") as process,
    ):
        wait_until(lambda: has_breakpoints(target.pid))
        shutil.rmtree(place)
        target.go()
        target.ends_as_if_alone()
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
    wrong, todo = two_lines(errors)
    (saved,) = elsewhere.iterdir()
    assert str(place) in wrong
    assert str(saved) in todo
    assert check_sequence(saved) == 200_000
    assert funcsnoop.open(saved).metadata["end_reason"] == "target-exit"


def test_the_partial_file_is_removed(build, tmp_path):
    """Its name is gone, and the file is not: it gets its own name all the same."""
    output = tmp_path / "t.parquet"
    with sequence(build("sequence.c", "-O1"), 100_000) as target, recorder(target, output) as process:
        wait_until(lambda: has_breakpoints(target.pid))
        (tmp_path / "t.parquet.partial").unlink()
        target.go()
        target.ends_as_if_alone()
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert check_sequence(output) == 200_000


def test_another_file_takes_the_name(build, tmp_path):
    """A recording never passes off someone else's file as its own."""
    output, partial = tmp_path / "t.parquet", tmp_path / "t.parquet.partial"
    with sequence(build("sequence.c", "-O1"), 100_000) as target, recorder(target, output) as process:
        wait_until(lambda: has_breakpoints(target.pid))
        partial.unlink()
        partial.write_text("theirs")
        target.go()
        target.ends_as_if_alone()
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert check_sequence(output) == 200_000
    assert partial.read_text() == "theirs"


def test_max_size(build, tmp_path):
    """The probes go out when the file is that large; the target runs on."""
    output = tmp_path / "t.parquet"
    with (
        sequence(build("sequence.c", "-O1"), 3_000_000) as target,
        recorder(target, output, "--max-size", "256K") as process,
    ):
        wait_until(lambda: has_breakpoints(target.pid))
        target.go()
        process.communicate(timeout=60)
        assert process.returncode == 0
        target.ends_as_if_alone()
    rows = check_sequence(output)
    assert 0 < rows < 6_000_000
    assert output.stat().st_size >= 256 << 10
    assert funcsnoop.open(output).metadata["end_reason"] == "max-size"


def test_sync(build, tmp_path):
    """That it waits for the disk is tested without a target, in test_writer.py."""
    output = tmp_path / "t.parquet"
    with (
        sequence(build("sequence.c", "-O1"), 100_000) as target,
        recorder(target, output, "--sync") as process,
    ):
        wait_until(lambda: has_breakpoints(target.pid))
        target.go()
        target.ends_as_if_alone()
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert check_sequence(output) == 200_000


def test_an_interrupt_at_any_moment_of_a_commit(build, tmp_path):
    """Ctrl-C, and not a kill: the file is finished, and nothing is left behind."""
    output = tmp_path / "t.parquet"
    with sequence(build("sequence.c", "-O1"), 3_000_000) as target, recorder(target, output) as process:
        wait_until(lambda: has_breakpoints(target.pid))
        target.go()
        wait_until(lambda: committed(tmp_path / "t.parquet.partial"))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0
        target.ends_as_if_alone()
    rows = check_sequence(output)
    counts = funcsnoop.open(output).metadata["counts"]
    assert counts["produced"] == counts["recorded"] == rows
    assert [path.name for path in tmp_path.iterdir() if "parquet" in path.name] == ["t.parquet"]
