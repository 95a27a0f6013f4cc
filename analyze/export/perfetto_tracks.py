"""Perfetto's tracks: a process, its threads, the lanes of a thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TracePacket, TrackDescriptor

from ...schemas import TraceMetadata
from ..arrays import Ints
from . import naming

#: All packets are of one sequence, so that they share names.
SEQUENCE = 1


class Tracks:
    """Numbers tracks, and describes those that are new."""

    def __init__(self, metadata: TraceMetadata) -> None:
        self._metadata = metadata
        self._names = naming.thread_names(metadata)
        self._numbers: dict[Any, int] = {}
        self._new: list[TracePacket] = []

    def new(self) -> list[TracePacket]:
        """Descriptions of the tracks that were asked for and have not been described."""
        found, self._new = self._new, []
        return found

    def of(self, calls: pl.DataFrame) -> Ints:
        """The track of each of `calls`, which need `process`, `tgid`, `pid` and `lane`."""
        keys = ["process", "tgid", "pid", "lane"]
        used = calls.select(keys).unique(maintain_order=True)
        numbers = [self.lane(*key) for key in used.rows()]
        used = used.with_columns(track=pl.Series(numbers, dtype=pl.Int64))
        found: Ints = calls.join(used, on=keys, how="left", nulls_equal=True, maintain_order="left")[
            "track"
        ].to_numpy()
        return found

    def thread(self, tgid: int, pid: int) -> int | None:
        """The track of the last thread of these ids, if calls of it have one."""
        found = [
            number for key, number in self._numbers.items() if key[0] == "thread" and key[2:] == (tgid, pid)
        ]
        return found[-1] if found else None

    def lane(self, process: int | None, tgid: int, pid: int, lane: int) -> int:
        if lane:
            return self.named(f"stack {lane + 1}", self.lane(process, tgid, pid, 0))
        return self._number(
            ("thread", process, tgid, pid),
            lambda: {
                "parent_uuid": self.process(process, tgid),
                "thread": {
                    "pid": _signed(tgid),
                    "tid": _signed(pid),
                    "thread_name": self._names.get((tgid, pid)),
                },
            },
        )

    def process(self, process: int | None, tgid: int) -> int:
        known = None if process is None else self._metadata["processes"][process]
        return self._number(
            ("process", tgid, process),
            lambda: {
                "process": {
                    "pid": _signed(tgid),
                    "process_name": naming.process_name(known),
                    "cmdline": known["command"] if known else [],
                }
            },
        )

    def named(self, name: str, around: int | None = None) -> int:
        return self._number((name, around), lambda: {"name": name, "parent_uuid": around})

    def _number(self, key: tuple[Any, ...], describe: Callable[[], dict[str, Any]]) -> int:
        number = self._numbers.get(key)
        if number is None:
            about = describe()  # which can number others
            number = self._numbers[key] = len(self._numbers) + 1
            packet = TracePacket(
                trusted_packet_sequence_id=SEQUENCE, track_descriptor=TrackDescriptor(uuid=number, **about)
            )
            self._new.append(packet)
        return number


def _signed(number: int) -> int:
    """As the format has it; no real process has an id that changes by this."""
    return number if number < 1 << 31 else number - (1 << 32)
