"""How objects look in a notebook: small tables, without scripts, in the colours that the notebook has."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import UTC, datetime

from ..printable import printable
from ..schemas import TraceMetadata
from .loss import Loss

#: Longer text loses its end.
_LONGEST = 200


def trace_html(path: str, metadata: TraceMetadata) -> str:
    """What was recorded, as the metadata has it: nothing is read or computed for it."""
    counts = metadata["counts"]
    started, ended = metadata["started"], metadata["ended"]
    seconds = (ended["monotonic_ns"] - started["monotonic_ns"]) / 10**9
    when = datetime.fromtimestamp(started["realtime_ns"] // 10**9, UTC)
    commands = [metadata["command"] or [], *(process["command"] for process in metadata["processes"])]
    lost = sum(counts["lost"].values())
    return _table(
        f"Trace {path}",
        [
            ("command", next((" ".join(words) for words in commands if words), "")),
            ("recorded", f"{when:%Y-%m-%d %H:%M:%S} UTC for {seconds:,.3f} s on {metadata['host']}"),
            ("functions", f"{len(metadata['functions']):,} traced"),
            ("events", f"{counts['recorded']:,} recorded, {lost:,} of {counts['produced']:,} lost"),
        ],
        "latency() · callgraph() · hist() · heatmap() · slowest() · explain() · diff() · arguments() · "
        "calls() · threads() · events · report()",
    )


def loss_html(loss: Loss) -> str:
    """What is missing, by kind."""
    events = [(f"events lost: {cause}", f"{count:,}") for cause, count in loss.lost.items() if count]
    calls = {
        "calls lost": loss.lost_calls,
        "calls open": loss.open,
        "calls unwound": loss.unwound,
        "calls of functions recorded at their entries only": loss.entry_only,
        "events past the limit": loss.after_limit,
    }
    left_out = [(what, f"{count:,}") for what, count in calls.items() if count]
    return _table(
        str(loss), [("events", f"{loss.recorded:,} of {loss.produced:,} recorded"), *events, *left_out]
    )


def _table(title: str, rows: Sequence[tuple[str, str]], below: str = "") -> str:
    cells = "".join(
        f'<tr><td style="text-align: left; opacity: 0.7">{_text(name)}</td>'
        f'<td style="text-align: left">{_text(value)}</td></tr>'
        for name, value in rows
    )
    after = f'<div style="opacity: 0.7"><code>{_text(below)}</code></div>' if below else ""
    return f"<div><b>{_text(title)}</b><table>{cells}</table>{after}</div>"


def _text(text: str) -> str:
    shown = printable(text)
    return html.escape(shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…")
