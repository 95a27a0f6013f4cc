"""Compile `func_snoop.bpf.c` through bcc.

This does without NumPy, so that it can begin while that is imported.
"""

from __future__ import annotations

import mmap
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import KernelError, PrivilegeError
from .arch import host
from .binding import load_bcc
from .filters import NO_FILTERS, Filters

_SOURCE: Final = Path(__file__).with_name("func_snoop.bpf.c")
_SHIM: Final = Path(__file__).with_name("shim")
_INCLUDE: Final = re.compile(r'^#include "(.+)"\n', re.MULTILINE)

LOSS_RING_BYTES: Final = 256 * 1024
#: FUNC_NAME_LEN: with the terminating NUL.
NAME_BYTES: Final = 64
#: Threads and calls that filters keep track of at one time.
MAX_LIVE_THREADS: Final = 8192
MAX_LIVE_CALLS: Final = 65536


@dataclass(frozen=True)
class Sizes:
    """What a recording needs of the kernel side; each is a macro of the C file."""

    processes: int = 3
    functions: int = 1024
    ring_bytes: int = 256 * 1024
    arguments: int = 6
    layout: str = "lean"
    all_processes: bool = False
    follow: bool = False  # that it can be
    #: Device and inode of the recorder's pid namespace, where it is not the root one.
    pid_namespace: tuple[int, int] | None = None
    filters: Filters = NO_FILTERS

    def flags(self) -> list[str]:
        flags = [
            f"-DMAX_PROCS={max(1, self.processes)}",
            f"-DMAX_FUNCS={max(1, self.functions)}",
            f"-DRINGBUF_BYTES={self.ring_bytes}",
            f"-DCPUS={possible_cpus()}",
            f"-DLOSS_RING_BYTES={LOSS_RING_BYTES}",
            f"-DPAGE_SIZE={mmap.PAGESIZE}",
            f"-DFUNC_NAME_LEN={NAME_BYTES}",
            f"-DMAX_ARGS={self.arguments}",
            f"-DMAX_LIVE_THREADS={MAX_LIVE_THREADS}",
            f"-DMAX_LIVE_CALLS={MAX_LIVE_CALLS}",
            f"-DRECORDER_TGID={os.getpid()}",
        ]
        if self.layout == "full":
            flags.append("-DEVENT_NAME")
        if self.all_processes:
            flags.append("-DALL_PROCESSES")
        if self.follow:
            flags.append("-DFOLLOW")
        if self.pid_namespace:
            device, inode = self.pid_namespace
            flags += [f"-DPIDNS_DEV={device}ULL", f"-DPIDNS_INO={inode}ULL"]
        return flags + self.filters.flags()


def possible_cpus() -> int:
    """How many values a per-CPU map has: the kernel's possible CPUs, as in `0-3`."""
    highest = Path("/sys/devices/system/cpu/possible").read_text().strip().replace(",", "-").split("-")[-1]
    return int(highest) + 1


def program_text() -> str:
    """The C program with its headers in it: bcc understands maps in the main text only."""
    included: set[str] = set()

    def expand(name: str) -> str:
        if name in included:
            return ""
        included.add(name)
        text = _SOURCE.with_name(name).read_text().replace("#pragma once\n", "")
        return _INCLUDE.sub(lambda match: expand(match[1]), text)

    return expand(_SOURCE.name)


def compile_program(text: str, flags: Sequence[str]) -> Any:
    """bcc's BPF object for the program `text`."""
    bcc = load_bcc()
    # bcc reads the kernel's headers from here; ours are the few that this program needs.
    os.environ["BCC_KERNEL_SOURCE"] = str(_SHIM)
    with _stderr_lines() as output:
        try:
            return bcc.BPF(text=text.encode(), cflags=[*host().defines(), *flags])
        except Exception as error:
            # bcc raises plain Exception; what it and clang have to say stands on stderr.
            reason = str(error)
    said = [line for line in output if "error" in line.lower()] or output[:1] or [reason]
    if any("not permitted" in line for line in said):
        raise PrivilegeError(
            "the kernel does not let this user create BPF maps",
            "Run as root, or give CAP_BPF and CAP_PERFMON.",
        )
    raise KernelError(
        f"bcc {getattr(bcc, '__version__', '')} does not compile the BPF program: {said[0].strip()}",
        "Run `funcsnoop doctor`; update bcc (0.18 or newer) if it is old.",
    )


@contextmanager
def _stderr_lines() -> Iterator[list[str]]:
    """Catch what a C library writes to file descriptor 2; the list has its lines after the block."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        lines: list[str] = []
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()
