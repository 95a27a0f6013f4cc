"""What a recording says on stderr while it runs, and at its end."""

from __future__ import annotations

import sys
import textwrap
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ..printable import printable
from .canvas import terminal_size

if TYPE_CHECKING:
    from ..record.plan import Plan
    from ..record.recorder import Progress, Result


class Screen:
    """What a recording says on stderr: notices, a live line on a terminal, and a summary."""

    _EVERY_SECONDS = 0.25

    def __init__(self, quiet: bool, waits: bool) -> None:
        self._quiet = quiet
        self._waits = waits and not quiet
        self._live = not quiet and sys.stderr.isatty()
        self._shown = 0.0
        self._last: Progress | None = None
        self._announced = 0

    def announce(self, plan: Plan) -> None:
        self._announced = len(plan.notices)
        if not self._quiet:
            for notice in plan.notices:
                self._say(f"notice: {printable(notice)}")

    def progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._waits:
            # The probes are in: who wants to can start what calls the functions.
            self._say("recording, Ctrl-C ends it")
            self._waits = False
        if not self._live or now - self._shown < self._EVERY_SECONDS:
            return
        from .quantities import show_bytes

        rate = 0.0
        if self._last and progress.seconds > self._last.seconds:
            rate = (progress.events - self._last.events) / (progress.seconds - self._last.seconds)
        self._shown, self._last = now, progress
        self._write(
            f"\r\x1b[K{progress.seconds:6.1f} s  {progress.events:,} events  {rate:,.0f}/s  "
            f"{progress.lost:,} lost  {show_bytes(progress.file_bytes)}"
        )

    def summary(self, result: Result, output: str | None) -> None:
        if self._live and self._last:
            self._write("\r\x1b[K")
        counts = result.metadata["counts"]
        lost = sum(counts["lost"].values())
        if self._quiet and not lost:
            return
        from .quantities import show_bytes

        seconds = (
            result.metadata["ended"]["monotonic_ns"] - result.metadata["started"]["monotonic_ns"]
        ) / 1e9
        recorded = counts["recorded"]
        per_event = f", {result.file_bytes / recorded:.1f} bytes per event" if recorded >= 1000 else ""
        kept = f" -> {output} ({show_bytes(result.file_bytes)}{per_event})" if output else ""
        functions = len(result.metadata["functions"])
        self._say(
            f"{recorded:,} event{'s' * (recorded != 1)} of {functions:,} function{'s' * (functions != 1)} "
            f"in {seconds:.2f} s, "
            f"{lost:,} lost{kept}"
        )
        if counts["after_limit"]:
            self._say(f"{counts['after_limit']:,} more events came before --max-events took the probes out")
        for option, events in counts["filtered"].items():
            self._say(f"{events:,} event{'s' * (events != 1)} left out by --{option}")
        cuts = len(result.metadata["filters"]["budget_cuts"])
        if cuts:
            self._say(f"{cuts:,} function{'s' * (cuts != 1)} called more often than --budget allows")
        if lost:
            share = 100 * lost / max(1, counts["produced"])
            self._say(
                f"{share:.2g} % of the events were lost: record fewer functions, or give a larger --buffer "
                f"than {result.metadata['ring_bytes'] >> 10}K"
            )
        if not recorded:
            left_out = sum(counts["filtered"].values())
            self._say("no call is left" if left_out else "no traced function was called")
        if not self._quiet:
            for notice in result.metadata["notices"][self._announced :]:
                self._say(f"notice: {printable(notice)}")

    def _say(self, text: str) -> None:
        text = f"funcsnoop: {text}"
        if sys.stderr.isatty():
            width = terminal_size(sys.stderr).columns
            text = textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
        self._write(f"{text}\n")

    @staticmethod
    def _write(text: str) -> None:
        # A terminal that was closed, or a reader that has left, is no reason to end a recording.
        with suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()
