"""The command line: `main` runs the Typer app and turns errors into two lines."""

from __future__ import annotations

import sys

from ..errors import FuncsnoopError
from .printable import printable

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
        sys.stderr.write("\nfuncsnoop: interrupted\n")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone, as with `| head`. Nothing is left to say, to nobody.
        sys.stderr.close()
        sys.exit(141)
