"""Manual pages are made when the package is built; all else is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

sys.path.insert(0, "scripts")

from man import write_pages


class Build(build_py):
    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """This file lies in the package's folder, and is no part of it."""
        return [found for found in super().find_package_modules(package, package_dir) if found[1] != "setup"]


pages = write_pages(Path(), Path("build/man"))
setup(cmdclass={"build_py": Build}, data_files=[("share/man/man1", [str(path) for path in pages])])
