"""A question reads what it needs of a trace, and gets the answer that it gets from all of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from funcsnoop.analyze import gather
from funcsnoop.analyze.answers import Answers
from funcsnoop.analyze.selection import Selection
from funcsnoop.analyze.trace import Trace
from funcsnoop.errors import TraceError
from funcsnoop.record.writer import TraceWriter
from funcsnoop.schemas import VALUES

from .test_engine import random_selection
from .test_walk import soup
from .traces import Recording

#: Commits of so many events: a row group each.
ROWS = 100
GROUPS = 12
BEGAN = 1_000


def write(path: Path, recording: Recording, rows: int) -> Path:
    """A trace as the recorder writes it, a commit after each `rows` events."""
    table, about = recording.events(), recording.about()

    def so_far(count: int) -> Any:
        return about | {"counts": about["counts"] | {"produced": count, "recorded": count}}

    writer = TraceWriter(str(path), force=True)
    writer.begin(so_far)
    for first in range(0, table.num_rows, rows):
        writer.write(table.slice(first, rows).unify_dictionaries())
    writer.finish(about)
    return path


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Twelve row groups: thread 7 in all of them, inside a call that lasts; 8 in the first four, 6 in the
    last.

    `f` is called everywhere, `g` in group 5 only; one call of `h` lasts from group 6 to group 8.
    """
    recording = Recording(functions=["f", "g", "h", "i"])
    recording.entry("f", BEGAN, 2000)
    for number in range(GROUPS):
        at = BEGAN + 1 + number * 10_000
        pid = 8 if number < 4 else 6 if number == GROUPS - 1 else 7
        if number == 6:
            recording.entry("h", at + 1, 1500, 6, pid=7)
        if number == 8:
            recording.exit("h", at + 1, 1500, 8, pid=7)
        while len(recording.rows) < (number + 1) * ROWS:
            name, now = ("g" if number == 5 else "f"), at + 2 * (len(recording.rows) - number * ROWS) + 10
            other = 7 if len(recording.rows) % 10 < 2 else pid
            if len(recording.rows) + 2 > (number + 1) * ROWS:
                recording.exit("i", now, 1, None, pid=7)
                continue
            recording.entry(name, now, 1000, number, pid=other).exit(name, now + 1, 1000, number, pid=other)
    return write(tmp_path / "t.parquet", recording, ROWS)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, str]]:
    """How often each column of each row group was read."""
    found: Counter[tuple[int, str]] = Counter()
    read_row_group, iter_batches = pq.ParquetFile.read_row_group, pq.ParquetFile.iter_batches

    def one(self: pq.ParquetFile, group: int, columns: Sequence[str], **options: Any) -> Any:
        found.update((group, name) for name in columns)
        return read_row_group(self, group, columns, **options)

    def several(self: pq.ParquetFile, rows: int, row_groups: Sequence[int], columns: Sequence[str]) -> Any:
        found.update((group, name) for group in row_groups for name in columns)
        return iter_batches(self, rows, row_groups=row_groups, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", one)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", several)
    return found


def groups(read: Counter[tuple[int, str]], column: str) -> dict[int, int]:
    """Of each row group how often a column was read."""
    return {group: times for (group, name), times in sorted(read.items()) if name == column}


def every(*numbers: int, times: int = 1) -> dict[int, int]:
    return dict.fromkeys(numbers, times)


def test_only_columns_that_are_needed(trace: Path, read: Counter[tuple[int, str]]) -> None:
    Trace(trace).latency().collect()
    assert groups(read, "frame") == every(*range(GROUPS), times=2)
    assert not {name for _, name in read} & {*VALUES, "name"}
    read.clear()
    list(Trace(trace).call_batches(["start", "arg0"]))
    assert groups(read, "arg0") == every(*range(GROUPS))
    assert {name for _, name in read} & {*VALUES, "name"} == {"arg0"}


def test_only_row_groups_with_the_thread(trace: Path, read: Counter[tuple[int, str]]) -> None:
    assert Trace(trace).arguments(paired=Selection(pids=frozenset([8]))).collect()["count"].sum() > 0
    assert groups(read, "frame") == every(*range(4), times=2)
    assert groups(read, "arg0") == every(*range(4))
    read.clear()
    (row,) = Trace(trace).threads(Selection(pids=frozenset([6]))).collect().iter_rows(named=True)
    assert row["calls"] > 30
    assert groups(read, "frame") == every(GROUPS - 1, times=2)


def test_calls_of_a_thread_are_numbered_as_in_all(trace: Path, read: Counter[tuple[int, str]]) -> None:
    whole = Trace(trace).calls().collect()
    read.clear()
    found = Trace(trace).calls(Selection(pids=frozenset([8]))).collect()
    assert found.equals(whole.filter(pl.col("pid") == 8))
    assert groups(read, "frame") == every(*range(4), times=2) | every(*range(4, GROUPS))
    assert groups(read, "arg0") == every(*range(4))


def test_registers_only_where_the_function_is(trace: Path, read: Counter[tuple[int, str]]) -> None:
    rows = Trace(trace).arguments(paired=Selection().of_functions([1])).collect()
    assert set(rows["function"]) == {"g"}
    assert groups(read, "frame") == every(*range(GROUPS), times=2)
    assert groups(read, "arg0") == every(5)


def test_time_reads_to_the_end_of_the_last_call(trace: Path, read: Counter[tuple[int, str]]) -> None:
    """Registers within the window, and after it while a call that began there still runs; then nothing."""
    window = Selection().of_functions([2]).between(BEGAN + 60_000, BEGAN + 70_000)
    rows = Trace(trace).arguments(paired=window).collect()
    assert dict(rows.select("arg", "max").iter_rows()) == {"arg0": 6, "ret_val": 8}
    assert groups(read, "frame") == every(*range(9), times=2) | every(*range(9, GROUPS))
    assert groups(read, "ret_val") == every(6, 8)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32))
def test_answers_are_those_of_all_events(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = random.Random(seed)
    recording = soup(rng)
    recording.rows *= rng.choice([1, 1, 4])
    path = write(tmp_path_factory.mktemp("pruned") / "t.parquet", recording, rng.choice([3, 17, 50]))
    chosen = random_selection(rng, len(recording.functions))
    one = Trace(path)
    found = one.answers(chosen, one.value_columns)
    expected = Answers.of(gather.gather(one.chosen(chosen), one.metadata, one.values, one.value_columns))
    for name in ("latency", "edges", "threads", "arguments"):
        table, right = getattr(found, name), getattr(expected, name)
        assert_frame_equal(table.sort(table.columns[:4]), right.sort(right.columns[:4]))
    whole = one.calls().collect()
    ids = chosen.of(one.paired).select("call_id").collect()["call_id"]
    assert one.calls(chosen).collect().equals(whole.filter(pl.col("call_id").is_in(ids.implode())))


def test_damage_elsewhere_is_not_noticed_and_damage_here_is(trace: Path) -> None:
    details = pq.ParquetFile(trace).metadata.row_group(10).column(4)
    damaged = bytearray(trace.read_bytes())
    damaged[details.data_page_offset + 2] ^= 1
    trace.write_bytes(damaged)
    assert len(Trace(trace).latency(Selection(pids=frozenset([8]))).collect()) > 0
    with pytest.raises(TraceError, match="damaged"):
        Trace(trace).latency().collect()
    with pytest.raises(TraceError, match="damaged"):
        Trace(trace).events.collect()
