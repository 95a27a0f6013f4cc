"""Compile the BPF program beside the planning: both take about as long, and neither waits for the other."""

from __future__ import annotations

import ctypes
import signal
import threading
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from ..bpf.compile import Sizes, compile_program, program_text

if TYPE_CHECKING:
    from ..bpf.program import Programs


class Compiling:
    """The program of one recording, compiled on a thread of its own as soon as its sizes are guessed.

    A context: on the way out the thread has ended, and what nobody has taken is gone. Nothing may be written
    to stderr while it runs: what comes there is taken for the compiler's messages.
    """

    def __init__(self) -> None:
        self._sizes = Sizes()
        self._thread: threading.Thread | None = None
        self._module: Any = None
        self._error: BaseException | None = None

    def __enter__(self) -> Compiling:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    def begin(self, sizes: Sizes) -> None:
        """Compile for as much, which will do for less too."""
        before = self._thread
        self._sizes = sizes
        self._thread = threading.Thread(target=self._compile, args=(before, sizes), name="compiling")
        self._thread.start()

    def expect(self, functions: int) -> None:
        """That there will be so many functions: begin again, if they were thought to be fewer."""
        if self._thread is not None and functions > self._sizes.functions:
            self.begin(replace(self._sizes, functions=functions))

    def wait(self) -> None:
        """From here on stderr can be written to."""
        if self._thread is not None:
            self._thread.join()

    def programs(self, sizes: Sizes) -> Programs:
        """What is needed, whatever was begun; the caller closes it. Raises as `Programs` does."""
        from ..bpf.program import Programs

        self.wait()
        guess = self._sizes
        enough = guess.functions >= sizes.functions and guess.processes >= sizes.processes
        same = replace(guess, functions=sizes.functions, processes=sizes.processes) == sizes
        nothing = self._module is None and self._error is None
        if nothing or not (enough and same):
            self._discard()
            return Programs(sizes)
        if self._error is not None:
            raise self._error
        module, self._module = self._module, None
        return Programs(guess, module)

    def _compile(self, before: threading.Thread | None, sizes: Sizes) -> None:
        # The recorder waits for signals on its main thread.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        if before is not None:
            before.join()
            self._clean_up()
        self._error = None
        if not _has_own_directory():
            return  # then it is compiled when it is asked for
        try:
            self._module = compile_program(program_text(), sizes.flags())
        except Exception as error:
            # For who asks for the programs.
            self._error = error

    def _discard(self) -> None:
        self.wait()
        self._clean_up()

    def _clean_up(self) -> None:
        if self._module is not None:
            self._module.cleanup()
            self._module = None


#: Of linux/sched.h.
_CLONE_FS: Final = 0x200


def _has_own_directory() -> bool:
    """Let this thread change its working directory without changing that of the others.

    bcc goes where it finds the kernel's headers while it compiles; meanwhile relative paths, such as that of
    the trace, would lead there. False where a seccomp filter forbids it, as in some containers.
    """
    return bool(ctypes.CDLL(None).unshare(_CLONE_FS) == 0)
