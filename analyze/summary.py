"""The summary report: what was recorded, and where the time went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import polars as pl

from ..schemas.summary import (
    MergedSummary,
    Summary,
    SummaryArgument,
    SummaryFigures,
    SummaryFunction,
    SummaryPath,
    SummaryRecording,
    SummaryReturn,
)
from .answers import Answers
from .figures import functions_of
from .merged import Merged
from .registers import as_error, is_pointer
from .selection import Chosen
from .trace import Trace

#: How many functions, paths and values a list holds, unless asked otherwise.
TOP = 5
#: The arguments of this many functions, those with the most time, are looked at.
LOOKED_AT = 20
#: A median of fewer calls says little.
ENOUGH_CALLS = 30
#: A latency that varies less than this with an argument is no news.
NOTABLE_RATIO = 2.0
#: Nor is one that explains less than this share of the time that the function takes.
NOTABLE_SHARE = 0.01
#: Past these, a register is hardly ever a parameter, and what it holds goes with anything.
TELLING = ("arg0", "arg1", "ret_val")


def summary(trace: Trace, paired: Chosen | None = None, top: int = TOP) -> Summary:
    """The object that `schemas.Summary` describes, over the calls `paired` of `trace`."""
    answers = _answers(trace, paired)
    recording = _recording(trace, len(answers.threads), answers.count("calls"))
    return {**recording, **_figures(trace, [trace], paired, answers, top)}


def merged_summary(merged: Merged, top: int = TOP) -> MergedSummary:
    """The same of several traces as one."""
    answers = _answers(merged, None)
    threads = answers.threads
    recordings = []
    for place, trace in enumerate(merged.origins):
        mine = threads.filter(pl.col("trace") == place)
        recordings.append(_recording(trace, len(mine), int(mine["calls"].sum())))
    return {"traces": recordings, **_figures(merged, merged.origins, None, answers, top)}


def _answers(trace: Trace | Merged, paired: Chosen | None) -> Answers:
    return trace.answers(paired, [name for name in trace.value_columns if name in TELLING])


def _recording(trace: Trace, threads: int, calls: int) -> SummaryRecording:
    """With so many threads and calls that were chosen."""
    about = trace.metadata
    counts = about["counts"]
    return {
        "trace": str(trace.path),
        "tool_version": about["tool_version"],
        "host": about["host"],
        "kernel": about["kernel"],
        "architecture": about["architecture"],
        "command_line": about["command_line"],
        "command": about["command"],
        "exit_status": about["exit_status"],
        "end_reason": about["end_reason"],
        "attach": about["attach"],
        "started_ns": about["started"]["realtime_ns"],
        "duration_ns": about["ended"]["monotonic_ns"] - about["started"]["monotonic_ns"],
        "processes": [
            {"tgid": p["tgid"], "command": p["command"], "executable": p["executable"]}
            for p in about["processes"]
        ],
        "threads": threads,
        "calls": calls,
        "events": {
            "produced": counts["produced"],
            "recorded": counts["recorded"],
            "lost": dict(counts["lost"]),
            "filtered": dict(counts["filtered"]),
            "after_limit": counts["after_limit"],
        },
        "loss_windows": about["loss_windows"],
        "notices": about["notices"],
    }


def _figures(
    trace: Trace | Merged, traces: Sequence[Trace], paired: Chosen | None, answers: Answers, top: int
) -> SummaryFigures:
    """Those of `trace`, which `traces` make up."""
    table = trace.functions.select("cookie", "demangled").collect()
    # A function that several have is one.
    entry_only = {
        (function.symbol, function.module, function.twin)
        for each in traces
        for function in functions_of(each.metadata)
        if function.entry_only
    }
    skipped = [(s["symbol"], s["module"]) for each in traces for s in each.metadata["skipped"]]
    functions = answers.functions.sort("sum_ns", "calls", "function", descending=[True, True, False])
    cookies = table["cookie"].gather(functions["function"].head(LOOKED_AT)).to_list()
    values = answers.arguments.filter(pl.col("cookie").is_in(cookies), pl.col("arg").is_in(TELLING))
    loss = trace.loss_of(paired)
    return {
        "times": "corrected" if trace.corrected else "recorded",
        "functions": {
            "traced": len(table),
            "called": len(functions),
            "entry_only": len(entry_only),
            "skipped": len(skipped) if len(traces) == 1 else len(set(skipped)),
        },
        "top_total": _top(answers.latency, "total_ns", top),
        "top_self": _top(answers.latency, "self_ns", top),
        "hot_paths": _hot_paths(answers.tree, table["demangled"].to_list(), top),
        "arguments": _varying(values, top),
        "returns": _returns(values, top),
        "left_out": {
            "open": loss.open,
            "unwound": loss.unwound,
            "lost": loss.lost_calls,
            "entry_only": loss.entry_only,
        },
    }


def _top(times: pl.DataFrame, column: str, count: int) -> list[SummaryFunction]:
    keys = list(SummaryFunction.__annotations__)
    rows = times.sort(column, descending=True, nulls_last=True, maintain_order=True).head(count)
    return cast(list[SummaryFunction], rows.select(keys).to_dicts())


def _hot_paths(tree: pl.DataFrame, names: list[str], count: int) -> list[SummaryPath]:
    """The paths in whose last function the most time was spent."""
    parents, functions = tree["parent"].to_list(), tree["function"].to_list()
    hottest = (
        tree.filter(pl.col("self_ns") > 0).sort("self_ns", descending=True, maintain_order=True).head(count)
    )
    paths: list[SummaryPath] = []
    for row in hottest.iter_rows(named=True):
        path = []
        node = row["node"]
        while node is not None:
            path.append(names[functions[node]])
            node = parents[node]
        paths.append(
            {
                "path": path[::-1],
                "calls": row["calls"],
                "total_ns": row["total_ns"],
                "self_ns": row["self_ns"],
            }
        )
    return paths


def _varying(values: pl.DataFrame, count: int) -> list[SummaryArgument]:
    """Where a value goes with much of the time of its function, one line a function, most time first."""
    best: dict[str, tuple[float, SummaryArgument]] = {}
    for row in values.iter_rows(named=True):
        found = _relation(row)
        if found is not None and found[0] > best.get(row["function"], (0.0,))[0]:
            best[row["function"]] = found
    return [item for _, item in sorted(best.values(), key=lambda pair: -pair[0])[:count]]


def _relation(row: dict[str, Any]) -> tuple[float, SummaryArgument] | None:
    """How latency goes with a row of the args report, and the time that this explains; None if it hardly
    does.

    That time is what the calls took longer than they would have, had each been as quick as the fastest
    group.
    """
    groups = [group for group in row["groups"] if group["calls"] >= ENOUGH_CALLS]
    if len(groups) < 2:
        return None
    ranges = any(group["low"] != group["high"] for group in groups)
    if ranges and any(is_pointer(int(item["value"])) for item in row["top"]):
        return None  # how large a pointer is says nothing
    fast = min(groups, key=lambda group: cast(int, group["p50_ns"]))
    slow = max(groups, key=lambda group: cast(int, group["p50_ns"]))
    ratio = slow["p50_ns"] / max(fast["p50_ns"], 1)
    explained = sum(group["calls"] * (group["p50_ns"] - fast["p50_ns"]) for group in groups)
    whole = sum(group["calls"] * group["p50_ns"] for group in groups)
    if ratio < NOTABLE_RATIO or explained < NOTABLE_SHARE * whole:
        return None
    return explained, {
        "function": row["function"],
        "arg": row["arg"],
        "ratio": ratio,
        "fast": _group(fast),
        "slow": _group(slow),
    }


def _group(group: dict[str, Any]) -> Any:
    return {key: int(group[key]) for key in ("low", "high", "calls", "p50_ns")}


def _returns(values: pl.DataFrame, count: int) -> list[SummaryReturn]:
    """Frequent return values, those that look like errors first."""
    found: list[SummaryReturn] = [
        {
            "function": row["function"],
            "value": as_error(int(item["value"])),
            "count": item["count"],
            "share": item["count"] / row["count"],
        }
        for row in values.filter(pl.col("arg") == "ret_val").iter_rows(named=True)
        for item in row["top"]
    ]
    # A value that hardly any two calls share says nothing.
    telling = [item for item in found if item["value"] < 0 or (item["count"] > 1 and item["share"] >= 0.05)]
    return sorted(telling, key=lambda item: (item["value"] >= 0, -item["count"]))[:count]
