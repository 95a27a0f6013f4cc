"""`funcsnoop recover`: finish the file of a recording whose recorder was killed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from ..errors import UsageError
from ..printable import printable

EPILOG: Final = """\b
Examples:
  funcsnoop recover trace.parquet.partial            becomes trace.parquet
  funcsnoop recover trace.parquet.partial -o /mnt/saved.parquet
"""


def recover(
    partial: Annotated[
        Path, typer.Argument(metavar="TRACE.partial", help="What a recorder that was killed has left.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write the finished trace here and leave TRACE.partial alone. Without it, TRACE.partial "
            "itself becomes TRACE, which takes no more room.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing output.")] = False,
) -> None:
    """Finish the file of a recording whose recorder was killed, or had no room.

    Keeps every event that was committed and is intact. Needs neither BPF nor privileges.
    """
    from ..analyze.partial import Partial
    from ..record import recovery
    from ..record.caller import become_caller

    if output is None and partial.suffix != recovery.SUFFIX:
        raise UsageError(
            f"{partial} is not named like an unfinished trace, *{recovery.SUFFIX}",
            "Give the .partial file, or say with -o where the finished trace is to go.",
        )
    become_caller()
    target = output or partial.with_suffix("")
    with recovery.claimed(partial) as descriptor:
        recovery.check_output(target, force=force)
        found = Partial(descriptor, str(partial))
        metadata = found.metadata
        if not found.complete:
            metadata["end_reason"] = "recovered"
        if output is None:
            recovery.finish_in_place(descriptor, partial, found.end, found.row_groups, metadata)
        else:
            recovery.finish_copy(descriptor, output, found.end, found.row_groups, metadata)
    from .quantities import show_bytes

    size = show_bytes(target.stat().st_size)
    sys.stderr.write(f"funcsnoop: {found.rows:,} events recovered -> {printable(str(target))} ({size})\n")
    for notice in found.notices:
        sys.stderr.write(f"funcsnoop: notice: {notice}\n")
