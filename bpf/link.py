"""One link: what runs where, and why the kernel refuses it."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

from ..errors import FuncsnoopError, KernelError, PrivilegeError, TargetError
from . import syscall
from .probes import Place


class Side(Enum):
    """Where the kernel runs a program of a link."""

    ENTRY = auto()  # at the instruction
    RETURN = auto()  # when the function that is entered there returns
    BOTH = auto()


class Link(NamedTuple):
    """`function` is the one that a link is for which holds one place; None if it holds more."""

    descriptor: int
    is_session: bool = False
    function: int | None = None


def attach_type(side: Side) -> int:
    """For which a program must be loaded that a link to many places runs at `side`."""
    return syscall.ATTACH_UPROBE_SESSION if side is Side.BOTH else syscall.ATTACH_UPROBE_MULTI


def link_multi(program: int, path: str, places: Sequence[Place], pid: int, side: Side) -> int:
    """Run `program` at all these places of the file `path`, with 0 for any `pid`; the link's file descriptor.

    Raises `OSError`.
    """
    return syscall.link_uprobe_multi(
        program,
        attach_type(side),
        path,
        [place.site for place in places],
        [place.cookie for place in places],
        pid=pid,
        on_return=side is Side.RETURN,
    )


def explain(error: OSError, path: str, pid: int | None) -> FuncsnoopError:
    """What to tell of an error that linking to the file `path` has met."""
    match error.errno:
        case errno.EPERM | errno.EACCES:
            return PrivilegeError(
                f"the kernel does not let this user probe {path}",
                "Run as root; perf links need CAP_SYS_ADMIN besides CAP_BPF and CAP_PERFMON.",
            )
        case errno.ESRCH:
            return TargetError(f"process {pid} has gone", "Start it again and give its new id.")
        case errno.EMFILE | errno.ENFILE:
            return KernelError(
                "too many open files for one link per function",
                "Raise `ulimit -n`, or trace fewer functions.",
            )
        case _:
            return KernelError(
                f"the kernel refuses to probe {path}: {error.strerror}",
                "Run `funcsnoop doctor`, or try another way with --attach multi or --attach perf.",
            )
