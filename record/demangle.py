"""C++ and Rust symbols as their programmers wrote them."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from functools import lru_cache
from io import StringIO
from typing import Final

#: Longer names are templates that nobody reads, and back-references in them can double many times.
LONGEST: Final = 4096

_RUST_LEGACY = re.compile(r"_ZN.*17h[0-9a-f]{16}E(\.llvm\.[0-9A-F]+)?$")
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}$")
_CLONE = re.compile(r"( \[clone [^\]]*\])+$")
_QUALIFIERS = re.compile(r"( const| volatile| &&?)+$")


def is_mangled(symbol: str) -> bool:
    return symbol.startswith(("_Z", "_R"))


def is_rust(symbol: str) -> bool:
    return symbol.startswith("_R") or ("17h" in symbol and _RUST_LEGACY.match(symbol) is not None)


@lru_cache(maxsize=1 << 18)
def demangle(symbol: str) -> str:
    """The demangled name, or `symbol` itself where it is not mangled. Rust's hash is left out."""
    if not is_mangled(symbol) or len(symbol) > LONGEST:
        return symbol
    try:
        if is_rust(symbol):
            import rust_demangler

            # It prints what it has of a name that it does not understand; stdout is the command's.
            with redirect_stdout(StringIO()):
                return _RUST_HASH.sub("", str(rust_demangler.demangle(symbol)))
        import cpp_demangle

        return str(cpp_demangle.demangle(symbol))
    except Exception:
        # The libraries raise whatever their parsers stumble over; the raw name is the answer then.
        return symbol


def short_names(demangled: str) -> tuple[str, ...]:
    """`demangled` without its parameter list, and also without the return type that templates show.

    `void A<int>::f<char>(char) const` gives `void A<int>::f<char>` and `A<int>::f<char>`. Empty where
    there is no parameter list.
    """
    name = _QUALIFIERS.sub("", _CLONE.sub("", demangled))
    if not name.endswith(")"):
        return ()
    start = _opening(name)
    if start <= 0:
        return ()
    name = name[:start]
    bare = _without_return_type(name)
    return (name,) if bare == name else (name, bare)


def all_names(symbol: str) -> tuple[str, ...]:
    """Every form under which a user may know `symbol`, the raw one first, without repetition."""
    if not is_mangled(symbol):
        return (symbol,)
    name = demangle(symbol)
    if name == symbol:
        return (symbol,)
    # Rust shows no parameter list: parentheses at the end are part of a type.
    return (symbol, name) if is_rust(symbol) else (symbol, name, *short_names(name))


def _opening(name: str) -> int:
    """Index of the parenthesis that the last character closes, -1 where there is none."""
    depth = 0
    for i in range(len(name) - 1, -1, -1):
        if name[i] == ")":
            depth += 1
        elif name[i] == "(":
            depth -= 1
            if depth == 0:
                return i
    return -1


def _without_return_type(name: str) -> str:
    # Operators hold brackets and blanks of their own: `operator<< <int>`, `operator new`.
    operator = re.search(r"\boperator\b", name)
    end = operator.start() if operator else len(name)
    depth, cut = 0, 0
    for i in range(end):
        if name[i] in "<({[":
            depth += 1
        elif name[i] in ">)}]":
            depth -= 1
        elif name[i] == " " and depth == 0:
            cut = i + 1
    return name[cut:]
