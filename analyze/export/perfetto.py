"""Perfetto's own format: every call a slice, its arguments and its return value with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Final

import polars as pl
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import DebugAnnotation, Trace, TracePacket, TrackEvent

from ...schemas import TraceMetadata
from ...schemas.metadata import LossWindow
from . import spans
from .perfetto_slices import STATUSES, Slices
from .perfetto_tracks import SEQUENCE, Tracks
from .source import Source

#: clock_snapshot.proto, BuiltinClocks
_CLOCKS: Final = {1: "realtime_ns", 3: "monotonic_ns", 6: "boottime_ns"}
_MONOTONIC: Final = 3

#: Packets are made this many at a time, as they take some hundred bytes each meanwhile.
_BLOCK: Final = 1 << 16


def write(source: Source, out: BinaryIO) -> None:
    """A slice a call on the track of its thread, its category the module; times on CLOCK_MONOTONIC.

    https://perfetto.dev/docs/reference/synthetic-track-event. Names are interned. The recording, with what is
    to be known of it, and the times in which events were lost are slices on tracks of their own.
    """
    source.check_moments("perfetto")
    metadata = source.metadata
    values = source.trace.value_columns
    modules = source.trace.functions.select("file").collect()["file"]
    categories = modules.unique(maintain_order=True)
    category = modules.cast(pl.Enum(categories)).to_physical().to_numpy() + 1

    tracks = Tracks(metadata)
    recording = tracks.named("recording")
    out.write(_packets(_names(source, values, categories.to_list())))
    out.write(
        _packets([*tracks.new(), _begin(recording, metadata["started"]["monotonic_ns"], _about(source))])
    )
    columns = (*spans.NEEDS, "function", *values)
    for drawn in spans.spans(source.batches(*columns), metadata["ended"]["monotonic_ns"]):
        for low in range(0, len(drawn.steps), _BLOCK):
            slices = Slices(drawn, drawn.steps[low : low + _BLOCK])
            track = tracks.of(slices.calls)
            out.write(_packets(tracks.new()))
            out.write(slices.packed(track, category, values))
    losses = list(_losses(metadata, tracks))
    end = _end(recording, metadata["ended"]["monotonic_ns"], {"loss": source.loss.drawn})
    out.write(_packets([*tracks.new(), *losses, end]))


def _names(source: Source, values: Sequence[str], categories: Sequence[str]) -> Iterator[TracePacket]:
    """The clocks, the machine, and the names that later packets give by number, from 1."""
    metadata = source.metadata
    clocks = TracePacket(trusted_packet_sequence_id=SEQUENCE)
    clocks.clock_snapshot.primary_trace_clock = _MONOTONIC
    for number, name in _CLOCKS.items():
        clocks.clock_snapshot.clocks.add(clock_id=number, timestamp=metadata["started"][name])  # type: ignore[literal-required]
    yield clocks

    machine = TracePacket(trusted_packet_sequence_id=SEQUENCE)
    utsname = machine.system_info.utsname
    utsname.sysname, utsname.release = "Linux", metadata["kernel"]
    utsname.machine = metadata["architecture"]
    yield machine

    names = TracePacket(trusted_packet_sequence_id=SEQUENCE)
    names.sequence_flags = TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
    names.trace_packet_defaults.timestamp_clock_id = _MONOTONIC
    for number, function in enumerate(metadata["functions"], 1):
        names.interned_data.event_names.add(iid=number, name=function["demangled"])
    for number, name in enumerate(categories, 1):
        names.interned_data.event_categories.add(iid=number, name=name)
    for number, name in enumerate((*values, "status"), 1):
        names.interned_data.debug_annotation_names.add(iid=number, name=name)
    for number, name in enumerate(STATUSES, 1):
        names.interned_data.debug_annotation_string_values.add(iid=number, str=name.encode())
    yield names


def _about(source: Source) -> dict[str, Any]:
    """What the slice that stands for the whole recording tells."""
    metadata = source.metadata
    counts = metadata["counts"]
    return {
        "command": " ".join(metadata["command_line"]),
        "host": metadata["host"],
        "funcsnoop": metadata["tool_version"],
        "ended by": metadata["end_reason"],
        **({"times": source.times} if source.times else {}),
        "events produced": counts["produced"],
        "events recorded": counts["recorded"],
        **{f"events lost ({cause})": count for cause, count in counts["lost"].items()},
        **{f"events left out (--{option})": count for option, count in counts["filtered"].items()},
        "events past the limit": counts["after_limit"],
        **{f"notice {number}": text for number, text in enumerate(metadata["notices"], 1)},
    }


def _losses(metadata: TraceMetadata, tracks: Tracks) -> Iterator[TracePacket]:
    """A slice for each time in which a thread lost events, beside the thread if it has calls."""
    windows: dict[int | None, list[LossWindow]] = {}
    for window in metadata["loss_windows"]:
        tgid, pid = window["tgid"], window["pid"]
        thread = None if tgid is None or pid is None else tracks.thread(tgid, pid)
        windows.setdefault(thread, []).append(window)
    ended = metadata["ended"]["monotonic_ns"]
    for thread, found in windows.items():
        track = tracks.named("events lost", thread)
        for start, end, events in _joined(found, ended):
            yield _begin(track, start, {"events": events}, "events lost")
            yield _end(track, end)


def _joined(windows: list[LossWindow], ended: int) -> Iterator[tuple[int, int, int]]:
    """Start, end and number of events of windows that do not overlap: those that did are one."""
    start = end = events = 0
    for window in sorted(windows, key=lambda window: window["start_ns"]):
        if events and window["start_ns"] > end:
            yield start, end, events
            events = 0
        start = start if events else window["start_ns"]
        end = max(end, min(window["end_ns"], max(ended, window["start_ns"])))
        events += window["events"]
    if events:
        yield start, end, events


def _begin(track: int, at: int, about: dict[str, Any], name: str = "recording") -> TracePacket:
    event = TrackEvent(type=TrackEvent.TYPE_SLICE_BEGIN, track_uuid=track, name=name)
    return _packet(at, event, about)


def _end(track: int, at: int, about: dict[str, Any] | None = None) -> TracePacket:
    return _packet(at, TrackEvent(type=TrackEvent.TYPE_SLICE_END, track_uuid=track), about or {})


def _packet(at: int, event: TrackEvent, about: dict[str, Any]) -> TracePacket:
    for name, value in about.items():
        kind = "string_value" if isinstance(value, str) else "uint_value"
        event.debug_annotations.append(DebugAnnotation(name=name, **{kind: value}))
    return TracePacket(
        timestamp=at,
        trusted_packet_sequence_id=SEQUENCE,
        sequence_flags=TracePacket.SEQ_NEEDS_INCREMENTAL_STATE,
        track_event=event,
    )


def _packets(packets: Iterable[TracePacket]) -> bytes:
    raw: bytes = Trace(packet=packets).SerializeToString()
    return raw
