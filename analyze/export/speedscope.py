"""speedscope: an evented profile for each thread; of corrected times one with a weight for each stack."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, Final

import numpy as np
import polars as pl

from ...schemas import TraceMetadata
from ..arrays import Ints
from . import naming, spans
from .json_list import JsonList
from .source import Source
from .stacks import Stacks

_SCHEMA: Final = "https://www.speedscope.app/file-format-schema.json"

#: Events of a thread's further lanes wait in memory up to this size, then on disk.
_IN_MEMORY: Final = 1 << 20


def write(source: Source, out: BinaryIO) -> None:
    """One profile a thread, and one for each further lane of it; times in ns since the recording began.

    https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources. Arguments have no place there:
    they would make a frame of their own of each value.

    Corrected times know no moments: see `Source.check_moments`. They are summed up by stack, all threads
    together.
    """
    metadata = source.metadata
    frames = [{"name": f["demangled"], "file": f["module"]} for f in metadata["functions"]]
    head = {
        "$schema": _SCHEMA,
        "exporter": f"funcsnoop {metadata['tool_version']}",
        "shared": {"frames": frames},
    }
    out.write(json.dumps(head)[:-1].encode() + b',"profiles":[')
    if source.trace.corrected:
        loss = _write_weights(source, out)
        shown = 0
    else:
        shown = _write_threads(source, out)
        loss = source.loss.drawn
    name = source.trace.path.name
    if source.loss.calls or naming.losses(metadata):
        name += f" – {loss}"
    if source.trace.corrected:
        name += f" – {source.times}"
    tail = {"name": name, "activeProfileIndex": shown}
    out.write(b"]," + json.dumps(tail)[1:].encode() + b"\n")


def _write_weights(source: Source, out: BinaryIO) -> str:
    """One profile: own time by stack, from the root. What it leaves out."""
    stacks = Stacks(source)
    head = {"type": "sampled", "name": "own time by stack, all threads", "unit": "nanoseconds"}
    out.write(b"\n" + json.dumps(head)[:-1].encode() + b',"samples":[')
    samples, weights = JsonList(out), []
    for stack, weight in enumerate(stacks.self_ns.tolist()):
        if weight > 0:
            samples.add(json.dumps(stacks.leaf_first(stack)[::-1]))
            weights.append(weight)
    tail = {"weights": weights, "startValue": 0, "endValue": sum(weights)}
    out.write(b"]," + json.dumps(tail)[1:].encode())
    return str(source.loss)


def _write_threads(source: Source, out: BinaryIO) -> int:
    """The profiles of all threads; which has the most events."""
    metadata = source.metadata
    profiles = _Profiles(metadata, out)
    batches = source.batches(*spans.NEEDS, "function")
    for drawn in spans.spans(batches, metadata["ended"]["monotonic_ns"]):
        for thread, part in _threads(drawn):
            profiles.go_to(thread)
            for lane in np.unique(part["lane"].to_numpy()).tolist():
                profiles.add(lane, part.filter(pl.col("lane") == lane))
    profiles.go_to(None)
    return profiles.longest


def _threads(drawn: spans.Spans) -> Iterator[tuple[tuple[int | None, int, int], pl.DataFrame]]:
    """The steps of each thread: `lane`, `opens`, `frame`, `at` (monotonic ns)."""
    ends = drawn.steps < 0
    row: Ints = np.where(ends, ~drawn.steps, drawn.steps)
    steps = drawn.calls.select("process", "tgid", "pid", frame="function")[row].with_columns(
        lane=pl.Series(drawn.lane[row]),
        opens=pl.Series(~ends),
        at=pl.Series(np.where(ends, drawn.end[row], drawn.begin[row])),
    )
    for part in steps.partition_by("process", "tgid", "pid", maintain_order=True):
        yield (part["process"][0], part["tgid"][0], part["pid"][0]), part


class _Profiles:
    """Writes profile after profile; further lanes wait until their thread's first lane is complete."""

    def __init__(self, metadata: TraceMetadata, out: BinaryIO) -> None:
        self._metadata = metadata
        self._out = out
        self._names = naming.thread_names(metadata)
        self._loss = naming.losses(metadata)
        self._began = metadata["started"]["monotonic_ns"]
        self._thread: tuple[int | None, int, int] | None = None
        self._lanes: dict[int, _Lane] = {}
        self._written = 0
        self._most = 0
        #: The number of the profile with the most events.
        self.longest = 0

    def go_to(self, thread: tuple[int | None, int, int] | None) -> None:
        """What comes next is of `thread`."""
        if thread == self._thread:
            return
        for number, lane in sorted(self._lanes.items()):
            if number:
                self._out.write(b",\n" if self._written else b"\n")
                self._head(number)
                lane.copy_to(self._out)
            tail = {"startValue": lane.first, "endValue": lane.last}
            self._out.write(b"]," + json.dumps(tail)[1:].encode())
            if lane.count > self._most:
                self._most, self.longest = lane.count, self._written
            self._written += 1
        self._lanes.clear()
        self._thread = thread

    def add(self, number: int, steps: pl.DataFrame) -> None:
        lane = self._lanes.get(number)
        if lane is None:
            if number == 0:
                self._out.write(b",\n" if self._written else b"\n")
                self._head(number)
            waiting = tempfile.SpooledTemporaryFile(_IN_MEMORY) if number else None  # noqa: SIM115
            lane = self._lanes[number] = _Lane(waiting or self._out, steps["at"][0] - self._began)
        lane.add(steps, self._began)

    def _head(self, number: int) -> None:
        assert self._thread is not None
        row, tgid, pid = self._thread
        process = None if row is None else self._metadata["processes"][row]
        program = naming.process_name(process)
        name = f"{program} {tgid}".strip()
        thread = self._names.get((tgid, pid), "thread")
        if pid != tgid or not program.startswith(thread):
            name = f"{name}, {thread} {pid}"
        name = naming.lane_name(name, number) + (f" – {self._loss}" if self._loss else "")
        head: dict[str, Any] = {"type": "evented", "name": name, "unit": "nanoseconds"}
        self._out.write(json.dumps(head)[:-1].encode() + b',"events":[')


class _Lane:
    """The events of a profile: opened and closed frames, in order."""

    def __init__(self, file: IO[bytes], at: int) -> None:
        self._file, self._events = file, JsonList(file)
        self.first = self.last = at
        self.count = 0

    def add(self, steps: pl.DataFrame, began: int) -> None:
        events = steps.select(
            type=pl.when("opens").then(pl.lit("O")).otherwise(pl.lit("C")),
            frame="frame",
            at=pl.col("at") - began,
        )
        self._events.add(events.write_ndjson())
        self.count += len(events)
        self.last = events["at"][-1]

    def copy_to(self, out: BinaryIO) -> None:
        self._file.seek(0)
        shutil.copyfileobj(self._file, out)
        self._file.close()
