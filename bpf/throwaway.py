"""Programs of a few hundred bytes that exist in memory only, for trying and measuring probes on."""

from __future__ import annotations

import os
import struct
from typing import Final

from .arch import X86_64

_BASE: Final = 0x400000
#: Where the code begins in the file, whose first instruction is the program's.
CODE_OFFSET: Final = 64 + 56


def program_in_memory(code: bytes) -> int:
    """A descriptor of an ELF executable of this machine code; open for reading, else it could not run."""
    size = CODE_OFFSET + len(code)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\2\1\1", 2, X86_64.elf_machine, 1, _BASE + CODE_OFFSET, 64, 0, 0, 64, 56, 1, 0, 0, 0,
    )  # fmt: skip
    readable_and_executable = 5
    segment = struct.pack("<IIQQQQQQ", 1, readable_and_executable, 0, _BASE, _BASE, size, size, 4096)
    writable = os.memfd_create("funcsnoop", os.MFD_CLOEXEC)
    try:
        os.write(writable, header + segment + code)
        return os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(writable)
