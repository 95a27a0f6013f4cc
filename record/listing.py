"""What `funcsnoop list` shows: the functions of one module that can be traced, and why others cannot."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import TargetError
from .demangle import demangle
from .functions import Function
from .modules import Place, programs
from .plan import no_match
from .selection import Module, open_module
from .site_classes import cost
from .sites import Sites
from .spec import Pattern, name_fits
from .target import Target, find_program, interpreter_of


class ListedFunction(NamedTuple):
    """`address` is virtual, `offset` and `site` are in the file; `size` in bytes, 0 where unknown.

    The probe sits `site - offset` bytes behind the entry, or at `return_site` if there is a return probe too.
    What the probes are predicted to add to a call: `entry_ns` without exits, `return_ns` with a return
    probe, `ret_ns` with one on the return instruction.
    """

    symbol: str
    demangled: str
    address: int
    offset: int
    size: int
    site: int
    site_class: str
    return_site: int
    entry_ns: int
    return_ns: int
    ret_ns: int
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """`functions` by address. `left_out` counts symbols that fit the pattern, by the reason."""

    path: str
    build_id: str | None
    functions: tuple[ListedFunction, ...]
    left_out: Mapping[str, int]


def list_functions(target: Target, module: str, pattern: Pattern) -> Listing:
    """The functions of `module` that `pattern` means.

    `module` is a path, a library as a SPEC names it, or, without a process, a command in PATH. Raises
    TargetError for a module that is not there or is damaged, and when nothing matches.
    """
    with ExitStack() as opened:
        found = _open(target, module, opened)
        chosen = found.choose(pattern)
        placed = found.place_probes()
        left_out = Counter(found.skipped.values())
        fitting = set(name_fits(pattern, [symbol for symbol, _ in found.table.left_out]))
        left_out.update(reason for symbol, reason in found.table.left_out if symbol in fitting)
        if not chosen and not left_out:
            raise no_match(pattern, [found])
        return Listing(
            found.place.path,
            found.elf.build_id,
            tuple(_listed(*one) for one in placed),
            dict(left_out.most_common()),
        )


def _listed(f: Function, sites: Sites) -> ListedFunction:
    alone, with_return = sites
    return ListedFunction(
        f.symbol, demangle(f.symbol), f.address, f.offset, f.size,
        f.offset + alone.skip, str(alone.kind), f.offset + with_return.skip,
        cost(alone.kind, "none"), cost(with_return.kind, "return"), cost(alone.kind, "ret"), f.aliases,
    )  # fmt: skip


def _open(target: Target, name: str, opened: ExitStack) -> Module:
    program = programs(target)[0]
    try:
        place = program.find(name)
    except TargetError:
        if "/" in name or target.pids:
            raise
        command = _command(target, name)
        if command is None:
            raise
        place = Place(command, command, "", None, False)
    return open_module(place, [program.environment], opened)


def _command(target: Target, name: str) -> str | None:
    """The executable behind a command's name, None without one."""
    try:
        path = find_program(name, target.environment, target.cwd)
        return os.path.realpath(interpreter_of(path, target.environment, target.cwd))
    except TargetError:
        return None
