"""What this kernel and user can do, found out by trying.

Version strings lie on distribution kernels, which carry features and fixes of later ones.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ..errors import KernelError, PrivilegeError
from . import syscall

#: Of linux/capability.h; those that recording can use.
_CAPABILITIES = {"CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39}

_UPROBE_PMU = Path("/sys/bus/event_source/devices/uprobe")

#: `r0 = 0; exit`
NOTHING = bytes.fromhex("b7000000000000009500000000000000")


class Strategy(StrEnum):
    """How probes are attached, best first."""

    SESSION = "session"  # one link for both sides of all functions of a module; kernel 6.13
    MULTI = "multi"  # one link for each side; 6.6
    PERF = "perf"  # one link for each side of each function; 5.15


@dataclass(frozen=True)
class Feature:
    works: bool
    detail: str  # how it was found to work, or why it does not
    privilege: str = ""  # the capability for want of which it does not


def check(strategy: Strategy) -> Feature:
    """Whether the kernel accepts this way of attaching from this user."""
    match strategy:
        case Strategy.SESSION:
            return _accepts_multi_link(syscall.ATTACH_UPROBE_SESSION)
        case Strategy.MULTI:
            accepted = _accepts_multi_link(syscall.ATTACH_UPROBE_MULTI)
            return _pid_filter_sees_threads() if accepted.works else accepted
        case Strategy.PERF:
            return _accepts_perf_link()


def choose(wanted: Strategy | None) -> Strategy:
    """The strategy asked for, else the best that works.

    Raises `KernelError` where it does not work, or nothing does, and `PrivilegeError` where the
    kernel lets this user load nothing.
    """
    require_privilege()
    if wanted is not None:
        feature = check(wanted)
        if feature.privilege:
            raise PrivilegeError(
                f"--attach {wanted} needs {feature.privilege}, which this user does not have",
                "Leave --attach out to use what this user can do, or run it as root.",
            )
        if not feature.works:
            raise KernelError(
                f"this kernel cannot attach with --attach {wanted}: {feature.detail}",
                "Leave --attach out to use what it can do, or run `funcsnoop doctor`.",
            )
        return wanted
    lacking = ""
    for strategy in Strategy:
        feature = check(strategy)
        if feature.works:
            return strategy
        lacking = lacking or feature.privilege
    if lacking:
        raise PrivilegeError(
            f"recording on this kernel needs {lacking} too, which this user does not have",
            "Run it as root, for example with sudo.",
        )
    raise KernelError(
        f"kernel {os.uname().release} is too old: it has no uprobes with attach cookies",
        "Record on kernel 5.15 or newer; `funcsnoop doctor` shows what is missing.",
    )


def require_privilege() -> None:
    """Raise `PrivilegeError`, with the capability's name, where this user may not load programs."""
    try:
        os.close(syscall.load_program("snoop_probe", NOTHING, 0))
    except syscall.VerifierError as error:
        if error.errno == errno.ENOSYS:
            raise KernelError("this kernel has no bpf(2)", "Record on kernel 5.15 or newer.") from None
        if error.errno != errno.EPERM:
            raise KernelError(
                f"the kernel refuses the simplest BPF program: {error.strerror}",
                "Run `funcsnoop doctor` to see what this kernel can do.",
            ) from None
        missing = missing_capabilities(("CAP_BPF", "CAP_PERFMON"))
        if not missing:
            raise PrivilegeError(
                "the kernel loads no BPF programs, though this user has the capabilities",
                "Look for kernel lockdown, and for a container that forbids bpf(2).",
            ) from None
        raise PrivilegeError(
            f"recording needs {' and '.join(missing)}, which this user does not have",
            "Run it as root, for example with sudo.",
        ) from None


def missing_capabilities(names: Iterable[str]) -> list[str]:
    """Those of `names` that are not in effect for this process."""
    effective = 0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            effective = int(line.split()[1], 16)
    return [name for name in names if not effective >> _CAPABILITIES[name] & 1]


def uprobe_pmu() -> tuple[int, int]:
    """The uprobe PMU's type, and the bit of `config` that asks for a return probe.

    Raises `OSError` where the kernel has none.
    """
    kind = int((_UPROBE_PMU / "type").read_text())
    bit = int((_UPROBE_PMU / "format" / "retprobe").read_text().strip().removeprefix("config:"))
    return kind, bit


