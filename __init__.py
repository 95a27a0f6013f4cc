"""funcsnoop: every call of chosen user-space functions, as a data set.

    trace = funcsnoop.open("trace.parquet")
    trace.latency().collect()

Importing this is cheap: Polars and PyArrow are loaded by the first call that needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import FuncsnoopError

if TYPE_CHECKING:
    import os

    from .analyze.trace import Trace

__all__ = ["FuncsnoopError", "__version__", "open"]

__version__ = "0.1.0"


def open(path: str | os.PathLike[str], *, correct: bool = False) -> Trace:
    """Open a trace file for analysis; raises `TraceError` where it is not one.

    With `correct` durations are without what the probes cost, as `funcsnoop analyze --correct` shows them.
    Raises `UsageError` where the recording did not measure that.
    """
    from .analyze.trace import Trace

    return Trace(path, correct=correct)
