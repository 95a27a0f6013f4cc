"""Read `/etc/ld.so.cache`: which file a library name stands for.

Format: glibc `sysdeps/generic/dl-cache.h`, struct cache_file_new ("glibc-ld.so.cache1.1"), also where
it follows an old-format cache in the same file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

_MAGIC: Final = b"glibc-ld.so.cache1.1"
_OLD_MAGIC: Final = b"ld.so-1.7.0"
_HEADER_BYTES: Final = 48
_ENTRY: Final = np.dtype(
    [("flags", "<i4"), ("key", "<u4"), ("value", "<u4"), ("os", "<u4"), ("hwcap", "<u8")]
)
_LARGEST: Final = 64 << 20


def read_cache(path: str = "/etc/ld.so.cache") -> list[tuple[str, str]]:
    """(name, path) in the cache's order; empty where there is no cache or it is damaged."""
    try:
        with open(path, "rb") as file:
            return list(parse_cache(file.read(_LARGEST)))
    except OSError:
        return []


def parse_cache(content: bytes) -> Iterator[tuple[str, str]]:
    """(name, path) of every entry for this word size that needs no special processor feature."""
    start = content.find(_MAGIC) if content.startswith((_OLD_MAGIC, _MAGIC)) else -1
    if start < 0 or len(content) < start + _HEADER_BYTES:
        return
    cache = content[start:]
    count = min(int.from_bytes(cache[20:24], "little"), (len(cache) - _HEADER_BYTES) // _ENTRY.itemsize)
    for entry in np.frombuffer(cache, _ENTRY, count, _HEADER_BYTES):
        # The low byte says libc 6; the next one the ABI, which is 0 for 32-bit files.
        if entry["flags"] & 0xFF != 3 or not entry["flags"] & 0xFF00 or entry["hwcap"]:
            continue
        key, value = (_string(cache, int(entry[name])) for name in ("key", "value"))
        if key and value:
            yield key, value


def _string(cache: bytes, offset: int) -> str:
    end = cache.find(b"\0", offset, offset + 4096)
    return cache[offset:end].decode("utf-8", "surrogateescape") if end >= 0 else ""
