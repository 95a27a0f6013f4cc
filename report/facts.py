"""What the page says of the recording."""

from __future__ import annotations

from typing import Any, Final

from ..analyze.loss import Loss
from ..analyze.slices import Slices
from ..schemas import TraceMetadata
from . import budget

#: Stretches of loss that are marked, the latest of them.
WINDOWS = 200

TEXTS: Final = ("tool_version", "host", "kernel", "architecture", "end_reason", "attach")


def facts(metadata: TraceMetadata, path: str, times: str, selection: list[str]) -> dict[str, Any]:
    """The recording: what, where, when and how. `times` says what durations are, `selection` which calls were
    chosen.
    """
    return {
        "trace": path,
        **{key: budget.cut(metadata[key]) for key in TEXTS},
        "command": None if metadata["command"] is None else _command(metadata["command"]),
        "command_line": _command(metadata["command_line"]),
        "exit_status": metadata["exit_status"],
        "started_ms": metadata["started"]["realtime_ns"] // 1_000_000,
        "duration": metadata["ended"]["monotonic_ns"] - metadata["started"]["monotonic_ns"],
        "traced": len(metadata["functions"]),
        "skipped": len(metadata["skipped"]),
        "processes": budget.fitting(
            ({"tgid": p["tgid"], "command": _command(p["command"])} for p in metadata["processes"]),
            budget.NOTES,
        ),
        "process_count": len(metadata["processes"]),
        "probe_costs": budget.fitting(metadata["probe_costs"], budget.NOTES),
        "notices": budget.fitting(map(budget.cut, metadata["notices"]), budget.NOTES),
        "times": times,
        "selection": selection,
    }


def _command(words: list[str]) -> str:
    return budget.cut(" ".join(words))


def losses(loss: Loss, span: Slices) -> dict[str, Any]:
    """What is missing from the recording and from the calls chosen; windows clipped to `span`, relative to
    its start.
    """
    windows = [w for w in loss.windows if w["end_ns"] >= span.start and w["start_ns"] <= span.end]
    return {
        "text": str(loss),
        "events": loss.events,
        "filtered": loss.filtered,
        "produced": loss.produced,
        "recorded": loss.recorded,
        "lost": sum(loss.lost.values()),
        "causes": loss.lost,
        "after_limit": loss.after_limit,
        "left_out": {
            "lost": loss.lost_calls,
            "open": loss.open,
            "unwound": loss.unwound,
            "entry_only": loss.entry_only,
        },
        "windows": [
            {
                "pid": w["pid"],
                "start": max(w["start_ns"], span.start) - span.start,
                "end": min(w["end_ns"], span.end) - span.start,
                "events": w["events"],
            }
            for w in windows[-WINDOWS:]
        ],
        "window_count": len(windows),
    }
