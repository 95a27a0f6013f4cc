"""A JSON list that is written as its items come."""

from __future__ import annotations

from typing import IO


class JsonList:
    """Writes the items; the brackets are its user's."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._empty = True

    def add(self, lines: str) -> None:
        """Items in lines (NDJSON), as Polars writes them fast."""
        if not lines:
            return
        self._out.write(b"\n" if self._empty else b",\n")
        self._out.write(lines.rstrip("\n").replace("\n", ",\n").encode())
        self._empty = False
