"""Fixtures for tests of what is read from files: small programs, built from their text."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

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
