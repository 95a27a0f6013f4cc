"""The options of commands that put probes in: what to trace, and how."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..bpf.features import Strategy
    from ..record.target import Target


class Attach(StrEnum):
    AUTO = "auto"
    SESSION = "session"
    MULTI = "multi"
    PERF = "perf"

    def strategy(self) -> Strategy | None:
        """None for whatever is best."""
        from ..bpf.features import Strategy

        return None if self is Attach.AUTO else Strategy(self.value)


class Events(StrEnum):
    SIDES = "sides"
    SPANS = "spans"


class Exit(StrEnum):
    AUTO = "auto"
    RETURN = "return"
    RET = "ret"
    NONE = "none"


class SitePolicy(StrEnum):
    AUTO = "auto"
    ENTRY = "entry"


CommandLine = Annotated[
    list[str] | None,
    typer.Argument(metavar="[COMMAND [ARG]...]", help="Start this and record it to its end."),
]
Functions = Annotated[
    list[str] | None,
    typer.Option(
        "-f",
        "--function",
        metavar="SPEC",
        help="Functions to record, as [MODULE:]PATTERN: a glob or /regex/, in a file or a library. "
        "Repeatable; without it, every function of the executable.",
    ),
]
Excluded = Annotated[
    list[str] | None,
    typer.Option("-x", "--exclude", metavar="SPEC", help="Functions to leave out. Repeatable."),
]
Pids = Annotated[
    list[int] | None,
    typer.Option("-p", "--pid", metavar="PID", help="Record this running process. Repeatable."),
]
AllProcesses = Annotated[
    bool,
    typer.Option("--all-processes", help="Record whatever process runs the functions."),
]
Duration = Annotated[
    str | None,
    typer.Option("--duration", metavar="TIME", help="Take the probes out after this time: 10s, 500ms, 2m."),
]
Buffer = Annotated[
    str | None,
    typer.Option(
        "--buffer",
        metavar="SIZE",
        help="Ring buffer, a power of two. [default: 16M, less if memory is small]",
    ),
]
AttachBy = Annotated[
    Attach,
    typer.Option("--attach", help="How probes are attached; auto takes the best that the kernel has."),
]
Follow = Annotated[
    bool | None,
    typer.Option(
        "--follow/--no-follow",
        help="Record forked children too. By itself on while no other process maps what is traced; "
        "elsewhere each of their calls would cost a trap.",
    ),
]
ExitBy = Annotated[
    Exit,
    typer.Option(
        "--exit",
        help="How exits are seen. auto: return where nothing in the process can unwind its stack, else "
        "ret. return: return probes, fast; an exception or longjmp through a traced function then breaks "
        "the program. ret: probes on return instructions, safe. none: entries only.",
    ),
]
SiteAt = Annotated[
    SitePolicy,
    typer.Option(
        "--site",
        help="Where entries are seen. auto: at the first instruction that the kernel emulates under a probe, "
        "if all is there as at the entry; others cost ten times as much. entry: at the first instruction.",
    ),
]
AsRoot = Annotated[
    bool,
    typer.Option("--as-root", help="Under sudo, run the command as root, not as the user who called sudo."),
]
AllowNop5 = Annotated[
    bool,
    typer.Option(
        "--allow-nop5",
        help="Probe functions on the 5-byte NOP that they begin with, which is faster. On some kernels "
        "children that the program forks then die; without this option it is done where they live.",
    ),
]
EventsBy = Annotated[
    Events,
    typer.Option(
        "--events",
        help="What comes from the kernel: an event for each side of a call; or spans, one for both where no "
        "other call is recorded inside. The file is the same.",
    ),
]
MinDuration = Annotated[
    str | None,
    typer.Option("--min-duration", metavar="TIME", help="Leave calls out that return before: 50us, 1ms."),
]
MaxDepth = Annotated[
    int | None,
    typer.Option("--max-depth", metavar="N", min=1, help="Leave calls out that are inside of N others."),
]
Sample = Annotated[
    str | None,
    typer.Option(
        "--sample",
        metavar="1/N",
        help="Of each thread's outermost calls record one in N, with all that is inside it.",
    ),
]
Budget = Annotated[
    int | None,
    typer.Option("--budget", metavar="N", min=1, help="Record the first N calls of each function."),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing output.")]


def chosen_target(
    name: str,
    command: Sequence[str] | None,
    pids: Sequence[int] | None,
    everything: bool,
    environment: Mapping[str, str] | None,
) -> Target:
    """What the command `name` is to record. Raises UsageError unless exactly one kind of it is given."""
    from ..record.target import Target

    if sum((bool(command), bool(pids), everything)) != 1:
        raise UsageError(
            "say what to record: either a command, or --pid, or --all-processes",
            f"For example: funcsnoop {name} -- ls -l   (see funcsnoop {name} --help)",
        )
    if command:
        return Target.for_command(command, environment)
    return Target.for_pids(pids) if pids else Target.for_everything()
