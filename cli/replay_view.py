"""Calls one after the other as they ran, indented by who called whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..printable import printable
from .cells import moment
from .signatures import Signatures
from .slowest_view import NARROW, write_call
from .units import duration, elide, elide_name

if TYPE_CHECKING:
    import polars as pl

    from ..schemas.metadata import LossWindow
    from .canvas import Canvas
    from .choice import Choice

#: On a terminal so many calls are shown, unless asked otherwise.
MOST = 1000
#: Deeper calls are not indented further.
DEEPEST = 100
_STEP = 2
#: A call that took so long, in ns, stands out.
_LONG = ((10**8, "31"), (10**6, "33"))


_COLUMNS = ("tgid", "pid", "depth", "function", "start", "duration_ns", "status")


def rows_of_path(choice: Choice) -> pl.LazyFrame:
    return choice.trace.subtree(choice.wanted.the_call)


def path_frames(choice: Choice) -> Iterator[pl.DataFrame]:
    from ..schemas import CALLS

    return choice.trace.subtree_batches(choice.wanted.the_call, CALLS.names)


def draw_path(choice: Choice, canvas: Canvas) -> None:
    """What is known of a call, and what ran inside it."""
    wanted, trace = choice.wanted, choice.trace
    row = trace.details([wanted.the_call], marked=True).collect().row(0, named=True)
    write_call(row, Signatures(choice, wanted.registers or trace.value_columns), choice, canvas)
    canvas.out.write("\n")
    frames = trace.subtree_batches(wanted.the_call, ["call_id", *_COLUMNS, *wanted.registers])
    _Replay(choice, canvas, row["depth"]).write(frames)


def draw_replay(choice: Choice, canvas: Canvas) -> None:
    """The calls of each thread, one thread below the other."""
    frames = choice.trace.call_batches([*_COLUMNS, *choice.wanted.registers], paired=choice.calls)
    _Replay(choice, canvas, None).write(frames)


@dataclass
class _Call:
    """A call that is to be written when it is known what comes next."""

    row: dict[str, Any]
    level: int
    #: Calls inside it that are too deep to be shown.
    hidden: int = 0


class _Replay:
    """Writes calls as C would nest them: what holds others opens a brace, which its end closes."""

    def __init__(self, choice: Choice, canvas: Canvas, base: int | None) -> None:
        """`base`: the depth of calls that stand at the left; None for that of the root of each thread."""
        self._canvas, self._base = canvas, base
        self._signatures = Signatures(choice, choice.wanted.registers)
        self._choice = choice
        self._losses: list[LossWindow] = []
        self._names = {(t["tgid"], t["pid"]): t["name"] for t in choice.trace.metadata["threads"]}
        self._began = choice.trace.metadata["started"]["monotonic_ns"]
        self._depth = choice.wanted.depth
        self._most = choice.wanted.top or (None if canvas.width is None else MOST)
        self._thread: tuple[int, int] | None = None
        self._open: list[_Call] = []
        self._last: _Call | None = None

    def write(self, frames: Iterable[pl.DataFrame]) -> None:
        self._line("START (s)", "DURATION", 0, "CALL")
        written = 0
        for frame in frames:
            for row in frame.iter_rows(named=True):
                level = row["depth"] - (self._base or 0)
                if self._depth is not None and level >= self._depth:
                    if self._last is not None and (row["tgid"], row["pid"]) == self._thread:
                        self._last.hidden += 1
                    continue
                if written == self._most:
                    self._flush(level)
                    more = "--top N shows more"
                    more += "" if self._canvas.width is None else ", a pipe or file has all"
                    self._canvas.say(f"first {written:,} calls ({more})")
                    return
                self._add(_Call(row, level))
                written += 1
        self._end()

    def _add(self, call: _Call) -> None:
        thread = call.row["tgid"], call.row["pid"]
        when = call.row["start"] or 0
        if thread != self._thread:
            self._end()
            self._thread = thread
            self._losses = [w for w in self._choice.losses(*thread) if w["end_ns"] >= when]
            if self._base is None:
                name = self._names.get(thread)
                text = f"thread {thread[1]}" + ("" if name is None else f" {printable(name)}")
                self._canvas.out.write(self._canvas.paint(text, "1") + "\n")
        else:
            self._flush(call.level)
        self._close(call.level)
        self._last = call
        lost = 0
        while self._losses and self._losses[0]["start_ns"] <= when:
            lost += self._losses.pop(0)["events"]
        if lost:
            self._line("", "", call.level, f"/* {lost:,} event{'s' * (lost != 1)} lost about here */")

    def _flush(self, level: int) -> None:
        """Write the last call: the next one of its thread is at `level`."""
        if self._last is not None:
            if level > self._last.level:
                self._opened(self._last)
            else:
                self._leaf(self._last)
        self._last = None

    def _end(self) -> None:
        """End a thread."""
        self._flush(0)
        self._close(0)

    def _close(self, level: int) -> None:
        """End the calls that are open at `level` or deeper."""
        while self._open and self._open[-1].level >= level:
            call = self._open.pop()
            function, row = call.row["function"], call.row
            returned = self._signatures.returned(function, row)
            before = f"}}{returned and returned + ';'} /* "
            after = "".join(f", {remark}" for remark in _remarks(call)) + " */"
            self._line(
                "",
                duration(row["duration_ns"]),
                call.level,
                before,
                self._signatures.name(function),
                after,
                row,
            )

    def _opened(self, call: _Call) -> None:
        function, row = call.row["function"], call.row
        after = self._signatures.arguments(function, row) + " {"
        start = moment(row["start"], self._began)
        self._line(start, "", call.level, "", self._signatures.name(function), after)
        self._open.append(call)

    def _leaf(self, call: _Call) -> None:
        function, row = call.row["function"], call.row
        after = f"{self._signatures.arguments(function, row)}{self._signatures.returned(function, row)};"
        remarks = _remarks(call)
        after += f" /* {', '.join(remarks)} */" if remarks else ""
        start, took = moment(row["start"], self._began), duration(row["duration_ns"])
        self._line(start, took, call.level, "", self._signatures.name(function), after, row)

    def _line(
        self,
        start: str,
        took: str,
        level: int,
        before: str,
        name: str = "",
        after: str = "",
        row: dict[str, Any] | None = None,
    ) -> None:
        canvas = self._canvas
        width = canvas.width or 10**6
        indent = min(_STEP * level, _STEP * DEEPEST, width // 3)
        left = f"{start:>10}  " if width >= NARROW else ""
        left += canvas.paint(f"{took:>8}", _style(row))
        room = max(width - (22 if width >= NARROW else 10) - indent, 8)
        text = before + elide_name(name, after, room - len(before))
        canvas.out.write(f"{left}  {'':{indent}}{elide(text, room)}".rstrip() + "\n")


def _remarks(call: _Call) -> list[str]:
    """What is to be said of a call that is not complete, or not shown whole."""
    row = call.row
    found = []
    if row["status"] is None:
        found.append("entry only")
    elif row["status"] != "complete":
        found.append(row["status"] if row["start"] is not None else f"{row['status']}, entry not seen")
    if call.hidden:
        found.append(f"{call.hidden:,} call{'s' * (call.hidden != 1)} inside")
    return found


def _style(row: dict[str, Any] | None) -> str:
    took = 0 if row is None else row["duration_ns"] or 0
    return next((style for least, style in _LONG if took >= least), "")
