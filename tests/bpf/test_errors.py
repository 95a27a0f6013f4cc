"""Bad input to `record`: two lines, what is wrong and what to do; nothing is left behind."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FUNCSNOOP = Path(sys.executable).with_name("funcsnoop")


@pytest.fixture
def fails(run, tmp_path):
    """fails(arguments, wrong, todo): exit status 1, two lines that match, no file."""

    def fails_(*arguments, wrong, todo, status=1):
        before = set(tmp_path.iterdir())
        done = run("record", *arguments)
        assert done.status == status, done
        assert done.stdout == ""
        lines = done.stderr.splitlines()
        assert len(lines) == 2, done.stderr
        assert lines[0].startswith("funcsnoop: ")
        assert re.search(wrong, lines[0]), lines
        assert lines[1].startswith("  ")
        assert re.search(todo, lines[1]), lines
        assert set(tmp_path.iterdir()) == before

    return fails_


@pytest.fixture
def calls(build):
    return build("calls.c", "-O1", "-g", "-fno-optimize-sibling-calls", "-pthread")


def test_no_such_module(fails):
    fails("-f", "libsqlite9:x", "--", "/bin/true", wrong="libsqlite9", todo="libsqlite3")


def test_no_match_names_the_closest(fails, calls):
    fails("-f", "factorail", "--", calls, wrong="factorail", todo="factorial")


def test_not_elf(fails, tmp_path):
    (tmp_path / "text").write_text("hello\n")
    fails("-f", f"{tmp_path}/text:x", "--", "/bin/true", wrong="not an ELF", todo=".")


def test_32_bit(fails, tmp_path):
    header = bytearray(Path("/bin/true").read_bytes())
    header[4] = 1
    (tmp_path / "old").write_bytes(header)
    fails("-f", f"{tmp_path}/old:x", "--", "/bin/true", wrong="32-bit", todo="64-bit")


def test_foreign_architecture(fails, tmp_path):
    header = bytearray(Path("/bin/true").read_bytes())
    header[18:20] = (183).to_bytes(2, "little")
    (tmp_path / "arm").write_bytes(header)
    fails("-f", f"{tmp_path}/arm:x", "--", "/bin/true", wrong="aarch64|AArch64|183", todo=".")


def test_no_symbols(fails):
    fails("--", "/bin/true", wrong="no (symbol|function)", todo="debug|symbols")


def test_pid_gone(fails):
    gone = subprocess.Popen(["true"])
    gone.wait()
    fails("-p", str(gone.pid), wrong=f"{gone.pid}", todo=".")


def test_command_missing(fails):
    fails("--", "no-such-command", wrong="no-such-command", todo="PATH|path|spelling")


def test_command_not_executable(fails, tmp_path):
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    fails("--", f"{tmp_path}/plain", wrong="not executable", todo="chmod")


def test_command_is_a_directory(fails, tmp_path):
    fails("--", str(tmp_path), wrong="directory", todo=".")


def test_output_exists(fails, calls, tmp_path):
    (tmp_path / "trace.parquet").write_text("precious")
    fails("--", calls, wrong="trace.parquet exists", todo="--force")
    assert (tmp_path / "trace.parquet").read_text() == "precious"


def test_partial_exists(fails, calls, tmp_path):
    (tmp_path / "trace.parquet.partial").write_text("precious")
    fails("--", calls, wrong="trace.parquet.partial exists", todo="-o")
    assert (tmp_path / "trace.parquet.partial").read_text() == "precious"


def test_output_through_a_planted_link(fails, calls, tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "trace.parquet.partial").symlink_to("victim")
    fails("--force", "--", calls, wrong="exists", todo="-o")
    assert (tmp_path / "victim").read_text() == "precious"


def test_directory_missing(fails, calls, tmp_path):
    fails("-o", "nowhere/t.parquet", "--", calls, wrong="nowhere", todo="-o|[Cc]reate")


def test_directory_not_writable(fails, calls):
    fails("-o", "/proc/t.parquet", "--", calls, wrong="/proc", todo="-o")


def test_output_is_a_directory(fails, calls, tmp_path):
    (tmp_path / "d").mkdir()
    fails("-o", "d", "--force", "--", calls, wrong="directory", todo="-o")


@pytest.mark.parametrize("arguments", [(), ("-p", "1", "--", "true"), ("--all-processes", "-p", "1")])
def test_nothing_or_too_much_to_record(fails, arguments):
    fails(*arguments, wrong="say what to record", todo="for example|For example", status=2)


def test_bad_sizes_and_durations(fails):
    fails("--buffer", "17M", "--", "true", wrong="17825792", todo="power of two", status=2)
    fails("--duration", "soon", "--", "true", wrong="soon", todo="10s", status=2)
    fails("-f", "/(/", "--", "true", wrong="[Rr]eg", todo=".", status=2)


def test_bystanders_would_be_hijacked(fails, calls):
    """Two processes and one filter: only session links can leave the others alone."""
    fails("--all-processes", "-f", f"{calls}:no_such", wrong="no_such", todo=".")


def unprivileged(*arguments, cwd):
    return subprocess.run(
        [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            FUNCSNOOP,
            "record",
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=60,
    )


def test_no_privilege_names_the_capability(calls, tmp_path):
    os.chmod(tmp_path, 0o777)
    done = unprivileged("-f", "libc:puts", "--", "/bin/true", cwd=tmp_path)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert "CAP_BPF and CAP_PERFMON" in first
    assert "root" in second
    assert list(tmp_path.iterdir()) == []


def test_process_of_another_user(tmp_path):
    done = unprivileged("-p", "1", cwd=tmp_path)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert "process 1" in first
    assert "CAP_SYS_PTRACE" in first + second


def test_a_command_that_the_kernel_does_not_execute(fails, tmp_path):
    (tmp_path / "noformat").write_text("echo hello\n")
    (tmp_path / "noformat").chmod(0o755)
    fails("-f", "libc:puts", "--", f"{tmp_path}/noformat", wrong="noformat", todo=".")
