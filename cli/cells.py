"""Columns of tables, and single values, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..printable import printable
from .units import count, duration

if TYPE_CHECKING:
    import polars as pl


def texts(frame: pl.DataFrame, name: str) -> list[str]:
    return ["-" if text is None else printable(str(text)) for text in frame[name].to_list()]


def times(frame: pl.DataFrame, name: str) -> list[str]:
    return [duration(value) for value in frame[name].to_list()]


def moments(frame: pl.DataFrame, name: str, began: int) -> list[str]:
    """Seconds since the recording started."""
    return [moment(t, began) for t in frame[name].to_list()]


def moment(time: int | None, began: int) -> str:
    return "-" if time is None else f"{(time - began) / 10**9:.6f}"


def counts(frame: pl.DataFrame, name: str) -> list[str]:
    return [count(value) for value in frame[name].to_list()]


def value_text(value: Any, kind: str | None) -> str:
    """A value as its type reads: pointers and large raw registers in hexadecimal."""
    if value is None:
        return "-"
    number = int(value)
    if kind == "bool":
        return "true" if number else "false"
    if kind == "ptr" or (kind is None and number >= 1 << 32):
        return hex(number)
    return str(number)


def span_text(low: Any, high: Any, kind: str | None) -> str:
    """A group of values."""
    if low == high:
        return value_text(low, kind)
    if int(low) >= 1 << 16 and int(low) & (int(low) - 1) == 0:
        exponent = int(low).bit_length() - 1
        return f"2^{exponent}…2^{exponent + 1}"
    return f"{value_text(low, kind)}…{value_text(high, kind)}"


def register_text(register: str, value: int, kind: str | None) -> str:
    """A value of `arg0` … `ret_val`; without a type it is guessed what it may be."""
    from ..analyze import registers

    if kind is None:
        value = registers.as_error(value) if register == "ret_val" else value
        kind = "ptr" if registers.is_pointer(value) else None
    return value_text(value, kind)
