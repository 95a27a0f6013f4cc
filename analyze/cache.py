"""Answers that were found once are kept beside the trace, in `.funcsnoop-cache`.

What is kept goes by the content of the trace, and counts only if it is whole and nobody else can have written
it. Where nothing can be kept, nothing is; no error of the cache is anybody's business.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

NAME: Final = ".funcsnoop-cache"
_MAGIC: Final = b"FSNPANS1"
_DIGEST: Final = 32
#: Bytes in one directory; the oldest that were used go first.
LIMIT: Final = 1 << 28
_SUFFIX: Final = ".answers"


class Cache:
    """The answers kept beside the trace `path`; they belong to `owner`, user and group, by default who we
    are.
    """

    def __init__(self, path: Path, owner: tuple[int, int] | None = None) -> None:
        self._parent = path.absolute().parent
        self._owner = owner or (os.geteuid(), os.getegid())

    def get(self, key: str) -> bytes | None:
        """What was kept under `key`."""
        try:
            with self._directory() as directory:
                descriptor = os.open(_name(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
                with open(descriptor, "rb") as file:
                    if not self._is_ours(os.fstat(descriptor), stat.S_IFREG):
                        return None
                    raw = file.read()
                    os.utime(descriptor)
        except OSError:
            return None
        digest, data = raw[len(_MAGIC) : len(_MAGIC) + _DIGEST], raw[len(_MAGIC) + _DIGEST :]
        return data if raw.startswith(_MAGIC) and _digest(data) == digest else None

    def put(self, key: str, data: bytes) -> None:
        """Keep `data` under `key`, all of it or nothing."""
        try:
            with self._directory(make=True) as directory:
                self._write(directory, _name(key), _MAGIC + _digest(data) + data)
                _clean(directory)
        except OSError:
            return

    @contextmanager
    def _directory(self, *, make: bool = False) -> Iterator[int]:
        """The directory, if it is ours; never through a link. Raises OSError."""
        parent = os.open(self._parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if make:
                try:
                    os.mkdir(NAME, 0o700, dir_fd=parent)
                except FileExistsError:
                    pass
                else:
                    os.chown(NAME, *self._owner, dir_fd=parent, follow_symlinks=False)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            directory = os.open(NAME, flags, dir_fd=parent)
        finally:
            os.close(parent)
        try:
            if not self._is_ours(os.fstat(directory), stat.S_IFDIR):
                raise PermissionError
            yield directory
        finally:
            os.close(directory)

    def _is_ours(self, found: os.stat_result, kind: int) -> bool:
        """Whether nobody else can have written it."""
        mode = found.st_mode
        return stat.S_IFMT(mode) == kind and found.st_uid == self._owner[0] and not mode & 0o022

    def _write(self, directory: int, name: str, raw: bytes) -> None:
        unfinished = f"{name}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(unfinished, flags, 0o600, dir_fd=directory)
        try:
            with open(descriptor, "wb") as file:
                if os.geteuid() != self._owner[0]:
                    os.fchown(descriptor, *self._owner)
                file.write(raw)
            os.rename(unfinished, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            os.unlink(unfinished, dir_fd=directory)
            raise


def _name(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest() + _SUFFIX


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()


def _clean(directory: int) -> None:
    """Delete what was used longest ago until the rest is small enough."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if _SUFFIX in entry.name:
                status = entry.stat(follow_symlinks=False)
                found.append((status.st_mtime_ns, status.st_size, entry.name))
    room = LIMIT
    for _, size, name in sorted(found, reverse=True):
        room -= size
        if room < 0:
            os.unlink(name, dir_fd=directory)
