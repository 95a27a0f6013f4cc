"""Root's power, used for as little and as short as can be.

Under sudo and its like the recorder becomes the user who called it, and keeps root's capabilities aside for
what needs them; files it opens without them, and the command it launches gets none. Once the probes are in,
each thread gives up all that the rest of the recording does not need. Source: capabilities(7).
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import Final, NamedTuple

from .caller import caller, cannot_be

_PR_SET_KEEPCAPS: Final = 8
_CAPABILITY_VERSION_3: Final = 0x20080522
#: For the packages that are imported, unless the user has set these. Arrow's own pool reserves a gigabyte
#: at once, which leaves nothing to the rest of a process with a limit; for a few large buffers a second the
#: system is as fast. NumPy's linear algebra, which nothing here uses, starts a thread for each processor,
#: which spins.
_WHILE_IMPORTING: Final = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"}
_libc = ctypes.CDLL(None, use_errno=True)


class Capability(IntEnum):
    """Those that a recording can need after its probes are in; numbers of linux/capability.h."""

    DAC_OVERRIDE = 1
    DAC_READ_SEARCH = 2
    KILL = 5
    SYS_PTRACE = 19
    SYS_ADMIN = 21
    BPF = 39


class Identity(NamedTuple):
    uid: int
    gid: int
    groups: Sequence[int]


class _Sets(NamedTuple):
    """A thread's capabilities, as bit masks."""

    effective: int
    permitted: int
    inheritable: int


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def become_invoking_user(*, as_root: bool = False) -> Identity | None:
    """Under sudo, take the ids of who called it; this thread's capabilities stay. Root's own identity.

    None, and nothing is done, where there is no other user. With `as_root` the real user id stays root's,
    so that a child can become root again. Raises `PrivilegeError`.
    """
    who = caller()
    if who is None:
        return None
    root = Identity(os.getuid(), os.getgid(), os.getgroups())
    try:
        _check(_libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
        os.setgroups(who.groups)
        os.setresgid(who.gid, who.gid, who.gid)
        os.setresuid(0 if as_root else who.uid, who.uid, who.uid)
        _check(_libc.prctl(_PR_SET_KEEPCAPS, 0, 0, 0, 0))
        sets = _capget()
        _capset(sets._replace(effective=sets.permitted))
    except OSError as error:
        raise cannot_be(who, error) from None
    return root


def take(identity: Identity) -> None:
    """Take these ids, in a child that is to execute a program."""
    os.setgroups(identity.groups)
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)


@contextmanager
def as_invoking_user() -> Iterator[None]:
    """Without capabilities, on this thread: what a file system refuses the user, it refuses.

    Root itself, not called through sudo, keeps them.
    """
    if os.geteuid() == 0:
        yield
    else:
        with _set_aside():
            yield


def still_needed(
    *,
    processes: Collection[int] | None,
    directory: str | None,
    launched: bool,
    links_again: bool,
    look: Callable[[], object],
) -> frozenset[Capability]:
    """What the recorder cannot do without once the probes are in, found out by trying.

    `processes` are recorded (None: any), `directory` gets the file (None: there is none), `links_again`
    says whether perf links may have to be made anew, `look` reads the BPF maps.
    """
    needed = set(_to_import())
    if launched and 0 in os.getresuid():
        needed.add(Capability.KILL)  # it can change its user, and is to get our signals still
    if links_again:
        needed.add(Capability.SYS_ADMIN)
    with _set_aside():
        if directory is not None and not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
            needed.add(Capability.DAC_OVERRIDE)
        try:
            for tgid in processes or ():
                os.readlink(f"/proc/{tgid}/exe")
        except PermissionError:
            processes = None
        except OSError:
            pass
        try:
            look()
        except PermissionError:
            needed.add(Capability.BPF)  # kernels before 5.19
    if processes is None:
        needed.add(Capability.SYS_PTRACE)
    return frozenset(needed)


def renounce(keep: Collection[Capability]) -> None:
    """Give up all capabilities but these, on this thread and for those that it starts, for good."""
    mask = sum(1 << capability for capability in keep)
    sets = _capget()
    # Inheritable ones cannot be used here; they are for the programs that we do not start any more.
    _capset(_Sets(sets.permitted & mask, sets.permitted & mask, sets.inheritable & mask))


def import_without(*modules: str) -> None:
    """Import modules that start threads of their own, so that these have no capabilities.

    They take no signals either, which the recorder waits for on its main thread.
    """
    keep = _to_import()

    def import_them() -> None:
        renounce(keep)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        for module in modules:
            # Who needs it gets the error.
            with suppress(ImportError):
                importlib.import_module(module)

    thread = threading.Thread(target=import_them)
    with _defaults(_WHILE_IMPORTING):
        thread.start()
        thread.join()


@contextmanager
def _defaults(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables that hold inside, where the user has not set them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: before[name] or value for name, value in values.items()})
    try:
        yield
    finally:
        # Commands that are started have the environment that they would have.
        for name, value in before.items():
            if value is None:
                del os.environ[name]


def _to_import() -> frozenset[Capability]:
    """What reading Python's modules takes: they are imported when they are first needed."""
    directories = [path for path in sys.path if path and os.path.isdir(path)]
    with _set_aside():
        if all(os.access(path, os.R_OK | os.X_OK, effective_ids=True) for path in directories):
            return frozenset()
    return frozenset({Capability.DAC_READ_SEARCH})


@contextmanager
def _set_aside() -> Iterator[None]:
    sets = _capget()
    _capset(sets._replace(effective=0))
    try:
        yield
    finally:
        _capset(sets)


def _capget() -> _Sets:
    words = (ctypes.c_uint32 * 6)()
    _check(_libc.capget(ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), words))
    return _Sets(*(words[i] | words[i + 3] << 32 for i in range(3)))


def _capset(sets: _Sets) -> None:
    words = (ctypes.c_uint32 * 6)(*(s & 0xFFFFFFFF for s in sets), *(s >> 32 for s in sets))
    _check(_libc.capset(ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), words))


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
