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


def open(path: str | os.PathLike[str]) -> Trace:
    """Open a trace file for analysis; raises `TraceError` where it is not one."""
    from .analyze.trace import Trace

    return Trace(path)
