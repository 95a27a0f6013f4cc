"""`funcsnoop top`, on a terminal of its own."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import funcsnoop

FUNCSNOOP = Path(sys.executable).with_name("funcsnoop")
LEAVE_SCREEN = "\x1b[?1049l"


@pytest.fixture
def on_terminal(tmp_path):
    """on_terminal(arguments, width): exit status, what the screen showed, and what stood on it afterwards."""

    def run(arguments, width=80):
        terminal, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        process = subprocess.Popen(
            [FUNCSNOOP, "top", *map(str, arguments)],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            cwd=tmp_path,
            env={k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"TERM": "xterm"},
        )
        os.close(inner)
        text = b""
        while True:
            try:
                piece = os.read(terminal, 1 << 16)
            except OSError:  # nobody has the other end any more
                break
            text += piece
        os.close(terminal)
        live, _, after = text.decode().replace("\r\n", "\n").rpartition(LEAVE_SCREEN)
        return process.wait(timeout=60), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", live), after

    return run


def test_table_while_it_runs_and_after(on_terminal, build, tmp_path):
    program = build("ticks.c", "-O1")
    status, live, after = on_terminal(
        ["--interval", "200ms", "-f", "tick", "-f", "main", "--", program, "997", "1000", "3"]
    )
    assert status == 3
    assert re.search(r"\d s  [\d,]+ events  [\d,]+/s  0 lost", live)
    assert re.search(r"CALLS/S +CALLS +TIME/S +P50 +P99 +FUNCTION *\n +\d+ +\d+ .* tick *\n", live)
    # What the command said did not disturb the table.
    assert "ticks, signal" not in live
    assert after.count("ready\n997 ticks, signal 0\n") == 1
    rows = [line.split() for line in after.splitlines() if line.endswith((" tick", " main"))]
    assert {row[-1]: row[1] for row in rows} == {"tick": "997", "main": "1"}
    assert "funcsnoop: 1,996 events of 2 functions in" in after
    assert list(tmp_path.iterdir()) == []


def test_trace_can_be_kept(on_terminal, build, tmp_path):
    program = build("ticks.c", "-O1")
    status, _, after = on_terminal(["-o", "kept.parquet", "-f", "tick", "--", program, "997", "1000", "0"])
    assert status == 0
    assert "0 lost -> kept.parquet" in after
    latency = funcsnoop.open(tmp_path / "kept.parquet").latency().collect()
    assert latency["calls"].to_list() == [997]


def test_interrupt_ends_it_with_a_summary(build, start, tmp_path):
    target = start([build("ticks.c", "-O1"), "1000000", "1000", "0"])
    target.stdout.readline()
    terminal, inner = pty.openpty()
    process = subprocess.Popen(
        [FUNCSNOOP, "top", "--interval", "100ms", "-f", "tick", "-p", str(target.pid)],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        cwd=tmp_path,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(inner)
    text = b""
    sent = False
    while True:
        try:
            text += os.read(terminal, 1 << 16)
        except OSError:
            break
        if not sent and text.count(b"CALLS/S") >= 3:
            os.write(terminal, b"\x03")
            sent = True
    os.close(terminal)
    assert process.wait(timeout=60) == 0
    assert re.search(rb"funcsnoop: [\d,]+ events of 1 function in [\d.]+ s, 0 lost", text)
    assert target.poll() is None


def test_without_a_terminal_it_says_what_to_do(run):
    done = run("top", "--", "/bin/true")
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "funcsnoop: top draws on a terminal, and stderr is none",
        "  Record instead, then analyze: funcsnoop record -o trace.parquet ...",
    ]


def test_a_lost_event_is_shown(on_terminal, build):
    program = build("rate.c", "-O1", "-pthread")
    _, live, after = on_terminal(
        ["--interval", "50ms", "--buffer", "4K", "-f", "hot", "--", program, "1", "100003"]
    )
    assert re.search(r"/s  [1-9][\d,]* lost", live)
    assert re.search(r" s, [1-9][\d,]* lost\n", after)
