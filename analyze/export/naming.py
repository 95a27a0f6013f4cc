"""What processes and threads are called in other tools."""

from __future__ import annotations

from pathlib import PurePosixPath

from ...schemas import TraceMetadata
from ...schemas.metadata import ProcessInfo


def process_name(process: ProcessInfo | None) -> str:
    """The file name of its command or executable; empty if nothing is known."""
    if process is None:
        return ""
    first = process["command"][0] if process["command"] else process["executable"] or ""
    return PurePosixPath(first).name or first


def thread_names(metadata: TraceMetadata) -> dict[tuple[int, int], str]:
    """The names that are known, by (tgid, pid); several where the ids came again."""
    names: dict[tuple[int, int], list[str]] = {}
    for thread in metadata["threads"]:
        if thread["name"]:
            names.setdefault((thread["tgid"], thread["pid"]), []).append(thread["name"])
    return {ids: ", ".join(dict.fromkeys(found)) for ids, found in names.items()}


def lane_name(thread: str, lane: int) -> str:
    """A thread's further timelines are numbered, from 2."""
    return f"{thread} (stack {lane + 1})" if lane else thread


def losses(metadata: TraceMetadata) -> str:
    """What was lost of the recording, empty if nothing was: `7 of 9,000 events lost`."""
    counts = metadata["counts"]
    lost = sum(counts["lost"].values())
    return f"{lost:,} of {counts['produced']:,} events lost" if lost else ""
