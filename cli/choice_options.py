"""The options of commands that read a trace: which of its calls, and how its values are read."""

from __future__ import annotations

from typing import Annotated

import typer

FunctionsWithin = Annotated[
    list[str] | None,
    typer.Option(
        "--function",
        metavar="GLOB",
        help="Only calls of these functions, and what runs inside them; repeatable.",
    ),
]
Processes = Annotated[
    list[str] | None,
    typer.Option("--process", metavar="ID|GLOB", help="Only these processes, by id or command; repeatable."),
]
Threads = Annotated[
    list[str] | None,
    typer.Option("--thread", metavar="ID|GLOB", help="Only these threads, by id or name; repeatable."),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="Only calls that began this long after the start, as 1.5s or 200ms."
    ),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Only calls that began before this long after the start."),
]
Casts = Annotated[
    list[str] | None,
    typer.Option(
        "--as",
        metavar="FUNC:ARG=TYPE",
        help="Read a register as i8 … i64, u8 … u64, ptr or bool; repeatable.",
    ),
]
Correct = Annotated[
    bool,
    typer.Option("--correct", help="Take off what probes cost, as measured when the recording began."),
]
Replace = Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")]
