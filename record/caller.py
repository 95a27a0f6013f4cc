"""Who called sudo, doas or pkexec: they run programs as root, and name their user in variables.

Sources: sudo(8), doas(1), pkexec(1).
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from ..errors import PrivilegeError

#: What these tools tell the programs that they run about themselves.
_VARIABLES: Final = (
    "DOAS_USER",
    "PKEXEC_UID",
    "SUDO_COMMAND",
    "SUDO_GID",
    "SUDO_HOME",
    "SUDO_TTY",
    "SUDO_UID",
    "SUDO_USER",
)


class Caller(NamedTuple):
    tool: str
    name: str
    uid: int
    gid: int
    groups: Sequence[int]


def caller() -> Caller | None:
    """Who made us root, with all groups; None if nobody did, or root."""
    return _named(os.environ) if os.geteuid() == 0 else None


def tool_of(environment: Mapping[str, str]) -> str | None:
    """Through which tool somebody has become root, also where that was given up since."""
    found = _named(environment)
    return None if found is None else found.tool


def become_caller() -> None:
    """Be who called sudo for good, without any of root's rights. Raises `PrivilegeError`."""
    who = caller()
    if who is None:
        return
    modules = [path for path in sys.path if os.path.isdir(path)]
    try:
        os.setgroups(who.groups)
        os.setgid(who.gid)
        os.setuid(who.uid)
    except OSError as error:
        raise cannot_be(who, error) from None
    if not all(os.access(path, os.R_OK | os.X_OK) for path in modules):
        raise PrivilegeError(
            f"funcsnoop is installed where {who.name}, who called {who.tool}, may not read",
            "Install it elsewhere; or start it from a root shell.",
        )


def cannot_be(who: Caller, error: OSError) -> PrivilegeError:
    return PrivilegeError(
        f"cannot act as user {who.uid}, who called {who.tool}: {error.strerror}",
        f"Start it without {who.tool}, from a root shell.",
    )


def callers_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What sudo has changed is put back, where that can be known; call it before the ids change."""
    result = dict(environment)
    who = caller()
    if who is None:
        return result
    users = {"USER": who.name, "LOGNAME": who.name, "USERNAME": who.name, "MAIL": f"/var/mail/{who.name}"}
    with suppress(KeyError):
        entry = pwd.getpwuid(who.uid)
        users |= {"HOME": entry.pw_dir, "SHELL": entry.pw_shell}
    with suppress(KeyError):
        root = pwd.getpwuid(0)
        roots = {
            "USER": {root.pw_name},
            "LOGNAME": {root.pw_name},
            "USERNAME": {root.pw_name},
            "MAIL": {f"/var/mail/{root.pw_name}", f"/var/spool/mail/{root.pw_name}"},
            "HOME": {root.pw_dir},
            "SHELL": {root.pw_shell},
        }
        # What has another value was kept or set on purpose (sudo -E, sudo HOME=...).
        for variable, values in roots.items():
            if result.get(variable) in values and variable in users:
                result[variable] = users[variable]
    for variable in _VARIABLES:
        result.pop(variable, None)
    return result


def _named(environment: Mapping[str, str]) -> Caller | None:
    with suppress(KeyError, ValueError):
        uid, gid = int(environment["SUDO_UID"]), int(environment["SUDO_GID"])
        if uid > 0 and gid >= 0:
            return _with_groups("sudo", environment.get("SUDO_USER", str(uid)), uid, gid)
    with suppress(KeyError):
        entry = pwd.getpwnam(environment["DOAS_USER"])
        if entry.pw_uid > 0:
            return _with_groups("doas", entry.pw_name, entry.pw_uid, entry.pw_gid)
    with suppress(KeyError, ValueError, OverflowError):
        entry = pwd.getpwuid(int(environment["PKEXEC_UID"]))
        if entry.pw_uid > 0:
            return _with_groups("pkexec", entry.pw_name, entry.pw_uid, entry.pw_gid)
    return None


def _with_groups(tool: str, name: str, uid: int, gid: int) -> Caller:
    groups = [gid]
    with suppress(KeyError):
        groups = os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    return Caller(tool, name, uid, gid, groups)
