"""GNU indirect functions: where the code that a process runs for them really is.

The symbol's address is that of a resolver, which the loader calls once to choose an implementation for
this processor. Where funcsnoop's own process has the same file loaded, its loader has already chosen,
and the same way as the target's: same file, same processor, no GLIBC_TUNABLES that say otherwise.
"""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .processes import parse_maps

_OTHER_FILE = (
    "an IFUNC, whose code only the target's loader knows: this file is not loaded in funcsnoop itself"
)
_TUNED = "an IFUNC, and GLIBC_TUNABLES changes which code the target runs for it"
_ELSEWHERE = "an IFUNC, and its code is outside this file"
_HIDDEN = "an IFUNC that is not exported, whose code only the target's loader knows"


@dataclass(frozen=True)
class Resolved:
    """Implementations: file offset → the names that lead there; and why the other names have none."""

    names: Mapping[int, tuple[str, ...]]
    refused: Mapping[str, str]


def resolve(
    file: str, resolvers: Sequence[frozenset[str]], environments: Sequence[Mapping[str, str]]
) -> Resolved:
    """Find the code behind the IFUNCs of the ELF file that we open as `file`.

    Each of `resolvers` holds the names of one resolver, `environments` are those of the target's
    processes. Does not raise: what is not certain is refused.
    """
    names = sorted({name for group in resolvers for name in group})
    if not names:
        return Resolved({}, {})
    if any(_tuned(environment) for environment in (os.environ, *environments)):
        return Resolved({}, dict.fromkeys(names, _TUNED))
    loaded = _loaded(file)
    if not loaded:
        return Resolved({}, dict.fromkeys(names, _OTHER_FILE))
    try:
        library = ctypes.CDLL(loaded[0][3], mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError:
        return Resolved({}, dict.fromkeys(names, _OTHER_FILE))
    addresses = {name: address for name in names if (address := _lookup(library, name)) is not None}
    addresses |= _siblings(resolvers, addresses)
    found: dict[int, list[str]] = {}
    refused = dict.fromkeys(names, _HIDDEN)
    for name, address in addresses.items():
        offset = next((address - start + at for start, end, at, _ in loaded if start <= address < end), None)
        if offset is None:
            refused[name] = _ELSEWHERE
        else:
            del refused[name]
            found.setdefault(offset, []).append(name)
    return Resolved({offset: tuple(group) for offset, group in found.items()}, refused)


def _lookup(library: ctypes.CDLL, name: str) -> int | None:
    try:
        return ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    except (AttributeError, ValueError, UnicodeEncodeError):
        return None


def _siblings(resolvers: Sequence[frozenset[str]], addresses: Mapping[str, int]) -> dict[str, int]:
    """Addresses for names that are not exported, from exported ones of the same resolver.

    A name that stands for several versions of a function has several resolvers, and says nothing.
    """
    count = Counter(name for group in resolvers for name in group)
    found: dict[str, int] = {}
    for group in resolvers:
        known = {addresses[name] for name in group if name in addresses and count[name] == 1}
        if len(known) == 1:
            address = known.pop()
            found |= {name: address for name in group if name not in addresses and count[name] == 1}
    return found


def _tuned(environment: Mapping[str, str]) -> bool:
    return any(word in environment.get("GLIBC_TUNABLES", "") for word in ("hwcap", "x86_", "cpu"))


def _loaded(file: str) -> list[tuple[int, int, int, str]]:
    """(start, end, file offset, path) of the code of `file` in our own process."""
    try:
        wanted = os.stat(file)
        with open("/proc/self/maps", "rb") as maps:
            mappings = [m for m in parse_maps(maps.read()) if m.executable and m.inode == wanted.st_ino]
        return [
            (m.start, m.end, m.offset, m.path) for m in mappings if os.path.samestat(os.stat(m.path), wanted)
        ]
    except OSError:
        return []
