"""Which options of `analyze` mean something to which report. Light, as the help needs it."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import UsageError

NAMES = (
    "summary",
    "latency",
    "callgraph",
    "hist",
    "heatmap",
    "slowest",
    "path",
    "replay",
    "diff",
    "explain",
    "args",
    "calls",
    "threads",
)
FORMATS = ("table", "json", "ndjson", "csv", "parquet", "markdown")

#: Options that mean something to some reports only, and to which.
ONLY_FOR = {
    "--focus": ("callgraph", "hist", "heatmap", "slowest", "explain"),
    "--min-percent": ("callgraph",),
    "--depth": ("callgraph", "path", "replay"),
    "--arg": ("hist", "slowest", "path", "replay"),
    "--ret": ("hist", "slowest", "path", "replay"),
    "--id": ("path",),
    "--callgraph": ("diff",),
    "--slow": ("explain",),
    "--merge": ("summary", "latency", "callgraph", "args", "threads"),
    "--as": ("args", "hist", "slowest", "path", "replay", "explain"),
}
#: What a picture needs.
NEEDS = {"hist": "--focus", "heatmap": "--focus", "explain": "--focus"}
#: Reports that are drawn, and have no rows to sort, or to cut.
UNSORTED = ("hist", "heatmap", "path", "replay", "explain")
UNCUT = ("hist", "heatmap", "explain")
#: Options that choose calls, where only whole threads, or one call, make sense.
UNFILTERED = {
    "path": ("--function", "--process", "--thread", "--since", "--until"),
    "replay": ("--function",),
}


def check_usage(report: str, form: str, given: Mapping[str, bool]) -> None:
    """Raises UsageError where the options that were `given` do not go with each other."""
    if form not in FORMATS:
        raise UsageError(f"there is no format {form!r}", f"formats are {', '.join(FORMATS)}")
    if report == "summary":
        if form in ("csv", "parquet"):
            raise UsageError(
                f"the summary is no table, so it cannot be {form}", "use json, or another report"
            )
        if given["--sort"]:
            raise UsageError("the summary has no columns to sort by", "use another report, such as latency")
    for option, reports in ONLY_FOR.items():
        if given[option] and report not in reports:
            raise UsageError(
                f"{option} means nothing to the report {report}", f"it is for {', '.join(reports)}"
            )
    for option in UNFILTERED.get(report, ()):
        if given[option]:
            raise UsageError(f"{option} would tear the report {report} apart", "leave it out, or use calls")
    if report == "path" and not given["--id"]:
        raise UsageError(
            "the report path needs --id", "`funcsnoop analyze slowest` and `calls` give the ids of calls"
        )
    if form != "table":
        for option in ("--min-percent", "--depth"):
            if given[option]:
                raise UsageError(
                    f"{option} is for what is drawn, and not for {form}", "leave one of both out"
                )
        return
    needed = NEEDS.get(report)
    if needed and not given[needed]:
        raise UsageError(
            f"the report {report} needs {needed}",
            f"name a function as `funcsnoop analyze latency` prints it: {needed} FUNC",
        )
    for option, reports in (("--sort", UNSORTED), ("--top", UNCUT)):
        if given[option] and report in reports:
            raise UsageError(f"{option} means nothing to a picture", "leave it out, or give a machine format")
