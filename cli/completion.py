"""What a shell completes; where it is told of nothing it offers files."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import typer
from typer import _completion_shared


def one_of(values: Sequence[str]) -> Callable[[str], list[str]]:
    """For an option that has one of `values`."""
    return lambda incomplete: [value for value in values if value.startswith(incomplete)]


def first_of(values: Sequence[str]) -> Callable[[typer.Context, str], list[str]]:
    """For arguments of which only the first can be one of `values`."""
    return lambda ctx, incomplete: (  # Typer goes by these names
        [] if ctx.params.get("words") else [value for value in values if value.startswith(incomplete)]
    )


def complete_at_the_first_tab() -> None:
    """In zsh too, which loads what `--install-completion` wrote at that moment.

    Typer's script then defines its function and does not call it, so that nothing happens.
    """
    scripts: dict[str, str] = getattr(_completion_shared, "_completion_scripts", {})
    if "loadautofunc" not in scripts.get("zsh", "loadautofunc"):
        scripts["zsh"] += '[[ $zsh_eval_context[-1] == loadautofunc ]] && %(complete_func)s "$@"\n'
