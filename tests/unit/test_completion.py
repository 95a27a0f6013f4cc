"""Shell completion: what `funcsnoop --install-completion` installs works in a shell."""

from __future__ import annotations

import os
import shlex
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
        env=os.environ | {"PATH": f"{FUNCSNOOP.parent}:{os.environ['PATH']}", "HOME": str(home)},
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


def test_files_where_nothing_else_is_known(tmp_path: Path) -> None:
    text = bash(tmp_path, "funcsnoop --show-completion")
    assert "complete -o default -F _funcsnoop_completion funcsnoop" in text
