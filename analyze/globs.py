"""How a pattern names functions in `--function` and `--as`."""

from __future__ import annotations

from fnmatch import fnmatchcase


def names_of(demangled: str, symbol: str) -> tuple[str, ...]:
    """What a pattern may match: demangled, without parameters, and as in the ELF file."""
    return demangled, demangled.partition("(")[0], symbol


def matches(pattern: str, demangled: str, symbol: str) -> bool:
    """Whether `pattern` is one of the function's names, or a glob that matches one.

    A name may itself hold `*` or `[`, as `operator[]` does, so equality counts too.
    """
    return any(name == pattern or fnmatchcase(name, pattern) for name in names_of(demangled, symbol))
