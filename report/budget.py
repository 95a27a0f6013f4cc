"""What fits into the page: each part of it has so many bytes, spent on what matters most."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeVar

Item = TypeVar("Item")

#: Bytes for each part. With the page itself, of about 130 kB, they make less than 3 MB.
FUNCTIONS = 700_000
EDGES = 300_000
NAMES = 450_000
HEAT = 350_000
ARGUMENTS = 400_000
MODULES = 100_000
NOTES = 40_000
#: A place of the flame graph takes 40 bytes at most.
PLACES = 10_000


#: Longer text loses its middle.
LONGEST = 4000


def to_json(value: Any) -> str:
    """`value` as JSON that can stand in a `<script>` element, whatever text is in it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def cut(text: str, longest: int = LONGEST) -> str:
    """`text` in at most `longest` characters."""
    half = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"


def fitting(items: Iterable[Item], room: int) -> list[Item]:
    """As many of `items`, from the first, as take no more than `room` bytes as JSON."""
    taken = []
    for item in items:
        room -= len(to_json(item)) + 1
        if room < 0:
            break
        taken.append(item)
    return taken
