"""What the kernel does not run, as it runs already, is counted: by it, and so by us."""

import contextlib
import json
import os
import struct
import subprocess
from pathlib import Path

from funcsnoop.bpf import syscall
from funcsnoop.bpf.compile import Sizes
from funcsnoop.bpf.program import TASK_PROGRAMS, Missed, Programs


def instruction(code, registers, offset=0, immediate=0):
    return struct.pack("<BBhi", code, registers, offset, immediate)


#: bpf_trace_printk("x"), whose own tracepoint can run it once more.
PRINTS = b"".join(
    (
        instruction(0x62, 0x0A, -8, ord("x")),  # *(u32 *)(r10 - 8) = "x"
        instruction(0xBF, 0xA1),  # r1 = r10
        instruction(0x07, 0x01, 0, -8),  # r1 += -8
        instruction(0xB7, 0x02, 0, 2),  # r2 = 2
        instruction(0x85, 0x00, 0, 6),  # call bpf_trace_printk
        instruction(0xB7, 0x00, 0, 0),  # r0 = 0
        instruction(0x95, 0x00),  # exit
    )
)


@contextlib.contextmanager
def descriptor(number):
    try:
        yield number
    finally:
        os.close(number)


def as_bpftool_says(program):
    text = Path(f"/proc/self/fdinfo/{program}").read_text()
    number = next(line.split()[1] for line in text.splitlines() if line.startswith("prog_id:"))
    shown = subprocess.run(["bpftool", "-j", "prog", "show", "id", number], check=True, capture_output=True)
    return json.loads(shown.stdout).get("recursion_misses", 0)


def test_a_program_that_would_run_itself_is_not_run():
    kind = syscall.PROG_TYPE_RAW_TRACEPOINT
    with descriptor(syscall.load_program("snoop_prints", PRINTS, 0, kind)) as program:
        assert syscall.recursion_misses(program) == 0
        with (
            descriptor(syscall.open_raw_tracepoint(program, "bpf_trace_printk")),
            descriptor(syscall.open_raw_tracepoint(program, "sched_process_exit")),
        ):
            for _ in range(7):
                subprocess.run(["true"], check=True)
        missed = syscall.recursion_misses(program)
        assert missed >= 7
        assert missed == as_bpftool_says(program)


def test_the_programs_of_a_recording_are_told_apart(monkeypatch):
    with Programs(Sizes(follow=True)) as programs:
        programs.load("generic_entry")
        for link in programs.watch_tasks(follow=True):
            os.close(link)
        assert programs.missed() == Missed(0, 0)
        loaded = {name: program for (name, _), program in programs._loaded.items()}
        counts = {program: 3 if name in TASK_PROGRAMS else 5 for name, program in loaded.items()}
        monkeypatch.setattr(syscall, "recursion_misses", counts.__getitem__)
        assert programs.missed() == Missed(events=5, tasks=9)
