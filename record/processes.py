"""What `/proc` says of a process: its executable, its mappings, its root. Source: proc(5)."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from ..errors import PrivilegeError, TargetError

_MAPPING: Final = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) (....) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) ([0-9]+) +(/[^\n]*)$", re.MULTILINE
)
_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")
_DELETED: Final = b" (deleted)"
#: Longer names of commands are cut by the kernel (TASK_COMM_LEN).
_COMMAND_BYTES: Final = 15


class FileMapping(NamedTuple):
    """A part of a file in a process's memory. `device` is as the kernel prints it, `fe:01`."""

    start: int
    end: int
    executable: bool
    offset: int
    device: str
    inode: int
    path: str
    deleted: bool

    def link(self, pid: int) -> str:
        """The file that is mapped, even when another has taken its path since."""
        return f"/proc/{pid}/map_files/{self.start:x}-{self.end:x}"


def no_privilege(pid: int) -> PrivilegeError:
    return PrivilegeError(
        f"process {pid} belongs to another user, or may not be inspected",
        "Run funcsnoop as root, or with CAP_SYS_PTRACE.",
    )


def gone(pid: int) -> TargetError:
    return TargetError(f"no process {pid}", "List the running processes with: ps -e")


def parse_maps(content: bytes) -> Iterator[FileMapping]:
    """The file mappings in the text of a `/proc/PID/maps`."""
    for start, end, mode, offset, device, inode, path in _MAPPING.findall(content):
        if inode == b"0":
            continue
        name = _ESCAPE.sub(lambda m: bytes([int(m[1], 8) & 255]), path.removesuffix(_DELETED))
        yield FileMapping(
            int(start, 16),
            int(end, 16),
            b"x" in mode,
            int(offset, 16),
            device.decode(),
            int(inode),
            os.fsdecode(name),
            path.endswith(_DELETED),
        )


def read_maps(pid: int) -> list[FileMapping]:
    """File mappings of process `pid`, by address.

    Raises TargetError when it is gone, PrivilegeError (CAP_SYS_PTRACE) when it may not be read.
    """
    try:
        with open(f"/proc/{pid}/maps", "rb") as file:
            return list(parse_maps(file.read()))
    except PermissionError:
        raise no_privilege(pid) from None
    except OSError:
        raise gone(pid) from None


def check(pid: int) -> None:
    """Raise TargetError or PrivilegeError unless `pid` is a process whose functions can be traced."""
    if pid == os.getpid():
        raise TargetError(f"process {pid} is funcsnoop itself", "Trace another process.")
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            status = dict(line.split(b":\t", 1) for line in file.read().splitlines() if b":\t" in line)
    except OSError:
        raise gone(pid) from None
    leader = int(status.get(b"Tgid", b"0"))
    if leader and leader != pid:
        raise TargetError(f"{pid} is a thread of process {leader}", f"Trace the process: -p {leader}")
    if status.get(b"State", b"?")[:1] in b"ZX":
        raise TargetError(
            f"process {pid} has ended already", "Its parent has not waited for it; there is nothing to trace."
        )
    try:
        os.readlink(f"/proc/{pid}/exe")
    except PermissionError:
        raise no_privilege(pid) from None
    except OSError:
        if os.path.exists(f"/proc/{pid}"):
            raise TargetError(
                f"process {pid} is a kernel thread", "It has no user-space functions to trace."
            ) from None
        raise gone(pid) from None
    if not os.access(f"/proc/{pid}/maps", os.R_OK):
        raise no_privilege(pid)


def has_seccomp(pid: int | str) -> bool:
    """Whether a process is confined by a seccomp filter; what it starts then is too."""
    with suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
        return re.search(rb"^Seccomp:\t[12]$", file.read(), re.MULTILINE) is not None
    return False


def executable(pid: int) -> str:
    """Path of the executable, as the process sees it."""
    try:
        return os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
    except PermissionError:
        raise no_privilege(pid) from None
    except OSError:
        raise gone(pid) from None


def environment(pid: int) -> Mapping[str, str]:
    """The environment that `pid` was started with; empty where it may not be read."""
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
        pairs = (os.fsdecode(entry).partition("=") for entry in file.read().split(b"\0") if b"=" in entry)
        return {name: value for name, _, value in pairs}
    return {}


def root(pid: int) -> str:
    """Prefix under which our own process finds the files of `pid`: empty, or `/proc/PID/root`."""
    mine, its = "/proc/self", f"/proc/{pid}"
    try:
        same_root = os.path.samestat(os.stat(f"{mine}/root/"), os.stat(f"{its}/root/"))
        if same_root and os.readlink(f"{mine}/ns/mnt") == os.readlink(f"{its}/ns/mnt"):
            return ""
    except OSError:
        return ""
    return f"{its}/root"


def kernel_identity(file: str) -> tuple[str, int] | None:
    """Device and inode of `file` as `/proc/PID/maps` shows them; None for a file that we cannot map.

    On btrfs and overlayfs they are not those of stat(2), so that we map the file and look.
    """
    import numpy as np

    try:
        with open(file, "rb") as opened, mmap.mmap(opened.fileno(), 1, prot=mmap.PROT_READ) as mapped:
            address = np.frombuffer(mapped, np.uint8).ctypes.data
            with open("/proc/self/maps", "rb") as maps:
                for mapping in parse_maps(maps.read()):
                    if mapping.start <= address < mapping.end:
                        return mapping.device, mapping.inode
    except (OSError, ValueError):
        pass
    return None


def inside(path: str, pid: int) -> str:
    """`path`, which `/proc/PID` shows from our root, as a process in a chroot names it."""
    try:
        top = os.readlink(f"/proc/{pid}/root").rstrip("/")
    except OSError:
        return path
    return path[len(top) :] if top and path.startswith(top + "/") else path


def mapped_elsewhere(files: Sequence[tuple[str, str | None]], excluded: frozenset[int]) -> list[bool]:
    """Whether a process other than `excluded` maps each of `files`: (where we open it, executable's name).

    The name is that of an executable, None for a library. True as well where it cannot be told: a
    process that may not be looked into can map any library, but only an executable of its own name.
    """
    identities = [kernel_identity(file) for file, _ in files]
    wanted = [identity and f" {identity[0]} {identity[1]} ".encode() for identity in identities]
    found = [identity is None for identity in identities]
    for pid, maps in _other_maps(excluded):
        command = _command_name(pid) if maps is None else None
        for i, (_, name) in enumerate(files):
            if maps is not None:
                found[i] |= (wanted[i] or b"") in maps
            elif name is None or command in (None, name[:_COMMAND_BYTES]):
                found[i] = True
        if all(found):
            break
    return found


def _other_maps(excluded: frozenset[int]) -> Iterator[tuple[int, bytes | None]]:
    """Every other process and the text of its maps; None for one that may not be read."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in excluded:
            try:
                with open(f"/proc/{name}/maps", "rb") as file:
                    yield int(name), file.read()
            except PermissionError:
                yield int(name), None
            except OSError:
                continue


def _command_name(pid: int) -> str | None:
    """The process's short name, which anyone may read."""
    with suppress(OSError), open(f"/proc/{pid}/comm", "rb") as file:
        return os.fsdecode(file.read().removesuffix(b"\n"))
    return None
