"""The plan of a recording: which functions of which modules get which probes, and what was left out."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from ..bpf.trials import probes_on_nops, returns_under_seccomp
from ..errors import TargetError
from . import processes
from .demangle import demangle
from .elf import FileVersion, cannot_open
from .elf_symbols import dynsym
from .exit_sites import ExitSite, find_exit_sites
from .exits import ExitPolicy
from .exits import choose as choose_exits
from .functions import Function
from .hazards import FileHazards, HazardScan
from .libraries import is_named, resolve
from .modules import Place, programs
from .probeable import LONGEST, is_probeable
from .selection import Module, open_module
from .site_classes import SiteClass
from .sites import Sites
from .spec import Pattern, Spec, closest, parse_spec
from .target import Target

if TYPE_CHECKING:
    # At run time the schemas would bring PyArrow, a fifth of a second that `list` has no use for.
    from ..schemas.metadata import ExitStrategy, SkippedFunction

_LOADED: Final = "code that may unwind was loaded while it was recorded"
_LIST: Final = "See what can be traced with: funcsnoop list MODULE"


class Seen(NamedTuple):
    """How a function's exits are seen, why, and the instructions that are probed for it if that is `ret`."""

    exit: ExitStrategy
    reason: str
    sites: tuple[ExitSite, ...] = ()


class PlannedFunction(NamedTuple):
    """One probe. `offset` and `site` are offsets in the file, `address` is virtual.

    `size` is in bytes, 0 where unknown. At the site the stack pointer is `moved` bytes lower than at the
    entry.
    `cookie` counts from 1 through the whole plan. `symbol` is the name under which the SPEC found the
    function, `aliases` are its other names.
    """

    cookie: int
    symbol: str
    demangled: str
    address: int
    offset: int
    size: int
    aliases: tuple[str, ...]
    site: int
    site_class: SiteClass
    moved: int
    seen: Seen
    #: How its exits shall be seen once code has arrived that may unwind; None where that changes nothing.
    reserve: Seen | None = None

    @property
    def exit(self) -> ExitStrategy:
        return self.seen.exit

    @property
    def exit_reason(self) -> str:
        return self.seen.reason

    @property
    def exit_sites(self) -> tuple[ExitSite, ...]:
        return self.seen.sites


@dataclass(frozen=True)
class PlannedModule:
    """One ELF file. `path` is how the target sees it, `attach_path` what the kernel shall open.

    `disk_path` is where we see what has this path now, `version` what was read. `shared` says that a process
    which is neither traced nor the recorder maps the file now, or that this cannot be told. `pids` are the
    traced processes that map it; empty for a command and for all processes.
    """

    path: str
    attach_path: str
    disk_path: str
    build_id: str | None
    version: FileVersion
    functions: tuple[PlannedFunction, ...]
    shared: bool
    pids: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    target: Target
    executable: str | None
    modules: tuple[PlannedModule, ...]
    skipped: tuple[SkippedFunction, ...]
    notices: tuple[str, ...]

    @property
    def functions(self) -> tuple[PlannedFunction, ...]:
        """All functions; that of cookie `c` stands at index `c - 1`."""
        return tuple(function for module in self.modules for function in module.functions)


def make_plan(
    target: Target,
    functions: Sequence[str],
    excludes: Sequence[str],
    *,
    exit_policy: ExitPolicy = "auto",
    arguments: int = 6,
    at_entry: bool = False,
    allow_nop5: bool = False,
    on_chosen: Callable[[int], None] | None = None,
) -> Plan:
    """Find what the SPECs `functions` (`-f`) name, less what `excludes` (`-x`) name.

    Without `functions`, every function of the executable. An exclude without a module applies to all
    modules; one that matches nothing is a notice. Sites are such that `arguments` argument registers can be
    seen there; with `at_entry` they are at the head of the function even where there is a faster one. With
    `allow_nop5` probes sit on 5-byte NOPs even where this kernel kills forked children for it. Raises
    UsageError for a SPEC that means nothing, TargetError for modules and functions that are not there or
    cannot be traced, PrivilegeError.

    `on_chosen` is told how many functions there are, at most, long before the plan is made.
    """
    specs = [parse_spec(text) for text in functions] or [Spec("*", None, Pattern("*", "glob"))]
    unwanted = [parse_spec(text) for text in excludes]
    with ExitStack() as opened:
        planner = _Planner(target, opened, arguments, at_entry, allow_nop5)
        planner.choose_all(specs, unwanted)
        if on_chosen is not None:
            on_chosen(sum(len(module.chosen) for module in planner.modules.values()))
        return planner.plan(exit_policy)


