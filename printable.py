"""Make text that others chose safe to show: a symbol's name may hold any bytes."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with control characters, and all else that does not print, as backslash escapes.

    A terminal would obey an escape sequence in a name, and a line break would forge a row.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
