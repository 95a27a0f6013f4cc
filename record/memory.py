"""How much memory a recording may take: the ring buffer, and what waits to be written."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..errors import KernelError, UsageError

DEFAULT_RING_BYTES: Final = 16 << 20
#: What a small recording takes, of addresses and of memory to write to: from its start, and from when all
#: is planned and imported. Where the compiler of BPF programs, or a new thread, finds less it ends the
#: process without a word.
FROM_THE_START: Final = (800 << 20, 240 << 20)
TO_RECORD: Final = (400 << 20, 120 << 20)
_GROUPS: Final = Path("/sys/fs/cgroup")


def check_limits(needed: tuple[int, int]) -> None:
    """Raises `KernelError` where this process may not have so much in addition to what it has."""
    sizes = Path("/proc/self/statm").read_text().split()
    for kind, letter, size, more in (
        (resource.RLIMIT_AS, "v", sizes[0], needed[0]),
        (resource.RLIMIT_DATA, "d", sizes[5], needed[1]),
    ):
        limit = resource.getrlimit(kind)[0]
        least = int(size) * resource.getpagesize() + more
        if limit != resource.RLIM_INFINITY and limit < least:
            raise KernelError(
                f"out of memory: this process may have {limit >> 20} MiB (ulimit -{letter}), the recording "
                f"takes {least >> 20}",
                f"Raise the limit, ulimit -{letter} unlimited, or record fewer functions.",
            )


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
    """What can be had without swapping: of the machine, and in the control groups of this process."""
    return max(0, min([_machine(), *_groups()]))


def _machine() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 1 << 30


def _groups() -> Iterator[int]:
    """What each control group, of version 1 or 2, leaves this process."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _rooms(_GROUPS, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            yield from _rooms(
                _GROUPS / "memory",
                path,
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            )


def _rooms(root: Path, path: str, limit: str, used: str, cached: str) -> Iterator[int]:
    group = root / path.lstrip("/")
    # In a container the path can be the host's, of which only the root is seen.
    for place in (group, *group.parents):
        if place.is_relative_to(root):
            try:
                stat = dict(line.split() for line in (place / "memory.stat").read_text().splitlines())
                room = int((place / limit).read_text()) - int((place / used).read_text())
                yield room + int(stat.get(cached, 0))
            except (OSError, ValueError):
                continue  # no such group, or no limit ("max")
