"""`bpf(2)` and `perf_event_open(2)`, for what bcc has no call for: programs with an attach type and
links with cookies.

Structures and numbers are those of `include/uapi/linux/bpf.h` and `perf_event.h`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Sequence

from .arch import host

MAP_CREATE = 0
MAP_LOOKUP_ELEM = 1
MAP_UPDATE_ELEM = 2
MAP_DELETE_ELEM = 3
MAP_GET_NEXT_KEY = 4
PROG_LOAD = 5
MAP_LOOKUP_BATCH = 24
MAP_UPDATE_BATCH = 26
OBJ_GET_INFO_BY_FD = 15
RAW_TRACEPOINT_OPEN = 17
LINK_CREATE = 28

MAP_TYPE_ARRAY = 2
PROG_TYPE_KPROBE = 2
PROG_TYPE_RAW_TRACEPOINT = 17

# enum bpf_attach_type
ATTACH_PERF_EVENT = 41
ATTACH_UPROBE_MULTI = 48
ATTACH_UPROBE_SESSION = 57

UPROBE_MULTI_RETURN = 1

_LOG_BYTES = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _MapCreate(ctypes.Structure):
    _fields_ = (
        ("map_type", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
    )


class _ProgLoad(ctypes.Structure):
    _fields_ = (
        ("prog_type", ctypes.c_uint32),
        ("insn_cnt", ctypes.c_uint32),
        ("insns", ctypes.c_uint64),
        ("license", ctypes.c_uint64),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_uint64),
        ("kern_version", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_name", ctypes.c_char * 16),
        ("prog_ifindex", ctypes.c_uint32),
        ("expected_attach_type", ctypes.c_uint32),
    )


class _UprobeMulti(ctypes.Structure):
    _fields_ = (
        ("path", ctypes.c_uint64),
        ("offsets", ctypes.c_uint64),
        ("ref_ctr_offsets", ctypes.c_uint64),
        ("cookies", ctypes.c_uint64),
        ("cnt", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("pid", ctypes.c_uint32),
        ("_padding", ctypes.c_uint32),
    )


class _LinkCreate(ctypes.Structure):
    """`union bpf_attr`'s link_create, with the member of its union that is in use."""

    class _Kind(ctypes.Union):
        _fields_ = (("uprobe_multi", _UprobeMulti), ("perf_cookie", ctypes.c_uint64))

    _fields_ = (
        ("prog_fd", ctypes.c_uint32),
        ("target_fd", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("kind", _Kind),
    )


class _RawTracepoint(ctypes.Structure):
    _fields_ = (("name", ctypes.c_uint64), ("prog_fd", ctypes.c_uint32), ("_padding", ctypes.c_uint32))


class _ProgInfo(ctypes.Structure):
    """The start of `struct bpf_prog_info`."""

    _fields_ = (("_before", ctypes.c_uint8 * 208), ("recursion_misses", ctypes.c_uint64))


class _ObjInfo(ctypes.Structure):
    _fields_ = (("bpf_fd", ctypes.c_uint32), ("info_len", ctypes.c_uint32), ("info", ctypes.c_uint64))


class _MapElem(ctypes.Structure):
    _fields_ = (
        ("map_fd", ctypes.c_uint32),
        ("_padding", ctypes.c_uint32),
        ("key", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


class _MapBatch(ctypes.Structure):
    _fields_ = (
        ("in_batch", ctypes.c_uint64),
        ("out_batch", ctypes.c_uint64),
        ("keys", ctypes.c_uint64),
        ("values", ctypes.c_uint64),
        ("count", ctypes.c_uint32),
        ("map_fd", ctypes.c_uint32),
        ("elem_flags", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


class _PerfEventAttr(ctypes.Structure):
    """The first 72 bytes (PERF_ATTR_SIZE_VER1), which hold all that a uprobe needs."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("config", ctypes.c_uint64),
        ("sample_period", ctypes.c_uint64),
        ("sample_type", ctypes.c_uint64),
        ("read_format", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("wakeup_events", ctypes.c_uint32),
        ("bp_type", ctypes.c_uint32),
        ("uprobe_path", ctypes.c_uint64),
        ("probe_offset", ctypes.c_uint64),
    )


def _raise_errno() -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))


def _bpf(command: int, attributes: ctypes.Structure) -> int:
    result = int(
        _libc.syscall(
            ctypes.c_long(host().sys_bpf),
            ctypes.c_long(command),
            ctypes.byref(attributes),
            ctypes.c_ulong(ctypes.sizeof(attributes)),
        )
    )
    if result < 0:
        _raise_errno()
    return result


class VerifierError(OSError):
    """The kernel refused a program; `log` is the verifier's, empty where it said nothing."""

    def __init__(self, number: int, log: str) -> None:
        super().__init__(number, os.strerror(number))
        self.log = log


def load_program(
    name: str, instructions: bytes, attach_type: int, program_type: int = PROG_TYPE_KPROBE
) -> int:
    """Load a program, by default of the type that uprobes use; its file descriptor, close-on-exec.

    Raises `VerifierError`.
    """
    code = ctypes.create_string_buffer(instructions, len(instructions))
    license_name = ctypes.create_string_buffer(b"Dual MIT/GPL")
    attributes = _ProgLoad(
        prog_type=program_type,
        insn_cnt=len(instructions) // 8,
        insns=ctypes.addressof(code),
        license=ctypes.addressof(license_name),
        prog_name=name.encode()[:15],
        expected_attach_type=attach_type,
    )
    try:
        return _bpf(PROG_LOAD, attributes)
    except OSError:
        # Once more, for the reason: a log buffer slows the verifier down.
        log = ctypes.create_string_buffer(_LOG_BYTES)
        attributes.log_level = 1
        attributes.log_size = _LOG_BYTES
        attributes.log_buf = ctypes.addressof(log)
        try:
            return _bpf(PROG_LOAD, attributes)
        except OSError as error:
            raise VerifierError(error.errno or 0, log.value.decode(errors="replace")) from None


def recursion_misses(program: int) -> int:
    """How often the kernel did not run a program, as it was running on that CPU already. Raises `OSError`."""
    info = _ProgInfo()
    _bpf(
        OBJ_GET_INFO_BY_FD,
        _ObjInfo(bpf_fd=program, info_len=ctypes.sizeof(info), info=ctypes.addressof(info)),
    )
    return int(info.recursion_misses)


def link_uprobe_multi(
    program: int,
    attach_type: int,
    path: str,
    offsets: Sequence[int],
    cookies: Sequence[int],
    *,
    pid: int = 0,
    on_return: bool = False,
) -> int:
    """One link for all `offsets` (file offsets) of the ELF file `path`; its file descriptor.

    With `pid`, only that process gets the breakpoints. Raises `OSError`.
    """
    path_bytes = ctypes.create_string_buffer(os.fsencode(path))
    count = len(offsets)
    offset_array = (ctypes.c_uint64 * count)(*offsets)
    cookie_array = (ctypes.c_uint64 * count)(*cookies)
    attributes = _LinkCreate(prog_fd=program, attach_type=attach_type)
    attributes.kind.uprobe_multi = _UprobeMulti(
        path=ctypes.addressof(path_bytes),
        offsets=ctypes.addressof(offset_array),
        cookies=ctypes.addressof(cookie_array),
        cnt=count,
        flags=UPROBE_MULTI_RETURN if on_return else 0,
        pid=pid,
    )
    return _bpf(LINK_CREATE, attributes)


def open_uprobe_event(
    pmu_type: int, path: str, offset: int, *, pid: int = -1, return_bit: int | None = None
) -> int:
    """A perf event of the uprobe PMU; its file descriptor. Raises `OSError`.

    `return_bit` is the bit of `config` that asks for a return probe. Without `pid` (-1) the probe
    fires in every process.
    """
    path_bytes = ctypes.create_string_buffer(os.fsencode(path))
    attributes = _PerfEventAttr(
        type=pmu_type,
        size=ctypes.sizeof(_PerfEventAttr),
        config=0 if return_bit is None else 1 << return_bit,
        sample_period=1,
        wakeup_events=1,
        uprobe_path=ctypes.addressof(path_bytes),
        probe_offset=offset,
    )
    close_on_exec = 8
    descriptor = int(
        _libc.syscall(
            ctypes.c_long(host().sys_perf_event_open),
            ctypes.byref(attributes),
            ctypes.c_long(pid),
            ctypes.c_long(-1 if pid > 0 else 0),
            ctypes.c_long(-1),
            ctypes.c_ulong(close_on_exec),
        )
    )
    if descriptor < 0:
        _raise_errno()
    return descriptor


def link_perf_event(program: int, event: int, cookie: int) -> int:
    """Run `program` with `cookie` when the perf event fires; the link's file descriptor."""
    attributes = _LinkCreate(prog_fd=program, target_fd=event, attach_type=ATTACH_PERF_EVENT)
    attributes.kind.perf_cookie = cookie
    return _bpf(LINK_CREATE, attributes)


def open_raw_tracepoint(program: int, name: str) -> int:
    """Run `program` at a tracepoint of the kernel; the link's file descriptor. Raises `OSError`."""
    text = ctypes.create_string_buffer(name.encode())
    return _bpf(RAW_TRACEPOINT_OPEN, _RawTracepoint(name=ctypes.addressof(text), prog_fd=program))


def wait_for_programs() -> None:
    """Return when all programs on probes have ended that run now. Raises `OSError` where that cannot be had.

    They run as readers of RCU, whose grace period membarrier(2) waits for.
    """
    everywhere = 1  # MEMBARRIER_CMD_GLOBAL
    if _libc.syscall(ctypes.c_long(host().sys_membarrier), everywhere, 0, 0) < 0:
        _raise_errno()


def create_array(value_bytes: int) -> int:
    """A BPF array of one zeroed value; its file descriptor. Raises `OSError`."""
    return _bpf(
        MAP_CREATE, _MapCreate(map_type=MAP_TYPE_ARRAY, key_size=4, value_size=value_bytes, max_entries=1)
    )


def update_map(descriptor: int, key: bytes, value: bytes) -> None:
    """Set one element of a map. Raises `OSError`."""
    key_buffer = ctypes.create_string_buffer(key, len(key))
    value_buffer = ctypes.create_string_buffer(value, len(value))
    _bpf(
        MAP_UPDATE_ELEM,
        _MapElem(map_fd=descriptor, key=ctypes.addressof(key_buffer), value=ctypes.addressof(value_buffer)),
    )


def update_map_batch(descriptor: int, keys: bytes, values: bytes, count: int) -> None:
    """Set `count` elements of a map, whose keys and values follow each other. Raises `OSError`."""
    if not count:
        return
    key_buffer = ctypes.create_string_buffer(keys, len(keys))
    value_buffer = ctypes.create_string_buffer(values, len(values))
    _bpf(
        MAP_UPDATE_BATCH,
        _MapBatch(
            map_fd=descriptor,
            keys=ctypes.addressof(key_buffer),
            values=ctypes.addressof(value_buffer),
            count=count,
        ),
    )


def lookup_map(descriptor: int, key: bytes, value_bytes: int) -> bytes:
    """One element of a map, of all CPUs one after the other for a per-CPU map. Raises `OSError`."""
    key_buffer = ctypes.create_string_buffer(key, len(key))
    value_buffer = ctypes.create_string_buffer(value_bytes)
    _bpf(
        MAP_LOOKUP_ELEM,
        _MapElem(map_fd=descriptor, key=ctypes.addressof(key_buffer), value=ctypes.addressof(value_buffer)),
    )
    return value_buffer.raw


def delete_from_map(descriptor: int, key: bytes) -> None:
    """Delete one element of a map, if it is there. Raises `OSError`."""
    key_buffer = ctypes.create_string_buffer(key, len(key))
    with contextlib.suppress(FileNotFoundError):
        _bpf(MAP_DELETE_ELEM, _MapElem(map_fd=descriptor, key=ctypes.addressof(key_buffer)))


def first_key(descriptor: int, key_bytes: int) -> bytes | None:
    """Any key of a hash map, None if it is empty. Raises `OSError`."""
    key_buffer = ctypes.create_string_buffer(key_bytes)
    try:
        _bpf(MAP_GET_NEXT_KEY, _MapElem(map_fd=descriptor, key=0, value=ctypes.addressof(key_buffer)))
    except FileNotFoundError:
        return None
    return key_buffer.raw


def read_all(descriptor: int, key_bytes: int, value_bytes: int, most: int) -> list[tuple[bytes, bytes]]:
    """Every element of a hash map of at most `most`; (key, value) pairs. Raises `OSError`.

    One that is there all the time is among them, whatever else comes and goes.
    """
    keys = ctypes.create_string_buffer(most * key_bytes)
    values = ctypes.create_string_buffer(most * value_bytes)
    place = ctypes.create_string_buffer(8)
    batch = _MapBatch(
        out_batch=ctypes.addressof(place),
        keys=ctypes.addressof(keys),
        values=ctypes.addressof(values),
        map_fd=descriptor,
    )
    found: list[tuple[bytes, bytes]] = []
    more = True
    while more:
        batch.count = most
        try:
            _bpf(MAP_LOOKUP_BATCH, batch)
        except FileNotFoundError:
            more = False
        found += (
            (
                ctypes.string_at(ctypes.addressof(keys) + i * key_bytes, key_bytes),
                ctypes.string_at(ctypes.addressof(values) + i * value_bytes, value_bytes),
            )
            for i in range(batch.count)
        )
        batch.in_batch = batch.out_batch
    return found


def take_all(descriptor: int, key_bytes: int, value_bytes: int) -> list[tuple[bytes, bytes]]:
    """Take every element out of a hash map; (key, value) pairs. Raises `OSError`."""
    taken: list[tuple[bytes, bytes]] = []
    while (key := first_key(descriptor, key_bytes)) is not None:
        taken.append((key, lookup_map(descriptor, key, value_bytes)))
        delete_from_map(descriptor, key)
    return taken
