"""Answers are kept beside a trace, and believed only where they can be trusted."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

import funcsnoop
from funcsnoop.analyze import cache, kept, trace
from funcsnoop.analyze.answers import Answers
from funcsnoop.analyze.cache import Cache
from funcsnoop.analyze.effort import Effort
from funcsnoop.analyze.figures import Figures
from funcsnoop.analyze.selection import Selection
from funcsnoop.analyze.trace import Trace
from funcsnoop.record.writer import TraceWriter

from .test_walk import soup
from .traces import Recording

KEY, DATA = "key", b"data" * 100


@pytest.fixture(autouse=True)
def every_trace_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LARGE", 0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows whenever events are read to answer."""
    found: list[None] = []
    figures_of = trace.figures_of

    def count(*arguments: object) -> Figures:
        found.append(None)
        return figures_of(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(trace, "figures_of", count)
    return found


def sample(path: Path, calls: int = 7) -> Path:
    recording = Recording()
    for start in range(0, 10 * calls, 10):
        recording.entry("f", start + 1, 1000, start).exit("f", start + 7, 1000, 3)
    return recording.write(path)


def directory(tmp_path: Path) -> Path:
    return tmp_path / cache.NAME


def test_answers_come_back_as_they_were() -> None:
    from .both import by_numpy

    for seed in range(20):
        recording = soup(random.Random(seed))
        answers = Answers.of(by_numpy(recording, ["arg0", "ret_val"]))
        again = Answers.from_bytes(answers.to_bytes())
        for name, value in vars(answers).items():
            if isinstance(value, tuple | int):
                assert getattr(again, name) == value
            else:
                assert_frame_equal(getattr(again, name), value)


def test_a_question_is_answered_once(tmp_path: Path, reads: list[None]) -> None:
    path = sample(tmp_path / "t.parquet")
    first = funcsnoop.open(path).arguments().collect()
    assert len(reads) == 1
    again = funcsnoop.open(path)
    assert again.arguments().collect().equals(first)
    # What was asked for has these too.
    assert again.latency().collect()["calls"].to_list() == [7]
    assert funcsnoop.open(path).callgraph().collect()["calls"].to_list() == [7]
    assert len(reads) == 1
    # Other questions.
    funcsnoop.open(path).latency(Selection(since=20)).collect()
    funcsnoop.open(path).arguments(["f:arg0=i8"]).collect()
    assert len(reads) == 3
    assert oct(directory(tmp_path).stat().st_mode)[-3:] == "700"


def test_without_the_cache(tmp_path: Path, reads: list[None]) -> None:
    path = sample(tmp_path / "t.parquet")
    for _ in range(2):
        Trace(path, Effort(cache=False)).latency().collect()
    assert len(reads) == 2
    assert not directory(tmp_path).exists()


def test_small_traces_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LARGE", 15)
    funcsnoop.open(sample(tmp_path / "t.parquet")).latency().collect()
    assert not directory(tmp_path).exists()


def test_another_trace_under_the_same_name(tmp_path: Path) -> None:
    """Of the same size and time: what tells them apart is their content."""
    path = tmp_path / "t.parquet"
    found = []
    for end in (7, 8):
        recording = Recording()
        recording.entry("f", 1, 1000).exit("f", end, 1000)
        about, table = recording.about(), recording.events()
        writer = TraceWriter(str(path), force=True)
        so_far = about | {"counts": about["counts"] | {"produced": 0, "recorded": 0}}
        writer.begin(lambda rows, so_far=so_far: so_far)  # type: ignore[misc]
        writer.write(table)
        writer.finish(about)
        os.utime(path, ns=(10**9, 10**9))
        found.append((path.stat().st_size, funcsnoop.open(path).latency().collect()["max_ns"].to_list()))
    (size, first), (other_size, second) = found
    assert size == other_size
    assert (first, second) == ([6], [7])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(file.read_bytes()[:100] + b"x" + file.read_bytes()[101:]),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"another file"),
        lambda file: file.chmod(0o666),
        lambda file: file.parent.chmod(0o770),
        lambda file: file.rename(file.with_name("moved")) and file.symlink_to("moved"),
        lambda file: file.parent.rename(file.parent.with_name("moved")) and file.parent.symlink_to("moved"),
        lambda file: file.unlink() or file.mkdir(),
    ],
)
def test_what_may_be_somebody_elses_is_no_answer(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    one = Cache(tmp_path / "t.parquet")
    one.put(KEY, DATA)
    assert one.get(KEY) == DATA
    (file,) = directory(tmp_path).iterdir()
    spoil(file)
    assert one.get(KEY) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="files are given to another user")
def test_files_of_another_user_are_no_answer(tmp_path: Path) -> None:
    one = Cache(tmp_path / "t.parquet")
    one.put(KEY, DATA)
    (file,) = directory(tmp_path).iterdir()
    os.chown(file, 1, 1)
    assert one.get(KEY) is None
    os.chown(file, 0, 0)
    os.chown(directory(tmp_path), 1, 1)
    assert one.get(KEY) is None
    one.put("other", DATA)
    assert [file] == list(directory(tmp_path).iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_under_sudo_answers_are_the_users(tmp_path: Path) -> None:
    one = Cache(tmp_path / "t.parquet", owner=(4321, 4322))
    one.put(KEY, DATA)
    assert one.get(KEY) == DATA
    for path in (directory(tmp_path), *directory(tmp_path).iterdir()):
        assert (path.stat().st_uid, path.stat().st_gid) == (4321, 4322)
    assert Cache(tmp_path / "t.parquet").get(KEY) is None


def test_where_nothing_can_be_kept_nothing_is(tmp_path: Path, reads: list[None]) -> None:
    directory(tmp_path).write_text("a file")
    path = sample(tmp_path / "t.parquet")
    for _ in range(2):
        assert funcsnoop.open(path).latency().collect()["calls"].to_list() == [7]
    assert len(reads) == 2
    assert directory(tmp_path).read_text() == "a file"


def test_the_oldest_answers_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT", 3 * 1000)
    one = Cache(tmp_path / "t.parquet")
    for number in range(5):
        one.put(str(number), bytes(900))
        (file,) = [each for each in directory(tmp_path).iterdir() if each.stat().st_mtime_ns > 10**15]
        os.utime(file, ns=(number, number))
        one.get("0")
        for each in directory(tmp_path).iterdir():
            if each.stat().st_mtime_ns > 10**15:
                os.utime(each, ns=(100 + number, 100 + number))
    assert [one.get(str(number)) is not None for number in range(5)] == [True, False, False, True, True]


def test_a_writer_that_dies_leaves_no_half_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Cache(tmp_path / "t.parquet")

    def fail(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "rename", fail)
    one.put(KEY, DATA)
    assert list(directory(tmp_path).iterdir()) == []
    assert one.get(KEY) is None
