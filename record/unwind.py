"""How long a function is that no symbol describes, from the tables for stack unwinding.

Format: Linux Standard Base, "Exception Frames" and ".eh_frame_hdr section". Only the encodings that
linkers write today are read: 32-bit offsets, a sorted table.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ..errors import TargetError
from .elf import ElfFile

_PT_GNU_EH_FRAME: Final = 0x6474E550
#: version 1; pointer pcrel|sdata4; count udata4; table datarel|sdata4
_HEADER: Final = bytes((1, 0x1B, 0x03, 0x3B))


def function_size(elf: ElfFile, address: int) -> int:
    """Size in bytes of the function that begins at `address`, 0 where it is not known."""
    segment = next((s for s in elf.segments if s.type == _PT_GNU_EH_FRAME), None)
    try:
        if segment is None or segment.filesz < 12 or elf.bytes_at(segment.offset, 4) != _HEADER:
            return 0
        count = int.from_bytes(elf.bytes_at(segment.offset + 8, 4), "little")
        table = np.frombuffer(elf.bytes_at(segment.offset + 12, count * 8), "<i4").reshape(-1, 2)
        (rows,) = np.nonzero(table[:, 0] == address - segment.vaddr)
        if not len(rows):
            return 0
        entry = elf.offset_of(int(table[rows[0], 1]) + segment.vaddr)
        # length, pointer to the common entry, begin, size: four words.
        return 0 if entry is None else int.from_bytes(elf.bytes_at(entry + 12, 4), "little")
    except TargetError:
        return 0
