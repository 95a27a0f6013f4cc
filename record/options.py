"""What a recording is to be, and what its BPF program must have room for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..bpf.compile import Sizes
from ..bpf.filters import NO_FILTERS, Filters
from .memory import default_ring_bytes
from .namespaces import pid_namespace

if TYPE_CHECKING:
    from ..bpf.features import Strategy
    from .privileges import Identity

#: Processes that can be followed at once, and functions that there is room for without asking.
_PROCESSES: Final = 8192
_FUNCTIONS: Final = 1024


@dataclass(frozen=True)
class Options:
    """What the user asked for; None where the recorder decides."""

    output: str | None  # None: no file
    force: bool = False
    duration_ns: int | None = None
    max_events: int | None = None
    max_size: int | None = None  # bytes of the file
    sync: bool = False
    arguments: int = 6
    ring_bytes: int | None = None
    layout: str = "lean"
    filters: Filters = NO_FILTERS
    strategy: Strategy | None = None
    follow: bool | None = None
    command_identity: Identity | None = None  # ours
    command_outputs: tuple[int | None, int | None] = (None, None)  # stdout, stderr; ours


def sizes(options: Options, *, everything: bool, processes: int = 0, functions: int = 0) -> Sizes:
    """What the program must have; it can follow children, whether that comes or not.

    `everything` records whatever process runs the functions, else there are `processes` to begin with.
    """
    return Sizes(
        processes=max(_PROCESSES, processes),
        functions=max(_FUNCTIONS, functions),
        ring_bytes=options.ring_bytes or default_ring_bytes(),
        arguments=options.arguments,
        layout=options.layout,
        all_processes=everything,
        follow=not everything,
        pid_namespace=pid_namespace(),
        filters=options.filters,
    )
