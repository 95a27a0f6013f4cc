"""Symbols that were split off from a file: debug files and minidebuginfo.

Sources: GDB manual, "Debugging Information in Separate Files" (build id, .gnu_debuglink with its
CRC-32) and "MiniDebugInfo" (.gnu_debugdata, an ELF file packed by xz).
"""

from __future__ import annotations

import lzma
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Final

from ..errors import TargetError
from .elf import ElfFile, text_at
from .elf_symbols import Symbols, dynsym, symtab

DEBUG_ROOT: Final = "/usr/lib/debug"
#: A few hundred bytes of xz can claim gigabytes.
_LARGEST_UNPACKED: Final = 256 << 20
_CHUNK: Final = 1 << 20


def find_tables(elf: ElfFile, file: str, root: str, opened: ExitStack) -> Sequence[Symbols]:
    """The symbol tables to take the functions of `elf` from, the fullest there are.

    Its own .symtab; else a debug file's; else minidebuginfo together with .dynsym, of which it holds
    only the rest; else .dynsym alone. `file` is the path of `elf` inside `root`, the prefix of the
    target's files. Files found are left open in `opened`. TargetError when there are no symbols at all.
    """
    own = symtab(elf)
    if own is not None:
        return [own]
    dynamic = dynsym(elf)
    # IFUNCs and exported names keep their place in .dynsym; a debug file's table has them too.
    for candidate in _debug_files(elf, file, root):
        try:
            debug = opened.enter_context(ElfFile.open(root + candidate, candidate))
            if elf.build_id is None or debug.build_id in (None, elf.build_id):
                table = symtab(debug)
                if table is not None:
                    return [table]
        except TargetError:
            continue
    mini = _minidebuginfo(elf)
    tables = [table for table in (dynamic, mini) if table is not None]
    if not tables:
        elf.bad("it has no symbols", "Install its debug symbols, or trace a build that is not stripped.")
    return tables


def _debug_files(elf: ElfFile, file: str, root: str) -> Iterator[str]:
    """Paths of files that hold the debug information of `elf`, the surest first."""
    build_id = elf.build_id
    if build_id and len(build_id) > 2:
        path = f"{DEBUG_ROOT}/.build-id/{build_id[:2]}/{build_id[2:]}.debug"
        if os.path.isfile(root + path):
            yield path
    section = elf.section(".gnu_debuglink")
    if section is None or section.size < 8:
        return
    link = elf.content(section)
    name = text_at(link, 0)
    if not name or "/" in name:
        return
    expected = int.from_bytes(link[-4:], "little")
    directory = os.path.dirname(file)
    for path in (f"{directory}/{name}", f"{directory}/.debug/{name}", f"{DEBUG_ROOT}{directory}/{name}"):
        if path != file and os.path.isfile(root + path) and _crc(root + path) == expected:
            yield path


def _crc(path: str) -> int | None:
    crc = 0
    try:
        with open(path, "rb") as content:
            while chunk := content.read(_CHUNK):
                crc = zlib.crc32(chunk, crc)
    except OSError:
        return None
    return crc


def _minidebuginfo(elf: ElfFile) -> Symbols | None:
    section = elf.section(".gnu_debugdata")
    if section is None:
        return None
    try:
        unpacker = lzma.LZMADecompressor(memlimit=_LARGEST_UNPACKED)
        content = unpacker.decompress(elf.content(section), _LARGEST_UNPACKED)
        if not unpacker.eof:
            return None
        return symtab(ElfFile(f"{elf.path} (.gnu_debugdata)", content=content))
    except (lzma.LZMAError, EOFError, TargetError):
        # An extra; the file's own symbols are still there.
        return None
