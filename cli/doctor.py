"""`funcsnoop doctor`: show what this kernel, machine and user can do."""

from __future__ import annotations

import typer


def doctor() -> None:
    """Check kernel, privileges and packages by trying them; each line is ok, or says what to do.

    Exit status 1 if recording does not work here.
    """
    from ..bpf.checkup import examine

    broken = False
    for finding in examine():
        mark = {True: "ok", None: "limit", False: "FAIL"}[finding.works]
        typer.echo(f"{mark:<5}  {finding.subject:<15}  {finding.detail}")
        if finding.remedy:
            typer.echo(f"{'':24}{finding.remedy}")
        broken |= finding.works is False
    typer.echo(
        "\nRecording does not work here yet: see the lines marked FAIL."
        if broken
        else "\nRecording works here."
    )
    raise typer.Exit(1 if broken else 0)
