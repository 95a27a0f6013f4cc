"""All that depends on the processor's architecture.

Registers are fields of the kernel's `struct pt_regs` (arch/*/include/asm/ptrace.h), arguments are
in the order of the platform's C calling convention.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass

from ..errors import KernelError


@dataclass(frozen=True)
class Arch:
    name: str
    elf_machine: int  # e_machine
    sys_bpf: int
    sys_perf_event_open: int
    sys_membarrier: int
    pt_regs: str  # C declaration of the fields
    arguments: tuple[str, ...]
    result: str
    stack_pointer: str
    instruction_pointer: str
    #: The flags that conditional jumps look at; None where leaving instructions are not analysed.
    flags: str | None
    #: Stack pointer at a return probe less that at the entry: what `ret` has popped by then.
    frame_at_return: int
    tested: bool

    def defines(self) -> list[str]:
        """The macros that `func_snoop.bpf.c` and its shim headers need, as compiler flags."""
        return [
            f"-DPT_REGS_FIELDS={self.pt_regs}",
            *(f"-DREG_ARG{i}={register}" for i, register in enumerate(self.arguments)),
            f"-DREG_RETURN={self.result}",
            f"-DREG_SP={self.stack_pointer}",
            f"-DREG_IP={self.instruction_pointer}",
            *([f"-DREG_FLAGS={self.flags}"] if self.flags else []),
            f"-DFRAME_AT_RETURN={self.frame_at_return}",
        ]


X86_64 = Arch(
    name="x86_64",
    elf_machine=62,
    sys_bpf=321,
    sys_perf_event_open=298,
    sys_membarrier=324,
    pt_regs=(
        "unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, "
        "ip, cs, flags, sp, ss"
    ),
    arguments=("di", "si", "dx", "cx", "r8", "r9"),
    result="ax",
    stack_pointer="sp",
    instruction_pointer="ip",
    flags="flags",
    frame_at_return=8,
    tested=True,
)

#: From the kernel's headers and the AAPCS64; never run. The return address is in a register there,
#: so that the stack pointer is the same at both sides.
AARCH64 = Arch(
    name="aarch64",
    elf_machine=183,
    sys_bpf=280,
    sys_perf_event_open=241,
    sys_membarrier=283,
    pt_regs="unsigned long regs[31], sp, pc, pstate",
    arguments=tuple(f"regs[{i}]" for i in range(6)),
    result="regs[0]",
    stack_pointer="sp",
    instruction_pointer="pc",
    flags=None,
    frame_at_return=0,
    tested=False,
)

ARCHITECTURES = {arch.name: arch for arch in (X86_64, AARCH64)}


def host() -> Arch:
    """The architecture of this machine; `KernelError` where funcsnoop has no values for it."""
    machine = platform.machine()
    try:
        return ARCHITECTURES[machine]
    except KeyError:
        raise KernelError(
            f"no support for the architecture {machine}",
            f"Record on one of {', '.join(ARCHITECTURES)}; traces can be analysed anywhere.",
        ) from None
