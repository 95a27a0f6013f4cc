"""The page: its data and its parts in one file that asks for nothing else."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .budget import to_json
from .contents import contents

if TYPE_CHECKING:
    from ..analyze.casts import Cast
    from ..analyze.selection import Chosen
    from ..analyze.trace import Trace

#: The page's scripts, in the order in which they stand in it.
SCRIPTS = ("text", "draw", "flame", "table", "charts", "detail", "threads", "facts", "main")


class Report:
    """A trace as an HTML page. A notebook shows it in a frame; `save` writes it to a file."""

    def __init__(
        self,
        trace: Trace,
        paired: Chosen | None,
        selection: Sequence[str] = (),
        casts: Sequence[Cast] = (),
        told: Callable[[str], None] = lambda step: None,
    ) -> None:
        """Over the calls `paired` of `trace`; the rest as of `contents`."""
        self._contents = contents(trace, paired, selection, casts, told)
        self.calls: int = self._contents["calls"]
        #: What the page leaves out, in one line.
        self.loss: str = self._contents["loss"]["text"]

    def __repr__(self) -> str:
        return f"<report of {self.calls:,} calls; {self.loss}>"

    @cached_property
    def html(self) -> str:
        """The whole page."""
        return render(self._contents)

    def save(self, path: Path) -> None:
        """Write the page to `path`, replacing what is there."""
        path.write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" title="funcsnoop report" '
            'style="width: 100%; height: 720px; border: 1px solid #8888; border-radius: 6px"></iframe>'
        )


def render(data: dict[str, Any]) -> str:
    """The page with `data`, as `contents` gives it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__, "web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    parts = files(__package__)
    scripts = [parts.joinpath("vendor", "flamegraph.js").read_text(encoding="utf-8")]
    scripts += [parts.joinpath("web", f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    text = environment.get_template("page.html").render(
        title=_title(data["facts"]),
        style=parts.joinpath("web", "style.css").read_text(encoding="utf-8"),
        scripts=scripts,
        licences=parts.joinpath("vendor", "LICENSES.txt").read_text(encoding="utf-8"),
        data=to_json(data),
    )
    # A title may hold halves of a pair of surrogates, which no encoding has.
    return text.encode("utf-8", "backslashreplace").decode()


def _title(facts: dict[str, Any]) -> str:
    commands = [facts["command"], *(process["command"] for process in facts["processes"])]
    words: list[str] = next((command.split() for command in commands if command), [])
    return Path(words[0] if words else facts["trace"]).name
