"""Signals to the recorder, and ends of those around it, at the worst moment that there is for each."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import funcsnoop

from .sequences import (
    FUNCSNOOP,
    OPTIONS,
    check_sequence,
    committed,
    has_breakpoints,
    recorder,
    sequence,
    state,
    wait_until,
)

CALLS = 100_003
ENDS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def stop(process: subprocess.Popen[str]) -> None:
    """It stands still, so that what is sent to it now comes at once when it goes on."""
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: state(process.pid) == "T")


def stopped_with_a_held_command(program: Path, output: Path) -> tuple[subprocess.Popen[str], int]:
    """A recorder that was stopped between the start of its command and the release of it."""
    for _ in range(50):
        process = subprocess.Popen(
            [FUNCSNOOP, "record", "-o", output, "-f", "step", "--", program, "97", "0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while process.poll() is None:
            for child in map(int, children.read_text().split()):
                with suppress(OSError):
                    if Path(f"/proc/{child}/comm").read_text() == f"{program.name}\n":
                        stop(process)
                        if state(child) == "t":
                            return process, child
            if state(process.pid) == "T":
                break  # too late
        process.kill()
        process.communicate()
        for path in output.parent.glob("t.parquet*"):
            path.unlink()
    pytest.fail("the command was never seen held")


@pytest.mark.parametrize("number", ENDS)
def test_while_the_command_is_held(build, tmp_path, number):
    """Nothing is recorded, and the command never runs: it is gone, and no file is left."""
    output = tmp_path / "t.parquet"
    process, child = stopped_with_a_held_command(build("sequence.c", "-O1"), output)
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert (out, errors) == (
        "",
        "funcsnoop: interrupted before the recording began\n  Nothing was recorded.\n",
    )
    assert state(child) is None
    assert list(tmp_path.iterdir()) == []


def test_killed_while_the_command_is_held(build, tmp_path, run):
    """The command dies with its recorder, before its first instruction."""
    output = tmp_path / "t.parquet"
    process, child = stopped_with_a_held_command(build("sequence.c", "-O1"), output)
    process.kill()
    out, errors = process.communicate(timeout=60)
    assert (out, errors) == ("", "")
    wait_until(lambda: state(child) in (None, "Z"))
    done = run("recover", f"{output}.partial")
    assert len(done.stderr.splitlines()) == 2
    assert (done.status == 0) == output.exists()


@pytest.mark.parametrize("number", ENDS)
def test_a_process_is_recorded_until_the_signal(build, tmp_path, number):
    output = tmp_path / "t.parquet"
    with sequence(build("sequence.c", "-O1"), CALLS) as target, recorder(target, output) as process:
        wait_until(lambda: has_breakpoints(target.pid))
        target.go()
        wait_until(lambda: state(target.pid) == "Z")
        stop(process)
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        target.ends_as_if_alone()
    assert check_sequence(output) == 2 * CALLS


def test_one_signal_more_while_the_first_is_obeyed(build, tmp_path):
    """The file is finished, and what is said of it is still said."""
    output = tmp_path / "t.parquet"
    with sequence(build("sequence.c", "-O1"), CALLS) as target:
        words = [word for word in OPTIONS if word != "-q"]
        with subprocess.Popen(
            [FUNCSNOOP, "record", *words, "-o", output, "-p", str(target.pid)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert "Ctrl-C ends it" in process.stderr.readline()
            stop(process)
            for number in ENDS:
                process.send_signal(number)
            process.send_signal(signal.SIGCONT)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 0
        assert errors.startswith("funcsnoop: 0 events of 1 function")
        target.go()
        target.ends_as_if_alone()
    assert funcsnoop.open(output).metadata["end_reason"] == "interrupt"


def test_nohup(build, tmp_path):
    """Who starts it so wants it to go on when the terminal is closed."""
    output = tmp_path / "t.parquet"
    with sequence(build("sequence.c", "-O1"), CALLS) as target:
        process = subprocess.Popen(
            ["nohup", FUNCSNOOP, "record", *OPTIONS, "-o", output, "-p", str(target.pid)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: has_breakpoints(target.pid))
        process.send_signal(signal.SIGHUP)
        target.go()
        target.ends_as_if_alone()
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert check_sequence(output) == 2 * CALLS
    assert funcsnoop.open(output).metadata["end_reason"] == "target-exit"


def test_the_terminal_is_closed(build, tmp_path):
    """It gets SIGHUP, and has nowhere left to say how far it came."""
    output = tmp_path / "t.parquet"
    with sequence(build("sequence.c", "-O1"), CALLS) as target:
        pid, terminal = pty.fork()
        if pid == 0:
            words = [word for word in OPTIONS if word != "-q"]
            os.execv(FUNCSNOOP, ["funcsnoop", "record", *words, "-o", output, "-p", str(target.pid)])
        wait_until(lambda: has_breakpoints(target.pid))
        target.go()
        wait_until(lambda: state(target.pid) == "Z")
        os.close(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        target.ends_as_if_alone()
    assert check_sequence(output) == 2 * CALLS


def test_nobody_reads_what_it_says(build, tmp_path):
    """As with `2>&1 | head -1`: the recording goes on, and the command's exit status is kept."""
    output = tmp_path / "t.parquet"
    command = [build("sequence.c", "-O1"), str(CALLS), "3"]
    with subprocess.Popen(
        [FUNCSNOOP, "record", "-o", output, "-f", "step", "--", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stderr.close()
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.close()
        assert process.stdout.read() == f"{CALLS * (CALLS + 1) // 2}\n"
        assert process.wait(timeout=60) == 3
    assert check_sequence(output) == 2 * CALLS


@pytest.mark.parametrize("launched", [True, False])
def test_the_target_is_killed(build, tmp_path, launched):
    """All that it did is there; what it was doing is told from what was lost."""
    program, output = build("ticks.c", "-O1"), tmp_path / "t.parquet"
    command = [program, "1000003", "100", "0"]
    options = ["-o", output, "-f", "tick", "-f", "main"]
    if launched:
        options += ["--", *command]
    else:
        found = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        options += ["-p", str(found.pid)]
    with subprocess.Popen(
        [FUNCSNOOP, "record", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: committed(Path(f"{output}.partial")) > 2000)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        target = int(children.read_text()) if launched else found.pid
        os.kill(target, signal.SIGKILL)
        if not launched:
            found.wait()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == (128 + 9 if launched else 0), errors
    trace = funcsnoop.open(output)
    assert trace.metadata["end_reason"] == ("command-exit" if launched else "target-exit")
    calls = trace.calls().collect()
    number = by(calls, lambda name, status: name == "tick" and status == "complete")
    assert number > 1000
    cut = by(calls, lambda name, status: name == "tick" and status != "complete")
    assert cut <= 1
    # Without its beginning, main is known only if it was launched.
    assert by(calls, lambda name, status: (name, status) == ("main", "unwound")) == launched


def by(calls, wanted: Callable[[str, str], bool]) -> int:
    return sum(wanted(str(name), str(status)) for name, status in calls.select("name", "status").iter_rows())
