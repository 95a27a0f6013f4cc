"""The command line: `main` runs the Typer app and turns errors into two lines."""

from __future__ import annotations

import errno
import sys

from ..errors import FuncsnoopError
from ..printable import printable

__all__ = ["main"]


def main() -> None:
    """Run the command line, and exit with its status."""
    try:
        from .app import app

        app(prog_name="funcsnoop")
    except FuncsnoopError as error:
        sys.stderr.write(f"funcsnoop: {printable(error.message)}\n  {printable(error.hint)}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write(
            "\nfuncsnoop: interrupted\n  Nothing was finished; the same command can be run again.\n"
        )
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone, as with `| head`. Nothing is left to say, to nobody.
        sys.stderr.close()
        sys.exit(141)
    except BaseException as error:
        if _out_of_memory(error):
            sys.stderr.write(
                "funcsnoop: out of memory\n"
                "  Use a machine with more, or record less: fewer functions, --max-events\n"
            )
            sys.exit(1)
        # Panics of Polars derive from BaseException only. One shows a fault of ours, or of the trace.
        if type(error).__name__ != "PanicException":
            raise
        reason = printable(str(error).partition("\n")[0][:200])
        sys.stderr.write(
            f"funcsnoop: Polars gave up: {reason}\n"
            "  The trace is damaged, or this is a bug: please report it with this text\n"
        )
        sys.exit(1)


def _out_of_memory(error: BaseException) -> bool:
    """Also as the system and its loader of libraries tell of it."""
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, OSError | ImportError):
        return False
    return getattr(error, "errno", None) == errno.ENOMEM or any(
        text in str(error).lower() for text in ("failed to map segment", "cannot allocate memory")
    )
