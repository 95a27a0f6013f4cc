"""Find bcc's Python binding, which comes from the distribution and not from PyPI."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

from ..errors import KernelError

#: Where Debian and Ubuntu, Fedora, and Arch put packages of the system's Python.
_SYSTEM_PACKAGES = ("/usr/lib/python3/dist-packages", "/usr/lib/python3*/site-packages")

_INSTALL = (
    "Install the distribution's package: apt install python3-bpfcc (Debian, Ubuntu), "
    "dnf install python3-bcc (Fedora). PyPI's bcc is an unrelated library."
)


def load_bcc() -> ModuleType:
    """Import bcc, from the distribution's packages if this interpreter does not see them.

    Raises `KernelError` with what to install.
    """
    try:
        module = importlib.import_module("bcc")
    except ImportError:
        module = _load_from_distribution()
    if not hasattr(module, "BPF"):
        raise KernelError("the installed Python package bcc is not the BPF Compiler Collection", _INSTALL)
    return module


def _load_from_distribution() -> ModuleType:
    for pattern in _SYSTEM_PACKAGES:
        for directory in sorted(Path("/").glob(pattern.lstrip("/"))):
            if not (directory / "bcc" / "__init__.py").is_file():
                continue
            # Only this package: other packages of the distribution must not shadow our own.
            sys.path.append(str(directory))
            try:
                return importlib.import_module("bcc")
            except (ImportError, OSError) as error:
                raise KernelError(f"bcc does not load: {error}", _INSTALL) from None
            finally:
                sys.path.remove(str(directory))
    raise KernelError("bcc is not installed", _INSTALL)
