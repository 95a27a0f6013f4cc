"""On which x86-64 instructions a probe can be put.

The kernel refuses some, and with one of them the link as a whole, so that they must be known before. The
tables are those of arch/x86/kernel/uprobes.c, `is_prefix_bad` and `good_insns_64`, checked against a 6.18
kernel opcode by opcode.

Others it takes for what they are not: of an AVX instruction it looks at the opcode alone, and where that is
one that it emulates, it does so. `vpbroadcastb` becomes `jp`, `vpcmpeqb` becomes `je`, and the traced
program computes nonsense. None of these is probed.
"""

from __future__ import annotations

from typing import Final

#: Segment overrides (`notrack` is one) and `lock`.
_REFUSED_PREFIXES: Final = frozenset(b"\x26\x2e\x36\x3e\xf0")
_PREFIXES: Final = frozenset(b"\x64\x65\x66\x67\xf2\xf3")
#: Interrupts, input and output, hlt, and what is not valid in 64-bit code.
_REFUSED: Final = frozenset(
    bytes.fromhex(
        "06 07 0e 16 17 1e 1f 27 2f 37 3f 60 61 62 6c 6d 6e 6f 82 9a cc cd ce cf"
        "d4 d5 d6 e4 e5 e6 e7 ea ec ed ee ef f1 f4 fa fb"
    )
)
_OPERAND_SIZE: Final = 0x66
_NEAR_JUMPS: Final = frozenset((*range(0x70, 0x80), 0xE8, 0xE9, 0xEB))
#: The longest instruction.
LONGEST: Final = 15


def is_probeable(code: bytes) -> bool:
    """Whether a probe on the instruction that `code` begins with is taken, and harmless."""
    at, size16 = 0, False
    try:
        while code[at] in _PREFIXES:
            size16 |= code[at] == _OPERAND_SIZE
            at += 1
        if code[at] in _REFUSED_PREFIXES:
            return False
        rex = code[at] if 0x40 <= code[at] <= 0x4F else 0
        at += rex > 0
        opcode = code[at]
        match opcode:
            case 0xC4 | 0xC5 | 0x62:  # VEX and EVEX
                return False
            case 0x8F:  # XOP, unless it is a pop
                return code[at + 1] >> 3 & 7 == 0
            case 0x90:  # nop, but with this prefix an exchange with %r8
                return not rex & 1
            case 0x0F:
                return not (size16 and 0x80 <= code[at + 1] <= 0x8F)
            case 0x8E:  # a load of the stack segment masks exceptions
                return code[at + 1] >> 3 & 7 != 2
        return opcode not in _REFUSED and not (size16 and opcode in _NEAR_JUMPS)
    except IndexError:
        return False
