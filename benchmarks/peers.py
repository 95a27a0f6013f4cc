"""Tools that record calls of user-space functions, each on the same work: one function a tool.

Each takes the kind of prologue, how often to call, and an empty directory, and returns what it measured.
They share the kernel's table of named uprobe events, which one of them must have to itself: `main` holds a
lock. That table is a file system which is mounted for the tool alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import funcsnoop
from funcsnoop.bpf import syscall
from funcsnoop.bpf.arch import X86_64
from funcsnoop.bpf.features import NOTHING

HERE = Path(__file__).parent
FUNCSNOOP = Path(sys.executable).with_name("funcsnoop")
SECONDS = 120
_MOUNT = "mount -t tracefs none /sys/kernel/tracing"


@dataclass(frozen=True)
class Measured:
    """One run: ns a call took in the program; events kept and lost (None: none are kept); bytes on disk."""

    ns_per_call: float
    events: int | None = None
    lost: int | None = None
    size: int | None = None


@dataclass(frozen=True)
class Tool:
    title: str
    run: Callable[[str, int, Path], Measured]
    needs: str | None = None  # an executable
    package: str | None = None  # of Debian, which has it
    kinds: tuple[str, ...] = ("push", "nop", "endbr64", "mov")


def program(source: str, *flags: str) -> Path:
    """Path of a compiled program of this folder."""
    place = HERE / "build" / Path(source).stem
    made = place.exists() and place.stat().st_mtime > (HERE / "programs" / source).stat().st_mtime
    if not made:
        place.parent.mkdir(exist_ok=True)
        subprocess.run(["gcc", "-O2", *flags, "-o", place, HERE / "programs" / source], check=True)
    return place


def run(command: list[str | Path], **options: object) -> subprocess.CompletedProcess[str]:
    """What it printed; raises where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, **options)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done


def with_tracefs(command: list[str | Path]) -> list[str | Path]:
    """The command, in a mount namespace that has tracefs."""
    return [
        "unshare",
        "-m",
        "sh",
        "-c",
        'mount -t tracefs none /sys/kernel/tracing; exec "$@"',
        "sh",
        *command,
    ]


def nothing(kind: str, calls: int, place: Path) -> Measured:
    return Measured(float(run([program("prologues.c"), kind, str(calls)]).stdout))


