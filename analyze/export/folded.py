"""Folded stacks, for flamegraph.pl, speedscope, inferno and others: a line and a weight for each stack."""

from __future__ import annotations

from typing import BinaryIO

from ...printable import printable
from .source import Source
from .stacks import Stacks


def write(source: Source, out: BinaryIO) -> None:
    """`root;caller;function WEIGHT`, a line a stack: self time in ns, or calls; stacks of none are left out.

    https://github.com/brendangregg/FlameGraph#2-fold-stacks. In names `;` and what is no printing character
    are written `\\x3b` and the like, as the format has no way to quote.
    """
    stacks = Stacks(source)
    names = [_escaped(function["demangled"]) for function in source.metadata["functions"]]
    weights = stacks.calls if source.weight == "calls" else stacks.self_ns
    for stack, weight in enumerate(weights.tolist()):
        if weight > 0:
            line = ";".join(names[function] for function in reversed(stacks.leaf_first(stack)))
            out.write(f"{line} {weight}\n".encode())


def _escaped(name: str) -> str:
    return printable(name).replace(";", "\\x3b")
