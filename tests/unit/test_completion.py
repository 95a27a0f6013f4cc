"""Shell completion: what `funcsnoop --install-completion` installs works in a shell."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from .test_docs import COMMANDS, FUNCSNOOP


def bash(home: Path, *commands: str) -> str:
    """What bash prints. Typer finds out for which shell it is from the process that called it."""
    done = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(commands)],
        capture_output=True,
        text=True,
        check=True,
        cwd=home,
        env=environment(home),
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout


def complete(home: Path, *words: str) -> list[str]:
    """What bash offers for the last word, once completion is installed."""
    line = " ".join(map(shlex.quote, ["funcsnoop", *words]))
    return bash(
        home,
        "funcsnoop --install-completion >/dev/null",
        "source .bashrc",
        f"COMP_WORDS=({line}) COMP_CWORD={len(words)}",
        "_funcsnoop_completion funcsnoop",
        'printf "%s\\n" "${COMPREPLY[@]}"',
    ).split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["re"], ["record", "report", "recover"]),
        (["export", "--f"], ["--force", "--function"]),
        (["export", "--to", "p"], ["perfetto", "pprof"]),
        (["export", "--to", "folded", "--weight", ""], ["time", "calls"]),
        (["analyze", "h"], ["hist", "heatmap"]),
        (["analyze", "hist", "h"], []),  # files, which are up to the shell
        (["analyze", "--format", "m"], ["markdown"]),
        (["record", "--layout", ""], ["lean", "full"]),
        ([""], list(COMMANDS)),
    ],
    ids=lambda value: " ".join(value) or "-",
)
def test_bash(tmp_path: Path, words: list[str], expected: list[str]) -> None:
    assert complete(tmp_path, *words) == expected


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where a user is at home, with a trace."""
    (tmp_path / "sqlite.parquet").touch()
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    return os.environ | {
        "PATH": f"{FUNCSNOOP.parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "TERM": "dumb",
        "PS1": "ready> ",
    }


def install(shell: str, home: Path) -> None:
    """As a user of that shell does, who has it."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    command = [shell, "-c", "funcsnoop --install-completion; true"]
    subprocess.run(command, check=True, capture_output=True, cwd=home, env=environment(home), timeout=60)


#: What is typed before Tab, and what is offered then.
TYPED = [
    ("funcsnoop re", ["record", "report", "recover"]),
    ("funcsnoop export --to p", ["perfetto", "pprof"]),
    ("funcsnoop analyze h", ["hist", "heatmap"]),
    ("funcsnoop analyze hist sq", ["sqlite.parquet"]),
    ("funcsnoop analyze --f", ["--function", "--format", "--focus", "--force"]),
]


@pytest.mark.parametrize(("line", "expected"), TYPED)
def test_fish(home: Path, line: str, expected: list[str]) -> None:
    install("fish", home)
    done = subprocess.run(
        ["fish", "-c", f"complete -C {shlex.quote(line)}"],
        capture_output=True,
        text=True,
        cwd=home,
        env=environment(home),
        timeout=60,
    )
    # A description may follow.
    assert sorted(offer.split("\t")[0] for offer in done.stdout.splitlines()) == sorted(expected)


@pytest.mark.parametrize(("line", "expected"), TYPED)
def test_zsh(home: Path, line: str, expected: list[str]) -> None:
    """One Tab in a new shell. It says nothing of what it offers but to a terminal."""
    install("zsh", home)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(home)
        os.execvpe("zsh", ["zsh", "-i"], environment(home))
    try:
        until(terminal, "ready> ")
        os.write(terminal, line.encode() + b"\t")
        # Of the only one, what was not typed.
        wanted = expected if len(expected) > 1 else [expected[0].removeprefix(line.split()[-1])]
        until(terminal, *wanted)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def until(terminal: int, *texts: str) -> None:
    """Wait for all of them to stand on the terminal."""
    shown = ""
    while not all(text in shown for text in texts):
        readable, _, _ = select.select([terminal], [], [], 20)
        assert readable, f"{texts} in {shown!r}"
        shown += os.read(terminal, 1 << 16).decode()


def test_files_where_nothing_else_is_known(tmp_path: Path) -> None:
    text = bash(tmp_path, "funcsnoop --show-completion")
    assert "complete -o default -F _funcsnoop_completion funcsnoop" in text
