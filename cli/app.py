"""The Typer app: each command stands in a file of its own, which imports what is heavy when it runs."""

from __future__ import annotations

import sys
from typing import Any

import typer

from .. import __version__
from ..printable import printable
from . import analyze, doctor, export, record, recover, report, top
from . import list as list_
from .completion import complete_at_the_first_tab

complete_at_the_first_tab()


def _show_in_two_lines(error: Any, file: Any = None) -> None:
    """As all other errors are: what is wrong, and what to do."""
    message = " ".join(error.format_message().split())
    command = error.ctx.command_path if error.ctx else "funcsnoop"
    sys.stderr.write(f"funcsnoop: {printable(message[:1].lower() + message[1:].removesuffix('.'))}\n")
    sys.stderr.write(f"  `{command} --help` shows what there is\n")


# Typer makes these errors, and has no other place to say how they look.
typer.BadParameter.__bases__[0].show = _show_in_two_lines  # type: ignore[attr-defined]

app = typer.Typer(
    help="Record every call of chosen functions in running programs, and analyse the calls.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"funcsnoop {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    pass


# Options after the command's name are the command's.
app.command("record", epilog=record.EPILOG, context_settings={"allow_interspersed_args": False})(
    record.record
)
app.command("top", epilog=top.EPILOG, context_settings={"allow_interspersed_args": False})(top.top)
app.command("list", epilog=list_.EPILOG)(list_.list_)
app.command("doctor")(doctor.doctor)
app.command("analyze", epilog=analyze.EPILOG)(analyze.analyze)
app.command("export", epilog=export.EPILOG)(export.export)
app.command("report", epilog=report.EPILOG)(report.report)
app.command("recover", epilog=recover.EPILOG)(recover.recover)
