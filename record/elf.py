"""Read ELF files: header, segments, sections, notes, and bytes by address.

Format: System V ABI, chapters 4 and 5, and the x86-64 and AArch64 supplements. Only 64-bit
little-endian files of this machine's architecture are read. A file may be hostile: every offset and
size is checked against the file before anything is allocated, and whatever is wrong with it is a
`TargetError`.
"""

from __future__ import annotations

import os
import stat
from functools import cached_property
from types import TracebackType
from typing import Final, NamedTuple, NoReturn, Self

import numpy as np
import numpy.typing as npt

from ..bpf.arch import ARCHITECTURES
from ..errors import TargetError

Bytes = npt.NDArray[np.uint8]

_MACHINE_NAMES: Final = {
    3: "i386",
    40: "ARM",
    62: "x86-64",
    183: "AArch64",
    243: "RISC-V",
    21: "PowerPC",
    22: "s390",
}
#: `e_machine` of this machine, 0 where funcsnoop does not know it: then no file is for it.
HOST_MACHINE: Final = next((a.elf_machine for a in ARCHITECTURES.values() if a.name == os.uname().machine), 0)

#: No table of a real file comes near; a sparse file can claim any size.
LARGEST_READ: Final = 1 << 30

_HEADER = np.dtype(
    [("ident", "u1", 16), ("type", "<u2"), ("machine", "<u2"), ("version", "<u4"), ("entry", "<u8"),
     ("phoff", "<u8"), ("shoff", "<u8"), ("flags", "<u4"), ("ehsize", "<u2"), ("phentsize", "<u2"),
     ("phnum", "<u2"), ("shentsize", "<u2"), ("shnum", "<u2"), ("shstrndx", "<u2")]
)  # fmt: skip
_SEGMENT = np.dtype(
    [("type", "<u4"), ("flags", "<u4"), ("offset", "<u8"), ("vaddr", "<u8"), ("paddr", "<u8"),
     ("filesz", "<u8"), ("memsz", "<u8"), ("align", "<u8")]
)  # fmt: skip
_SECTION = np.dtype(
    [("name", "<u4"), ("type", "<u4"), ("flags", "<u8"), ("addr", "<u8"), ("offset", "<u8"), ("size", "<u8"),
     ("link", "<u4"), ("info", "<u4"), ("addralign", "<u8"), ("entsize", "<u8")]
)  # fmt: skip

_PT_LOAD, PT_DYNAMIC, PT_INTERP, _PT_NOTE = 1, 2, 3, 4
_PF_X = 1
SHT_SYMTAB, SHT_NOBITS, SHT_DYNSYM = 2, 8, 11
SHF_EXECINSTR = 4
_ET_EXEC, _ET_DYN = 2, 3


class Segment(NamedTuple):
    type: int
    flags: int
    offset: int
    vaddr: int
    filesz: int
    memsz: int


class Section(NamedTuple):
    name: str
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int


