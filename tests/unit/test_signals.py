"""The wait for signals tells of those that came, and of no others."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from funcsnoop.record import signals

WANTED = (signal.SIGUSR1, signal.SIGUSR2)


@pytest.fixture(autouse=True)
def blocked():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WANTED)
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def send(number):
    """To this thread: others don't block it."""
    signal.pthread_kill(threading.get_ident(), number)


def test_a_signal_that_came():
    send(signal.SIGUSR2)
    assert signals.wait(WANTED, 60) == (signal.SIGUSR2, False)
    assert signals.wait(WANTED, 0) is None


def test_nothing_came():
    begin = time.monotonic()
    assert signals.wait(WANTED, 0.05) is None
    assert time.monotonic() - begin >= 0.05


STANDS_STILL = """
import signal
from funcsnoop.record import signals

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
print("waits", flush=True)
print(signals.wait([signal.SIGUSR1], 0.5), flush=True)
print(signals.wait([signal.SIGUSR1], 60), flush=True)
"""


def test_stopped_past_the_end_of_the_wait():
    """As by Ctrl-Z and fg: no signal that was asked for has come."""
    with subprocess.Popen([sys.executable, "-c", STANDS_STILL], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.6)
        process.send_signal(signal.SIGCONT)
        assert process.stdout.readline() == "None\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == f"{signals.Received(int(signal.SIGUSR1), False)}\n"