def _empty(kind: str, calls: int, returns: bool) -> Measured:
    """The bare cost: a program that does nothing, on the same instructions as `funcsnoop record` takes."""
    path = program("prologues.c")
    with ExitStack() as undo:
        process = subprocess.Popen(
            ["sh", "-c", 'read go; exec "$@"', "sh", path, kind, str(calls)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        undo.callback(process.wait)
        undo.callback(process.kill)
        attach_type = syscall.ATTACH_UPROBE_SESSION if returns else syscall.ATTACH_UPROBE_MULTI
        loaded = syscall.load_program("empty", NOTHING, attach_type)
        undo.callback(os.close, loaded)
        sites = [site for name, site in _sites(path).items() if name.startswith(f"{kind}_")]
        link = syscall.link_uprobe_multi(loaded, attach_type, str(path), sites, [0, 0], pid=process.pid)
        undo.callback(os.close, link)
        output, _ = process.communicate("go\n", timeout=SECONDS)
        return Measured(float(output))


@cache
def _sites(path: Path) -> dict[str, int]:
    """Where funcsnoop would probe the functions (file offsets)."""
    rows = json.loads(run([FUNCSNOOP, "list", path, "--format", "json"]).stdout)
    return {row["symbol"]: row["site"] for row in rows}


def empty_entry(kind: str, calls: int, place: Path) -> Measured:
    return _empty(kind, calls, returns=False)


def empty_session(kind: str, calls: int, place: Path) -> Measured:
    return _empty(kind, calls, returns=True)


def _record(kind: str, calls: int, place: Path, *options: str) -> Measured:
    output = place / "trace.parquet"
    command = ["record", "-q", "--exit", "return", "-o", output, *options, "-f", f"{kind}_*"]
    printed = run([FUNCSNOOP, *command, "--", program("prologues.c"), kind, str(calls)]).stdout
    counts = funcsnoop.open(output).metadata["counts"]
    return Measured(float(printed), counts["recorded"], sum(counts["lost"].values()), output.stat().st_size)


def record(*options: str) -> Callable[[str, int, Path], Measured]:
    return lambda kind, calls, place: _record(kind, calls, place, *options)


def perf(kind: str, calls: int, place: Path) -> Measured:
    path, group = program("prologues.c"), f"funcsnoop_{os.getpid()}"
    data = place / "perf.data"
    probes = [
        f"perf probe -q -x {path} '{group}:{side}_{letter}={kind}_{letter}{what}'"
        for letter in "fg"
        for side, what in (("entry", " arg=%di:u64"), ("exit", "%return ret=$retval"))
    ]
    script = " && ".join(
        [
            _MOUNT,
            *probes,
            f"perf record -q -o {data} -e '{group}:*' {path} {kind} {calls}",
        ]
    )
    # The events are the kernel's, not the namespace's: they go in any case.
    script = f"({script}); status=$?; perf probe -q -d '{group}:*'; exit $status"
    printed = run(["unshare", "-m", "sh", "-c", script]).stdout
    stats = run(["perf", "report", "-i", data, "--stats"]).stdout
    events = int(re.search(r"SAMPLE events: +(\d+)", stats)[1])
    lost = sum(int(count) for count in re.findall(r"LOST(?:_SAMPLES)? events: +(\d+)", stats))
    return Measured(float(printed), events, max(lost, 2 * calls - events), data.stat().st_size)


def _bpftrace(kind: str, calls: int, place: Path, entry: str, exit_: str) -> tuple[float, Path]:
    path, output = program("prologues.c"), place / "out"
    at = [f"probe:{path}:{kind}_{letter}" for letter in "fg"]
    entries = ",".join(name.replace("probe:", "uprobe:", 1) for name in at)
    exits = ",".join(name.replace("probe:", "uretprobe:", 1) for name in at)
    script = f"{entries} {{ {entry} }} {exits} {{ {exit_} }}"
    traced = f"{path} {kind} {calls}"
    done = run(with_tracefs(["bpftrace", "-o", output, "-c", traced, "-e", script]))
    return float(re.search(r"^[\d.]+$", done.stdout, re.MULTILINE)[0]), output


def bpftrace_printf(kind: str, calls: int, place: Path) -> Measured:
    told = 'printf("%s %d %lu %lu\\n", probe, tid, nsecs, {});'
    ns, output = _bpftrace(kind, calls, place, told.format("arg0"), told.format("retval"))
    events = output.read_bytes().count(b"probe:")
    return Measured(ns, events, 2 * calls - events, output.stat().st_size)


def bpftrace_histogram(kind: str, calls: int, place: Path) -> Measured:
    ns, _ = _bpftrace(
        kind, calls, place, "@s[tid] = nsecs;", "@h[func] = hist(nsecs - @s[tid]); delete(@s[tid]);"
    )
    return Measured(ns)


def bcc_funclatency(kind: str, calls: int, place: Path) -> Measured:
    # bcc wants kernel headers; ours do, where they are told the registers.
    shim = place / "shim"
    shutil.copytree(HERE.parent / "bpf" / "shim", shim)
    header = shim / "include/uapi/linux/ptrace.h"
    header.write_text(f"#define PT_REGS_FIELDS {X86_64.pt_regs}\n{header.read_text()}")
    path, output = program("prologues.c"), place / "out"
    environment = os.environ | {"BCC_KERNEL_SOURCE": str(shim)}
    tool = ["funclatency-bpfcc", f"{path}:{kind}_*"]
    with output.open("w") as file:
        process = subprocess.Popen(with_tracefs(tool), stdout=file, stderr=file, env=environment)
        try:
            _wait_for(lambda: "Tracing" in output.read_text() or process.poll() is not None)
            printed = run([path, kind, str(calls)]).stdout
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(SECONDS)
    found = re.search(r"count: (\d+)", output.read_text())
    if not found or int(found[1]) != calls:
        raise RuntimeError(f"funclatency-bpfcc: {output.read_text()[-500:]}")
    return Measured(float(printed))


def uftrace(kind: str, calls: int, place: Path) -> Measured:
    data = place / "uftrace.data"
    path = program("instrumented.c", "-pg")
    printed = run(["uftrace", "record", "-d", data, "-F", "f", "-F", "g", "-A", "f@arg1", "-A", "g@arg1",
                   "-R", "f@retval", "-R", "g@retval", path, str(calls)])  # fmt: skip
    dumped = run(["uftrace", "report", "-d", data, "-f", "call"]).stdout
    seen = sum(int(line.split()[0]) for line in dumped.splitlines() if line.split()[-1:] in (["f"], ["g"]))
    size = sum(file.stat().st_size for file in data.iterdir())
    return Measured(float(printed.stdout), 2 * seen, 2 * (calls - seen), size)


def _wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the tool does not start")
        time.sleep(0.05)


TOOLS = (
    Tool("untraced", nothing),
    Tool("empty program, entry", empty_entry),
    Tool("empty program, entry and return", empty_session),
    Tool("funcsnoop record", record()),
    *(
        Tool(f"funcsnoop record {options}", record(*options.split()), kinds=("push",))
        for options in (
            "--args 0",
            "--events spans",
            "--sample 1/100",
            "--min-duration 1s",
            "--budget 100",
        )
    ),
    Tool("perf record", perf, "perf", "linux-perf"),
    Tool("bpftrace printf", bpftrace_printf, "bpftrace", "bpftrace"),
    Tool("bpftrace histogram", bpftrace_histogram, "bpftrace", "bpftrace"),
    Tool("bcc funclatency", bcc_funclatency, "funclatency-bpfcc", "bpfcc-tools"),
    Tool("uftrace (instrumented)", uftrace, "uftrace", "uftrace", ("push",)),
)
