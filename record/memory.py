"""How much memory a recording may take: the ring buffer, and what waits to be written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ..errors import UsageError

DEFAULT_RING_BYTES: Final = 16 << 20


def default_ring_bytes() -> int:
    """16 MiB, or the power of two below a sixty-fourth of the memory that is free."""
    size = DEFAULT_RING_BYTES
    while size > 64 * 1024 and size > available_bytes() // 64:
        size //= 2
    return size


def check_ring_bytes(size: int) -> int:
    """The ring's size in bytes as the kernel takes it; `UsageError` where it does not."""
    page = os.sysconf("SC_PAGESIZE")
    if size < page or size & (size - 1) or size > 1 << 31:
        raise UsageError(
            f"a buffer of {size} bytes is not possible",
            f"Give --buffer a power of two from {page // 1024}K to 2G, such as 16M.",
        )
    return size


def available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 1 << 30
