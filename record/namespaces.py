"""Pid namespaces: the kernel's programs see the root's ids, the user those of the recorder's."""

from __future__ import annotations

import os

#: Inode of the root pid namespace (PROC_PID_INIT_INO in include/linux/proc_ns.h).
_ROOT_INODE = 0xEFFFFFFC


def pid_namespace() -> tuple[int, int] | None:
    """Device and inode of the recorder's pid namespace; None for the root one."""
    status = os.stat("/proc/self/ns/pid")
    return None if status.st_ino == _ROOT_INODE else (status.st_dev, status.st_ino)


def sees(namespace: tuple[int, int] | None, tgid: int) -> bool:
    """Whether a recorder in `namespace` gets events of process `tgid`.

    From the root namespace all are seen. From another, the kernel gives the ids of processes that
    are in that very namespace, and of none below it.
    """
    if namespace is None:
        return True
    status = os.stat(f"/proc/{tgid}/ns/pid")
    return (status.st_dev, status.st_ino) == namespace
