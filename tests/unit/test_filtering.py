"""Filters of a recording: what goes together, what becomes of the records, and what reports say."""

import re
from dataclasses import replace

import numpy as np
import pytest

from funcsnoop.bpf.filters import NO_FILTERS, FilteredCounts, Filters
from funcsnoop.bpf.layout import (
    ENTRY,
    EXIT,
    LIVE_PLACE,
    LIVE_STACK,
    SPAN,
    TAIL,
    TAIL_SPAN,
    event_dtype,
    live_call_dtype,
)
from funcsnoop.bpf.waiting import waiting_entries
from funcsnoop.cli.app import app
from funcsnoop.cli.quantities import parse_share
from funcsnoop.errors import TargetError, UsageError
from funcsnoop.record import filtering
from funcsnoop.record.plan import Plan, PlannedFunction, PlannedModule, Seen
from funcsnoop.record.spans import count_events, expand
from funcsnoop.record.target import Target

from .traces import Recording


@pytest.mark.parametrize(
    ("filters", "exits", "words"),
    [
        (Filters(min_duration_ns=1), "none", "--min-duration needs exits"),
        (Filters(sample=2), "none", "--sample needs exits"),
        (Filters(max_depth=2), "none", "--max-depth needs exits"),
        (Filters(spans=True), "none", "--events spans needs exits"),
        (Filters(budget=1, sample=2), "auto", "--budget and --sample"),
        (Filters(budget=1, min_duration_ns=1), "ret", "--budget and --min-duration"),
    ],
)
def test_what_does_not_go_together(filters, exits, words):
    with pytest.raises(UsageError, match=re.escape(words)) as error:
        filtering.check(filters, exits)
    assert error.value.hint


@pytest.mark.parametrize(
    ("filters", "exits"),
    [
        (NO_FILTERS, "none"),
        (Filters(budget=1), "none"),
        (Filters(min_duration_ns=1, sample=2, max_depth=3, spans=True), "auto"),
        (Filters(budget=1, max_depth=3, spans=True), "return"),
    ],
)
def test_what_goes_together(filters, exits):
    filtering.check(filters, exits)


def test_shares():
    assert [parse_share(text) for text in ("1/100", "1/1", " 1 / 2147483648")] == [100, 1, 1 << 31]
    for text in ("1/0", "2/100", "1/", "100", "1/x", "1/-2", "1/²", "1/2147483649"):
        with pytest.raises(UsageError):
            parse_share(text)


def module(*exits):
    functions = tuple(
        PlannedFunction(
            cookie=cookie,
            symbol=f"f{cookie}",
            demangled=f"f{cookie}",
            address=cookie,
            offset=cookie,
            size=1,
            aliases=(),
            site=cookie,
            site_class="push",
            moved=0,
            seen=Seen(how, f"why {how}"),
        )
        for cookie, how in exits
    )
    return PlannedModule("/bin/x", "/bin/x", None, 1, 2, functions, False, ())


def plan(*modules):
    return Plan(Target.for_everything(), None, modules, (), ())


def test_functions_that_cannot_be_judged_get_no_probe():
    before = plan(
        module((1, "none"), (2, "ret"), (3, "none")), module((4, "none")), module((5, "return"), (6, "ret"))
    )
    assert filtering.apply(Filters(max_depth=3), before) is before
    after = filtering.apply(Filters(min_duration_ns=5), before)
    assert [(f.cookie, f.symbol) for f in after.functions] == [(1, "f2"), (2, "f5"), (3, "f6")]
    assert [skipped["symbol"] for skipped in after.skipped] == ["f1", "f3", "f4"]
    assert "why none" in after.skipped[0]["reason"]
    assert after.notices[0].startswith("3 functions whose exits cannot be seen get no probe")
    whole = plan(module((1, "ret")))
    assert filtering.apply(Filters(min_duration_ns=5), whole) == whole
    with pytest.raises(TargetError, match="cannot judge any function here: why none"):
        filtering.apply(Filters(min_duration_ns=5), plan(module((1, "none"))))


