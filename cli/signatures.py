"""Calls as a programmer writes them: `f(1, 0x7ffe…) = 0`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..printable import printable
from .cells import register_text

if TYPE_CHECKING:
    from .choice import Choice


class Signatures:
    """Writes calls with the values of `columns`, `arg0` … `ret_val`, as the casts of the command line say."""

    def __init__(self, choice: Choice, columns: Sequence[str]) -> None:
        from ..analyze.casts import kinds_of

        names = choice.trace.functions.select("demangled").collect()["demangled"].to_list()
        self._names = [printable(name) for name in names]
        self._kind = kinds_of(choice.wanted.casts, choice.trace.functions)
        self._arguments = [name for name in columns if name != "ret_val"]
        self._returns = "ret_val" in columns

    def name(self, function: int) -> str:
        return self._names[function]

    def arguments(self, function: int, row: Mapping[str, Any]) -> str:
        """What a function, by its row in the function table, was given; `row` has the values."""
        columns = list(self._arguments)
        while columns and row[columns[-1]] is None:
            columns.pop()
        values = ", ".join(self._text(function, column, row[column]) for column in columns)
        # Parameters are part of the names of C++.
        return "" if self._names[function].endswith(")") and not values else f"({values})"

    def returned(self, function: int, row: Mapping[str, Any]) -> str:
        if not self._returns or row["ret_val"] is None:
            return ""
        return f" = {self._text(function, 'ret_val', row['ret_val'])}"

    def _text(self, function: int, column: str, value: int | None) -> str:
        from ..analyze import casts

        if value is None:
            return "-"
        kind = self._kind(function, column)
        return register_text(column, value if kind is None else casts.apply_one(value, kind), kind)
