"""Perfetto's slices: the packets that begin and end them, made many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import DebugAnnotation, Trace, TracePacket, TrackEvent

from ...schemas import STATUS
from ..arrays import Ints
from . import spans, wire
from .perfetto_tracks import SEQUENCE

#: A register that holds as much is shown in hexadecimal, as in `analyze`.
_LARGE: Final = np.uint64(1 << 32)

#: What the argument that tells of a call without both sides can say.
STATUSES: Final = [*STATUS, "entry-only"]

_key = cache(wire.key)


class Slices:
    """The begins and ends of slices, each a packet."""

    def __init__(self, drawn: spans.Spans, steps: Ints) -> None:
        self._ends = steps < 0
        row: Ints = np.where(self._ends, ~steps, steps)
        self.calls = drawn.calls[row].with_columns(lane=pl.Series(drawn.lane[row]))
        self._at = np.where(self._ends, drawn.end[row], drawn.begin[row])

    def packed(self, track: Ints, category: NDArray[Any], values: Sequence[str]) -> bytes:
        """The packets as they stand in a file; `category`: the number of each function's category."""
        count, begins = len(track), ~self._ends
        function = self.calls["function"].to_numpy()
        event = [
            *wire.integer(
                _key(TrackEvent, "type"),
                np.where(begins, TrackEvent.TYPE_SLICE_BEGIN, TrackEvent.TYPE_SLICE_END),
                count,
            ),
            *wire.integer(_key(TrackEvent, "track_uuid"), track, count),
            *wire.only(begins, wire.integer(_key(TrackEvent, "name_iid"), function + 1, count)),
            *wire.only(begins, wire.integer(_key(TrackEvent, "category_iids"), category[function], count)),
        ]
        for number, name in enumerate(values, 1):
            # The return value is known at the end, and belongs to the slice as well.
            here = self._ends if name == "ret_val" else begins
            there = here & self.calls[name].is_not_null().to_numpy()
            value = self.calls[name].fill_null(0).to_numpy()
            kind = np.where(
                value < _LARGE, _key(DebugAnnotation, "uint_value"), _key(DebugAnnotation, "pointer_value")
            )
            event += wire.only(there, _annotation(number, wire.integer(kind, value, count), count))
        status = self.calls["status"].cast(pl.String).fill_null("entry-only").cast(pl.Enum(STATUSES))
        which = status.to_physical().to_numpy() + 1
        text = wire.integer(_key(DebugAnnotation, "string_value_iid"), which, count)
        told = begins & (status != "complete").to_numpy()
        event += wire.only(told, _annotation(len(values) + 1, text, count))
        packet = [
            *wire.integer(_key(TracePacket, "timestamp"), self._at, count),
            *wire.integer(_key(TracePacket, "trusted_packet_sequence_id"), SEQUENCE, count),
            *wire.integer(
                _key(TracePacket, "sequence_flags"), TracePacket.SEQ_NEEDS_INCREMENTAL_STATE, count
            ),
            *wire.embedded(_key(TracePacket, "track_event"), event),
        ]
        return wire.pack(wire.embedded(_key(Trace, "packet"), packet))


def _annotation(name: int, value: list[wire.Column], count: int) -> list[wire.Column]:
    fields = [*wire.integer(_key(DebugAnnotation, "name_iid"), name, count), *value]
    return wire.embedded(_key(TrackEvent, "debug_annotations"), fields)
