"""What a shell completes; where it is told of nothing it offers files."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import typer


def one_of(values: Sequence[str]) -> Callable[[str], list[str]]:
    """For an option that has one of `values`."""
    return lambda incomplete: [value for value in values if value.startswith(incomplete)]


def first_of(values: Sequence[str]) -> Callable[[typer.Context, str], list[str]]:
    """For arguments of which only the first can be one of `values`."""
    return lambda ctx, incomplete: (  # Typer goes by these names
        [] if ctx.params.get("words") else [value for value in values if value.startswith(incomplete)]
    )
