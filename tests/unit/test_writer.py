"""The file as it is written: plain Parquet at its end, committed at every moment before."""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import funcsnoop
from funcsnoop.analyze.partial import open_partial
from funcsnoop.errors import OutputError
from funcsnoop.record import chain
from funcsnoop.record.changes import Changes
from funcsnoop.record.writer import TraceWriter
from funcsnoop.schemas import EVENTS, METADATA_KEY
from funcsnoop.schemas.chain import CHECKSUM_KEY, COMMIT_KEY

from .partials import about, partial, recording, rows

SIZES = [1000, 1, 2017]
TOTAL = sum(SIZES)


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    path = tmp_path / "t.parquet"
    with recording(path, SIZES) as writer:
        writer.finish(about(TOTAL, ended=True))
    assert list(tmp_path.iterdir()) == [path]
    return path


def expected() -> pa.Table:
    tables, first = [], 0
    for size in SIZES:
        tables.append(rows(first, size))
        first += size
    return pa.concat_tables(tables)


def test_a_finished_file_is_plain_parquet(finished: Path) -> None:
    table = pq.read_table(finished, page_checksum_verification=True)
    assert table.schema.equals(EVENTS)
    assert table.equals(expected())
    file = pq.read_metadata(finished)
    assert (file.num_rows, file.num_row_groups) == (TOTAL, len(SIZES))
    # What commits said would be half of it.
    assert {METADATA_KEY, CHECKSUM_KEY, b"ARROW:schema"} <= set(file.metadata)
    assert COMMIT_KEY not in file.metadata
    assert json.loads(file.metadata[METADATA_KEY]) == about(TOTAL, ended=True)
    encodings = file.row_group(0).column(EVENTS.names.index("timestamp")).encodings
    assert "DELTA_BINARY_PACKED" in encodings


def test_other_readers(finished: Path) -> None:
    count, total = TOTAL, sum(range(0, TOTAL, 2))
    frame = pl.read_parquet(finished)
    assert (len(frame), frame["arg0"].sum()) == (count, total)
    assert duckdb.sql(f"select count(*), sum(arg0) from '{finished}'").fetchall() == [(count, total)]
    # Row groups are skipped by their statistics; offsets have to be right for that.
    assert duckdb.sql(f"select ret_val from '{finished}' where timestamp = 3017000").fetchall() == [
        (expected()["ret_val"][3017].as_py(),)
    ]
    assert pd.read_parquet(finished)["arg0"].sum() == total
    assert funcsnoop.open(finished).rows == count


def test_every_commit_can_be_read_at_once(tmp_path: Path) -> None:
    with recording(tmp_path / "t.parquet", []) as writer:
        done = 0
        for size in SIZES:
            writer.write(rows(done, size))
            done += size
            assert writer.bytes_written() == writer.partial.stat().st_size
            trace = funcsnoop.open(writer.partial)
            assert trace.rows == trace.metadata["counts"]["recorded"] == done
            assert trace.events.select(pl.col("arg0").sum()).collect().item() == sum(range(0, done, 2))
            assert "still being recorded" in trace.metadata["notices"][-1]
    assert "not finished" in funcsnoop.open(writer.partial).metadata["notices"][-1]


def test_a_commit_holds_what_has_changed() -> None:
    changes = Changes()
    whole = about(0)
    first = json.loads(changes.note(whole))
    assert set(first["rows"]["functions"]) == {"0", "1", "2"}
    changes.committed()
    thread = {"pid": 7, "tgid": 7, "name": "a", "end_ns": None}
    whole["threads"].append(thread)
    # A commit that failed has to be said again.
    for _ in range(2):
        assert json.loads(changes.note(whole))["rows"] == {"threads": {"0": thread}}
    changes.committed()
    assert json.loads(changes.note(whole))["rows"] == {}
    thread["name"] = "b"
    assert json.loads(changes.note(whole))["rows"] == {"threads": {"0": thread}}