def _accepts_multi_link(attach_type: int) -> Feature:
    # A directory cannot carry probes: a kernel that knows the attach type says EBADF for it, one
    # that does not says EINVAL before it looks.
    try:
        program = syscall.load_program("snoop_probe", NOTHING, attach_type)
    except syscall.VerifierError as error:
        return Feature(False, f"the kernel does not know this kind of program ({error.strerror})")
    try:
        os.close(syscall.link_uprobe_multi(program, attach_type, "/", [1], [0]))
    except OSError as error:
        if error.errno == errno.EBADF:
            return Feature(True, "the kernel knows this kind of link")
        return Feature(False, f"the kernel does not know this kind of link ({error.strerror})")
    finally:
        os.close(program)
    return Feature(False, "the kernel linked a directory, which makes no sense")


def _accepts_perf_link() -> Feature:
    try:
        kind, _ = uprobe_pmu()
    except (OSError, ValueError) as error:
        return Feature(False, f"the kernel has no uprobe PMU ({error})")
    # Nothing that can be probed: who may not probe at all does not get to hear it.
    try:
        os.close(syscall.open_uprobe_event(kind, "/", 0))
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            return Feature(False, "perf events for uprobes need CAP_SYS_ADMIN", "CAP_SYS_ADMIN")
    program = syscall.load_program("snoop_probe", NOTHING, 0)
    try:
        os.close(syscall.link_perf_event(program, 1 << 30, 1))
    except OSError as error:
        # The descriptor does not exist. A kernel without such links does not get to look at it.
        if error.errno == errno.EBADF:
            return Feature(True, "the kernel links programs to perf events with a cookie")
        return Feature(False, f"the kernel has no links to perf events ({error.strerror})")
    finally:
        os.close(program)
    return Feature(False, "the kernel linked a descriptor that does not exist")


def _pid_filter_sees_threads() -> Feature:
    """Whether a multi link's pid filter lets all threads of the process through.

    Before 6.10 (and 6.9.5, 6.6.35) it let the main thread through only, silently. So call a probed
    function from another thread of this very process, and count.
    """
    counter = syscall.create_array(8)
    program = syscall.load_program("snoop_probe", _count_into(counter), syscall.ATTACH_UPROBE_MULTI)
    try:
        function = ctypes.CDLL(None).labs
        path, offset = _file_offset(ctypes.cast(function, ctypes.c_void_p).value or 0)
        link = syscall.link_uprobe_multi(
            program, syscall.ATTACH_UPROBE_MULTI, path, [offset], [0], pid=os.getpid()
        )
        try:
            thread = threading.Thread(target=function, args=(1,))
            thread.start()
            thread.join()
        finally:
            os.close(link)
        if int.from_bytes(syscall.lookup_map(counter, bytes(4), 8), "little"):
            return Feature(True, "the kernel knows this kind of link, and its pid filter sees all threads")
        return Feature(False, "this kernel's pid filter for it sees the main thread only")
    except OSError as error:
        return Feature(False, f"a trial link failed ({error.strerror})")
    finally:
        os.close(program)
        os.close(counter)


def _count_into(array: int) -> bytes:
    """A program that adds 1 to the first value of `array`."""

    def instruction(code: int, registers: int, offset: int, immediate: int) -> bytes:
        return struct.pack("<BBhi", code, registers, offset, immediate)

    return b"".join(
        (
            instruction(0x18, 0x21, 0, array),  # r1 = address of the map's value (2 slots)
            instruction(0x00, 0x00, 0, 0),
            instruction(0xB7, 0x02, 0, 1),  # r2 = 1
            instruction(0xDB, 0x21, 0, 0),  # lock *(u64 *)r1 += r2
            NOTHING,
        )
    )


def _file_offset(address: int) -> tuple[str, int]:
    """Path and file offset of an address of this process."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, start_offset, *_, path = line.split(maxsplit=5)
        low, high = (int(number, 16) for number in span.split("-"))
        if low <= address < high:
            return path, address - low + int(start_offset, 16)
    raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
