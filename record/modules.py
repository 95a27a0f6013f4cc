"""Where the modules that a SPEC names are: in a running process, or as a launch would load them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from ..errors import PrivilegeError, TargetError, UsageError
from . import processes
from .elf import ElfFile
from .elf_dynamic import read_dynamic
from .libraries import Loader, is_named, resolve, version_key
from .processes import FileMapping
from .target import Target


@dataclass(frozen=True)
class Place:
    """One file as one process has it: `path` as the process sees it, `file` as we and the kernel open it.

    `mapped` is false where a running process has not loaded it (yet).
    """

    path: str
    file: str
    root: str
    pid: int | None
    mapped: bool


class Program:
    """One program that is to run, or any program at all (`executable` None)."""

    pid = None

    def __init__(
        self, executable: str | None, names: frozenset[str], environment: Mapping[str, str], cwd: str
    ) -> None:
        self.executable = executable and os.path.realpath(executable)
        self.environment = environment
        self._names = names
        self._cwd = cwd
        self.loader = Loader(self.executable, environment, cwd)

    @property
    def local_executable(self) -> str:
        """Where we open the executable."""
        return self.executable or ""

    def find(self, module: str | None) -> Place:
        """The module of that name or path, None the executable. TargetError without one."""
        if module is None:
            if self.executable is None:
                raise UsageError(
                    "with --all-processes there is no one executable", "Name the module: -f 'MODULE:PATTERN'"
                )
            path = self.executable
        elif "/" in module:
            path = os.path.join(self._cwd, module)
            if not os.path.exists(path):
                raise no_such_file(module, path)
        elif self.executable is not None and module in self._names | {os.path.basename(self.executable)}:
            path = self.executable
        else:
            path = self.loader.find(module)
        real = os.path.realpath(path)
        return Place(real, real, "", None, False)

    def loaded(self, modules: Sequence[Place]) -> Iterator[tuple[str, str]]:
        """(path, file to open) of all that the loader will map."""
        paths = [self.executable] if self.executable else []
        paths += [place.path for place in modules]
        for path in [*paths, *self.loader.closure(*(place.path for place in modules))]:
            yield os.path.realpath(path), path


class Process:
    """One running process."""

    def __init__(self, pid: int, cwd: str) -> None:
        self.pid = pid
        self._cwd = cwd
        self.executable = processes.inside(processes.executable(pid), pid)
        self.environment = processes.environment(pid)
        self.root = processes.root(pid)
        self._maps = processes.read_maps(pid)

    @property
    def local_executable(self) -> str:
        """Where we open the executable."""
        return f"/proc/{self.pid}/exe"

    @cached_property
    def loader(self) -> Loader:
        cwd = "/"
        with suppress(OSError):
            cwd = os.readlink(f"/proc/{self.pid}/cwd")
        return Loader(self.executable, self.environment, cwd, self.root)

    @cached_property
    def code(self) -> Mapping[str, FileMapping]:
        """The first mapping that holds code of each file, by its path inside the process's root."""
        found: dict[str, FileMapping] = {}
        for mapping in self._maps:
            if mapping.executable:
                found.setdefault(
                    processes.inside(mapping.path, self.pid) if self.root else mapping.path, mapping
                )
        return found

    def find(self, module: str | None) -> Place:
        """The module of that name or path, None the executable. TargetError without one."""
        if module is None:
            path = self.executable
        elif "/" in module:
            path = resolve(self.root, os.path.join(self._cwd, module))
            # A file that was replaced on disk is mapped under its path still.
            if path not in self.code and not os.path.exists(self.root + path):
                raise no_such_file(module, self.root + path)
        else:
            path = self._mapped(module) or resolve(self.root, self.loader.find(module))
        if path in self.code:
            return Place(path, self._file(path), self.root, self.pid, True)
        return Place(path, self.root + path, self.root, self.pid, False)

    def _mapped(self, name: str) -> str | None:
        names = {path: os.path.basename(path) for path in self.code}
        found = [path for path, file in names.items() if file == name]
        found = found or [path for path, file in names.items() if is_named(file, name)]
        found = found or [path for path in names if is_named(self._soname(path), name)]
        return max(found, key=lambda path: version_key(names[path]), default=None)

    def _soname(self, path: str) -> str:
        try:
            with ElfFile.open(self._file(path), path) as elf:
                return read_dynamic(elf).soname or ""
        except (TargetError, PrivilegeError):
            return ""

    def _file(self, path: str) -> str:
        """Where we open the file that is mapped as `path`."""
        mapping = self.code[path]
        link = mapping.link(self.pid)
        try:
            os.stat(link)
        except OSError as error:
            if mapping.deleted:
                raise PrivilegeError(
                    f"{path} was replaced on disk since process {self.pid} loaded it, "
                    f"and the one it runs cannot be reached ({error.strerror})",
                    "Run funcsnoop as root or with CAP_SYS_ADMIN, or restart the process.",
                ) from None
            return self.root + path
        return link

    def loaded(self, modules: Sequence[Place]) -> Iterator[tuple[str, str]]:
        """(path, file to open) of all that is mapped, and of what traced modules will bring."""
        for path in self.code:
            with suppress(PrivilegeError):
                yield path, self._file(path)
        new = [place.path for place in modules if not place.mapped]
        for path in [*new, *(self.loader.closure(*new) if new else [])]:
            real = resolve(self.root, path)
            yield real, self.root + real


def programs(target: Target) -> list[Program | Process]:
    """What a SPEC's module is looked for in."""
    if target.pids:
        return [Process(pid, target.cwd) for pid in target.pids]
    names = frozenset({os.path.basename(target.command[0])} if target.command else ())
    return [Program(target.executable(), names, target.environment, target.cwd)]


def no_such_file(module: str, path: str) -> TargetError:
    """The error for a path that leads nowhere, with its neighbours of similar names."""
    from difflib import get_close_matches

    near: list[str] = []
    with suppress(OSError):
        near = get_close_matches(os.path.basename(path), os.listdir(os.path.dirname(path) or "."), 4)
    return TargetError(
        f"no such file: {module}", f"Near ones: {', '.join(near)}" if near else "Check the path."
    )
