"""A real program whose symbols want to steer the terminal: recorded, and shown in every way there is."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import funcsnoop

from .hostile import Worker

Run = Callable[..., Any]

NAMES = (
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "two\nlines",
    "tab\there\r",
    "</script><script>alert(1)</script>",
    "a,b;c|d`e",
    "\u202egnp.exe",
    "\x9b2J",
    "+cmd()",
    "long" * 16384,
)
CALLS = 7
#: All that a terminal would obey, but for the ends of lines.
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    code = [".text", ".globl main", ".type main, @function", "main:", "push %rbx", f"mov ${CALLS}, %ebx"]
    code += ["0:", *(f"call function{number}" for number in range(len(NAMES)))]
    code += ["dec %ebx", "jnz 0b", "xor %eax, %eax", "pop %rbx", "ret", ".size main, . - main"]
    for number in range(len(NAMES)):
        name = f"function{number}"
        code += [f".globl {name}", f".type {name}, @function", f"{name}:", "push %rbp", "pop %rbp", "ret"]
        code += [f".size {name}, . - {name}"]
    code.append('.section .note.GNU-stack,"",@progbits')
    source, plain, path = tmp_path / "names.s", tmp_path / "names.o", tmp_path / "program"
    source.write_text("\n".join(code) + "\n")
    subprocess.run(["gcc", "-c", "-o", plain, source], check=True)
    redefined = [f"--redefine-sym=function{number}={name}" for number, name in enumerate(NAMES)]
    subprocess.run(["gcc", "-c", "-o", plain, source], check=True)
    subprocess.run(["objcopy", *redefined, plain], check=True)
    subprocess.run(["gcc", "-o", path, plain], check=True)
    return path


def harmless(*texts: str) -> None:
    for text in texts:
        found = STEERING.search(text)
        assert found is None, text[max(0, found.start() - 30) :][:60]


def test_listed(run: Run, program: Path) -> None:
    for form in ("table", "csv", "json", "ndjson"):
        done = run("list", program, "--format", form)
        assert done.status == 0, done.stderr
        harmless(done.stdout, done.stderr)
    rows = json.loads(run("list", program, "--format", "json").stdout)
    assert {row["symbol"] for row in rows} >= set(NAMES)


def test_recorded_and_reported(run: Run, program: Path, tmp_path: Path) -> None:
    plan = run("record", "--dry-run", "--", program)
    assert plan.status == 0, plan.stderr
    harmless(plan.stdout, plan.stderr)
    done = run("record", "--exit", "return", "-o", "t.parquet", "--", program)
    assert done.status == 0, done.stderr
    harmless(done.stdout, done.stderr)

    trace = funcsnoop.open(tmp_path / "t.parquet")
    assert {function["symbol"] for function in trace.metadata["functions"]} >= set(NAMES)
    calls = trace.latency().collect().select("function", "calls").rows()
    assert {(name, CALLS) for name in NAMES} <= set(calls)
    assert set(trace.events.collect()["name"].cast(str).unique()) >= set(NAMES)

    asked = [
        ["analyze", report, str(trace.path), "--format", form, "--top", "100"]
        for report in ("summary", "latency", "callgraph", "args", "calls", "threads")
        for form in ("table", "markdown", "csv", "json", "ndjson")
        if (report, form) != ("summary", "csv")
    ]
    with Worker() as worker:
        replies = worker.ask({"commands": asked})
    for reply in replies:
        assert reply["status"] == 0, reply
        harmless(reply["stdout"], reply["stderr"])
    for words, reply in zip(asked, replies, strict=True):
        # The summary is a code block, in which nothing is markup.
        if words[1] != "summary" and "markdown" in words:
            assert "</script>" not in reply["stdout"]
    # As tables, a name takes one line, and one cell.
    lines = run("analyze", "latency", "t.parquet").stdout.splitlines()
    assert len(lines) == 3 + len(calls)  # titles, what was left out, which times
    rows = json.loads(run("analyze", "latency", "t.parquet", "--format", "json").stdout)
    assert {row["function"] for row in rows} >= set(NAMES)
    for name in (NAMES[0], NAMES[2]):
        chosen = run("analyze", "latency", "t.parquet", "--function", name, "--format", "json")
        assert [row["function"] for row in json.loads(chosen.stdout)] == [name]
    missing = run("analyze", "latency", "t.parquet", "--function", "\x1b[31mrot")
    assert missing.status == 2
    harmless(missing.stderr)


def test_errors_about_them(run: Run, program: Path) -> None:
    done = run("record", "-f", "\x1b[31mrex", "--", program)
    assert done.status == 1
    harmless(done.stderr)
    assert "Near names" in done.stderr