def test_many_rows_of_one_list_are_columns() -> None:
    changes = Changes()
    whole = about(0)
    row = {"symbol": "f", "module": "/m", "reason": "no size"}
    whole["skipped"] = [row | {"symbol": f"f{i}"} for i in range(1009)]
    note = json.loads(changes.note(whole))
    assert "skipped" not in note["rows"]
    many = note["many"]["skipped"]
    assert (many["first"], many["count"]) == (0, 1009)
    assert many["same"] == {"module": "/m", "reason": "no size"}
    assert many["columns"] == {"symbol": [f"f{i}" for i in range(1009)]}
    changes.committed()
    whole["skipped"] += [row] * 127
    many = json.loads(changes.note(whole))["many"]["skipped"]
    assert many == {"first": 1009, "count": 127, "same": row, "columns": {}}


def test_many_rows_come_back(tmp_path: Path) -> None:
    state = about(0)
    sample = state["functions"][0]
    state["functions"] = [sample | {"cookie": i, "symbol": f"f{i}"} for i in range(1, 1010)]
    writer = TraceWriter(str(tmp_path / "t.parquet"))
    writer.begin(lambda done: state)
    state["skipped"] = [{"symbol": "g", "module": "/m", "reason": "r"}] * 211
    state["counts"] |= {"recorded": 10, "produced": 10}
    writer.write(rows(0, 10))
    writer.close()
    found = open_partial(writer.partial).metadata
    assert found["functions"] == state["functions"]
    assert found["skipped"] == state["skipped"]


