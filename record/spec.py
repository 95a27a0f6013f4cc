"""SPEC: which functions a user means. `[MODULE:]PATTERN`, PATTERN a glob or `/regex/`.

Parsing
- A SPEC that ends with `/` and contains `:/` splits there: module, then regex (`/lib/x.so:/^get/`,
  `libc:/^(?:str|mem)/`). One that begins with `/` and ends so is a regex alone.
- Otherwise it splits at its last single colon. `::` belongs to a C++ or Rust name; `:::` is the
  separator followed by `::`.

Matching: a function has several names (symbol, aliases, and of each the demangled name, with and
without parameters). A PATTERN that equals a name means the functions of that name; only when there is
none is it a glob. Globs and regexes are case-sensitive; a glob covers a whole name, a regex may match
anywhere in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import translate
from typing import Literal

from ..errors import UsageError
from .demangle import all_names, demangle, is_mangled
from .functions import Function

#: difflib compares every pair of names: enough to find a slip of the pen, few enough to take no time.
_MOST_COMPARED = 4000


@dataclass(frozen=True)
class Pattern:
    """`text` is the glob, or the regex without its slashes."""

    text: str
    kind: Literal["glob", "regex"]

    @property
    def everything(self) -> bool:
        return self.kind == "glob" and self.text.strip("*") == "" and self.text != ""

    @property
    def exact_only(self) -> bool:
        """Whether it can only be a name."""
        return self.kind == "glob" and not any(c in self.text for c in "*?[")


@dataclass(frozen=True)
class Spec:
    """`text` is what the user wrote; `module` is None where the executable is meant."""

    text: str
    module: str | None
    pattern: Pattern


def parse_spec(text: str) -> Spec:
    """Parse one `-f` or `-x`. Raises UsageError."""
    module, rest = _split(text)
    if module == "":
        raise _wrong(text, "the module before the colon is empty")
    if module is None and text.startswith("/") and not text.endswith("/"):
        raise _wrong(text, "a path needs a pattern after it, and a regex a slash at its end")
    return Spec(text, module, parse_pattern(rest, text))


def parse_pattern(text: str, spec: str | None = None) -> Pattern:
    """Parse a PATTERN. Raises UsageError."""
    spec = text if spec is None else spec
    if not text:
        raise _wrong(spec, "the pattern is empty")
    if not text.startswith("/"):
        return Pattern(text, "glob")
    if len(text) < 3 or not text.endswith("/"):
        raise _wrong(spec, "a regex stands between two slashes")
    try:
        re.compile(text[1:-1])
    except (re.error, OverflowError, RecursionError) as error:
        raise _wrong(spec, f"the regex is invalid: {error}") from None
    return Pattern(text[1:-1], "regex")


def _split(text: str) -> tuple[str | None, str]:
    # Not the second colon of a `::` at a regex's end.
    colon = re.search("(?<!:):/", text)
    if colon and (text.endswith("/") or text.startswith("/")):
        return text[: colon.start()], text[colon.start() + 1 :]
    if text.startswith("/") and text.endswith("/"):
        return None, text
    for run in reversed(list(re.finditer(":+", text))):
        if len(run[0]) % 2:
            return text[: run.start()], text[run.start() + 1 :]
    return None, text


def _wrong(spec: str, why: str) -> UsageError:
    return UsageError(
        f"{spec!r}: {why}", "Write [MODULE:]PATTERN, such as 'libc:str*', '/lib/x.so:/^get/' or 'main'"
    )


Match = tuple[Function, str]


def match(pattern: Pattern, functions: Sequence[Function]) -> list[Match]:
    """The functions that `pattern` means, each with the symbol by which it was found.

    That symbol is the raw name or alias under which the pattern fits: the function's own where it
    fits, else the first alias that does.
    """
    # `::name` is C++ for a name of the global namespace, which symbols do not say.
    text = pattern.text.removeprefix("::") if pattern.kind != "regex" else pattern.text
    if pattern.everything:
        return [(f, f.symbol) for f in functions]
    if pattern.kind == "regex":
        return _select(functions, re.compile(text).search, "")
    found = _select(functions, text.__eq__, text)
    if found or pattern.exact_only:
        return found
    # What the glob says literally must be in every form of a name, so that most names fall out early.
    literal = max(re.split(r"\[[^\]]*\]|[*?\[\]]", text), key=len)
    return _select(functions, re.compile(translate(text)).match, literal)


def _select(functions: Sequence[Function], fits: Callable[[str], object], literal: str) -> list[Match]:
    found: list[Match] = []
    for function in functions:
        symbol = function.symbol
        if fits(symbol):
            found.append((function, symbol))
            continue
        if not function.aliases and not is_mangled(symbol):
            continue
        for name in function.names:
            if (name is not symbol and fits(name)) or (
                is_mangled(name) and _fits_demangled(name, fits, literal)
            ):
                found.append((function, name))
                break
    return found


def _fits_demangled(symbol: str, fits: Callable[[str], object], literal: str) -> bool:
    name = demangle(symbol)
    # The shorter forms are parts of the demangled name.
    return literal in name and any(fits(form) for form in all_names(symbol)[1:])


def name_fits(pattern: Pattern, names: Iterable[str]) -> list[str]:
    """Which raw names `pattern` means, by the same rules as `match`."""
    return [symbol for _, symbol in match(pattern, [Function(name, 0, 0, 0, ()) for name in names])]


def closest(pattern: Pattern, functions: Sequence[Function], most: int = 4) -> list[str]:
    """Names near to a pattern that matched nothing, demangled, the nearest first."""
    wanted = re.sub(r"[\^$\\]|\[[^\]]*\]|[*?.+|()]", "", pattern.text)
    if not wanted:
        return []
    names = {demangle(name).partition("(")[0] or name for f in functions for name in f.names}
    lowered = wanted.lower()
    holding = sorted((n for n in names if lowered in n.lower()), key=lambda n: (len(n), n))
    by_length = sorted(names, key=lambda n: (abs(len(n) - len(wanted)), n))[:_MOST_COMPARED]
    near = get_close_matches(wanted, by_length, most, 0.6)
    return list(dict.fromkeys([*near, *holding]))[:most]
