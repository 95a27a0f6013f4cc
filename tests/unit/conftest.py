"""Fixtures for tests of what is read from files: small programs, built from their text."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from funcsnoop.cli import main

from ..conftest import Finished

BuildText = Callable[..., Path]


@pytest.fixture(scope="session")
def build_text(tmp_path_factory: pytest.TempPathFactory) -> BuildText:
    """build_text(code, *flags, suffix=".c", name="program"): the path of what gcc, g++ or as make of it."""
    top = tmp_path_factory.mktemp("built")

    def build(code: str, *flags: str | Path, suffix: str = ".c", name: str = "program") -> Path:
        key = hashlib.sha1(repr((code, flags, suffix, name)).encode()).hexdigest()[:12]
        directory = top / key
        result = directory / name
        if not result.exists():
            directory.mkdir(exist_ok=True)
            source = directory / f"source{suffix}"
            source.write_text(code)
            compiler = "g++" if suffix == ".cc" else "gcc"
            subprocess.run([compiler, "-o", result, source, *flags], check=True, capture_output=True)
        return result

    return build


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Finished]:
    """run("analyze", path): the command line inside this process, in an empty directory.

    A process of its own takes most of a second, several where the machine is busy, and shows nothing more.
    With `columns` standard output is a terminal of that width. `env` are further variables.
    """

    def run_(
        *arguments: str | Path, env: dict[str, str] | None = None, columns: int | None = None
    ) -> Finished:
        raw, errors = io.BytesIO(), io.StringIO()
        kind: Any = io.TextIOWrapper if columns is None else Terminal
        out = kind(raw, "utf-8", write_through=True, newline="\n")
        status: Any = 0
        with monkeypatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["funcsnoop", *map(str, arguments)])
            for name, value in {"COLUMNS": str(columns or 100), **(env or {})}.items():
                patch.setenv(name, value)
            try:
                main()
            except SystemExit as end:
                status = end.code or 0
        return Finished(status, raw.getvalue().decode(), errors.getvalue())

    return run_
