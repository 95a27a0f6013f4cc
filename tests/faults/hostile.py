"""Run many commands in one process that may be killed by what it reads: one that crashes is noticed.

    with Worker() as worker:
        replies = worker.ask({"commands": [["analyze", "latency", "t.parquet"]]})

A command runs inside the worker through `funcsnoop.cli.main`, which saves the start of a process each
time. A reply holds its exit status, what it printed, and the traceback if it raised one.
"""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

#: FUNCSNOOP_FAULT_RUNS=50 or more gives the full count.
_ASKED = os.environ.get("FUNCSNOOP_FAULT_RUNS")
MUTATIONS = 150 if _ASKED is None else max(150, min(1000, 20 * int(_ASKED)))
FULL = MUTATIONS == 1000

#: Far more than any of these commands needs for a file of some kilobytes.
_ADDRESS_SPACE = 12 << 30


#: Stands for what the command line would have printed.
NOTEBOOK = "funcsnoop: a notebook\n  "


class CrashError(Exception):
    """The worker died, or did not answer in time."""


class Worker:
    def __init__(self, seconds: float = 60) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, where: TracebackType | None
    ) -> None:
        self._stop()

    def ask(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        """The replies to a job's commands. Raises CrashError, and starts anew with the next job."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._crash("had died") from None
        until = time.monotonic() + self._seconds
        answer = b""
        while not answer.endswith(b"\n"):
            if not select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                raise self._crash(f"no answer in {self._seconds} s")
            part = os.read(process.stdout.fileno(), 1 << 20)
            if not part:
                raise self._crash("died")
            answer += part
        replies: list[dict[str, Any]] = json.loads(answer)
        return replies

    def _crash(self, how: str) -> CrashError:
        said = self._stop()
        return CrashError(f"{how}: {said[-3000:]}")

    def _stop(self) -> str:
        if self._process is None:
            return ""
        self._process.kill()
        _, said = self._process.communicate()
        self._process = None
        return said.decode(errors="replace")


def peak() -> int:
    """The most memory that this program had, in bytes. Before it, the process was another one, whose peak
    getrusage(2) would tell too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def complaint(reply: dict[str, Any]) -> str | None:
    """What is wrong with how a command ended, whatever it was given: None if nothing."""
    if reply["traceback"]:
        return f"traceback: {reply['traceback'][-1500:]}"
    # 2 where what was asked for is not in this trace.
    if reply["status"] not in (0, 1, 2):
        return f"exit status {reply['status']}: {reply['stderr'][-500:]}"
    shown = reply["stderr"] + ("" if reply["stdout"].startswith("PAR1") else reply["stdout"])
    if any(character in shown for character in "\x00\x1b\x07\x9b\u202e\r"):
        return "control characters in the output"
    if reply["status"]:
        lines = [line for line in reply["stderr"].splitlines() if not line.startswith("funcsnoop: notice:")]
        if len(lines) != 2 or not lines[0].startswith("funcsnoop: ") or not lines[1].startswith("  "):
            return f"not an error of two lines: {reply['stderr'][-500:]!r}"
    return None


def _serve() -> None:
    import io
    import traceback
    from contextlib import redirect_stderr, redirect_stdout

    from funcsnoop.cli import main

    def command(words: list[str]) -> dict[str, Any]:
        raw = io.BytesIO()
        out, err = io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True), io.StringIO()
        status: Any = 0
        raised = ""
        started = time.monotonic()
        with redirect_stdout(out), redirect_stderr(err):
            sys.argv = ["funcsnoop", *words]
            try:
                main()
            except SystemExit as end:
                status = end.code or 0
            except BaseException:
                raised = traceback.format_exc()
        return {
            "status": status,
            "stdout": raw.getvalue().decode("utf-8", "replace"),
            "stderr": err.getvalue(),
            "traceback": raised,
            "seconds": time.monotonic() - started,
            "peak": peak(),
        }

    def notebook(path: str) -> dict[str, Any]:
        import funcsnoop

        raised = ""
        status = 0
        try:
            trace = funcsnoop.open(path)
            trace.events.head(5).collect()
            for table in (trace.latency, trace.threads, trace.callgraph, trace.arguments):
                table().collect()
            str(trace.loss)
        except funcsnoop.FuncsnoopError as error:
            status = 1
            if "\n" in error.message + error.hint:
                raised = f"more than two lines: {error.message!r} {error.hint!r}"
        except BaseException:
            raised = traceback.format_exc()
        return {"status": status, "stdout": "", "stderr": NOTEBOOK, "traceback": raised}

    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        job = json.loads(line)
        replies = [command(words) for words in job.get("commands", [])]
        replies += [notebook(path) for path in job.get("open", [])]
        answers.write(json.dumps(replies) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve()
