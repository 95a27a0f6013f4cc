"""The table of `funcsnoop top`."""

from __future__ import annotations

import io
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..printable import printable
from .canvas import terminal_size
from .table import Column, write_table
from .units import duration

if TYPE_CHECKING:
    from rich.live import Live

    from ..record.live import LiveCalls
    from ..record.recorder import Progress


@dataclass(frozen=True)
class _Row:
    name: str
    rate: float  # calls a second
    calls: int
    time: float  # ns inside of it a second
    p50: int
    p99: int


class LiveTable:
    """Draws itself while a recording goes on, by falling `sort`, a field of `_Row`."""

    def __init__(
        self, calls: LiveCalls, names: list[str], sort: str, every_ns: int, output: str | None
    ) -> None:
        self._calls = calls
        self._names = names
        self._sort = sort
        self._every_ns = every_ns
        self._output = output
        self._live: Live | None = None
        self._drawn_ns = 0
        self._before: dict[int, tuple[int, int]] = {}  # calls and time by cookie
        self._seconds = 0.0
        self._events = 0

    def progress(self, progress: Progress) -> None:
        now = time.monotonic_ns()
        if now - self._drawn_ns < self._every_ns:
            return
        self._drawn_ns = now
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            console = Console(stderr=True)
            self._live = Live(console=console, screen=True, auto_refresh=False)
            self._live.start()
        width, height = self._live.console.size
        passed = progress.seconds - self._seconds
        rows = self._rows(passed)[: max(1, height - 4)]
        rate = (progress.events - self._events) / passed if passed > 0 else 0.0
        self._seconds, self._events = progress.seconds, progress.events
        kept = f" -> {self._output}" if self._output else ""
        head = (
            f"{progress.seconds:.1f} s  {progress.events:,} events  {rate:,.0f}/s  "
            f"{progress.lost:,} lost{kept}"
        )
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(head + "\n\n", style="bold red" if progress.lost else "bold")
        text.append(_draw(rows, width))
        self._live.update(text, refresh=True)

    def close(self) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def whole(self, seconds: float) -> str:
        """The table over the whole recording, which took so long."""
        self._before = {}
        rows = self._rows(seconds)
        width, height = terminal_size(sys.stderr)
        most = max(10, height - 6)
        more = len(rows) - most
        text = _draw(rows[:most], width) if rows else ""
        return text + (f"and {more:,} more function{'s' * (more != 1)}\n" if more > 0 else "")

    def _rows(self, seconds: float) -> list[_Row]:
        view = self._calls.view()
        rows = []
        for cookie, calls, total, p50, p99 in zip(
            view.cookie.tolist(),
            view.calls.tolist(),
            view.total_ns.tolist(),
            view.p50_ns.tolist(),
            view.p99_ns.tolist(),
            strict=True,
        ):
            calls_before, total_before = self._before.get(cookie, (0, 0))
            self._before[cookie] = (calls, total)
            rows.append(
                _Row(
                    printable(self._names[cookie]),
                    (calls - calls_before) / seconds if seconds > 0 else 0.0,
                    calls,
                    (total - total_before) / seconds if seconds > 0 else 0.0,
                    p50,
                    p99,
                )
            )
        rows.sort(key=lambda row: getattr(row, self._sort), reverse=True)
        return rows


def _draw(rows: list[_Row], width: int) -> str:
    columns = [
        Column("CALLS/S", [f"{row.rate:,.0f}" for row in rows]),
        Column("CALLS", [f"{row.calls:,}" for row in rows], rank=3),
        Column("TIME/S", [duration(row.time) if row.p50 >= 0 else "-" for row in rows], rank=2),
        Column("P50", [duration(row.p50 if row.p50 >= 0 else None) for row in rows], rank=1),
        Column("P99", [duration(row.p99 if row.p99 >= 0 else None) for row in rows]),
        Column("FUNCTION", [row.name for row in rows], left=True, elastic=True),
    ]
    out = io.StringIO()
    write_table(columns, out, width)
    return out.getvalue()
