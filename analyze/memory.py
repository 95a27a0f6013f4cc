"""Refuse what cannot fit into memory, before the system kills the program, or others, for it.

A file of some kilobytes can hold a thousand million rows, all alike.
"""

from __future__ import annotations

import os

from ..errors import TraceError

#: What the page cache gives back is available; a part of the rest stays for others.
_USABLE = 0.9
#: Less than this there always is.
_LITTLE = 1 << 26


def check_fits(name: str, rows: int, bytes_per_row: int) -> None:
    """Raises TraceError where `rows` rows of `name` need more memory than there is."""
    if rows * bytes_per_row < _LITTLE:
        return
    room = available()
    if room is None or rows * bytes_per_row <= room * _USABLE:
        return
    raise TraceError(
        f"{name} holds {rows:,} events, which take about {_size(rows * bytes_per_row)} of memory, "
        f"and {_size(room)} are free",
        "use a machine with more memory; or record less: fewer functions, or --max-events",
    )


def available() -> int | None:
    """Bytes that can be had without swapping; None where the system doesn't tell."""
    found = [room for room in (_machine(), _control_group(), _limit()) if room is not None]
    return min(found, default=None)


def _machine() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return None


def _control_group() -> int | None:
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as most:
            limit = int(most.read())
        with open("/sys/fs/cgroup/memory.current", encoding="ascii") as used:
            return max(0, limit - int(used.read()))
    except (OSError, ValueError):  # "max" is no number
        return None


def _limit() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    return min((limit for limit in limits if limit != resource.RLIM_INFINITY), default=None)


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"
