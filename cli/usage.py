"""Which options of `analyze` mean something to which report. Light, as the help needs it."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import UsageError

NAMES = ("summary", "latency", "callgraph", "hist", "heatmap", "args", "calls", "threads")
FORMATS = ("table", "json", "ndjson", "csv", "parquet", "markdown")

#: Options that mean something to some reports only, and to which.
ONLY_FOR = {
    "--focus": ("callgraph", "hist", "heatmap"),
    "--min-percent": ("callgraph",),
    "--depth": ("callgraph",),
    "--arg": ("hist",),
    "--ret": ("hist",),
    "--as": ("args", "hist"),
}
#: What a picture needs.
NEEDS = {"hist": "--focus", "heatmap": "--focus"}
#: Reports that are drawn, and have no rows to sort or to cut when they are.
UNSORTED = ("hist", "heatmap")


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
    if form != "table" and report == "callgraph" and (given["--min-percent"] or given["--depth"]):
        raise UsageError(
            f"--min-percent and --depth are for the tree, and as {form} it is a list of edges",
            "leave them out, or leave --format out",
        )
    if form == "table":
        needed = NEEDS.get(report)
        if needed and not given[needed]:
            raise UsageError(
                f"the report {report} needs {needed}",
                f"name a function as `funcsnoop analyze latency` prints it: {needed} FUNC",
            )
        for option in ("--sort", "--top"):
            if given[option] and report in UNSORTED:
                raise UsageError(
                    f"{option} means nothing to a picture", "leave it out, or give a machine format"
                )
    if given["--arg"] and given["--ret"]:
        raise UsageError("--arg and --ret are two pictures", "give one of them")
