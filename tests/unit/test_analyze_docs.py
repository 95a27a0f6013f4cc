"""The pages about traces and reports name everything that a reader of them can meet."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args, get_type_hints, is_typeddict

import pytest

from funcsnoop import schemas
from funcsnoop.analyze.casts import KINDS
from funcsnoop.cli import analyze
from funcsnoop.schemas.metadata import TraceMetadata
from funcsnoop.schemas.summary import MergedSummary, Summary

DOCS = Path(__file__).parents[2] / "docs"


def sections(page: str) -> dict[str, str]:
    """The text of a page by heading, without `#`s."""
    parts = re.split(r"(?m)^#+ (.*)$", (DOCS / page).read_text())
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def named(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


def keys(kind: Any) -> set[str]:
    """All keys of a TypedDict, those of the objects in it included."""
    if is_typeddict(kind):
        hints = get_type_hints(kind)
        return set(hints) | {key for inner in hints.values() for key in keys(inner)}
    return {key for inner in get_args(kind) for key in keys(inner)}


@pytest.mark.parametrize(
    "report",
    ["latency", "callgraph", "hist", "heatmap", "slowest", "diff", "explain", "args", "calls", "threads"],
)
def test_every_column_is_described(report: str) -> None:
    schema = getattr(schemas, f"{report.upper()}_APART", getattr(schemas, report.upper()))
    known = named(sections("analyze.md")[report])
    assert set(schema.names) <= known
    for field in schema:
        inner = field.type.value_type if hasattr(field.type, "value_type") else None
        if inner is not None and getattr(inner, "num_fields", 0):
            assert {part.name for part in inner} <= known


def test_every_key_of_the_summary_is_described() -> None:
    described = named(sections("analyze.md")["summary"])
    windows = {"pid", "tgid", "start_ns", "end_ns", "frame"}  # described with the metadata
    assert (keys(Summary) | keys(MergedSummary)) - windows <= described


def test_every_column_of_the_file_and_key_of_the_metadata_is_described() -> None:
    page = sections("file-format.md")
    assert set(schemas.EVENTS.names) <= named(page["Events"])
    assert keys(TraceMetadata) <= named(page["Metadata"])


def test_every_status_report_format_and_type_is_described() -> None:
    page = named((DOCS / "analyze.md").read_text())
    assert {*schemas.STATUS, *analyze.NAMES, *analyze.FORMATS, *KINDS} <= page


def test_every_option_is_described() -> None:
    import inspect

    text = (DOCS / "analyze.md").read_text()
    for parameter in inspect.signature(analyze.analyze).parameters.values():
        for name in getattr(parameter.default, "param_decls", ()) or ():
            assert f"`{name}" in text, name


def test_every_key_has_a_description_in_the_schema() -> None:
    for table in (
        "EVENTS",
        "CALLS",
        "LATENCY",
        "CALLGRAPH",
        "HIST",
        "HEATMAP",
        "SLOWEST",
        "DIFF",
        "DIFF_EDGES",
        "ARGS",
        "THREADS",
    ):
        for field in getattr(schemas, table):
            assert field.metadata[b"description"], field.name
            assert not field.name.endswith("_ns") or field.metadata[b"unit"] == b"ns"