def test_changes_add_up(tmp_path: Path) -> None:
    """A table that grows and changes over commits is whole again when they are read."""
    state = about(0)
    path = tmp_path / "t.parquet"
    writer = TraceWriter(str(path))
    writer.begin(lambda done: state)
    for number in range(5):
        state["threads"].append({"pid": number, "tgid": 7, "name": "new", "end_ns": None})
        state["threads"][number // 2]["name"] = f"seen {number}"
        state["counts"] |= {"recorded": writer.rows + 10, "produced": writer.rows + 10}
        writer.write(rows(writer.rows, 10))
    writer.close()
    assert open_partial(writer.partial).metadata["threads"] == state["threads"]


def test_a_long_function_table_is_written_twice_and_no_more(tmp_path: Path) -> None:
    """With the first commit, and with the footer of the finished file."""
    state = about(0)
    sample = state["functions"][0]
    state["functions"] = [sample | {"cookie": i, "symbol": f"function_{i}"} for i in range(30_000)]
    writer = TraceWriter(str(tmp_path / "t.parquet"))
    writer.begin(lambda done: state)
    start = writer.bytes_written()
    begin = time.perf_counter()
    for _ in range(20):
        writer.write(rows(writer.rows, 10))
    per_commit = (time.perf_counter() - begin) / 20
    assert (writer.bytes_written() - start) / 20 < 12_000
    assert per_commit < 0.05  # measured: 0.003
    writer.finish(state | {"counts": about(200)["counts"]})
    assert writer.path.stat().st_size < 1.1 * (start + len(json.dumps(state["functions"])))


def test_existing_files(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_text("old")
    with pytest.raises(OutputError, match=r"t\.parquet exists") as caught:
        TraceWriter(str(path))
    assert "--force" in caught.value.hint
    with recording(path, SIZES, force=True) as writer:
        assert path.read_text() == "old"
        writer.finish(about(TOTAL))
    assert funcsnoop.open(path).rows == TOTAL


def test_an_unfinished_recording_is_never_overwritten(tmp_path: Path) -> None:
    left = partial(tmp_path / "t.parquet", SIZES)
    before = left.read_bytes()
    for force in (False, True):
        with pytest.raises(OutputError, match=r"t\.parquet\.partial exists") as caught:
            TraceWriter(str(tmp_path / "t.parquet"), force=force)
        assert f"funcsnoop recover {left}" in caught.value.hint
    assert left.read_bytes() == before


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "precious"
    other.write_text("keep")
    (tmp_path / "t.parquet.partial").symlink_to(other)
    with pytest.raises(OutputError):
        TraceWriter(str(tmp_path / "t.parquet"))
    assert other.read_text() == "keep"


def test_someone_else_made_the_file_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with recording(path, SIZES) as writer:
        path.write_text("theirs")
        with pytest.raises(OutputError, match="created by someone else"):
            writer.finish(about(TOTAL))
    assert path.read_text() == "theirs"
    assert pq.read_metadata(writer.partial).num_rows == TOTAL


def test_abort_deletes_only_what_holds_nothing(tmp_path: Path) -> None:
    with recording(tmp_path / "a.parquet", []) as writer:
        writer.abort()
    assert not writer.partial.exists()
    with recording(tmp_path / "b.parquet", [10]) as writer:
        writer.abort()
    assert open_partial(writer.partial).rows == 10


@contextmanager
def no_room_after(size: int) -> Iterator[None]:
    """Files cannot grow past `size`; Python ignores the signal, so a write fails with EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_seal_that_has_no_room(tmp_path: Path) -> None:
    """The kernel writes as much of it as there is room for, and calls that a success."""
    with recording(tmp_path / "a.parquet", SIZES) as writer:
        before = writer.bytes_written()
        writer.write(rows(TOTAL, 500))
        commit = writer.bytes_written() - before
    for missing in (1, 16, 31, 32):
        with recording(tmp_path / f"b{missing}.parquet", SIZES) as writer:
            size = writer.bytes_written()
            with (
                no_room_after(size + commit - missing),
                pytest.raises(OutputError, match=r"No space|too large"),
            ):
                writer.write(rows(TOTAL, 500))
            assert writer.rows == TOTAL
            assert writer.bytes_written() == writer.partial.stat().st_size == size


@pytest.mark.parametrize("room", [0, 1, 500, 5000, 20_000])
def test_a_commit_that_fails_is_taken_back(tmp_path: Path, room: int) -> None:
    with recording(tmp_path / "t.parquet", SIZES) as writer:
        size = writer.bytes_written()
        with no_room_after(size + room), pytest.raises(OutputError, match="File too large") as caught:
            writer.write(rows(TOTAL, 50_000))
        assert f"{TOTAL:,} events were saved" in caught.value.message
        assert writer.bytes_written() == writer.partial.stat().st_size == size
        # There is room again: what came before is finished, and the error says so.
        error = writer.give_up(caught.value, about(TOTAL, ended=True))
        assert str(writer.path) in error.message
    assert pq.read_table(writer.path).equals(expected())


def test_a_footer_that_fails_leaves_all_to_recover(tmp_path: Path) -> None:
    with recording(tmp_path / "t.parquet", SIZES) as writer:
        with no_room_after(writer.bytes_written() + 3000), pytest.raises(OutputError) as caught:
            writer.finish(about(TOTAL, ended=True))
        assert f"funcsnoop recover {writer.partial}" in caught.value.hint
    assert open_partial(writer.partial).rows == TOTAL


def test_the_descriptors_are_not_for_others(tmp_path: Path) -> None:
    """A recorded command inherits what is not marked close-on-exec."""
    before = len(os.listdir("/proc/self/fd"))
    with recording(tmp_path / "t.parquet", SIZES) as writer:
        links = {int(name): f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")}
        ours = [fd for fd, link in links.items() if os.path.realpath(link) == str(writer.partial)]
        assert len(ours) == 2
        assert not any(os.get_inheritable(fd) for fd in ours)
    assert len(os.listdir("/proc/self/fd")) == before


def test_sync_waits_for_the_disk_at_each_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(os.fstat(fd).st_size))
    with recording(tmp_path / "t.parquet", SIZES, sync=True) as writer:
        assert len(synced) == 1 + len(SIZES)
        assert synced[-1] == writer.bytes_written()
        writer.finish(about(TOTAL))
    assert synced[-1] == writer.path.stat().st_size
    with recording(tmp_path / "u.parquet", SIZES) as writer:
        writer.finish(about(TOTAL))
    assert len(synced) == 1 + len(SIZES) + 2


def test_arrow_is_checked_in_no_time() -> None:
    chain.check_arrow()
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        chain.check_arrow()
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.03


@pytest.mark.parametrize("break_", ["position", "footer"])
def test_an_arrow_that_does_not_append_is_noticed(monkeypatch: pytest.MonkeyPatch, break_: str) -> None:
    if break_ == "position":
        # As if Arrow counted offsets from where it began.
        class FromZero(chain.Sink):
            def __init__(self, descriptor: int) -> None:
                super().__init__(descriptor)
                self.file = pa.PythonFile(self.file, mode="w")

        monkeypatch.setattr(chain, "Sink", FromZero)
    else:
        monkeypatch.setattr(chain, "append_footer", lambda *_: None)
    with pytest.raises(OutputError, match="PyArrow"):
        chain.check_arrow()
