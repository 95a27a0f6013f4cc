"""Where the jumps of one function lead, by disassembling it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

#: Disassembly takes about a second per megabyte.
_MOST_BYTES: Final = 256 << 10
_NUMBER: Final = re.compile("0x[0-9a-f]+|[0-9]+")


class OwnJumps(NamedTuple):
    """`targets` are the distances from the entry to which direct jumps lead, None where it cannot be told.

    `anywhere` says that one may lead to an address in a register or in memory, other than through the
    linker's tables into other modules.
    """

    targets: frozenset[int] | None
    anywhere: bool


@lru_cache(16)
def own_jumps(code: bytes) -> OwnJumps:
    """The jumps in the function that `code` is."""
    import capstone

    if not 0 < len(code) <= _MOST_BYTES:
        return OwnJumps(None, True)
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    targets, end, anywhere = set(), 0, False
    for address, size, mnemonic, operands in decoder.disasm_lite(code, 0):
        end = address + size
        if mnemonic.split()[-1].startswith(("j", "loop")):
            if _NUMBER.fullmatch(operands):
                targets.add(int(operands, 0))
            else:
                anywhere |= "[rip" not in operands
    # Data between instructions: what comes after may have been read out of step.
    return OwnJumps(frozenset(targets), anywhere) if end == len(code) else OwnJumps(None, True)
