"""Files that are not traces, or not whole, give an error of two lines; and time, and the metadata."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import funcsnoop
from funcsnoop.analyze import memory
from funcsnoop.errors import TraceError
from funcsnoop.schemas import FORMAT_VERSION, METADATA_KEY

from .traces import STARTED, Recording, write


def sample() -> Recording:
    recording = Recording()
    for start in range(0, 30_000, 10):
        recording.entry("f", start + 1, 1000, start * 977 % 1000).exit("f", start + 7, 1000)
    return recording


def refused(path: Path, message: str) -> None:
    with pytest.raises(TraceError, match=message) as caught:
        funcsnoop.open(path).latency().collect()
    for line in (caught.value.message, caught.value.hint):
        assert line
        assert "\n" not in line


def test_no_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.parquet", "there is no file")


def test_a_directory(tmp_path: Path) -> None:
    refused(tmp_path, "cannot be read")


@pytest.mark.parametrize("content", [b"", b"x", b"PAR", b"hello world, this is text\n"])
def test_not_parquet(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    refused(path, "not a Parquet file")


def test_parquet_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(path)
    refused(path, "not a trace")


def test_cut_off(tmp_path: Path) -> None:
    path = sample().write(tmp_path / "t.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    refused(path, "cut off")


def test_an_unfinished_recording_without_a_commit(tmp_path: Path) -> None:
    path = sample().write(tmp_path / "trace.parquet.partial")
    refused(path, "nothing in .* is committed")


def test_a_newer_format(tmp_path: Path) -> None:
    path = Recording(metadata={"format_version": FORMAT_VERSION + 1}).write(tmp_path / "t.parquet")
    refused(path, f"format version {FORMAT_VERSION + 1}")


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b"7", b"[" * 100_000, b'{"format_version": true}', b"1" * 9999],
)
def test_metadata_that_is_no_metadata(tmp_path: Path, raw: bytes) -> None:
    recording = sample()
    refused(write(tmp_path / "t.parquet", recording.events(), raw), "metadata")


ABOUT = sample().about()


@pytest.mark.parametrize("key", sorted(ABOUT))
@pytest.mark.parametrize("value", [[[1]], {"a": 1}, 1.5, 2**70, "7", True, -(2**70)], ids=str)
def test_hostile_values(tmp_path: Path, key: str, value: Any) -> None:
    """No value of a wrong type gets further than opening the file."""
    if isinstance(ABOUT[key], str) and isinstance(value, str):
        return
    recording = sample()
    refused(
        write(tmp_path / "t.parquet", recording.events(), ABOUT | {key: value}),
        f"metadata.*{key}|format version",
    )


@pytest.mark.parametrize("table", ["functions", "processes", "threads", "loss_windows"])
def test_hostile_values_in_tables(tmp_path: Path, table: str) -> None:
    about = json.loads(json.dumps(ABOUT)) | {
        "loss_windows": [{"pid": 7, "tgid": 7, "start_ns": 1, "end_ns": 2, "frame": 1000, "events": 3}]
    }
    for key in about[table][0]:
        for value in ([[1]], {"a": 1}, 2.5, 2**64, -(2**64)):
            bad = json.loads(json.dumps(about))
            bad[table][0][key] = value
            refused(write(tmp_path / "t.parquet", sample().events(), bad), rf"metadata.*{table}\[0\]\.{key}")
        bad = json.loads(json.dumps(about))
        del bad[table][0][key]
        refused(write(tmp_path / "t.parquet", sample().events(), bad), rf"{key}: missing")


def test_two_functions_with_one_cookie(tmp_path: Path) -> None:
    about = sample().about()
    about["functions"].append(about["functions"][0])
    refused(write(tmp_path / "t.parquet", sample().events(), about), "same cookie")


def test_keys_of_a_later_minor_version_are_kept(tmp_path: Path) -> None:
    path = Recording(metadata={"weather": "fair"}).write(tmp_path / "t.parquet")
    assert dict(funcsnoop.open(path).metadata)["weather"] == "fair"


def test_bytes_that_were_no_utf8(tmp_path: Path) -> None:
    """Python carries them as lone surrogates, which no Arrow string can hold."""
    recording = sample()
    about = recording.about()
    about["functions"][0]["demangled"] = "f\udcff"
    about["command"] = ["./a\udcfe"]
    trace = funcsnoop.open(write(tmp_path / "t.parquet", recording.events(), about))
    assert trace.latency().collect()["function"].to_list() == ["f\\udcff"]


def test_more_than_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures need little memory; all calls at once, or all events, are refused before they are read."""
    trace = funcsnoop.open(sample().write(tmp_path / "t.parquet"))
    monkeypatch.setattr(memory, "available", lambda: 10_000)
    monkeypatch.setattr(memory, "_LITTLE", 1000)
    assert trace.latency().collect()["calls"].to_list() == [3000]
    for refuse in (lambda: trace.paired, lambda: trace.events.collect(), lambda: trace.values(["arg0"])):
        with pytest.raises(TraceError, match=r"6,000 events, which take about .* of memory"):
            refuse()


