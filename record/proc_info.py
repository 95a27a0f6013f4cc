"""What `/proc` shows of a process or thread that runs; nothing where it has gone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ..schemas.metadata import ProcessInfo

#: The resolution of a process's start in `/proc/PID/stat`.
TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def process_info(tgid: int) -> ProcessInfo:
    """A row of the metadata, as the process is now."""
    directory = Path(f"/proc/{tgid}")
    return {
        "tgid": tgid,
        "root_tgid": None,
        "inner_tgid": _inner_tgid(directory, tgid),
        "parent_tgid": None,
        "start_ns": start_ns(tgid),
        "command": command(tgid),
        "executable": executable(tgid),
        "end_ns": None,
    }


def thread_name(tgid: int, pid: int) -> str | None:
    try:
        text = Path(f"/proc/{tgid}/task/{pid}/comm").read_bytes()
    except OSError:
        return None
    return text.rstrip(b"\n").decode(errors="backslashreplace")


def command(tgid: int) -> list[str]:
    try:
        text = Path(f"/proc/{tgid}/cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="backslashreplace") for part in text.split(b"\0")[:-1]]


def executable(tgid: int) -> str | None:
    try:
        return os.fsencode(Path(f"/proc/{tgid}/exe").readlink()).decode(errors="backslashreplace")
    except OSError:
        return None


def start_ns(tgid: int) -> int | None:
    """When it started (CLOCK_BOOTTIME), cut to `TICK_NS`."""
    fields = _stat_fields(Path(f"/proc/{tgid}/stat"))
    return int(fields[19]) * TICK_NS if len(fields) > 19 else None


def runs(tgid: int) -> bool:
    """Whether a thread of the process is neither a zombie nor dead; the first can be, and others run on."""
    try:
        threads = os.listdir(f"/proc/{tgid}/task")
    except OSError:
        return False
    states = (_stat_fields(Path(f"/proc/{tgid}/task/{pid}/stat"))[:1] for pid in threads)
    return any(state not in ([], [b"Z"], [b"X"]) for state in states)


def _stat_fields(stat: Path) -> list[bytes]:
    """The fields of `stat` from the third (state) on; the second may hold spaces and parentheses."""
    try:
        return stat.read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


def _inner_tgid(directory: Path, tgid: int) -> int | None:
    """Its id in its own pid namespace, which can be below ours, where it is another one."""
    try:
        lines = (directory / "status").read_bytes().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(b"NSpid:"):
            inner = int(line.split()[-1])
            return inner if inner != tgid else None
    return None