def test_spans_become_two_events():
    records = np.zeros(6, event_dtype("lean", 2, spans=True))
    records["type"] = [ENTRY, SPAN, EXIT, TAIL_SPAN, TAIL, SPAN]
    records["timestamp"] = [10, 20, 30, 40, 50, 60]
    records["end"] = [0, 21, 0, 41, 0, 61]
    records["args"][:, 0] = range(6)
    assert count_events(records) == 9
    events = expand(records)
    assert events["type"].tolist() == [ENTRY, ENTRY, EXIT, EXIT, ENTRY, TAIL, TAIL, ENTRY, EXIT]
    assert events["timestamp"].tolist() == [10, 20, 21, 30, 40, 41, 50, 60, 61]
    assert events["args"][:, 0].tolist() == [0, 1, 1, 2, 3, 3, 4, 5, 5]
    assert records["type"].tolist() == [ENTRY, SPAN, EXIT, TAIL_SPAN, TAIL, SPAN]
    assert expand(records[[0, 2]])["timestamp"].tolist() == [10, 30]
    assert len(expand(records[:0])) == 0


@pytest.mark.parametrize("arguments", [0, 2])
def test_entries_that_still_wait(arguments):
    """Of two threads: one in three calls, the outermost of which was sent; one in two, and an old third."""
    dtype = live_call_dtype(arguments)

    def stack(pid, tgid, level, sent):
        value = np.zeros((), LIVE_STACK)
        value["tgid"], value["level"], value["sent"] = tgid, level, sent
        return pid.to_bytes(4, "little"), value.tobytes()

    def call(pid, level, start):
        value = np.zeros((), dtype)
        value["start"], value["frame"], value["function"] = start, 1000 - level, 7 + level
        if arguments:
            value["args"] = [start, 5]
        return np.array((pid, level), LIVE_PLACE).tobytes(), value.tobytes()

    stacks = [stack(21, 20, 3, 1), stack(30, 30, 2, 0)]
    calls = [call(21, level, 10 * level) for level in range(3)] + [call(30, level, 15) for level in range(3)]
    events, others = waiting_entries(stacks, calls, "lean", arguments, 15)
    assert others == 1
    fields = ["pid", "tgid", "timestamp", "cookie", "frame"]
    assert events[fields].tolist() == [
        (21, 20, 10, 8, 999),
        (30, 30, 15, 7, 1000),
        (30, 30, 15, 8, 999),
    ]
    assert events.dtype == event_dtype("lean", arguments, spans=True)
    if arguments:
        assert events["args"].tolist() == [[10, 5], [15, 5], [15, 5]]
    assert set(events["type"]) == {ENTRY}


def test_counts_by_option_and_cause():
    counts = FilteredCounts(brief=2, deep=3, unsampled=5, over_budget=7, untracked=11)
    filters = Filters(min_duration_ns=0, sample=9)
    assert filtering.filtered_by_option(filters, counts) == {"min-duration": 2, "sample": 5}
    assert filtering.lost_by_cause(13, counts) == {"buffer": 2, "calls": 11}
    assert filtering.lost_by_cause(13, replace(counts, untracked=0)) == {"buffer": 13}
    assert filtering.budget_cuts([(4, 90), (2, 30)]) == [
        {"cookie": 2, "time_ns": 30},
        {"cookie": 4, "time_ns": 90},
    ]


@pytest.fixture
def sampled(tmp_path):
    recording = Recording(["f", "g"])
    recording.entry("f", 2_000, 900).entry("g", 3_000, 800).exit("g", 5_000, 800).exit("f", 9_000, 900)
    about = recording.about()
    recording.metadata |= {
        "filters": about["filters"] | {"sample": 100, "roots": 89, "sampled_roots": 1},
        "counts": about["counts"] | {"produced": 360, "filtered": {"sample": 356}},
    }
    return recording.write(tmp_path / "t.parquet")


def test_reports_of_a_sample_have_estimates(sampled, capsys):
    note = "356 left out by --sample 1/100 (1 of 89 outermost calls recorded: multiply by 100)"
    for report, line in {
        "latency": r"f +libdemo\.so\.1 +1 +100 +700 +µs +7\.00 µs",
        "callgraph": r"7\.00 µs +5\.00 µs +1 +100 +700 +µs +f",
    }.items():
        app(["analyze", report, str(sampled)], standalone_mode=False)
        text = capsys.readouterr().out
        assert {"EST CALLS", "EST TOTAL"} <= set(re.split(r"  +", text.splitlines()[0]))
        assert re.search(line, text), text
        assert note in text
    app(["analyze", "summary", str(sampled)], standalone_mode=False)
    assert "356 left out on purpose" in capsys.readouterr().out


def test_machine_formats_stay_as_they_are(sampled, capsys):
    app(["analyze", "latency", "--format", "csv", str(sampled)], standalone_mode=False)
    captured = capsys.readouterr()
    assert captured.out.startswith("function,module,calls,total_ns,self_ns,mean_ns")
    assert "multiply by 100" in captured.err
