"""Perfetto's own trace_processor reads what `export` writes, and finds in it what the trace holds."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import polars as pl

import funcsnoop
from funcsnoop.analyze.export import FORMATS, Source
from funcsnoop.analyze.trace import Trace
from funcsnoop.schemas.metadata import NO_END

from ..unit.test_export import EVIL, RUST, demo
from ..unit.test_incarnations import again
from ..unit.traces import ENDED, STARTED, Recording
from .trace_processor import query

EXAMPLE = Path(__file__).parents[2] / "examples" / "data" / "sqlite_small.parquet"

COMPLAINTS = "select name, value from stats where severity in ('error', 'data_loss') and value > 0"
SLICES = """
    select s.id, s.ts, s.dur, s.depth, s.name, s.category, t.tid, p.pid, t.name as thread, p.name as process,
        t.upid, k.name as track
    from slice s join track k on s.track_id = k.id left join thread_track h on s.track_id = h.id
    left join thread t using (utid) left join process p using (upid)
    order by s.id"""
ARGS = """
    select s.id, replace(a.key, 'debug.', '') as key, a.int_value, a.string_value
    from slice s join args a using (arg_set_id) where a.key glob 'debug.*' or a.key glob 'args.*'"""
UNSIGNED = 1 << 64


def export(trace: Trace, form: str) -> Path:
    path = trace.path.with_suffix(FORMATS[form].suffix)
    with path.open("wb") as out:
        FORMATS[form].write(Source(trace), out)
    return path


def ask(path: Path) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
    """The slices, and the arguments of each."""
    complaints, slices, rows = query(path, COMPLAINTS, SLICES, ARGS)
    assert not complaints
    args: dict[int, dict[str, Any]] = {}
    for row in rows:
        number = row["int_value"]
        # SQL knows signed integers only.
        value = row["string_value"] if number is None else number % UNSIGNED
        args.setdefault(row["id"], {})[row["key"]] = value
    return slices, args


def test_equals_the_trace(tmp_path: Path) -> None:
    copy = tmp_path / EXAMPLE.name
    copy.write_bytes(EXAMPLE.read_bytes())
    trace = funcsnoop.open(copy)
    slices, args = ask(export(trace, "perfetto"))
    (recording,) = [row for row in slices if row["track"] == "recording"]
    started, ended = (trace.metadata[at]["monotonic_ns"] for at in ("started", "ended"))
    assert (recording["ts"], recording["dur"]) == (started, ended - started)
    found = pl.DataFrame([row | args.get(row["id"], {}) for row in slices if row["track"] != "recording"])
    calls = trace.calls().collect().with_columns(pl.col("name", "module").cast(pl.String))
    assert (calls["status"] == "complete").all()
    assert len(found) == len(calls) == 28_174
    pairs = {"ts": "start", "dur": "duration_ns", "name": "name", "category": "module", "tid": "pid"}
    pairs |= {"pid": "tgid", "depth": "depth"} | {name: name for name in trace.value_columns}
    for theirs, ours in pairs.items():
        assert found[theirs].to_list() == calls[ours].to_list(), theirs


def reused(recording: Recording) -> Recording:
    """Another process with the id 7, whose thread is 11, and which switches stacks; and losses."""
    first = STARTED["boottime_ns"] - STARTED["monotonic_ns"]
    processes = recording.about()["processes"]
    processes.append(processes[0] | {"start_ns": first + 20_000, "command": ["/bin/other", "-v"]})
    recording.entry("main", 21_000, 9000, pid=11).entry("parse", 21_100, 1000, pid=11)
    recording.exit("main", 21_200, 9000, pid=11).exit("parse", 21_300, 1000, pid=11)
    windows = [(7, 2_600, 2_700, 3), (7, 2_650, 2_800, 4), (7, 11_100, NO_END, 5), (None, 500, 600, 6)]
    recording.metadata["processes"] = processes
    recording.metadata["loss_windows"] = [
        {"pid": pid, "tgid": pid, "start_ns": start, "end_ns": end, "frame": 1, "events": events}
        for pid, start, end, events in windows
    ]
    rows = len(recording.rows)
    recording.metadata["counts"] = {
        "produced": rows + 18, "recorded": rows, "lost": {"buffer": 18}, "filtered": {}, "after_limit": 0
    }  # fmt: skip
    return recording


def test_chrome_is_as_exact(tmp_path: Path) -> None:
    """Times in µs, of a recording of days, come out as the ns that they were."""
    rng = random.Random(11)
    recording = Recording()
    now = STARTED["monotonic_ns"]
    for _ in range(1_009):
        now += rng.randint(1, 10**12)
        recording.entry("f", now, 900, rng.getrandbits(64)).entry("g", now + 1, 800).exit("g", now + 2, 800)
        now += rng.randint(3, 10**9)
        recording.exit("f", now, 900, rng.getrandbits(rng.randint(1, 64)))
    recording.metadata["ended"] = ENDED | {"monotonic_ns": now + 1}
    trace = funcsnoop.open(recording.write(tmp_path / "trace.parquet"))
    slices, args = ask(export(trace, "chrome"))
    calls = trace.calls().collect()
    began = STARTED["monotonic_ns"]
    assert [(row["name"], row["ts"], row["dur"], row["depth"]) for row in slices] == [
        (name, start - began, duration, depth)
        for name, start, duration, depth in calls.select("name", "start", "duration_ns", "depth").rows()
    ]
    # Text, as a reader in JavaScript would show it.
    names = ("arg0", "ret_val", "status")
    assert [tuple(args[row["id"]].get(f"args.{name}") for name in names) for row in slices] == [
        (None if arg0 is None else text(arg0), text(ret_val), "complete")
        for arg0, ret_val in calls.select("arg0", "ret_val").rows()
    ]


def text(value: int) -> str:
    return str(value) if value < 1 << 32 else hex(value)


def test_calls_of_every_kind(tmp_path: Path) -> None:
    trace = funcsnoop.open(reused(demo()).write(tmp_path / "trace.parquet"))
    slices, args = ask(export(trace, "perfetto"))
    shown: dict[tuple[Any, ...], list[Any]] = {}
    for row in slices:
        where = (row["process"], row["pid"], row["thread"], row["tid"], row["track"])
        shown.setdefault(where, []).append(
            (row["name"], row["ts"], row["dur"], row["depth"], args.get(row["id"]))
        )
    loss = {"events lost (buffer)": 18, "events past the limit": 0, "events produced": 50}
    recording = shown.pop((None, None, None, None, "recording"))
    assert [row[:4] for row in recording] == [("recording", 1_000, 899_000, 0)]
    told = recording[0][4]
    assert told | loss == told
    assert told["loss"] == "drawn as far as known: 2 open, 2 unwound; 18 of 50 events lost (36.00%)"

    back = {"ret_val": 0}
    assert shown == {
        (None, None, None, None, "events lost"): [("events lost", 500, 100, 0, {"events": 6})],
        ("demo", 7, "worker-7", 7, None): [
            ("main", 2_000, 9_000, 0, {"arg0": 3, "arg1": 2**63 + 1} | back),
            *(
                ("parse", now, 500, 1, {"arg0": now, "ret_val": 2**64 - 1})
                for now in range(3_000, 10_000, 1_000)
            ),
            (RUST, 10_000, 210, 1, back),
            (EVIL, 10_100, 107, 2, back),
            ("main", 12_000, ENDED["monotonic_ns"] - 12_000, 0, {"status": "open"}),
        ],
        ("demo", 7, "worker-7", 7, "events lost"): [
            ("events lost", 2_600, 200, 0, {"events": 7}),
            ("events lost", 11_100, ENDED["monotonic_ns"] - 11_100, 0, {"events": 5}),
        ],
        ("demo", 7, "worker-8", 8, None): [
            ("parse", 4_000, 101, 0, {"status": "unwound"}),
            (EVIL, 4_100, 1, 1, {"status": "unwound"}),
            ("parse", 6_000, 100, 0, back),
        ],
        ("demo", 9, "worker-9", 9, None): [
            ("main", 5_000, 0, 0, {"status": "open"} | back),
            ("parse", 5_001, 1, 0, back),
        ],
        ("other", 7, "worker-11", 11, None): [("main", 21_000, 200, 0, back)],
        ("other", 7, "worker-11", 11, "stack 2"): [("parse", 21_100, 200, 0, back)],
    }


def test_a_process_whose_ids_came_again(tmp_path: Path) -> None:
    recording = again([3_000, None], [(900, 3_000), (3_500, None)])
    for begin in (2_000, 5_000):
        recording.entry("f", begin, 1_000).entry("g", begin + 10, 900).exit("g", begin + 100, 900)
    trace = funcsnoop.open(recording.write(tmp_path / "trace.parquet"))
    slices, _ = ask(export(trace, "perfetto"))
    found = [
        (row["process"], row["pid"], row["upid"], row["name"], row["ts"], row["dur"]) for row in slices[1:]
    ]
    first, second = found[0][2], found[2][2]
    assert first != second
    ended = trace.metadata["ended"]["monotonic_ns"]
    assert found == [
        ("command 0", 7, first, "f", 2_000, 100),
        ("command 0", 7, first, "g", 2_010, 90),
        ("command 1", 7, second, "f", 5_000, ended - 5_000),
        ("command 1", 7, second, "g", 5_010, 90),
    ]
