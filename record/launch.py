"""Start a command and hold it at its first instruction until the probes are in.

The kernel stops a process that asked to be traced (ptrace) at the end of a successful `execve`: the
new program is in place and has not run one instruction, not even of the dynamic loader. Nothing of
the recorder's own code runs in it any more, so all that the probes see from here on is the command.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence

from ..errors import TargetError
from . import privileges

_PTRACE_TRACEME = 0
_PTRACE_DETACH = 17
_PTRACE_SETOPTIONS = 0x4200
_PTRACE_O_EXITKILL = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True)
_ptrace = _libc.ptrace
_ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_ptrace.restype = ctypes.c_long


class HeldCommand:
    """A command that was started and stands still; `release` lets it run.

    Must be made, released and waited for on one thread: the kernel ties a traced process to it.
    Signals in `unblock` are blocked in this process and are not to be in the command. It runs with
    the ids of `identity` and the stdout and stderr of `outputs`, else with ours.
    """

    def __init__(
        self,
        command: Sequence[str],
        executable: str,
        environment: Mapping[str, str],
        unblock: Iterable[signal.Signals],
        identity: privileges.Identity | None = None,
        outputs: tuple[int | None, int | None] = (None, None),
    ) -> None:
        unblocked = list(unblock)

        def be_traced() -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, unblocked)
            if _ptrace(_PTRACE_TRACEME, 0, None, None) < 0:
                raise OSError(ctypes.get_errno(), "ptrace")
            if identity is not None:
                privileges.take(identity)

        self._held = True
        try:
            # Descriptors that the user's shell passes on are the command's, as without us.
            self._process = subprocess.Popen(
                list(command),
                executable=executable,
                env=dict(environment),
                preexec_fn=be_traced,
                close_fds=False,
                stdout=outputs[0],
                stderr=outputs[1],
            )
        except subprocess.SubprocessError:
            raise TargetError(
                f"{command[0]} cannot be held at its start: this system forbids ptrace",
                "Start it yourself, and record it with --pid.",
            ) from None
        except OSError as error:
            raise TargetError(
                f"{command[0]} does not start: {error.strerror}",
                "Check that it is an executable for this machine.",
            ) from None
        _, status = os.waitpid(self.pid, 0)
        if not os.WIFSTOPPED(status):
            self._held = False
            self._process.returncode = os.waitstatus_to_exitcode(status)
            raise TargetError(
                f"{command[0]} ended before it began", "Run it without funcsnoop to see what is wrong."
            )
        # A recorder that is killed now takes it along: it has not run, and is not to run unrecorded.
        _ptrace(_PTRACE_SETOPTIONS, self.pid, None, _PTRACE_O_EXITKILL)

    @property
    def pid(self) -> int:
        return self._process.pid

    def release(self) -> None:
        """Let the command run."""
        if self._held:
            self._held = False
            _ptrace(_PTRACE_DETACH, self.pid, None, None)

    def ended(self) -> bool:
        """Whether it has ended; does not wait."""
        return self._process.poll() is not None

    def wait(self) -> int:
        """Wait for its end; its exit status as a shell gives it: 128+N for signal N."""
        code = self._process.wait()
        return 128 - code if code < 0 else code

    def send(self, number: int) -> None:
        """Send it a signal, if it still runs, and is not another user's by now."""
        if not self.ended():
            with contextlib.suppress(PermissionError):
                self._process.send_signal(number)

    def discard(self) -> None:
        """End a command that never ran, because the recording could not begin."""
        if self._held:
            self._held = False
            self._process.kill()
            self._process.wait()
