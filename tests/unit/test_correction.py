"""Times without what probes cost: exact on hand-written events, and the same by both engines."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import funcsnoop
from funcsnoop import plot
from funcsnoop.analyze import call_rows, pairing
from funcsnoop.analyze.correction import Costs, costs_of
from funcsnoop.analyze.export.profile_proto import profile
from funcsnoop.analyze.pruning import Pruning
from funcsnoop.analyze.question import Question
from funcsnoop.errors import UsageError

from .test_analyze_command import Run
from .test_report import page_data
from .test_walk import SEEDS, soup
from .traces import Recording, function
from .trees import PROGRAMS, Node, record

#: Emulated sites with return probes take 100 ns, 30 of them inside; those with entry probes only 40.
COSTS = [
    {"site_class": "emulated", "exit": "return", "call_ns": 100.4, "inside_ns": 29.6},
    {"site_class": "emulated", "exit": "none", "call_ns": 40.0, "inside_ns": 0.0},
]


def nested() -> Recording:
    """f calls g twice, the second time with an entry-only h in it, and is interrupted by another thread."""
    recording = Recording(
        functions=["f", "g", function(3, "h", exit="none"), function(4, "k", site_class="stepped")],
        metadata={"probe_costs": COSTS},
    )
    recording.entry("f", 2000, 900).entry("g", 2200, 800).exit("g", 2300, 800)
    recording.entry("g", 2100, 700, pid=8)
    recording.entry("g", 2500, 800).entry("h", 2600, 700).exit("g", 2750, 800)
    recording.entry("k", 2900, 800).exit("k", 2950, 800)
    return recording.exit("g", 2160, 700, pid=8).exit("f", 3000, 900)


def test_each_call_loses_its_own_inner_cost_and_all_of_those_inside(tmp_path: Path) -> None:
    trace = funcsnoop.open(nested().write(tmp_path / "t.parquet"), correct=True)
    found = trace.calls().select("pid", "name", "start", "end", "duration_ns", "self_ns").collect()
    assert found.rows() == [
        # 1000 - 30 - 2 * 100 - 40; k's probe is of a kind that was not measured. Own: less 70, 180 and 50.
        (7, "f", 2000, 3000, 730, 430),
        (7, "g", 2200, 2300, 70, 70),
        (7, "g", 2500, 2750, 180, 180),
        (7, "h", 2600, None, None, None),
        (7, "k", 2900, 2950, 50, 50),
        (8, "g", 2100, 2160, 30, 30),
    ]
    latency = {row["function"]: row for row in trace.latency().collect().to_dicts()}
    assert [latency["f"][name] for name in ("total_ns", "self_ns", "max_ns")] == [730, 430, 730]
    assert [latency["g"][name] for name in ("total_ns", "min_ns", "max_ns")] == [280, 30, 180]
    assert trace.times == (
        "times: corrected for probes: 0.04 to 0.1 us a call taken off, measured when the recording began; "
        "nothing for 1 function without known cost"
    )


def test_nothing_takes_less_than_no_time(tmp_path: Path) -> None:
    recording = Recording(metadata={"probe_costs": COSTS})
    recording.entry("f", 2000, 900).entry("g", 2010, 800).exit("g", 2030, 800).exit("f", 2090, 900)
    trace = funcsnoop.open(recording.write(tmp_path / "t.parquet"), correct=True)
    calls = trace.calls().select("duration_ns", "self_ns").collect()
    assert calls.rows() == [(0, 0), (0, 0)]
    assert trace.latency().collect()["max_ns"].to_list() == [0, 0]


def same(recording: Recording, rows: int) -> None:
    """The calls by the compiled walk, which gets `rows` events at a time, and by NumPy."""

    def parts(columns: list[str], pruning: Pruning) -> Iterator[tuple[int, pa.Table]]:
        for first in range(0, max(len(recording.rows), 1), rows):
            yield first, recording.events().slice(first, rows)

    about = recording.about() | {"probe_costs": COSTS}
    costs = costs_of(about)
    walked = call_rows.pair(parts, about, 2, costs)
    assert_frame_equal(walked, pairing.pair(recording.frame(), about, costs).collect())


@settings(deadline=None, max_examples=60)
@given(PROGRAMS, SEEDS, st.sampled_from([0.0, 0.05, 0.3]), st.integers(1, 50))
def test_both_engines_correct_call_trees_alike(
    program: list[list[Node]], seed: int, lost: float, rows: int
) -> None:
    rng = random.Random(seed)
    recording, _, owners = record(program, rng)
    kept = [rng.random() >= lost for _ in owners]
    recording.rows = [row for row, keep in zip(recording.rows, kept, strict=True) if keep]
    same(recording, rows)


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(1, 50))
def test_both_engines_correct_any_events_alike(seed: int, rows: int) -> None:
    same(soup(random.Random(seed)), rows)


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -7.0])
def test_costs_that_cannot_be(cost: float) -> None:
    """They do no more harm than to make times senseless, and never negative costs."""
    about = Recording(metadata={"probe_costs": [COSTS[0] | {"call_ns": cost}]}).about()
    costs = costs_of(about)
    assert isinstance(costs, Costs)
    assert (costs.inside >= 0).all()
    assert (costs.outside >= 0).all()


def test_a_trace_without_costs_is_not_corrected(run: Run, tmp_path: Path) -> None:
    path = Recording().entry("f", 2000, 900).exit("f", 2100, 900).write(tmp_path / "t.parquet")
    with pytest.raises(UsageError, match="does not say what its probes cost"):
        funcsnoop.open(path, correct=True)
    done = run("analyze", "latency", str(path), "--correct")
    assert done.status == 2
    assert len(done.stderr.splitlines()) == 2
    assert "times:" not in run("analyze", "latency", str(path)).stdout


OPTIONS = {
    **dict.fromkeys(("summary", "latency", "callgraph", "slowest", "replay", "args", "calls", "threads"), ()),
    **dict.fromkeys(("hist", "heatmap"), ("--focus", "g")),
    "path": ("--id", "0"),
}


@pytest.mark.parametrize("report", OPTIONS)
def test_every_report_says_which_times_it_shows(report: str, run: Run, tmp_path: Path) -> None:
    words = ["analyze", report, str(nested().write(tmp_path / "t.parquet")), *OPTIONS[report]]
    plain, corrected = run(*words).stdout, run(*words, "--correct").stdout
    assert plain.count("times: as recorded, with the cost of probes inside\n") == 1
    assert corrected.count("times: corrected for probes: ") == 1
    assert plain.splitlines()[:-2] != corrected.splitlines()[:-2]


def test_a_diff_says_it_of_both(run: Run, tmp_path: Path) -> None:
    path = str(nested().write(tmp_path / "t.parquet"))
    assert run("analyze", "diff", path, path, "--correct").stdout.count("times: corrected for probes: ") == 1
    unknown = str(Recording().entry("f", 2000, 900).exit("f", 2100, 900).write(tmp_path / "u.parquet"))
    lines = run("analyze", "diff", path, unknown).stdout.splitlines()
    assert lines[-3:-2] == ["A times: as recorded, with the cost of probes inside"]


def test_machine_formats_hold_corrected_times(run: Run, tmp_path: Path) -> None:
    path, out = nested().write(tmp_path / "t.parquet"), tmp_path / "calls.parquet"
    done = run("analyze", "calls", str(path), "--correct", "--format", "parquet", "-o", str(out))
    assert "times: corrected for probes: " in done.stderr
    assert pl.read_parquet(out)["duration_ns"].to_list() == [730, 70, 180, None, 50, 30]


def test_the_summary_has_a_field_for_it(run: Run, tmp_path: Path) -> None:
    path = nested().write(tmp_path / "t.parquet")
    for options, expected in (((), ("recorded", 1000)), (("--correct",), ("corrected", 730))):
        for form in ("json", "ndjson"):
            found = json.loads(run("analyze", path, "--format", form, *options).stdout)
            assert (found["times"], found["top_total"][0]["total_ns"]) == expected


def test_corrected_answers_are_not_taken_for_others() -> None:
    plain, corrected = Question(), Question(correct=True)
    assert plain.key() != corrected.key()
    assert not plain.covers(corrected)
    assert not corrected.covers(plain)


def test_merged_traces_are_corrected_each_by_its_own_costs(run: Run, tmp_path: Path) -> None:
    one, other = nested(), nested()
    other.metadata["probe_costs"] = [COSTS[0] | {"call_ns": 110.0, "inside_ns": 40.0}, COSTS[1]]
    paths = [str(r.write(tmp_path / f"{i}.parquet")) for i, r in enumerate((one, other))]
    done = run("analyze", "latency", "--merge", "--correct", "--format", "json", *paths)
    found = {row["function"]: row["total_ns"] for row in json.loads(done.stdout)}
    assert found["f"] == 730 + 1000 - 40 - 2 * 110 - 40
    assert "times: corrected for probes, by what was measured when each recording began\n" in done.stderr


def test_a_corrected_page(run: Run, tmp_path: Path) -> None:
    path = nested().write(tmp_path / "t.parquet")
    plain, corrected = run("report", path, "-o", "plain.html"), run("report", path, "--correct")
    assert plain.stderr.splitlines()[1:] == ["times: as recorded, with the cost of probes inside"]
    assert corrected.stderr.splitlines()[1].startswith("times: corrected for probes: 0.04 to 0.1 us")
    pages = [page_data((tmp_path / name).read_text()) for name in ("plain.html", "t.html")]
    assert [page["flame"]["time"] for page in pages] == [1060, 760]
    assert pages[1]["facts"]["times"].startswith("corrected for probes")
    unknown = Recording().entry("f", 2000, 900).exit("f", 2100, 900).write(tmp_path / "u.parquet")
    assert len(run("report", unknown).stderr.splitlines()) == 1
    refused = run("report", unknown, "--correct", "-o", "none.html")
    assert refused.status == 2
    assert len(refused.stderr.splitlines()) == 2
    assert not (tmp_path / "none.html").exists()


#: Own times of `nested` by stack, corrected; h and k are leaves, of which h has no time.
STACKS = {"f": 430, "f;g": 250, "f;g;h": 0, "f;k": 50, "g": 30}


def test_corrected_stacks(run: Run, tmp_path: Path) -> None:
    path = nested().write(tmp_path / "t.parquet")
    done = run("export", path, "--to", "folded", "-o", "-", "--correct")
    weights = {line.split()[0]: int(line.split()[1]) for line in done.stdout.splitlines()}
    assert weights == {stack: weight for stack, weight in STACKS.items() if weight}
    assert done.stderr.splitlines()[1].startswith("times: corrected for probes: 0.04 to 0.1 us a call")
    plain = run("export", path, "--to", "folded", "-o", "-")
    assert plain.stderr.splitlines()[1] == "times: as recorded, with the cost of probes inside"
    assert plain.stdout.splitlines()[0] == "f 600"
    counts = ("export", path, "--to", "folded", "-o", "-", "--weight", "calls")
    assert "times" not in run(*counts).stderr
    assert run(*counts, "--correct").stderr.splitlines() == [
        "funcsnoop: numbers of calls cannot be corrected",
        "  leave --correct or --weight calls out",
    ]


def test_corrected_times_in_pprof(run: Run, tmp_path: Path) -> None:
    path = nested().write(tmp_path / "t.parquet")
    for options, says in (
        ((), "times: as recorded, with"),
        (("--correct",), "times: corrected for probes: "),
    ):
        assert run("export", path, "--to", "pprof", "--force", *options).status == 0
        found = profile()
        found.ParseFromString(gzip.decompress((tmp_path / "t.pb.gz").read_bytes()))
        assert found.string_table[found.comment[1]].startswith(says)
        assert found.string_table[found.comment[2]].startswith("left out: ")
    names = [found.string_table[function.name] for function in found.function]
    samples = {
        ";".join(names[place - 1] for place in reversed(sample.location_id)): sample.value[1]
        for sample in found.sample
    }
    assert samples == STACKS


def test_corrected_times_in_speedscope_are_weights(run: Run, tmp_path: Path) -> None:
    """Its timelines would be of moments."""
    path = nested().write(tmp_path / "t.parquet")
    done = run("export", path, "--to", "speedscope", "--correct")
    assert done.stderr.splitlines()[-1] == "left out: nothing (1 call entry-only); no events lost"
    found = json.loads((tmp_path / "t.speedscope.json").read_text())
    assert found["name"].startswith("t.parquet – corrected for probes: 0.04 to 0.1 us a call taken off")
    (shown,) = found["profiles"]
    assert (shown["type"], shown["unit"]) == ("sampled", "nanoseconds")
    names = [frame["name"] for frame in found["shared"]["frames"]]
    stacks = [";".join(names[frame] for frame in stack) for stack in shown["samples"]]
    weights = dict(zip(stacks, shown["weights"], strict=True))
    assert weights == {stack: weight for stack, weight in STACKS.items() if weight}
    assert (shown["startValue"], shown["endValue"]) == (0, 760)
    assert run("export", path, "--to", "speedscope", "--force").status == 0
    plain = json.loads((tmp_path / "t.speedscope.json").read_text())
    assert [profile["type"] for profile in plain["profiles"]] == ["evented", "evented"]
    assert plain["name"] == "t.parquet"


@pytest.mark.parametrize("form", ["perfetto", "chrome"])
def test_timelines_of_all_threads_are_not_corrected(form: str, run: Run, tmp_path: Path) -> None:
    path = nested().write(tmp_path / "t.parquet")
    done = run("export", path, "--to", form, "--correct")
    assert done.status == 2
    first, second = done.stderr.splitlines()
    assert first.startswith(f"funcsnoop: times in {form} cannot be corrected: it shows when calls began")
    assert second.startswith("  leave --correct out, or use folded, pprof or speedscope")
    assert list(tmp_path.iterdir()) == [path]
    done = run("export", path, "--to", form, "-o", "out")
    assert b"as recorded, with the cost of probes inside" in (tmp_path / "out").read_bytes()
    assert "times: as recorded, with the cost of probes inside" in done.stderr.splitlines()


def test_pages_and_charts_of_corrected_traces_say_so(tmp_path: Path) -> None:
    path = nested().write(tmp_path / "t.parquet")
    for correct, says in ((False, "as recorded, with"), (True, "corrected for probes: 0.04 to 0.1 us")):
        trace = funcsnoop.open(path, correct=correct)
        assert page_data(trace.report().html)["facts"]["times"].startswith(says)
        subtitle = plot.latency(trace).to_dict()["title"]["subtitle"]
        assert any("corrected for probes" in line for line in subtitle) == correct
