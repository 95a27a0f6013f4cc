"""How a recording ends: with the command, at a limit, by a signal. The file is whole each time."""

import os
import pty
import re
import select
import signal
import sys
import time
from pathlib import Path

import polars as pl
import pytest

import funcsnoop

FUNCSNOOP = Path(sys.executable).with_name("funcsnoop")


@pytest.fixture
def ticks(build):
    return build("ticks.c", "-O1")


def events_of(path):
    trace = funcsnoop.open(path)
    events = pl.read_parquet(path)
    counts = trace.metadata["counts"]
    assert counts["produced"] == counts["recorded"] + counts["lost"]["buffer"] + counts["after_limit"]
    assert len(events) == counts["recorded"]
    return trace.metadata["end_reason"], len(events)


@pytest.mark.parametrize("status", [0, 3])
def test_exit_status_and_output_are_those_of_the_command(ticks, run, status):
    done = run("record", "-f", "tick", "--", ticks, "23", "0", str(status))
    assert (done.status, done.stdout) == (status, "ready\n23 ticks, signal 0\n")
    assert "46 events of 1 function" in done.stderr


@pytest.mark.parametrize("number", [9, 15])
def test_exit_status_of_a_command_that_a_signal_ends(run, number):
    done = run("record", "-f", "libc:kill", "--", "sh", "-c", f"kill -{number} $$")
    assert done.status == 128 + number, done.stderr


def test_duration_takes_the_probes_out_and_waits(ticks, run, tmp_path):
    begin = time.monotonic()
    done = run("record", "--duration", "500ms", "-f", "tick", "--", ticks, "200", "10000", "3")
    assert time.monotonic() - begin >= 2
    assert (done.status, done.stdout) == (3, "ready\n200 ticks, signal 0\n")
    reason, events = events_of(tmp_path / "trace.parquet")
    assert reason == "duration"
    assert 0 < events < 200


def test_max_events_is_exact(ticks, run, tmp_path):
    done = run("record", "--max-events", "97", "-f", "tick", "--", ticks, "10007", "0", "3")
    assert (done.status, done.stdout) == (3, "ready\n10007 ticks, signal 0\n")
    reason, events = events_of(tmp_path / "trace.parquet")
    assert events == 97
    assert reason in ("max-events", "command-exit")
    assert "more events came before" in done.stderr


def test_quiet_says_nothing(ticks, run):
    done = run("record", "-q", "-f", "tick", "--", ticks, "23", "0", "0")
    assert (done.status, done.stderr) == (0, "")


def in_terminal(arguments, cwd):
    """A recorder in a terminal of its own, so that Ctrl-C reaches it and its command alike."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execv(FUNCSNOOP, [str(FUNCSNOOP), *map(str, arguments)])
    return pid, terminal


def read_until(terminal, text):
    seen = b""
    while text not in seen:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:
            break
        seen += chunk
    assert text in seen, seen
    return seen


def read_until_events(terminal):
    """The live line counts some."""
    seen = b""
    while not re.search(rb" s  [1-9][\d,]* events", seen):
        seen += os.read(terminal, 4096)


def end_of(pid, terminal):
    seen = b""
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()


def test_ctrl_c_goes_to_the_command_which_decides(ticks, tmp_path):
    """This one prints and exits with 3; the recording ends with it."""
    pid, terminal = in_terminal(
        ["record", "-f", "tick", "--", ticks, "100000", "1000", "3", "careful"], tmp_path
    )
    read_until(terminal, b"ready")
    read_until_events(terminal)
    os.write(terminal, b"\x03")
    status, text = end_of(pid, terminal)
    assert status == 3
    assert f"signal {int(signal.SIGINT)}" in text
    reason, events = events_of(tmp_path / "trace.parquet")
    assert reason == "command-exit"
    assert events > 0
    assert "0 lost" in text


def test_ctrl_c_ends_a_command_that_does_not_care(ticks, tmp_path):
    pid, terminal = in_terminal(["record", "-f", "tick", "--", ticks, "100000", "1000", "3"], tmp_path)
    read_until(terminal, b"ready")
    read_until_events(terminal)
    os.write(terminal, b"\x03")
    status, _ = end_of(pid, terminal)
    assert status == 130
    reason, events = events_of(tmp_path / "trace.parquet")
    assert reason == "command-exit"
    assert events > 0


def test_second_ctrl_c_ends_the_recorder(ticks, tmp_path):
    shell = f"trap '' INT; exec {ticks} 3000 1000 0"
    pid, terminal = in_terminal(["record", "-f", f"{ticks}:tick", "--", "sh", "-c", shell], tmp_path)
    read_until(terminal, b"ready")
    read_until_events(terminal)
    os.write(terminal, b"\x03")
    time.sleep(0.5)
    os.write(terminal, b"\x03")
    read_until(terminal, b"0 lost ->")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    os.close(terminal)
    reason, events = events_of(tmp_path / "trace.parquet")
    assert reason == "interrupt"
    assert events > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_recorder_alone_is_passed_on(ticks, start, tmp_path, number):
    output = tmp_path / "t.parquet"
    process = start([FUNCSNOOP, "record", "-o", output, "-f", "tick", "--", ticks, "100000", "1000", "0"])
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number, errors
    assert events_of(output)[0] == "command-exit"


def test_interrupt_ends_the_recording_of_a_running_process(ticks, start, tmp_path):
    target = start([ticks, "100000", "1000", "0"])
    assert target.stdout.readline() == "ready\n"
    output = tmp_path / "t.parquet"
    process = start([FUNCSNOOP, "record", "-o", output, "-f", "tick", "-p", str(target.pid)])
    assert any("Ctrl-C" in line for line in process.stderr)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    reason, events = events_of(output)
    assert reason == "interrupt"
    assert events > 0
    assert target.poll() is None


def runs_our_code(process):
    """Whether the interpreter has come as far as the program: it has opened the command line's modules."""
    maps = Path(f"/proc/{process.pid}/maps").read_text()
    return process.poll() is not None or "_ctypes" in maps or "_posixsubprocess" in maps


