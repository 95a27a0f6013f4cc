"""The functions of one module: all there are, those chosen, and where their probes sit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from . import ifunc
from .debug_files import find_tables
from .elf import ElfFile
from .functions import Function, FunctionTable, read_functions
from .modules import Place
from .sites import Sites, find_sites, never
from .spec import Pattern, match
from .unwind import function_size

#: Marks an indirect function until its code is found.
_INDIRECT = -1


@dataclass
class Module:
    """`everything` are the functions to match, indirect ones too; `chosen` maps file offsets to functions.

    `skipped` says of chosen symbols why they cannot be traced.
    """

    place: Place
    elf: ElfFile
    table: FunctionTable
    everything: Sequence[Function]
    indirect: ifunc.Resolved
    pids: list[int] = field(default_factory=list)
    chosen: dict[int, Function] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def choose(self, pattern: Pattern) -> list[Function]:
        """Take what `pattern` means; what of it cannot be traced is returned too, and in `skipped`."""
        found = []
        known = {f.offset: f for f in self.table.functions} if self.table.ifuncs else {}
        for function, symbol in match(pattern, self.everything):
            if function.offset == _INDIRECT:
                if symbol in self.indirect.refused:
                    self.skipped[symbol] = self.indirect.refused[symbol]
                    found.append(function)
                    continue
                function = self._implementation(symbol, known)
            elif symbol != function.symbol:
                function = _under(function, [symbol])
            self.chosen.setdefault(function.offset, function)
            found.append(function)
        return found

    def exclude(self, pattern: Pattern) -> bool:
        """Take out what `pattern` means; whether that was anything."""
        unwanted = match(pattern, list(self.chosen.values()))
        for function, _ in unwanted:
            del self.chosen[function.offset]
        return bool(unwanted)

    def place_probes(
        self, *, arguments: int = 6, at_entry: bool = False, on_nops: Callable[[], bool] = never
    ) -> list[tuple[Function, Sites]]:
        """The chosen functions by address, each with the sites of its probe; options as for `find_sites`.

        Those without a site move from `chosen` to `skipped`.
        """
        functions = sorted(self.chosen.values(), key=lambda function: function.address)
        found = find_sites(
            self.elf, functions, self.table, arguments=arguments, at_entry=at_entry, on_nops=on_nops
        )
        placed = []
        for function, sites in zip(functions, found, strict=True):
            if sites.alone.reason is None:
                placed.append((function, sites))
            else:
                del self.chosen[function.offset]
                self.skipped[function.symbol] = sites.alone.reason
        return placed

    def _implementation(self, name: str, known: Mapping[int, Function]) -> Function:
        """What runs for the indirect function `name`, under that name."""
        offset, names = next(item for item in self.indirect.names.items() if name in item[1])
        function = known.get(offset)
        if function is None:
            address = self.elf.address_of(offset) or 0
            function = Function(name, address, offset, function_size(self.elf, address), ())
        return _under(function, [name, *sorted(names)])


def open_module(place: Place, environments: Sequence[Mapping[str, str]], opened: ExitStack) -> Module:
    """Read the symbols of the file at `place`, which stays open in `opened`.

    `environments` are those of the processes that will run it. Raises TargetError.
    """
    elf = opened.enter_context(ElfFile.open(place.file, place.path))
    table = read_functions(elf, find_tables(elf, place.path, place.root, opened))
    names = sorted({name for group in table.ifuncs for name in group})
    indirect = [Function(name, _INDIRECT, _INDIRECT, 0, ()) for name in names]
    resolved = ifunc.resolve(place.file, table.ifuncs, environments)
    return Module(place, elf, table, [*table.functions, *indirect], resolved)


def _under(function: Function, names: Iterable[str]) -> Function:
    """`function` with `names` before its own; the first is its symbol."""
    first, *others = dict.fromkeys([*names, *function.names])
    return function._replace(symbol=first, aliases=tuple(others))
