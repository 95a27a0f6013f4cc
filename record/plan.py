"""The plan of a recording: which functions of which modules get which probes, and what was left out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from ..errors import TargetError
from ..schemas.metadata import ExitStrategy, SkippedFunction
from . import ifunc, processes
from .debug_files import find_tables
from .demangle import demangle
from .elf import ElfFile
from .elf_symbols import dynsym
from .exits import ExitPolicy, choose
from .functions import Function, FunctionTable, read_functions
from .hazards import HazardScan
from .libraries import is_named
from .modules import Place, Process, programs
from .sites import find_sites
from .spec import Pattern, Spec, closest, match, parse_spec
from .target import Target

#: Marks an indirect function until its code is found.
_INDIRECT = -1


@dataclass(frozen=True)
class PlannedFunction:
    """One probe. `offset` and `site` are offsets in the file, `address` is virtual.

    `size` is in bytes, 0 where unknown.
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
    exit: ExitStrategy
    exit_reason: str


@dataclass(frozen=True)
class PlannedModule:
    """One ELF file. `path` is how the target sees it, `attach_path` what the kernel shall open.

    `device` and `inode` are those of stat(2) on `attach_path`. `shared` says that a process which is
    neither traced nor the recorder maps the file now, or that this cannot be told. `pids` are the
    traced processes that map it; empty for a command and for all processes.
    """

    path: str
    attach_path: str
    build_id: str | None
    device: int
    inode: int
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


@dataclass
class _Module:
    """A module while the plan is made. `chosen` maps file offsets to functions."""

    place: Place
    elf: ElfFile
    table: FunctionTable
    everything: Sequence[Function]
    indirect: ifunc.Resolved
    pids: list[int] = field(default_factory=list)
    chosen: dict[int, Function] = field(default_factory=dict)


def make_plan(
    target: Target, functions: Sequence[str], excludes: Sequence[str], *, exit_policy: ExitPolicy = "auto"
) -> Plan:
    """Find what the SPECs `functions` (`-f`) name, less what `excludes` (`-x`) name.

    Without `functions`, every function of the executable. An exclude without a module applies to all
    modules; one that matches nothing is a notice. Raises UsageError for a SPEC that means nothing,
    TargetError for modules and functions that are not there or cannot be traced, PrivilegeError.
    """
    specs = [parse_spec(text) for text in functions] or [Spec("*", None, Pattern("*", "glob"))]
    unwanted = [parse_spec(text) for text in excludes]
    with ExitStack() as opened:
        return _Planner(target, opened).plan(specs, unwanted, exit_policy)