class _Planner:
    def __init__(
        self, target: Target, opened: ExitStack, arguments: int, at_entry: bool, allow_nop5: bool
    ) -> None:
        self.target = target
        self.arguments = arguments
        self.at_entry = at_entry
        self.allow_nop5 = allow_nop5
        self.opened = opened
        self.programs = programs(target)
        self.modules: dict[tuple[int, int], Module] = {}
        self.notices: list[str] = []
        #: What each SPEC means.
        self.wanted: dict[Spec, list[tuple[Module, Function]]] = {}

    def choose_all(self, specs: Sequence[Spec], excludes: Sequence[Spec]) -> None:
        self.wanted = {spec: self.choose(spec) for spec in dict.fromkeys(specs)}
        for spec in dict.fromkeys(excludes):
            if not self.exclude(spec):
                self.notices.append(f"-x {spec.text} matches nothing that would be traced")
        if not any(module.chosen or module.skipped for module in self.modules.values()):
            raise TargetError("-x excludes every function that -f matches", "Exclude less.")

    def plan(self, policy: ExitPolicy) -> Plan:
        sites = [(module, self.place_probes(module)) for module in self.modules.values()]
        for found in self.wanted.values():
            _check(found)
        placed = [(module, functions) for module, functions in sites if functions]
        scan = HazardScan()
        exits = choose_exits(policy, self.hazards(scan), self.target.everything)
        shared = self.shared([module for module, _ in placed])
        planned: list[PlannedModule] = []
        cookies = itertools.count(1)
        for (module, functions), is_shared in zip(placed, shared, strict=True):
            place, elf = module.place, module.elf
            strategy, reason = exits.of_module(scan.file(place.file, place.path).go)
            plain = [f for f, _ in functions]
            seen_by = _exits(module, plain, strategy, reason)
            reserves: Iterator[Seen | None] = itertools.repeat(None, len(plain))
            if policy == "auto" and strategy == "return":
                reserves = _exits(module, plain, "ret", _LOADED)
            rows = [
                _planned(next(cookies), function, sites, seen, reserve)
                for (function, sites), seen, reserve in zip(functions, seen_by, reserves, strict=True)
            ]
            planned.append(
                PlannedModule(
                    place.path, place.file, place.root + place.path, elf.build_id, elf.version, tuple(rows),
                    is_shared, tuple(module.pids),
                )
            )  # fmt: skip
        return Plan(
            self.target,
            next((program.executable for program in self.programs), None),
            tuple(planned),
            tuple(
                {"symbol": symbol, "module": module.place.path, "reason": reason}
                for module in self.modules.values()
                for symbol, reason in module.skipped.items()
            ),
            (*self.notices, *exits.notices),
        )

    def place_probes(self, module: Module) -> list[tuple[Function, Sites]]:
        return module.place_probes(arguments=self.arguments, at_entry=self.at_entry, on_nops=self.on_nops)

    def find(self, spec: Spec) -> list[Module]:
        """The modules that a SPEC names, one for each file."""
        found: dict[tuple[int, int], Module] = {}
        problem: TargetError | None = None
        for program in self.programs:
            try:
                place = program.find(spec.module)
            except TargetError as error:
                problem = error
                continue
            key, module = self.open(place)
            found[key] = module
            if place.pid is not None and place.pid not in module.pids:
                module.pids.append(place.pid)
                if not place.mapped:
                    self.notices.append(
                        f"process {place.pid} has not loaded {place.path}: calls count from when it does"
                    )
        if problem and not found:
            raise problem
        return list(found.values())

    def open(self, place: Place) -> tuple[tuple[int, int], Module]:
        try:
            status = os.stat(place.file)
        except OSError as error:
            raise cannot_open(place.path, error) from None
        key = status.st_dev, status.st_ino
        if key not in self.modules:
            environments = [program.environment for program in self.programs]
            self.modules[key] = open_module(place, environments, self.opened)
        return key, self.modules[key]

    def choose(self, spec: Spec) -> list[tuple[Module, Function]]:
        """Take what `spec` names into its modules. TargetError when that is nothing."""
        modules = self.find(spec)
        found = [(module, function) for module in modules for function in module.choose(spec.pattern)]
        if not found:
            raise no_match(spec.pattern, modules)
        return found

    def exclude(self, spec: Spec) -> bool:
        """Take out what `spec` names; whether that was anything."""
        meant = [module for module in self.modules.values() if self.is_meant(spec.module, module)]
        # All of them, not only up to the first that has it.
        return sum(module.exclude(spec.pattern) for module in meant) > 0

    def is_meant(self, name: str | None, module: Module) -> bool:
        if name is None:
            return True
        path = module.place.path
        if "/" in name:
            return resolve(module.place.root, os.path.join(self.target.cwd, name)) == path
        return is_named(os.path.basename(path), name)

    def hazards(self, scan: HazardScan) -> FileHazards:
        """What may unwind in the target's processes, now or after an exec."""
        hazards = scan.process(self.loaded())
        for program in self.programs:
            if program.executable is None:
                continue
            others = [m for m in self.modules.values() if m.place.path != program.executable]
            # Probes in its own file are gone after the exec; those in a library wait for the next program.
            if others and scan.file(program.local_executable, program.executable).executes:
                name = os.path.basename(program.executable)
                reason = f"{name} can execute another program, which may"
                hazards = replace(hazards, reasons=(*hazards.reasons, reason))
        if not hazards.reasons and self.confined(scan) and not returns_under_seccomp().works:
            reason = "a seccomp filter may be in force, and with it this kernel kills at a return probe"
            hazards = replace(hazards, reasons=(reason,))
        return hazards

    def confined(self, scan: HazardScan) -> bool:
        """Whether a seccomp filter is or may come upon the target's processes."""
        pids: Sequence[int | str] = self.target.pids or ("self",)
        return any(map(processes.has_seccomp, pids)) or any(
            scan.file(file, path).confines for path, file in self.loaded()
        )

    def on_nops(self) -> bool:
        """Whether probes may sit on 5-byte NOPs."""
        trial = probes_on_nops()
        if self.allow_nop5 and not trial.works:
            notice = f"--allow-nop5: children that the program forks may be killed ({trial.detail})"
            self.notices += [notice] * (notice not in self.notices)
        return self.allow_nop5 or trial.works

    def loaded(self) -> Iterator[tuple[str, str]]:
        """(path, file) of all modules of the target's processes."""
        for program in self.programs:
            yield from program.loaded([m.place for m in self.modules.values() if m.place.pid == program.pid])

    def shared(self, modules: Sequence[Module]) -> list[bool]:
        if self.target.everything:
            return [True] * len(modules)
        traced = frozenset({*self.target.pids, os.getpid()})
        executables = {program.executable for program in self.programs}
        paths = [module.place.path for module in modules]
        names = [os.path.basename(path) if path in executables else None for path in paths]
        files = [module.place.file for module in modules]
        return processes.mapped_elsewhere(list(zip(files, names, strict=True)), traced)


