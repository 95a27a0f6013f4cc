"""What `funcsnoop doctor` looks at: one finding a line, with the remedy where something is wrong."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import FuncsnoopError
from . import trials
from .arch import host
from .binding import load_bcc
from .features import Strategy, check, missing_capabilities, require_privilege

_CAPABILITIES = ("CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_PERFMON", "CAP_BPF")
_LITTLE_MEMORY = 256 << 20


@dataclass(frozen=True)
class Finding:
    subject: str
    #: True: ok. False: recording does not work. None: it works, with a limit.
    works: bool | None
    detail: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Look at kernel, user and packages; the findings in the order in which to mend them."""
    yield _architecture()
    yield _kernel()
    yield _capabilities()
    yield _bcc()
    loads = _loads()
    yield loads
    if loads.works:
        yield from _strategies()
        yield _program()
        yield from _trials()
    yield _memory()
    yield _open_files()
    yield Finding(
        "tracefs",
        True,
        f"{'mounted' if Path('/sys/kernel/tracing/trace').exists() else 'not mounted'}, not needed",
    )
    yield Finding(
        "BTF", True, f"{'present' if Path('/sys/kernel/btf/vmlinux').exists() else 'absent'}, not needed"
    )
    yield Finding("kernel headers", True, "not needed")


def _architecture() -> Finding:
    try:
        arch = host()
    except FuncsnoopError as error:
        return Finding("architecture", False, error.message, error.hint)
    if arch.tested:
        return Finding("architecture", True, arch.name)
    return Finding(
        "architecture", None, f"{arch.name}, never tested", "Compare what you record with a known program."
    )


def _kernel() -> Finding:
    return Finding("kernel", True, os.uname().release)


def _capabilities() -> Finding:
    missing = missing_capabilities(_CAPABILITIES)
    if not missing:
        return Finding("privileges", True, "all capabilities that recording can use")
    if {"CAP_BPF", "CAP_PERFMON"} & set(missing) and "CAP_SYS_ADMIN" in missing:
        return Finding(
            "privileges", False, f"missing {', '.join(missing)}", "Run it as root, for example with sudo."
        )
    return Finding(
        "privileges",
        None,
        f"missing {', '.join(missing)}",
        "Processes of other users need CAP_SYS_PTRACE, perf links CAP_SYS_ADMIN.",
    )


def _bcc() -> Finding:
    try:
        bcc = load_bcc()
    except FuncsnoopError as error:
        return Finding("bcc", False, error.message, error.hint)
    return Finding("bcc", True, f"{bcc.__version__}, from {Path(bcc.__file__ or '').parent}")


def _loads() -> Finding:
    try:
        require_privilege()
    except FuncsnoopError as error:
        return Finding("bpf(2)", False, error.message, error.hint)
    return Finding("bpf(2)", True, "the kernel loads programs for this user")


def _strategies() -> Iterator[Finding]:
    found = {strategy: check(strategy) for strategy in Strategy}
    usable = any(feature.works for feature in found.values())
    for strategy, feature in found.items():
        remedy = (
            "" if feature.works else ("Another way is used." if usable else "Record on kernel 5.15 or newer.")
        )
        works = True if feature.works else (None if usable else False)
        yield Finding(f"attach {strategy}", works, feature.detail, remedy)


def _trials() -> Iterator[Finding]:
    nops, seccomp = trials.probes_on_nops(), trials.returns_under_seccomp()
    yield Finding(
        "5-byte NOPs",
        nops.works or None,
        nops.detail,
        "" if nops.works else "Probes sit behind them: a little slower, unless --allow-nop5 is given.",
    )
    yield Finding(
        "seccomp",
        seccomp.works or None,
        seccomp.detail,
        "" if seccomp.works else "Where there may be a filter, exits are seen at return instructions.",
    )


def _program() -> Finding:
    # The imports are here because they need NumPy, which nothing else on this page does.
    from .compile import Sizes
    from .program import Programs

    begin = time.monotonic()
    try:
        with Programs(Sizes()) as programs:
            programs.load("generic_entry", 0)
            programs.ring().close()
    except FuncsnoopError as error:
        return Finding("BPF program", False, error.message, error.hint)
    return Finding(
        "BPF program", True, f"compiled, loaded, ring buffer mapped in {time.monotonic() - begin:.2f} s"
    )


def _memory() -> Finding:
    available = next(
        int(line.split()[1]) << 10
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable:")
    )
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    limit = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft >> 10} KiB"
    detail = f"{available >> 20} MiB available, locked memory {limit} (matters before kernel 5.11 only)"
    if available < _LITTLE_MEMORY:
        return Finding("memory", None, detail, "The ring buffer is made smaller; watch for lost events.")
    return Finding("memory", True, detail)


def _open_files() -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Finding("open files", True, f"{soft} (perf links take one per probe, others one per module)")
