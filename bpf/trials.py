"""What probes do to processes on this kernel, found out on a throw-away process.

The process runs a program of some 200 bytes that exists in memory only: it calls a function that has a
probe, forks, and its child calls it again; then it confines itself to the system call `exit` and calls it
once more. Whether it lives through that is the answer. Nothing of it remains.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Final

from . import syscall
from .arch import X86_64
from .features import NOTHING, Feature, uprobe_pmu
from .throwaway import CODE_OFFSET, program_in_memory

#: call f twice; fork; the child calls f; unless it died, both go on: no_new_privs, a seccomp filter
#: that allows exit(2) and kills for all else; call f twice; exit(0). Anything amiss: exit(1).
_CODE: Final = bytes.fromhex(
    "e883000000e87e000000b8390000000f0585c0741e6a00b83d00000048c7c7ffffffff4889e631d2"
    "4531d20f05833c24007549b89d000000bf26000000be0100000031d24531d24531c00f05b89d0000"
    "00bf16000000be02000000488d0d2c000000516a044889e20f0585c0750ee815000000e810000000"
    "31ffeb05bf01000000b83c0000000f050f1f440000c32000000000000000150000013c0000000600"
    "00000000ff7f0600000000000080"
)
#: In the code: f, which is a 5-byte NOP and a return.
_FUNCTION: Final = 0x88
_RETURN: Final = _FUNCTION + 5
_SECONDS: Final = 10


@cache
def probes_on_nops() -> Feature:
    """Whether a process survives a fork, and a seccomp filter, after a probe on a 5-byte NOP fired.

    6.18 turns such a probe into a call, for which a forked child lacks the code.
    """
    return _try(_FUNCTION, "5-byte NOP", on_return=False)


@cache
def returns_under_seccomp() -> Feature:
    """Whether a process with a seccomp filter survives a return probe, which is a system call since 6.11."""
    return _try(_RETURN, "return", on_return=True)


def _try(offset: int, what: str, *, on_return: bool) -> Feature:
    if os.uname().machine != X86_64.name:
        return Feature(True, "only x86-64 does what could harm")
    try:
        with ExitStack() as undo:
            file = program_in_memory(_CODE)
            undo.callback(os.close, file)
            undo.callback(os.close, _link(f"/proc/self/fd/{file}", CODE_OFFSET + offset, on_return))
            status = _run(file)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Feature(False, f"the trial failed: {error}")
    if status == 0:
        return Feature(True, f"a process survived a {what} probe, a fork and a seccomp filter")
    return Feature(False, f"a process did not survive a {what} probe, a fork and a seccomp filter ({status})")


def _link(path: str, offset: int, on_return: bool) -> int:
    """A link that does nothing; to a perf event where the kernel has no multi links."""
    try:
        with _loaded(syscall.ATTACH_UPROBE_MULTI) as program:
            return syscall.link_uprobe_multi(
                program, syscall.ATTACH_UPROBE_MULTI, path, [offset], [0], on_return=on_return
            )
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    kind, return_bit = uprobe_pmu()
    event = syscall.open_uprobe_event(kind, path, offset, return_bit=return_bit if on_return else None)
    try:
        with _loaded(0) as program:
            return syscall.link_perf_event(program, event, 0)
    finally:
        os.close(event)


@contextmanager
def _loaded(attach_type: int) -> Iterator[int]:
    program = syscall.load_program("snoop_probe", NOTHING, attach_type)
    try:
        yield program
    finally:
        os.close(program)


def _run(file: int) -> int:
    process = subprocess.Popen(
        [f"/proc/self/fd/{file}"],
        pass_fds=[file],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return process.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
