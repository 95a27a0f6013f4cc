"""Every table that funcsnoop writes or prints, and the metadata of a trace."""

from .calls import CALLS, STATUS
from .events import EVENTS, MAX_ARGS, VALUES
from .metadata import FORMAT_VERSION, METADATA_KEY, TraceMetadata
from .reports import (
    ARGS,
    CALLGRAPH,
    DIFF,
    DIFF_EDGES,
    EXPLAIN,
    HEATMAP,
    HIST,
    LATENCY,
    SLOWEST,
    THREADS,
    THREADS_APART,
)

__all__ = [
    "ARGS",
    "CALLGRAPH",
    "CALLS",
    "DIFF",
    "DIFF_EDGES",
    "EVENTS",
    "EXPLAIN",
    "FORMAT_VERSION",
    "HEATMAP",
    "HIST",
    "LATENCY",
    "MAX_ARGS",
    "METADATA_KEY",
    "SLOWEST",
    "STATUS",
    "THREADS",
    "THREADS_APART",
    "VALUES",
    "TraceMetadata",
]
