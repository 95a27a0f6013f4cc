"""Read and show sizes, durations and counts."""

from __future__ import annotations

import re

from ..errors import UsageError

_NS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000}
_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def parse_duration(text: str) -> int:
    """Nanoseconds of `10s`, `1.5ms`, `200us`, `2m`; a bare number is seconds. Raises `UsageError`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s|m)?", text.strip())
    if not match:
        raise UsageError(f"{text!r} is not a duration", "Write it like 10s, 1.5ms, 200us or 2m.")
    return round(float(match[1]) * _NS[match[2] or "s"])


def parse_size(text: str) -> int:
    """Bytes of `16M`, `256K`, `65536`. Raises `UsageError`."""
    match = re.fullmatch(r"(\d+)\s*([kmg]?)(?:i?b)?", text.strip().lower())
    if not match:
        raise UsageError(f"{text!r} is not a size", "Write it like 16M, 256K or 65536.")
    return int(match[1]) * _BYTES[match[2]]


def show_bytes(count: float) -> str:
    """A size for people: `512 B`, `1.2 MB`."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def parse_share(text: str) -> int:
    """How many there are to one that is taken: 100 of `1/100`. Raises UsageError."""
    one, _, many = text.partition("/")
    if one.strip() != "1" or not many.strip().isdecimal() or not 1 <= int(many) <= 1 << 31:
        raise UsageError(f"'{text}' is not a share", "Give one in so many, such as 1/100.")
    return int(many)
