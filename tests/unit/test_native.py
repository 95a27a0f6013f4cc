"""The compiled walk is built from all of its sources."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_source_of_the_walk_is_named_in_the_build() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["ext-modules"][0]
    there = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "analyze/walk").iterdir())
    assert sorted(build["sources"] + build["depends"]) == there
