"""Find the file of a library as the dynamic loader finds it. Source: ld.so(8).

The order is that of glibc: DT_RPATH (where there is no DT_RUNPATH), LD_LIBRARY_PATH, DT_RUNPATH,
ld.so.cache, the default directories. Directories of processor variants (glibc-hwcaps) are not
searched: for a library that has them, name the file, or use --pid.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Final

from ..errors import TargetError
from .elf import ElfFile
from .elf_dynamic import Dynamic, read_dynamic
from .ldcache import read_cache

_TRIPLE: Final = f"{os.uname().machine}-linux-gnu"
_LIB: Final = f"lib/{_TRIPLE}"
DEFAULT_DIRECTORIES: Final = tuple(
    f"{top}/{name}" for name in (f"lib/{_TRIPLE}", "lib64", "lib") for top in ("", "/usr")
)
_LINKS: Final = 40


def is_named(file_name: str, name: str) -> bool:
    """Whether a file name is what a user means by `name`.

    `libssl` means libssl.so and libssl.so.3, `libssl.so` too; `libsqlite3.so.0` also libsqlite3.so.0.8.6.
    """
    if file_name == name:
        return True
    if ".so" in name:
        return file_name.startswith(name + ".")
    return file_name == name + ".so" or file_name.startswith(name + ".so.")


def version_key(file_name: str) -> tuple[int, ...]:
    """Orders `libx.so.9` before `libx.so.10`."""
    return tuple(int(n) for n in re.findall(r"\d+", file_name.partition(".so")[2]))


def resolve(root: str, path: str) -> str:
    """`path` without symbolic links, all of them read inside `root` (empty: our own root)."""
    if not root:
        return os.path.realpath(path)
    done, parts, links = "", path.split("/"), 0
    while parts:
        part = parts.pop(0)
        if part in ("", "."):
            continue
        if part == "..":
            done = os.path.dirname(done).rstrip("/")
            continue
        here = f"{done}/{part}"
        try:
            link = os.readlink(root + here)
        except (OSError, ValueError):
            done = here
            continue
        links += 1
        if links > _LINKS:
            return path
        parts = link.split("/") + parts
        if link.startswith("/"):
            done = ""
    return done or "/"


class Loader:
    """The libraries that one program would load.

    `root` is the prefix of the program's files for us (empty or `/proc/PID/root`), `executable` its path
    inside it, None where there is no one program. `environment` gives LD_LIBRARY_PATH and LD_PRELOAD.
    """

    def __init__(
        self, executable: str | None, environment: Mapping[str, str], cwd: str = "/", root: str = ""
    ) -> None:
        self.executable = executable
        self.root = root
        self._cwd = cwd
        self._environment = environment

    def local(self, path: str) -> str:
        """Where we find the program's file `path`."""
        return self.root + path

    @cached_property
    def _cache(self) -> Sequence[tuple[str, str]]:
        return read_cache(self.local("/etc/ld.so.cache"))

    @cached_property
    def _cached(self) -> Mapping[str, str]:
        return dict(reversed(self._cache))  # the first entry of a name wins

    def _expand(self, directories: Sequence[str], origin: str) -> Iterator[str]:
        for directory in directories:
            for token, value in (
                ("ORIGIN", os.path.dirname(origin)),
                ("LIB", _LIB),
                ("PLATFORM", os.uname().machine),
            ):
                directory = directory.replace(f"${{{token}}}", value).replace(f"${token}", value)
            yield os.path.join(self._cwd, directory)

    def _directories(self, origin: str | None, dynamic: Dynamic, rpath: Sequence[str]) -> Iterator[str]:
        """Directories before the cache, for a library that `origin` needs."""
        origin = origin or ""
        if not dynamic.runpath:
            yield from self._expand(dynamic.rpath, origin)
            yield from rpath
        yield from self._expand(
            re.split("[:;]", self._environment.get("LD_LIBRARY_PATH", ""))
            if self._environment.get("LD_LIBRARY_PATH")
            else [],
            self.executable or "",
        )
        yield from self._expand(dynamic.runpath, origin)

    @cached_property
    def _executable_dynamic(self) -> Dynamic:
        if self.executable is None:
            return Dynamic()
        try:
            with ElfFile.open(self.local(self.executable), self.executable) as elf:
                return read_dynamic(elf)
        except TargetError:
            return Dynamic()

    def find_needed(
        self, name: str, origin: str | None, dynamic: Dynamic, rpath: Sequence[str] = ()
    ) -> str | None:
        """Path of the library that a DT_NEEDED entry `name` of `origin` stands for, None without one."""
        if "/" in name:
            path = os.path.join(self._cwd, name)
            return path if self._fits(path) else None
        for directory in self._directories(origin, dynamic, rpath):
            path = os.path.join(directory, name)
            if self._fits(path):
                return path
        if name in self._cached and self._fits(self._cached[name]):
            return self._cached[name]
        for directory in DEFAULT_DIRECTORIES:
            path = os.path.join(directory, name)
            if self._fits(path):
                return path
        return None

    def _fits(self, path: str) -> bool:
        """Whether the loader would take this file: it passes over those of another architecture."""
        if not os.path.isfile(self.local(resolve(self.root, path)) if self.root else path):
            return False
        try:
            with ElfFile.open(self.local(resolve(self.root, path)), path):
                return True
        except TargetError:
            return False

    def find(self, name: str) -> str:
        """Path of the library a user calls `name`; TargetError, which names near ones, without one."""
        dynamic = self._executable_dynamic
        exact = self.find_needed(name, self.executable, dynamic)
        if exact:
            return exact
        for path in self.closure():
            if is_named(os.path.basename(path), name):
                return path
        candidates: dict[str, str] = {}
        directories = list(self._directories(self.executable, dynamic, ()))
        listed = [os.path.join(d, f) for d in directories for f in self._list(d)]
        defaults = [os.path.join(d, f) for d in DEFAULT_DIRECTORIES for f in self._list(d)]
        for path in [*listed, *(path for _, path in self._cache), *defaults]:
            candidates.setdefault(os.path.basename(path), path)
        named = sorted((f for f in candidates if is_named(f, name)), key=version_key, reverse=True)
        for file in named:
            if self._fits(candidates[file]):
                return candidates[file]
        raise no_such_library(name, [f for f in candidates if ".so" in f])

    def _list(self, directory: str) -> list[str]:
        try:
            return [f for f in os.listdir(self.local(resolve(self.root, directory))) if ".so" in f]
        except OSError:
            return []

    def closure(self, *more: str) -> list[str]:
        """Paths of the libraries that the executable, its LD_PRELOAD and the files `more` need, all the way.

        Breadth first, without the executable and `more` themselves; what is not found is left out.
        """
        return list(self._closure((self.executable, *more) if self.executable else more))

    def _closure(self, start: Sequence[str]) -> Iterator[str]:
        preload = re.split("[: ]", self._environment.get("LD_PRELOAD", "")) + self._preloaded()
        inherited: list[str] = []
        if self.executable and not self._executable_dynamic.runpath:
            inherited = list(self._expand(self._executable_dynamic.rpath, self.executable))
        seen = {resolve(self.root, path) for path in start}
        waiting = [*start]
        for name in filter(None, preload):
            path = self.find_needed(name, self.executable, self._executable_dynamic)
            if path and resolve(self.root, path) not in seen:
                seen.add(resolve(self.root, path))
                waiting.append(path)
                yield path
        known: dict[str, bool] = {}
        while waiting:
            origin = waiting.pop(0)
            try:
                with ElfFile.open(self.local(resolve(self.root, origin)), origin) as elf:
                    dynamic = read_dynamic(elf)
            except TargetError:
                continue
            for name in dynamic.needed:
                # One name is one file in a process, whoever asks for it.
                if name in known:
                    continue
                path = self.find_needed(name, resolve(self.root, origin), dynamic, inherited)
                known[name] = path is not None
                if path and resolve(self.root, path) not in seen:
                    seen.add(resolve(self.root, path))
                    waiting.append(path)
                    yield path

    def _preloaded(self) -> list[str]:
        try:
            with open(self.local("/etc/ld.so.preload")) as file:
                return re.split(r"[:\s]+", re.sub("#.*", "", file.read()))
        except (OSError, UnicodeDecodeError):
            return []


def no_such_library(name: str, known: Sequence[str]) -> TargetError:
    """The error for a library that is not there, with the names nearest to it."""
    stem = name.partition(".so")[0]
    stems = sorted({f.partition(".so")[0] for f in known})
    near = get_close_matches(stem, stems, 4, 0.6) or [s for s in stems if stem.removeprefix("lib") in s][:4]
    hint = f"Near ones: {', '.join(near)}" if near else "Give the path of its file."
    return TargetError(f"no library {name}", hint)