@pytest.mark.parametrize("delay", [0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.1])
def test_interrupt_at_any_stage_leaves_a_whole_file_or_none(ticks, start, wait_for, tmp_path, delay):
    target = start([ticks, "100000", "1000", "0"])
    output = tmp_path / "t.parquet"
    process = start([FUNCSNOOP, "record", "-o", output, "-f", "tick", "-p", str(target.pid)])
    wait_for(lambda: runs_our_code(process))
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors
    assert not output.with_name("t.parquet.partial").exists()
    if output.exists():
        assert process.returncode == 0
        assert events_of(output)[0] == "interrupt"
    else:
        assert process.returncode == 130
    assert target.poll() is None


def test_target_that_ends(ticks, start, tmp_path):
    target = start([ticks, "100000", "1000", "0"])
    output = tmp_path / "t.parquet"
    process = start([FUNCSNOOP, "record", "-o", output, "-f", "tick", "-p", str(target.pid)])
    assert any("Ctrl-C" in line for line in process.stderr)
    time.sleep(0.3)
    target.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    reason, events = events_of(output)
    assert reason == "target-exit"
    assert events > 0


class Staying:
    """A command that is recorded and stays inside of one function while it calls others, for `SECONDS`."""

    SECONDS = 15

    def __init__(self, build, start, output, *options):
        program = build("stays.c", "-O1", "-fno-builtin")
        options = [*options, "--exit", "return", "-f", "st*", "-f", "libc:labs"]
        command = [program, str(1000 * self.SECONDS)]
        self.recorder = start([FUNCSNOOP, "record", "-o", output, *options, "--", *command])
        assert self.recorder.stdout.readline() == "ready\n"
        children = Path(f"/proc/{self.recorder.pid}/task/{self.recorder.pid}/children").read_text()
        self._target = os.pidfd_open(int(children))

    def runs(self):
        return not select.select([self._target], [], [], 0)[0]

    def end(self):
        signal.pidfd_send_signal(self._target, signal.SIGKILL)
        os.close(self._target)


@pytest.mark.parametrize("attach", ["session", "multi"])
def test_probes_are_taken_out_while_a_call_goes_on(build, start, wait_for, tmp_path, attach):
    """The kernel waits for calls with return probes, and more of them must not make it wait longer."""
    output = tmp_path / "t.parquet"
    staying = Staying(build, start, output, "--attach", attach, "--duration", "1s")
    wait_for(lambda: output.exists() or not staying.runs())
    assert staying.runs()
    staying.end()
    staying.recorder.communicate(timeout=30)
    assert events_of(output)[0] == "duration"
    calls = funcsnoop.open(output).calls().collect()
    statuses = dict(calls.group_by("name").agg(pl.col("status").cast(pl.String).unique()).rows())
    assert statuses["stay"] == ["open"]
    assert "complete" in statuses["step"]
    assert len(calls.filter(pl.col("status") == "open")) <= 2


@pytest.mark.attach("session")
def test_a_killed_recorder_is_gone_while_a_call_goes_on(build, start, wait_for, tmp_path):
    output = tmp_path / "t.parquet.partial"
    staying = Staying(build, start, tmp_path / "t.parquet", "--attach", "session")
    wait_for(lambda: output.stat().st_size > 10_000)
    staying.recorder.kill()
    # It has ended when its links are closed.
    staying.recorder.wait(timeout=60)
    assert staying.runs()
    staying.end()
