"""Why some calls are slow, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..printable import printable
from .cells import moment, register_text
from .pictures import draw_each, heading
from .table import Column, write_table
from .units import count, duration

if TYPE_CHECKING:
    import polars as pl

    from ..analyze.explain import Case, Explanation, Reason
    from .canvas import Canvas
    from .choice import Choice


def rows_of_explain(choice: Choice) -> pl.LazyFrame:
    wanted = choice.wanted
    return choice.trace.explain(wanted.focus, wanted.casts, wanted.slow_ns, choice.calls)


def draw_explain(choice: Choice, canvas: Canvas) -> None:
    """For each function in focus a line for each thing that goes with its slow calls."""
    from ..analyze.explain import ENOUGH

    wanted, trace = choice.wanted, choice.trace
    found = trace.cases(wanted.focus, wanted.casts, wanted.slow_ns, choice.calls)

    def draw(function: int, name: str, case: Case) -> None:
        explanations = case.explain()
        enough = case.calls >= ENOUGH
        calls = f"{count(case.calls)} complete call{'s' * (case.calls != 1)}"
        heading(canvas, name, calls if enough else f"{calls}, too few to tell")
        if enough and not explanations:
            canvas.say("nothing that was recorded separates slow ones from the others")
        for number, explanation in enumerate(explanations):
            canvas.out.write("\n" if number else "")
            _draw(function, explanation, choice, canvas)

    draw_each(choice, found, lambda case: case.calls, draw, canvas)


def _draw(function: int, explanation: Explanation, choice: Choice, canvas: Canvas) -> None:
    share = f"{100 * explanation.slow / explanation.calls:.2g} %"
    slow = " ".join(duration(explanation.slow_ns).split())
    canvas.say(f"{count(explanation.slow)} took {slow} or longer ({share})")
    reasons = explanation.reasons
    others = explanation.calls - explanation.slow
    write_table(
        [
            Column(
                "EXPLAINED",
                [f"{100 * r.condition.explained:.0f} %" for r in reasons],
                styles=["1"] * len(reasons),
            ),
            Column(
                "WHEN",
                [_words(function, r, choice) for r in reasons],
                left=True,
                elastic=True,
                narrowest=29,
            ),
            Column("OF THE SLOW", [_part(r.condition.slow, explanation.slow) for r in reasons], rank=1),
            Column(
                "OF THE OTHERS",
                [_part(r.condition.calls - r.condition.slow, others) for r in reasons],
                rank=2,
            ),
        ],
        canvas.out,
        canvas.width,
        colour=canvas.colour,
    )


def _part(number: int, whole: int) -> str:
    return f"{count(number)} ({100 * number / whole:.0f} %)"


def _words(function: int, reason: Reason, choice: Choice) -> str:
    """A condition as a sentence that begins with "when"."""
    from ..analyze import explain
    from ..analyze.casts import kinds_of

    what, low, high = reason.what, reason.low, reason.high
    trace = choice.trace
    if what == explain.CALLER:
        caller = (
            "no recorded function" if low < 0 else printable(trace.metadata["functions"][low]["demangled"])
        )
        return f"called by {caller}"
    if what == explain.THREAD:
        names = {t["pid"]: t["name"] for t in trace.metadata["threads"]}
        name = names.get(low)
        return f"in thread {low}" + ("" if name is None else f" {printable(name)}")
    if what == explain.TIME:
        began = trace.metadata["started"]["monotonic_ns"]
        return f"began from {moment(low, began)} s to {moment(high, began)} s"
    kind = kinds_of(choice.wanted.casts, trace.functions)(function, what)
    name = "it returned" if what == "ret_val" else f"{what} is"
    texts = [register_text(what, value, kind) for value in (low, high)]
    if low == high:
        return f"{name} {texts[0]}"
    return f"{name} from {texts[0]} to {texts[1]}"