def _planned(cookie: int, f: Function, sites: Sites, seen: Seen, reserve: Seen | None) -> PlannedFunction:
    site = sites.with_return if seen.exit == "return" else sites.alone
    return PlannedFunction(
        cookie, f.symbol, demangle(f.symbol), f.address, f.offset, f.size, f.aliases,
        f.offset + site.skip, site.kind, site.moved, seen, reserve,
    )  # fmt: skip


def _exits(
    module: Module, functions: Sequence[Function], strategy: ExitStrategy, reason: str
) -> Iterator[Seen]:
    """For each function how its exits are seen where `strategy` is wanted."""
    if strategy != "ret":
        yield from itertools.repeat(Seen(strategy, reason), len(functions))
        return
    for found in find_exit_sites(module.elf, functions, module.table):
        if found.reason is None:
            if all(is_probeable(module.elf.bytes_at(site.offset, LONGEST)) for site in found.sites):
                yield Seen(strategy, reason, found.sites)
            else:
                yield Seen("none", "an instruction by which it is left can carry no probe")
        else:
            yield Seen("none", f"its exits cannot all be found: {found.reason}")


def _check(found: Sequence[tuple[Module, Function]]) -> None:
    """TargetError when all that a SPEC names turned out untraceable. What -x took out is no error."""
    if any(function.offset in module.chosen for module, function in found):
        return
    for module, function in found:
        reason = module.skipped.get(function.symbol)
        if reason:
            raise TargetError(f"{function.symbol} cannot be traced: {reason}", _LIST)


def no_match(pattern: Pattern, modules: Sequence[Module]) -> TargetError:
    """The error for a pattern that no function of `modules` has, with the names nearest to it."""
    where = ", ".join(os.path.basename(module.place.path) for module in modules)
    for module in modules:
        for symbol, reason in module.table.left_out:
            if symbol == pattern.text:
                return TargetError(f"{symbol} of {where} cannot be traced: {reason}", _LIST)
        table = dynsym(module.elf)
        if pattern.exact_only and table and pattern.text in table.imported():
            return TargetError(
                f"{where} calls {pattern.text} but does not define it",
                f"Name the library that does, as in: -f 'libc:{pattern.text}'",
            )
    if not any(module.everything for module in modules):
        return TargetError(
            f"{where} has no function symbols",
            "Trace a library that it uses (-f 'libc:open*'), or install its debug symbols.",
        )
    near = closest(pattern, [f for module in modules for f in module.everything])
    hint = f"Near names: {', '.join(near)}" if near else _LIST
    return TargetError(f"no function of {where} matches {pattern.text!r}", hint)
