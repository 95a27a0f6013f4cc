"""Take the signals that end a recording one by one, when it suits.

`signal.sigtimedwait` of Python makes a signal up where its wait was interrupted and its time is over: so it
is when this process is stopped and continued (Ctrl-Z and fg), frozen, or asleep with the whole machine.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections.abc import Iterable
from typing import Final, NamedTuple

#: `si_code` of a signal from the terminal, which all of its foreground processes get.
_SI_KERNEL: Final = 0x80

_libc = ctypes.CDLL(None, use_errno=True)


class _SigSet(ctypes.Structure):
    _fields_ = (("bits", ctypes.c_ulong * (128 // ctypes.sizeof(ctypes.c_ulong))),)


class _SigInfo(ctypes.Structure):
    """The head of `siginfo_t`, 128 bytes, as all architectures that funcsnoop knows have it."""

    _fields_ = (
        ("number", ctypes.c_int),
        ("errno", ctypes.c_int),
        ("code", ctypes.c_int),
        ("rest", ctypes.c_char * 116),
    )


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class Received(NamedTuple):
    number: int
    from_terminal: bool


def wait(signals: Iterable[int], seconds: float) -> Received | None:
    """The next of these signals; None if there is none in time, or earlier. All must be blocked."""
    wanted = _SigSet()
    for number in signals:
        _libc.sigaddset(ctypes.byref(wanted), number)
    info = _SigInfo()
    limit = _TimeSpec(int(seconds), int(seconds % 1 * 1e9))
    if _libc.sigtimedwait(ctypes.byref(wanted), ctypes.byref(info), ctypes.byref(limit)) >= 0:
        return Received(info.number, info.code == _SI_KERNEL)
    error = ctypes.get_errno()
    if error not in (errno.EAGAIN, errno.EINTR):
        raise OSError(error, os.strerror(error))
    return None


class Signals:
    """Holds back SIGINT, SIGTERM and SIGHUP, so that none cuts the recording in two, and SIGCHLD.

    Not a SIGHUP that was ignored before, as `nohup` does: it stays ignored.
    """

    def __init__(self) -> None:
        ends = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            ends.append(signal.SIGHUP)
        self._all = (*ends, signal.SIGCHLD)
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, self._all)
        #: What a program that is started here is to unblock.
        self.held_back = [number for number in self._all if number not in self._before]

    def wait(self, seconds: float) -> Received | None:
        """Who wants the recording to end. None if nobody does in time; earlier where a child changes."""
        received = wait(self._all, seconds)
        return None if received is None or received.number == signal.SIGCHLD else received

    def let_go(self) -> None:
        """As before. What has come in the meantime has got what it wanted."""
        while wait(self._all, 0):
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)
