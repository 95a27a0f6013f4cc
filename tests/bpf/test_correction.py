"""Times corrected for what probes cost, against those of the same program without probes."""

from statistics import median
from subprocess import check_output

import polars as pl
import pytest

import funcsnoop
from funcsnoop.analyze.trace import Trace

from ..unit.test_report import page_data

NUMBERS = (1, 10, 100, 1000)
ROUNDS = 3
ATTEMPTS = 3
#: Each exit at a `ret`, each entry at a `mov`: both are single-stepped, the dearest kind of probe.
OPTIONS = ["--exit", "ret", "--site", "entry", "-f", "inner", "-f", "outer"]


def times_by_calls(trace: Trace) -> dict[int, float]:
    """The median inclusive time of an `outer`, by how many calls of `inner` it made."""
    calls = trace.calls().collect()
    inside = calls.filter(pl.col("name") == "inner").group_by("parent_id").len("number")
    outer = calls.filter(pl.col("name") == "outer").join(inside, left_on="call_id", right_on="parent_id")
    return dict(outer.group_by("number").agg(pl.col("duration_ns").median()).rows())


def test_corrected_times_are_those_without_probes(build, record):
    program = build("inner_work.c", "-O1")

    def untraced(iterations: int) -> dict[int, int]:
        lines = check_output([program, str(iterations), *map(str, NUMBERS)], text=True).splitlines()
        return {int(number): int(taken) for number, taken in (line.split() for line in lines)}

    # inner is to take half as long as its probes, whatever the machine.
    probed = record(OPTIONS, [program, "1", "1"])
    (cost,) = probed.metadata["probe_costs"]
    assert (cost["site_class"], cost["exit"]) == ("stepped", "ret")
    iterations = round(20_000 * cost["call_ns"] / 2 / (untraced(20_000)[10] / 10))

    # A machine that does something else meanwhile is asked again; what is wrong is wrong each time.
    seen = []
    for _ in range(ATTEMPTS):
        true, recorded, corrected = [], [], []
        for _ in range(ROUNDS):
            true.append(untraced(iterations))
            trace = record(OPTIONS, [program, str(iterations), *map(str, NUMBERS)])
            assert trace.metadata["counts"]["produced"] == trace.metadata["counts"]["recorded"]
            recorded.append(times_by_calls(trace))
            corrected.append(times_by_calls(funcsnoop.open(trace.path, correct=True)))
        ratios = {}
        for number in NUMBERS:
            with_probes, without, truth = (
                median(found[number] for found in each) for each in (recorded, corrected, true)
            )
            assert with_probes > 2 * truth, number
            ratios[number] = without / truth
        if all(abs(ratio - 1) < 0.1 for ratio in ratios.values()):
            return
        seen.append(ratios)
    pytest.fail(f"corrected to untraced times: {seen}")


def test_a_real_recording_as_page_and_files(build, record, run, tmp_path):
    """A file in which times are summed up holds the corrected ones, to the ns; timelines are refused."""
    trace = record(OPTIONS, [build("inner_work.c", "-O1"), "100", *map(str, NUMBERS)])
    plain, corrected = trace, funcsnoop.open(trace.path, correct=True)

    def own_times(of: Trace) -> dict[str, int]:
        names = pl.col("name").cast(pl.String)
        calls = of.calls().collect().with_columns(name=names)
        around = calls.select(parent_id="call_id", around="name")
        stack = pl.concat_str("around", "name", separator=";", ignore_nulls=True)
        found = calls.join(around, on="parent_id", how="left").group_by(stack).agg(pl.col("self_ns").sum())
        return dict(found.rows())

    assert own_times(corrected)["outer"] < own_times(plain)["outer"] / 2
    for options, of in (((), plain), (("--correct",), corrected)):
        done = run("export", trace.path, "--to", "folded", "-o", "-", *options)
        assert of.times in done.stderr.splitlines()
        weights = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
        assert {stack: int(weight) for stack, weight in weights.items()} == own_times(of)
        done = run("report", trace.path, "--force", "-o", "page.html", *options)
        assert of.times in done.stderr.splitlines()
        page = page_data((tmp_path / "page.html").read_text())
        assert page["flame"]["time"] == sum(own_times(of).values())
        assert page["facts"]["times"].startswith(of.times.removeprefix("times: "))
    for form in ("perfetto", "chrome"):
        done = run("export", trace.path, "--to", form, "--correct", "-o", "timeline")
        assert done.status == 2
        assert len(done.stderr.splitlines()) == 2
    assert not (tmp_path / "timeline").exists()