class FileVersion(NamedTuple):
    """Which file, and which content of it, as far as stat(2) tells."""

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileVersion:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class ElfFile:
    """One ELF file, open for reading.

    `path` is only how messages call it. `version` is what was opened, zeros but for the size where the file
    lies in memory. Raises TargetError from every method where the file is not what it should be.
    """

    def __init__(self, path: str, *, descriptor: int = -1, content: bytes | None = None) -> None:
        self.path = path
        self._descriptor = descriptor
        self._content = content
        if content is None:
            self.version = FileVersion.of(os.fstat(descriptor))
        else:
            self.version = FileVersion(0, 0, len(content), 0)
        self.size = self.version.size
        self._read_header()

    @classmethod
    def open(cls, file: str, path: str | None = None) -> Self:
        """Open `file`; messages call it `path`, which is how the user or the target knows it."""
        shown = file if path is None else path
        try:
            # Not to wait for the other end of a FIFO.
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise cannot_open(shown, error) from None
        except ValueError:
            raise TargetError("a path cannot contain a NUL byte", "Check the path.") from None
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
                raise TargetError(f"{shown} is {kind}", "Name an executable or a shared library.")
            return cls(shown, descriptor=descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def bad(
        self, why: str, hint: str = "Name an executable or a shared library of this machine."
    ) -> NoReturn:
        raise TargetError(f"{self.path}: {why}", hint)

    def bytes_at(self, offset: int, size: int) -> bytes:
        """`size` bytes from file offset `offset`; TargetError when the file does not have them."""
        if size > LARGEST_READ or offset + size > self.size:
            self.bad("the file is truncated or damaged")
        if self._content is not None:
            return self._content[offset : offset + size]
        try:
            # pread and not mmap: a file that shrinks under a mapping kills its reader with SIGBUS.
            content = os.pread(self._descriptor, size, offset)
        except OSError as error:
            raise cannot_open(self.path, error) from None
        if len(content) != size:
            self.bad("the file is truncated or damaged")
        return content

    def array_at(self, offset: int, size: int) -> Bytes:
        return np.frombuffer(self.bytes_at(offset, size), np.uint8)

    def _read_header(self) -> None:
        if self.size < 4 or self.bytes_at(0, 4) != b"\x7fELF":
            self.bad("not an ELF file")
        if self.size < _HEADER.itemsize:
            self.bad("the file is truncated or damaged")
        ident = self.bytes_at(0, 16)
        if ident[4] != 2:
            self.bad("a 32-bit ELF file", "Only 64-bit programs can be traced.")
        if ident[5] != 1:
            self.bad("a big-endian ELF file")
        header = np.frombuffer(self.bytes_at(0, _HEADER.itemsize), _HEADER)[0]
        self.type, self.machine = int(header["type"]), int(header["machine"])
        if self.machine != HOST_MACHINE:
            name = _MACHINE_NAMES.get(self.machine, f"architecture {self.machine}")
            self.bad(f"made for {name}, not for this machine", "Name a file that runs on this machine.")
        if self.type not in (_ET_EXEC, _ET_DYN):
            self.bad("neither an executable nor a shared library")
        self._sections_at = int(header["shoff"]), int(header["shentsize"]), int(header["shnum"])
        self._section_names = int(header["shstrndx"])
        offset, entry, count = int(header["phoff"]), int(header["phentsize"]), int(header["phnum"])
        if count and entry != _SEGMENT.itemsize:
            self.bad("the program headers are damaged")
        table = np.frombuffer(self.bytes_at(offset, count * entry), _SEGMENT)
        columns = (table[name].tolist() for name in Segment._fields)
        self.segments = [Segment(*row) for row in zip(*columns, strict=True)]

    @cached_property
    def sections(self) -> list[Section]:
        """The section table; empty where there is none, as after `sstrip`."""
        offset, entry, count = self._sections_at
        if not offset:
            return []
        if entry != _SECTION.itemsize:
            self.bad("the section headers are damaged")
        names = self._section_names
        if count == 0 or names == 0xFFFF:  # too many for the header's 16 bits: the first section holds them
            first = np.frombuffer(self.bytes_at(offset, entry), _SECTION)[0]
            count = count or int(first["size"])
            names = int(first["link"]) if names == 0xFFFF else names
        table = np.frombuffer(self.bytes_at(offset, count * entry), _SECTION)
        strings = b""
        if names < count and table[names]["type"] != SHT_NOBITS:
            strings = self.bytes_at(int(table[names]["offset"]), int(table[names]["size"]))
        columns = (table[name].tolist() for name in Section._fields[1:])
        return [
            Section(text_at(strings, name, longest=256), *row)
            for name, *row in zip(table["name"].tolist(), *columns, strict=True)
        ]

    def section(self, name: str) -> Section | None:
        """The first section of that name that has content in this file."""
        return next((s for s in self.sections if s.name == name and s.type != SHT_NOBITS), None)

    def content(self, section: Section) -> bytes:
        return self.bytes_at(section.offset, section.size)

    @cached_property
    def loaded(self) -> list[Segment]:
        """The segments that are mapped from the file."""
        return [s for s in self.segments if s.type == _PT_LOAD and s.filesz]

    def executable_offset(self, addresses: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """File offsets of virtual addresses; -1 where an address is not in an executable segment."""
        offsets = np.full(len(addresses), -1, np.int64)
        for segment in self.loaded:
            if not segment.flags & _PF_X or segment.offset + segment.filesz > self.size:
                continue
            with np.errstate(over="ignore"):
                inside = addresses - np.uint64(segment.vaddr)
            hit = (addresses >= np.uint64(segment.vaddr)) & (inside < np.uint64(segment.filesz))
            offsets[hit] = inside[hit].astype(np.int64) + segment.offset
        return offsets

    def offset_of(self, address: int) -> int | None:
        """File offset of a virtual address in any loaded segment."""
        for s in self.loaded:
            if s.vaddr <= address < s.vaddr + s.filesz:
                return address - s.vaddr + s.offset
        return None

    def address_of(self, offset: int) -> int | None:
        """Virtual address of a file offset in an executable segment."""
        for s in self.loaded:
            if s.flags & _PF_X and s.offset <= offset < s.offset + s.filesz:
                return offset - s.offset + s.vaddr
        return None

    @cached_property
    def build_id(self) -> str | None:
        """The build id in hex, or None."""
        for segment in self.segments:
            if (
                segment.type == _PT_NOTE
                and segment.filesz <= 1 << 20
                and segment.offset + segment.filesz <= self.size
            ):
                found = _build_id_note(self.bytes_at(segment.offset, segment.filesz))
                if found:
                    return found
        return None


def cannot_open(path: str, error: OSError) -> TargetError:
    """The TargetError for a file that the system does not let us read."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return TargetError(f"no such file: {path}", "Check the path.")
    if isinstance(error, PermissionError):
        return TargetError(
            f"{path} may not be read", "Run as a user who may read it, or with CAP_DAC_READ_SEARCH."
        )
    return TargetError(f"{path} cannot be read: {error.strerror}", "Check the path.")


def text_at(strings: bytes, offset: int, longest: int = 4096) -> str:
    """The NUL-terminated string at `offset`; empty outside the table, cut at `longest` bytes."""
    end = strings.find(b"\0", offset, offset + longest)
    return strings[offset : end if end >= 0 else offset + longest].decode("utf-8", "backslashreplace")


def _build_id_note(notes: bytes) -> str | None:
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = (int(n) for n in np.frombuffer(notes, "<u4", 3, at))
        name = at + 12
        start = name + (name_size + 3 & ~3)
        if start + size > len(notes):
            return None
        if kind == 3 and notes[name : name + name_size] == b"GNU\0":
            return notes[start : start + size].hex() or None
        at = start + (size + 3 & ~3)
    return None
