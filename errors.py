"""The exception tree of funcsnoop.

    FuncsnoopError          what is wrong (message) and what to do (hint); exit status 1
    ├── UsageError          the command line cannot mean anything; exit status 2
    ├── TargetError         what to trace: module, symbol, process, command
    ├── PrivilegeError      a capability is missing
    ├── KernelError         the kernel, or bcc, cannot do what is asked
    ├── OutputError         the trace cannot be written where it should go
    ├── TraceError          a file that is not a trace, or not one that this version reads
    └── InterruptError      a signal came before there was anything to save; exit status 128 + its number

Library code raises these and nothing else on purpose; `cli` prints the two lines and exits.
"""

from __future__ import annotations

__all__ = [
    "FuncsnoopError",
    "InterruptError",
    "KernelError",
    "OutputError",
    "PrivilegeError",
    "TargetError",
    "TraceError",
    "UsageError",
]


class FuncsnoopError(Exception):
    """An error with a remedy.

    `message` says what is wrong in one line, `hint` what to do about it in another.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[FuncsnoopError], tuple[str, str]]:
        # So that it comes back whole from another process.
        return type(self), (self.message, self.hint)


class UsageError(FuncsnoopError):
    exit_code = 2


class TargetError(FuncsnoopError):
    pass


class PrivilegeError(FuncsnoopError):
    pass


class KernelError(FuncsnoopError):
    pass


class OutputError(FuncsnoopError):
    pass


class TraceError(FuncsnoopError):
    pass


class InterruptError(FuncsnoopError):
    def __init__(self, number: int) -> None:
        super().__init__("interrupted before the recording began", "Nothing was recorded.")
        self.exit_code = 128 + number
