"""The tables that `analyze` prints, in machine formats exactly these columns."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from .events import MAX_ARGS
from .fields import column

#: Holds every value of every argument cast, from i64's least to u64's greatest.
VALUE: Final = pa.decimal128(20, 0)


def _times(*names_and_descriptions: tuple[str, str]) -> list[pa.Field]:
    return [
        column(name, pa.int64(), description, unit="ns", nullable=True)
        for name, description in names_and_descriptions
    ]


_LEFT_OUT: Final = [
    column("open", pa.uint64(), "calls that were running when the recording began or ended"),
    column("unwound", pa.uint64(), "calls left without a return"),
    column("lost", pa.uint64(), "calls one side of which was, or may have been, lost"),
]

LATENCY: Final = pa.schema(
    [
        column("function", pa.string(), "function, demangled"),
        column("module", pa.string(), "file name of the ELF file"),
        column("calls", pa.uint64(), "calls seen, whatever their status"),
        *_times(
            ("total_ns", "time inside the function: complete calls, of nested ones only the outermost"),
            ("self_ns", "time inside the function but not inside recorded callees"),
        ),
        column(
            "mean_ns",
            pa.float64(),
            "mean duration of complete calls, nested ones too",
            unit="ns",
            nullable=True,
        ),
        column(
            "stddev_ns",
            pa.float64(),
            "population standard deviation of the durations",
            unit="ns",
            nullable=True,
        ),
        *_times(
            ("min_ns", "shortest complete call"),
            *(
                (f"p{digits}_ns", f"{percent} percentile of the durations, by nearest rank")
                for digits, percent in (
                    ("50", "50th"),
                    ("90", "90th"),
                    ("95", "95th"),
                    ("99", "99th"),
                    ("999", "99.9th"),
                )
            ),
            ("max_ns", "longest complete call"),
        ),
        *_LEFT_OUT,
    ]
)

CALLGRAPH: Final = pa.schema(
    [
        column("caller", pa.string(), "calling function, demangled; null at a root", nullable=True),
        column("caller_module", pa.string(), "file name of its ELF file", nullable=True),
        column("callee", pa.string(), "called function, demangled"),
        column("callee_module", pa.string(), "file name of its ELF file"),
        column("calls", pa.uint64(), "calls over this edge, whatever their status"),
        *_times(
            (
                "total_ns",
                "time inside the callee when called so: of nested calls over an edge only the outermost",
            ),
            ("self_ns", "time inside the callee but not inside its recorded callees"),
        ),
    ]
)

ARGS: Final = pa.schema(
    [
        column("function", pa.string(), "function, demangled"),
        column("arg", pa.string(), "`arg0` … `arg5`, or `ret_val`"),
        column("count", pa.uint64(), "calls with a value"),
        column("nulls", pa.uint64(), "calls without one"),
        column("distinct", pa.uint64(), "number of different values"),
        column("min", VALUE, "least value", nullable=True),
        column("p50", VALUE, "median value, by nearest rank", nullable=True),
        column("max", VALUE, "greatest value", nullable=True),
        column("mean", pa.float64(), "mean value", nullable=True),
        column(
            "top",
            pa.list_(pa.struct([("value", VALUE), ("count", pa.uint64())])),
            "the most frequent values, most frequent first",
        ),
        column(
            "groups",
            pa.list_(
                pa.struct(
                    [
                        ("low", VALUE),
                        ("high", VALUE),
                        ("calls", pa.uint64()),
                        ("p50_ns", pa.int64()),
                        ("p99_ns", pa.int64()),
                    ]
                )
            ),
            "latency of the complete calls whose value lies from low to high, both included: one group "
            "per value where the values are few, one per power of two where they are many",
        ),
    ]
)

THREADS: Final = pa.schema(
    [
        column("tgid", pa.uint32(), "process id"),
        column("pid", pa.uint32(), "thread id"),
        column("thread_name", pa.string(), "the thread's name when it was last seen", nullable=True),
        column("events", pa.uint64(), "events recorded"),
        column("calls", pa.uint64(), "calls seen, whatever their status"),
        *_times(
            ("first_ns", "first event, CLOCK_MONOTONIC"),
            ("last_ns", "last event, CLOCK_MONOTONIC"),
            ("busy_ns", "time inside recorded functions: the sum of the outermost complete calls"),
        ),
    ]
)

#: Of several traces together.
THREADS_APART: Final = pa.schema(
    [
        column("trace", pa.string(), "path of the trace, as given"),
        column("host", pa.string(), "the machine that it was recorded on"),
        *THREADS,
    ]
)

_FUNCTION: Final = [
    column("function", pa.string(), "function, demangled"),
    column("module", pa.string(), "file name of its ELF file"),
]

HIST: Final = pa.schema(
    [
        *_FUNCTION,
        column("value", pa.string(), "what is counted: `duration_ns`, `arg0` … `arg5` or `ret_val`"),
        column("low", VALUE, "least value of the bucket"),
        column("high", VALUE, "greatest value of the bucket, included"),
        column("calls", pa.uint64(), "calls with such a value, of durations complete calls"),
    ]
)

HEATMAP: Final = pa.schema(
    [
        *_FUNCTION,
        column("start", pa.int64(), "begin of a slice of time, CLOCK_MONOTONIC", unit="ns"),
        column("end", pa.int64(), "its end, not included", unit="ns"),
        column("low_ns", pa.int64(), "shortest duration of the bucket", unit="ns"),
        column("high_ns", pa.int64(), "longest duration of the bucket, included", unit="ns"),
        column("calls", pa.uint64(), "complete calls that began in that time and took so long"),
    ]
)

SLOWEST: Final = pa.schema(
    [
        column("call_id", pa.uint64(), "number of the call, unique in the trace"),
        column("tgid", pa.uint32(), "process id"),
        column("pid", pa.uint32(), "thread id"),
        column("thread_name", pa.string(), "the thread's name when it was last seen", nullable=True),
        *_FUNCTION,
        column("depth", pa.uint32(), "number of callers up to a root, from 0"),
        *_times(
            ("start", "entry, CLOCK_MONOTONIC"),
            ("end", "exit, CLOCK_MONOTONIC"),
            ("duration_ns", "end - start"),
            ("self_ns", "time inside the call but not inside recorded callees"),
        ),
        *(
            column(f"arg{i}", pa.uint64(), f"argument register {i}, raw", nullable=True)
            for i in range(MAX_ARGS)
        ),
        column("ret_val", pa.uint64(), "return register, raw", nullable=True),
        column("callers", pa.list_(pa.string()), "functions around the call, from the root, demangled"),
        column(
            "inside",
            pa.list_(
                pa.struct(
                    [
                        ("function", pa.string()),
                        ("module", pa.string()),
                        ("calls", pa.uint64()),
                        ("self_ns", pa.int64()),
                    ]
                )
            ),
            "functions that ran inside the call, however deep: their calls, and the time inside them but not "
            "inside their own callees; most time first",
        ),
    ]
)


def _compared(name: str, kind: pa.DataType, what: str, *, unit: str = "") -> list[pa.Field]:
    either = kind == pa.uint64()
    return [
        column(f"{name}_a", kind, f"{what} in the first trace", unit=unit, nullable=not either),
        column(f"{name}_b", kind, f"{what} in the second trace", unit=unit, nullable=not either),
        column(
            f"{name}_diff", pa.int64(), "the second less the first", unit=unit, nullable=name.startswith("p")
        ),
    ]


_COMPARISON: Final = [
    column(
        "change",
        pa.string(),
        "`slower`, `faster`, `more_calls`, `fewer_calls`, `only_a`, `only_b` or `same`; null where there are "
        "too few complete calls to tell",
        nullable=True,
    ),
    *_compared("calls", pa.uint64(), "calls, whatever their status,"),
    *_compared("total_ns", pa.int64(), "time inside it", unit="ns"),
    *_compared("self_ns", pa.int64(), "time inside it but not inside its callees", unit="ns"),
    *_compared("p50_ns", pa.int64(), "median duration", unit="ns"),
    *_compared("p99_ns", pa.int64(), "99th percentile of the durations", unit="ns"),
    column(
        "moved",
        pa.float64(),
        "share of the calls that take longer by 10 % and 250 ns or more, or below 0 less long, as far as can "
        "be seen",
        nullable=True,
    ),
    column(
        "p_value",
        pa.float64(),
        "how likely chance gives such a share or a greater one when no more than 10 % of the calls moved, "
        "corrected for the number of rows",
        nullable=True,
    ),
]

DIFF: Final = pa.schema([*_FUNCTION, *_COMPARISON])

DIFF_EDGES: Final = pa.schema(
    [
        column("caller", pa.string(), "calling function, demangled; null at a root", nullable=True),
        column("caller_module", pa.string(), "file name of its ELF file", nullable=True),
        *_FUNCTION,
        *_COMPARISON,
    ]
)

EXPLAIN: Final = pa.schema(
    [
        *_FUNCTION,
        column("calls", pa.uint64(), "complete calls"),
        column("slow", pa.uint64(), "how many of them are slow"),
        column("slow_ns", pa.int64(), "duration from which a call is slow", unit="ns"),
        column("what", pa.string(), "`arg0` … `arg5`, `ret_val`, `caller`, `thread` or `time`"),
        column(
            "low",
            VALUE,
            "least value: of a register, of thread ids, or of CLOCK_MONOTONIC in ns; null for a caller",
            nullable=True,
        ),
        column("high", VALUE, "greatest value, included", nullable=True),
        column("caller", pa.string(), "the caller, demangled; null at a root", nullable=True),
        column("matching_calls", pa.uint64(), "complete calls with such a value"),
        column("matching_slow", pa.uint64(), "how many of them are slow"),
        column(
            "explained",
            pa.float64(),
            "share of the slow calls that would not be slow, were calls with such a value slow as rarely as "
            "the others",
        ),
        column(
            "separation",
            pa.float64(),
            "share of the slow calls with such a value, less that of the other calls",
        ),
        column(
            "p_value",
            pa.float64(),
            "how likely chance gives as much, corrected for the number of conditions looked at",
        ),
    ]
)
