"""Where control may go in a piece of x86-64 code, by decoding it from start to end.

Encoding: Intel 64 Software Developer's Manual, volume 2.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    import capstone

#: An instruction as capstone tells it: address, size, mnemonic, operands.
Instruction = tuple[int, int, str, str]
#: `branch` is every other jump with a condition: jrcxz, loop, xbegin.
Kind = Literal["ret", "jump", "indirect", "branch", "call", "stop", "alien"]

#: Where functions are padded with these, nothing is executed.
_PADDING: Final = frozenset(b"\x00\x90\xcc")
#: Prefixes of jumps: repne (bnd), rep, segments (branch hints, notrack), operand and address size.
_PREFIXES: Final = frozenset(b"\xf2\xf3\x2e\x3e\x26\x36\x64\x65\x66\x67") | frozenset(range(0x40, 0x50))
_OPERAND_SIZE: Final = 0x66

_KINDS: Final[dict[str, Kind]] = {
    "ret": "ret", "jmp": "jump", "call": "call",
    **dict.fromkeys(("jcxz", "jecxz", "jrcxz", "loop", "loope", "loopne", "xbegin"), "branch"),
    **dict.fromkeys(("ud0", "ud1", "ud2", "hlt", "int3"), "stop"),
    # What user-space functions do not hold: far transfers and what only a kernel may do. Data does.
    **dict.fromkeys(
        ("retf", "retfq", "ljmp", "lcall", "iret", "iretd", "iretq", "uiret", "sysret", "sysretq", "sysexit",
         "sysexitq", "in", "out", "insb", "insd", "insw", "outsb", "outsd", "outsw", "cli", "sti", "into",
         "int1"),
        "alien",
    ),
}  # fmt: skip


class Transfer(NamedTuple):
    """An instruction after which another than the next may run.

    `target` is None for what is not direct; `condition` is that of a conditional jump, as in its code.
    """

    address: int
    size: int
    kind: Kind
    target: int | None
    condition: int | None
    operands: str


@dataclass
class Code:
    """Decoded instructions of [start, end) and those among them that transfer control.

    `problem` says why it cannot be told what all of them are.
    """

    start: int
    end: int
    content: bytes
    instructions: list[Instruction] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    problem: str | None = None

    def index(self, address: int) -> int:
        """The index of the first instruction that is not before `address`."""
        return bisect_left(self.instructions, (address,))

    def begins_at(self, address: int) -> bool:
        """Whether an instruction begins there, or with `lock` before it: a jump may skip that prefix."""
        for start in (address, address - 1):
            i = self.index(start)
            if i < len(self.instructions) and self.instructions[i][0] == start:
                return start == address or self.instructions[i][2].startswith("lock ")
        return False


@cache
def _kind(mnemonic: str) -> Kind | None:
    name = mnemonic.rpartition(" ")[2]
    return _KINDS.get(name) or ("jump" if name.startswith("j") else None)


@cache
def _decoder() -> capstone.Cs:
    # A twentieth of a second that only those pay who need it.
    import capstone

    return capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)


def decode(content: bytes, address: int) -> Code:
    """Decode the function, or the part of one, that `content` is."""
    code = Code(address, address + len(content), content)
    code.instructions = list(_decoder().disasm_lite(content, address))
    kinds = _kind
    for at, size, mnemonic, operands in [i for i in code.instructions if kinds(i[2])]:
        kind = kinds(mnemonic)
        raw = content[at - address : at - address + size]
        if kind == "jump":
            transfer = _jump(at, raw, operands)
        elif kind in ("call", "branch") and operands.startswith("0x"):
            transfer = Transfer(at, size, kind, int(operands, 16), None, "")
        else:
            assert kind
            transfer = Transfer(at, size, kind, None, None, operands)
        if (
            kind in ("jump", "ret", "branch")
            and raw[0] in _PREFIXES
            and _OPERAND_SIZE in raw[: _prefixes(raw)]
        ):
            transfer = transfer._replace(kind="alien")  # Processors do not agree on what it means.
        if transfer.kind == "alien":
            code.problem = f"its bytes at +{at - address:#x} are no instruction of a program"
            return code
        code.transfers.append(transfer)
    code.problem = _end_problem(code, content)
    return code


def ends_block(mnemonic: str) -> bool:
    """Whether the instruction after it does not run next."""
    return _kind(mnemonic) in ("ret", "stop") or mnemonic.endswith("jmp")


@cache
def _detailed_decoder() -> capstone.Cs:
    import capstone

    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    return decoder


@lru_cache(4096)
def written(raw: bytes) -> frozenset[str]:
    """The names of all registers that an instruction writes."""
    (instruction,) = _detailed_decoder().disasm(raw, 0, 1)
    return frozenset(instruction.reg_name(register) for register in instruction.regs_access()[1])


def _jump(address: int, raw: bytes, operands: str) -> Transfer:
    size = len(raw)
    opcode = raw[_prefixes(raw) :]
    if opcode[0] == 0xFF:
        # /4 is the near jump; /5 the far one, which no compiler makes.
        kind: Kind = "indirect" if opcode[1] >> 3 & 7 == 4 else "alien"
        return Transfer(address, size, kind, None, None, operands)
    target = int(operands, 16)
    if opcode[0] in (0xE9, 0xEB):
        return Transfer(address, size, "jump", target, None, "")
    condition = (opcode[1] if opcode[0] == 0x0F else opcode[0]) & 15
    return Transfer(address, size, "jump", target, condition, "")


def _prefixes(raw: bytes) -> int:
    if raw[0] not in _PREFIXES:
        return 0
    return next(i for i, byte in enumerate(raw) if byte not in _PREFIXES)


def _end_problem(code: Code, content: bytes) -> str | None:
    """Why it is not known what runs at the end of `code`, or None."""
    decoded = sum(code.instructions[-1][:2]) if code.instructions else code.start
    rest = content[decoded - code.start :]
    if not _PADDING.issuperset(rest):
        return f"its bytes at +{decoded - code.start:#x} are no instruction"
    last = next((i for i in reversed(code.instructions) if not _is_padding(i, content, code.start)), None)
    kind = _kind(last[2]) if last else None
    ends = kind in ("ret", "stop", "call") or (last and kind == "jump" and last[2].endswith("jmp"))
    # After a call that ends a function nothing can run: who is called does not return.
    return None if ends else "it runs on into what follows it"


def _is_padding(instruction: Instruction, content: bytes, start: int) -> bool:
    at, size, mnemonic, _ = instruction
    # Zeroes are `add byte ptr [rax], al`.
    return mnemonic in ("nop", "int3") or not any(content[at - start : at - start + size])
