"""What the dynamic section of an ELF file asks of the loader.

Format: System V ABI, "Dynamic Section".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .elf import PT_DYNAMIC, PT_INTERP, ElfFile, text_at

_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 10, 14, 15, 29


@dataclass(frozen=True)
class Dynamic:
    """`rpath` and `runpath` are lists of directories as they stand in the file, `$ORIGIN` and all.

    `static` is true for a file that no loader touches.
    """

    needed: tuple[str, ...] = ()
    soname: str | None = None
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    static: bool = False


def read_dynamic(elf: ElfFile) -> Dynamic:
    """The dynamic section of `elf`; TargetError when it is damaged."""
    segment = next((s for s in elf.segments if s.type == PT_DYNAMIC and s.filesz), None)
    interpreted = any(s.type == PT_INTERP for s in elf.segments)
    if segment is None:
        return Dynamic(static=not interpreted)
    table = np.frombuffer(elf.bytes_at(segment.offset, segment.filesz // 16 * 16), "<u8").reshape(-1, 2)
    ends = np.flatnonzero(table[:, 0] == _DT_NULL)
    entries = [(int(tag), int(value)) for tag, value in table[: ends[0] if len(ends) else None]]
    values = dict(entries)
    at = elf.offset_of(values.get(_DT_STRTAB, -1))
    strings = elf.bytes_at(at, values.get(_DT_STRSZ, 0)) if at is not None else b""

    def texts(tag: int) -> tuple[str, ...]:
        return tuple(text_at(strings, value) for wanted, value in entries if wanted == tag)

    def directories(tag: int) -> tuple[str, ...]:
        return tuple(part for text in texts(tag)[-1:] for part in text.split(":") if part)

    needed, soname = texts(_DT_NEEDED), texts(_DT_SONAME)
    return Dynamic(
        needed,
        soname[0] if soname else None,
        directories(_DT_RPATH),
        directories(_DT_RUNPATH),
        # A static-pie has a dynamic section, but nothing that would load libraries for it.
        static=not interpreted and not needed and not soname,
    )
