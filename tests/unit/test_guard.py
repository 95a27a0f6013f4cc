"""Files that change between their reading and their probing, or while they are probed."""

import fcntl
import os
import shutil
import threading

import pytest

from funcsnoop.errors import TargetError
from funcsnoop.record.guard import Guard
from funcsnoop.record.plan import make_plan
from funcsnoop.record.target import Target


@pytest.fixture
def program(build, tmp_path):
    return shutil.copy(build("calls.c", "-O1", "-pthread"), tmp_path / "program")


@pytest.fixture
def modules(program):
    return make_plan(Target.for_command([str(program)]), [], []).modules


@pytest.fixture
def guard(modules):
    guard = Guard(modules)
    yield guard
    guard.close()


def test_nothing_changes(guard):
    guard.check()
    assert guard.see() is None
    assert [*guard.notices_before(), *guard.notices_after()] == []


def test_touched_since_it_was_read(program, modules):
    os.utime(program, ns=(1, 1))
    with pytest.raises(TargetError, match="was changed while it was read"):
        Guard(modules)


def test_another_file_by_the_time_it_is_probed(program, guard):
    shutil.copy(program, f"{program}2")
    os.replace(f"{program}2", program)
    with pytest.raises(TargetError, match="was changed while it was read"):
        guard.check()
    (notice,) = guard.notices_after()
    assert "was replaced on disk" in notice
    assert guard.see() is None  # the one that is held has not changed


def test_who_writes_waits_until_it_is_closed(program, guard):
    written = threading.Event()

    def write() -> None:
        with open(program, "r+b") as file:
            file.write(b"x")
        written.set()

    writer = threading.Thread(target=write)
    writer.start()
    while guard.see() is None:
        assert not written.is_set()
    assert guard.see() == str(program)
    assert not written.is_set()
    guard.close()
    writer.join(60)
    assert written.is_set()


def test_without_leases_it_is_seen_afterwards(program, modules, monkeypatch):
    def refuse(descriptor: int, operation: int, argument: int = 0) -> int:
        if operation == fcntl.F_SETLEASE:
            raise PermissionError(13, "no leases here")
        return 0

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "fcntl", refuse)
        guard = Guard(modules)
    assert guard.see() is None
    with open(program, "ab") as file:
        file.write(b"x")
    assert guard.see() == str(program)
    guard.close()