@pytest.mark.parametrize("column", ["frame", "arg5", "ret_val"])
def test_a_missing_column(tmp_path: Path, column: str) -> None:
    recording = sample()
    path = write(tmp_path / "t.parquet", recording.events(), recording.about())
    table = pq.read_table(path)
    pq.write_table(table.drop_columns([column]), path)
    refused(path, f"lacks the column `{column}`")


def test_a_column_of_another_type(tmp_path: Path) -> None:
    recording = sample()
    path = write(tmp_path / "t.parquet", recording.events(), recording.about())
    table = pq.read_table(path)
    place = table.schema.get_field_index("timestamp")
    pq.write_table(table.set_column(place, "timestamp", table["timestamp"].cast(pa.float64())), path)
    refused(path, "`timestamp` is double")


def test_nulls_where_there_are_none(tmp_path: Path) -> None:
    recording = sample()
    table = recording.events()
    nulls = pa.array([None] * table.num_rows, pa.uint64())
    fields = [pa.field(f.name, f.type, True) for f in table.schema]
    table = table.cast(pa.schema(fields)).set_column(table.schema.get_field_index("frame"), fields[6], nulls)
    refused(write(tmp_path / "t.parquet", table, recording.about()), "nulls in the column `frame`")


def test_damaged_pages_are_noticed(tmp_path: Path) -> None:
    """One flipped bit in a data page: never a wrong number, never a traceback, always an error."""
    recording = sample()
    path = recording.write(tmp_path / "t.parquet")
    whole = path.read_bytes()
    expected = funcsnoop.open(path).calls().collect()
    details = pq.ParquetFile(path).metadata.row_group(0)
    rng = random.Random(5)
    noticed = 0
    for _ in range(60):
        column = details.column(rng.choice([0, 1, 2, 3, 4, 6]))
        at = (column.dictionary_page_offset or column.data_page_offset) + rng.randrange(
            column.total_compressed_size
        )
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            assert funcsnoop.open(path).calls().collect().equals(expected)
        except TraceError:
            noticed += 1
    assert noticed >= 40  # a bit of a page header that nobody reads may flip unnoticed


def test_time_is_utc(tmp_path: Path) -> None:
    recording = Recording()
    recording.entry("f", STARTED["monotonic_ns"] + 1_500_000_123, 1000)
    events = funcsnoop.open(recording.write(tmp_path / "t.parquet")).events
    assert events.collect_schema()["time"] == pl.Datetime("ns", "UTC")
    assert (
        events.select(pl.col("time").cast(pl.Int64)).collect().item()
        == STARTED["realtime_ns"] + 1_500_000_123
    )


def test_events_are_lazy(tmp_path: Path) -> None:
    trace = funcsnoop.open(sample().write(tmp_path / "t.parquet"))
    few = trace.events.filter(pl.col("type") == "entry").select("arg0", "name").head(3).collect()
    assert few.rows() == [(0, "f"), (770, "f"), (540, "f")]
    assert trace.events.select(pl.len()).collect().item() == 6000


def test_functions_and_processes(tmp_path: Path) -> None:
    trace = funcsnoop.open(sample().write(tmp_path / "t.parquet"))
    assert trace.functions.select("function", "demangled", "file").collect().row(1) == (
        1,
        "g",
        "libdemo.so.1",
    )
    assert trace.processes.select("tgid", "executable").collect().row(0) == (7, "/usr/bin/demo")
    assert METADATA_KEY == b"funcsnoop"
    assert trace.metadata["host"] == "testhost"


def test_calls_in_batches(tmp_path: Path) -> None:
    recording = sample()
    for start in range(7):
        recording.entry("g", 40_000 + start, 900 - 10 * start, pid=6, tgid=6)
    trace = funcsnoop.open(recording.write(tmp_path / "t.parquet"))
    whole = trace.calls().collect()
    parts = list(trace.call_batches(rows=1009))
    assert [len(part) for part in parts] == [1009, 1009, 3007 - 2018]
    joined = pl.concat(parts)
    assert joined.columns == [*whole.columns, "function"]
    assert joined.drop("function").equals(whole)
    assert joined["function"].to_list() == [1] * 7 + [0] * 3000
    some = pl.concat(trace.call_batches(["name", "ret_val", "function"], rows=1009))
    assert some.equals(joined.select("name", "ret_val", "function"))
    assert [part.columns for part in trace.call_batches(["start"])] == [["start"]]
    chosen = trace.paired.filter(pl.col("tgid") == 6)
    assert pl.concat(trace.call_batches(paired=chosen)).equals(joined.head(7))