class _Planner:
    def __init__(self, target: Target, opened: ExitStack) -> None:
        self.target = target
        self.opened = opened
        self.programs = programs(target)
        self.modules: dict[tuple[int, int], _Module] = {}
        self.skipped: dict[tuple[str, str], SkippedFunction] = {}
        self.notices: list[str] = []

    def plan(self, specs: Sequence[Spec], excludes: Sequence[Spec], policy: ExitPolicy) -> Plan:
        wanted = {spec: self.choose(spec) for spec in dict.fromkeys(specs)}
        for spec in dict.fromkeys(excludes):
            if not self.exclude(spec):
                self.notices.append(f"-x {spec.text} matches nothing that would be traced")
        if not any(module.chosen for module in self.modules.values()):
            raise TargetError("-x excludes every function that -f matches", "exclude less")
        sites = {key: self.place(module) for key, module in self.modules.items()}
        for spec, found in wanted.items():
            self.check(spec, found)
        modules = [module for key, module in self.modules.items() if sites[key]]
        scan = HazardScan()
        hazards = scan.process(self.loaded())
        exits = choose(policy, hazards, self.target.everything)
        shared = self.shared(modules)
        planned, cookie = [], 0
        for module, is_shared in zip(modules, shared, strict=True):
            strategy, reason = exits.of_module(scan.file(module.place.file, module.place.path).go)
            rows = []
            for function, site in sites[module.elf.device, module.elf.inode]:
                cookie += 1
                rows.append(
                    PlannedFunction(
                        cookie, function.symbol, demangle(function.symbol), function.address, function.offset,
                        function.size, function.aliases, site, strategy, reason,
                    )
                )  # fmt: skip
            planned.append(
                PlannedModule(
                    module.place.path, module.place.file, module.elf.build_id, module.elf.device,
                    module.elf.inode, tuple(rows), is_shared, tuple(module.pids),
                )
            )  # fmt: skip
        return Plan(
            self.target,
            next((program.executable for program in self.programs), None),
            tuple(planned),
            tuple(self.skipped.values()),
            (*self.notices, *exits.notices),
        )

    def find(self, spec: Spec) -> list[_Module]:
        """The modules that a SPEC names, one for each file."""
        found: dict[int, _Module] = {}
        problem: TargetError | None = None
        for program in self.programs:
            try:
                place = (
                    program.find(spec.module, self.target.cwd)
                    if isinstance(program, Process)
                    else program.find(spec.module)
                )
            except TargetError as error:
                problem = error
                continue
            module = self.open(place)
            found[id(module)] = module
            if place.pid is not None and place.pid not in module.pids:
                module.pids.append(place.pid)
                if not place.mapped:
                    self.notices.append(
                        f"process {place.pid} has not loaded {place.path}: its calls count once it does"
                    )
        if problem and not found:
            raise problem
        return list(found.values())

    def open(self, place: Place) -> _Module:
        elf = self.opened.enter_context(ElfFile.open(place.file, place.path))
        key = elf.device, elf.inode
        if key not in self.modules:
            table = read_functions(elf, find_tables(elf, place.path, place.root, self.opened))
            names = sorted({name for group in table.ifuncs for name in group})
            indirect = [Function(name, _INDIRECT, _INDIRECT, 0, ()) for name in names]
            environments = [program.environment for program in self.programs]
            resolved = ifunc.resolve(place.file, table.ifuncs, environments)
            self.modules[key] = _Module(place, elf, table, [*table.functions, *indirect], resolved)
        return self.modules[key]

    def choose(self, spec: Spec) -> list[tuple[_Module, Function]]:
        """Take what `spec` names into its modules. TargetError when that is nothing."""
        found: list[tuple[_Module, Function]] = []
        modules = self.find(spec)
        for module in modules:
            by_offset = {f.offset: f for f in module.table.functions} if module.table.ifuncs else {}
            for function, symbol in match(spec.pattern, module.everything):
                if function.offset == _INDIRECT:
                    direct = _implementation(module, symbol, by_offset)
                    if direct is None:
                        found.append((module, function))
                        self.skip(module, symbol, module.indirect.refused[symbol])
                        continue
                    function = direct
                elif symbol != function.symbol:
                    function = _renamed(function, symbol)
                module.chosen.setdefault(function.offset, function)
                found.append((module, function))
        if not found:
            raise _no_match(spec, modules)
        return found

    def exclude(self, spec: Spec) -> bool:
        """Take out what `spec` names; whether that was anything."""
        hit = False
        for module in self.modules.values():
            if not self.is_meant(spec.module, module):
                continue
            for function, _ in match(spec.pattern, list(module.chosen.values())):
                del module.chosen[function.offset]
                hit = True
        return hit

    def is_meant(self, name: str | None, module: _Module) -> bool:
        if name is None:
            return True
        path = module.place.path
        if "/" in name:
            return os.path.realpath(os.path.join(self.target.cwd, name)) == path
        return is_named(os.path.basename(path), name)

    def place(self, module: _Module) -> list[tuple[Function, int]]:
        """The chosen functions by address, each with the file offset of its probe."""
        functions = sorted(module.chosen.values(), key=lambda function: function.address)
        placed = []
        for function, site in zip(functions, find_sites(module.elf, functions), strict=True):
            if site.reason is None:
                placed.append((function, function.offset + site.skip))
            else:
                del module.chosen[function.offset]
                self.skip(module, function.symbol, site.reason)
        return placed

    def check(self, spec: Spec, found: Sequence[tuple[_Module, Function]]) -> None:
        """TargetError when all that `spec` names turned out untraceable. What -x took out is no error."""
        if any(function.offset in module.chosen for module, function in found):
            return
        reasons = [self.skipped.get((module.place.path, function.symbol)) for module, function in found]
        refused = next((reason for reason in reasons if reason), None)
        if refused and all(reasons):
            raise TargetError(
                f"{refused['symbol']} cannot be traced: {refused['reason']}",
                "see what can be with: funcsnoop list MODULE",
            )

    def skip(self, module: _Module, symbol: str, reason: str) -> None:
        path = module.place.path
        self.skipped[path, symbol] = {"symbol": symbol, "module": path, "reason": reason}

    def loaded(self) -> Iterable[tuple[str, str]]:
        """(path, file) of all modules of the target's processes."""
        for program in self.programs:
            pid = program.pid if isinstance(program, Process) else None
            yield from program.loaded([m.place for m in self.modules.values() if m.place.pid == pid])

    def shared(self, modules: Sequence[_Module]) -> list[bool]:
        if self.target.everything:
            return [True] * len(modules)
        traced = frozenset({*self.target.pids, os.getpid()})
        return processes.mapped_elsewhere([module.place.file for module in modules], traced)


def _renamed(function: Function, symbol: str) -> Function:
    """`function` under another of its names."""
    return _with_names(function, [symbol, *function.names])


def _with_names(function: Function, names: Iterable[str]) -> Function:
    first, *others = dict.fromkeys(names)
    return function._replace(symbol=first, aliases=tuple(others))


def _implementation(module: _Module, name: str, by_offset: dict[int, Function]) -> Function | None:
    """What runs for the indirect function `name`, under that name."""
    for offset, names in module.indirect.names.items():
        if name in names:
            address = module.elf.address_of(offset)
            known = by_offset.get(offset) or Function(name, address or 0, offset, 0, ())
            return _with_names(known, [name, *names, *known.names])
    return None


def _no_match(spec: Spec, modules: Sequence[_Module]) -> TargetError:
    where = ", ".join(os.path.basename(module.place.path) for module in modules)
    for module in modules:
        for symbol, reason in module.table.left_out:
            if symbol == spec.pattern.text:
                return TargetError(
                    f"{symbol} of {where} cannot be traced: {reason}",
                    "see what can be with: funcsnoop list MODULE",
                )
        table = dynsym(module.elf)
        if spec.pattern.exact_only and table and spec.pattern.text in table.imported():
            return TargetError(
                f"{where} calls {spec.pattern.text} but does not define it",
                f"name the library that does, as in: -f 'libc:{spec.pattern.text}'",
            )
    near = closest(spec.pattern, [f for module in modules for f in module.everything])
    if near:
        hint = f"near names: {', '.join(near)}"
    elif not any(module.everything for module in modules):
        hint = "it has no function symbols: install its debug symbols, or trace a build that is not stripped"
    else:
        hint = "see what there is with: funcsnoop list MODULE"
    return TargetError(f"no function of {where} matches {spec.pattern.text!r}", hint)
