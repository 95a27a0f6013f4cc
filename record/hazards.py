"""Can anything in the traced process leave a function other than by returning from it?

A return probe replaces the return address on the stack. An exception that unwinds over it aborts the
program, `pthread_exit` skips destructors, `longjmp` and coroutines go astray. Whether that can happen is
a property of the whole process, not of the traced module: a C library calls back into C++.

Signs are taken from files only: what they import, which run-time libraries they are. Code that is
loaded later (dlopen) is not seen: that it may be is a sign of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from ..errors import TargetError
from .elf import ElfFile
from .elf_dynamic import read_dynamic
from .elf_symbols import SHN_UNDEF, dynsym, symtab

_LEAVING: Final = re.compile(
    "pthread_exit|pthread_cancel|_?longjmp|siglongjmp|__longjmp_chk|swapcontext|setcontext|_Unwind_.*"
)
_CONFINING: Final = frozenset({"prctl", "seccomp_load", "syscall"})
_EXECUTING: Final = re.compile("f?exec(l|v|le|ve|lp|vp|vpe|veat)")
#: What a static executable has that leaves functions, whoever calls it.
_STATIC: Final = re.compile(
    "_Unwind_RaiseException|_Unwind_ForcedUnwind|_?longjmp|siglongjmp|swapcontext|setcontext|pthread_exit|pthread_cancel"
)
_RUNTIMES: Final = re.compile(r"(libgcc_s|libstdc\+\+|libunwind|libc\+\+abi|libc\+\+)[.-]")
#: The C library defines and uses all of these for others; alone it does not unwind.
_C_LIBRARY: Final = re.compile(r"(libc|libpthread|libdl|librt|libm|ld-linux.*|ld|libc\.musl.*|ld-musl.*)[.-]")
_GO_SECTIONS: Final = frozenset({".note.go.buildid", ".gopclntab", ".go.buildinfo", ".data.rel.ro.gopclntab"})
_MOST_COMMENT: Final = 1 << 20


@dataclass(frozen=True)
class FileHazards:
    """`reasons` why code of this file may unwind. `go`: return probes crash it.

    `opens`: it imports dlopen. `executes`: it can become another program, whose code nobody knows yet.
    `confines`: it may install a seccomp filter.
    """

    reasons: tuple[str, ...] = ()
    go: bool = False
    opens: bool = False
    executes: bool = False
    confines: bool = False


def inspect(elf: ElfFile, file_name: str) -> FileHazards:
    """What `elf`, called `file_name`, brings into a process. TargetError when it is damaged."""
    sections = {s.name for s in elf.sections}
    imports: set[str] = set()
    table = dynsym(elf)
    if table is not None:
        imports = set(table.imported())
    hazards = FileHazards(
        opens=bool(imports & {"dlopen", "dlmopen"}),
        executes=any(map(_EXECUTING.fullmatch, imports)),
        confines=bool(imports & _CONFINING) or (table is None and read_dynamic(elf).static),
    )
    if sections & _GO_SECTIONS:
        return replace(hazards, reasons=(f"{file_name} is a Go program",), go=True)
    if _RUNTIMES.match(file_name):
        return replace(hazards, reasons=(f"{file_name} unwinds the stack for exceptions",))
    if _C_LIBRARY.match(file_name):
        return FileHazards()
    rust = _is_rust(elf, sections)
    if rust:
        return replace(hazards, reasons=(f"{file_name} is a Rust program, whose panics unwind",))
    found = sorted(filter(_LEAVING.fullmatch, imports))
    if found:
        more = f" and {len(found) - 1} more such" if len(found) > 1 else ""
        return replace(hazards, reasons=(f"{file_name} imports {found[0]}{more}",))
    if table is None and read_dynamic(elf).static:
        return replace(hazards, reasons=_static_reasons(elf, file_name))
    return hazards


def _static_reasons(elf: ElfFile, file_name: str) -> tuple[str, ...]:
    """A static executable holds its run-time libraries, used or not; without symbols nobody knows."""
    table = symtab(elf)
    if table is None:
        return (f"{file_name} is static and stripped, so that it may hold anything",)
    names = filter(_STATIC.fullmatch, table.names(table.entries[table.entries["shndx"] != SHN_UNDEF]))
    return tuple(f"{file_name} is static and holds {name}" for name in sorted(names)[:1])


def _is_rust(elf: ElfFile, sections: set[str]) -> bool:
    if ".rustc" in sections:
        return True
    comment = elf.section(".comment")
    if comment and comment.size <= _MOST_COMMENT and b"rustc version" in elf.content(comment):
        return True
    # Any table that has it will do: the personality routine is local in executables.
    table = symtab(elf)
    return table is not None and b"rust_eh_personality" in table.strings


class HazardScan:
    """Inspects each file once, however many of a plan's processes map it."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], FileHazards] = {}

    def file(self, file: str, path: str) -> FileHazards:
        """Hazards of the file that we open as `file` and the target knows as `path`; none if not ELF."""
        try:
            status = os.stat(file)
            key = status.st_dev, status.st_ino
            if key not in self._known:
                with ElfFile.open(file, path) as elf:
                    self._known[key] = inspect(elf, os.path.basename(path))
            return self._known[key]
        except (OSError, ValueError, TargetError):
            return FileHazards()

    def process(self, loaded: Iterable[tuple[str, str]]) -> FileHazards:
        """All that the files (path, file to open) bring together."""
        found = [self.file(file, path) for path, file in loaded]
        reasons = dict.fromkeys(reason for one in found for reason in one.reasons)
        return FileHazards(tuple(reasons), any(one.go for one in found), any(one.opens for one in found))
