"""Manual pages from docs/: one for each command, and one that lists them.

The pages of docs/ hold the commands' help texts (a test compares them), so that the two cannot differ. What
of Markdown they use is known here: headings, paragraphs, lists, tables, code, comments.

https://man7.org/linux/man-pages/man7/groff_man.7.html
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

_HELP = re.compile(r"<!-- help: (\w+) -->\n```text\n(.*?)```\n<!-- end of help -->\n", re.DOTALL)
_INLINE = re.compile(r"(`+)(?P<code>.+?)\1|\*\*(?P<bold>.+?)\*\*|\[(?P<text>[^\]]+)\]\((?P<link>[^)\s]+)\)")
#: An option or argument of a help text, and what is said of it; the first line of both.
_ENTRY = re.compile(r"  (\S.*?)(?:  +(\S.*))?$")


def write_pages(root: Path, to: Path) -> list[Path]:
    """Write all pages of the project in `root`; their paths."""
    found = re.search(r'^__version__ = "(.*)"$', (root / "__init__.py").read_text(), re.MULTILINE)
    assert found is not None
    commands = {}
    for path in sorted((root / "docs").glob("*.md")):
        text = path.read_text()
        help_text = _HELP.search(text)
        if help_text is not None:
            commands[path.stem] = (text, help_text[2])
    pages = {f"funcsnoop-{name}": page(name, *texts, found[1]) for name, texts in commands.items()}
    summaries = {name: _summary(help_text) for name, (_, help_text) in commands.items()}
    pages["funcsnoop"] = overview(summaries, found[1])
    see_also = ", ".join(f"\\fB{name}\\fR(1)" for name in sorted(pages))
    to.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in pages.items():
        paths.append(to / f"{name}.1")
        paths[-1].write_text(f"{text}.SH SEE ALSO\n{see_also}\n")
    return paths


def overview(summaries: dict[str, str], version: str) -> str:
    """The page `funcsnoop`."""
    lines = [
        _title("funcsnoop", version),
        ".SH NAME",
        "funcsnoop \\- every call of chosen functions, with eBPF uprobes",
    ]
    lines += [".SH SYNOPSIS", "\\fBfuncsnoop\\fR \\fICOMMAND\\fR [\\fIARGUMENT\\fR]...", ".SH COMMANDS"]
    for name, summary in summaries.items():
        lines += [".TP", f"\\fBfuncsnoop\\-{name}\\fR(1)", inline(summary)]
    return "\n".join(lines) + "\n"


def page(name: str, text: str, help_text: str, version: str) -> str:
    """The page `funcsnoop-NAME`, from a page of docs/ and the help text in it."""
    summary = _summary(help_text)
    lines = [_title(f"funcsnoop-{name}", version), ".SH NAME", f"funcsnoop\\-{name} \\- {inline(summary)}"]
    before, _, after = text.partition(f"# funcsnoop {name}\n")[2].partition("<!-- help:")
    body = f"{before}\x00\n{after.partition('<!-- end of help -->')[2]}"
    if not body.lstrip().startswith("#"):
        # A page that begins with how to call the command, and goes on with what it does.
        body = re.sub(r"^\n*((?: {4}.*\n)+)", r"## SYNOPSIS\n\1\n## DESCRIPTION\n", body)
    body = re.sub(r"^## SEE ALSO\n[^#]*", "", body, flags=re.MULTILINE)
    for kind, block in blocks(body):
        lines += _options(help_text) if block == ["\x00"] else _RENDER[kind](block)
    return "\n".join(lines) + "\n"


def blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """The blocks of a Markdown text, each with its lines."""
    lines = text.split("\n")
    while lines:
        line = lines.pop(0)
        if not line.strip() or line.startswith("<!--"):
            continue
        if line.startswith("```"):
            end = lines.index(line[: len(line) - len(line.lstrip("`"))])
            yield "code", lines[:end]
            del lines[: end + 1]
        elif line.startswith("#"):
            yield "heading", [line]
        elif line.startswith("    "):
            code = [line[4:]]
            while lines and lines[0].startswith("    "):
                code.append(lines.pop(0)[4:])
            yield "code", code
        else:
            kind = (
                "table" if line.startswith("|") else "item" if re.match(r"- |\d+\. ", line) else "paragraph"
            )
            block = [line]
            while lines and lines[0].strip() and not re.match(r"```|#|<!--", lines[0]):
                if kind == "item" and re.match(r"- |\d+\. ", lines[0]):
                    break
                block.append(lines.pop(0))
            yield kind, block


def inline(text: str) -> str:
    """A run of text: code and bold in bold, links as their text, with the address of what is elsewhere."""
    done, at = "", 0
    for found in _INLINE.finditer(text):
        done += _plain(text[at : found.start()])
        at = found.end()
        if found["text"]:
            outside = found["link"].startswith("http") and found["text"] not in found["link"]
            done += inline(found["text"]) + (f" ({_plain(found['link'])})" if outside else "")
        else:
            done += f"\\fB{_literal((found['code'] or found['bold'].replace('`', '')).strip())}\\fR"
    done += _plain(text[at:])
    # A line that begins with one of these would be a request.
    return f"\\&{done}" if done.startswith((".", "'")) else done


def _plain(text: str) -> str:
    return text.replace("\\|", "|").replace("\\", "\\e")


def _literal(text: str) -> str:
    """Text to be typed: a hyphen stays what it is."""
    return _plain(text).replace("-", "\\-")


def _title(name: str, version: str) -> str:
    return f'.TH {name.upper()} 1 "" "funcsnoop {version}" "User Commands"'


def _summary(help_text: str) -> str:
    """The first sentence of a help text, without its full stop."""
    paragraphs = [" ".join(part.split()) for part in help_text.split("\n\n")]
    return paragraphs[1].rstrip(".")


def _options(help_text: str) -> list[str]:
    """The arguments and options that a help text lists."""
    entries: list[list[str]] = []
    listed = False
    for line in help_text.split("\n"):
        if line in ("Arguments:", "Options:"):
            listed = True
        elif not line.strip():
            listed = False
        elif listed:
            found = _ENTRY.match(line)
            if found and not line.startswith("   "):
                entries.append([found[1].partition(" <")[0], found[2] or ""])
            else:
                entries[-1][1] += f" {line.strip()}"
    lines = []
    for what, about in entries:
        lines += [".TP", f"\\fB{_literal(what)}\\fR", inline(about.strip())]
    return lines


def _heading(block: list[str]) -> list[str]:
    marks, _, title = block[0].partition(" ")
    return [f".SH {inline(title.upper())}" if len(marks) == 2 else f".SS {inline(title)}"]


def _code(block: list[str]) -> list[str]:
    lines = [f"\\&{_literal(line)}" if line.startswith((".", "'")) else _literal(line) for line in block]
    return [".PP", ".RS 4", ".EX", *lines, ".EE", ".RE"]


def _item(block: list[str]) -> list[str]:
    mark, _, first = block[0].partition(" ")
    bullet = "\\(bu 2" if mark == "-" else f"{mark} 4"
    return [f".IP {bullet}", inline(" ".join([first, *(line.strip() for line in block[1:])]))]


def _paragraph(block: list[str]) -> list[str]:
    return [".PP", inline(" ".join(line.strip() for line in block))]


def _table(block: list[str]) -> list[str]:
    """Each row a paragraph that begins with its first cell."""
    heads, _, *rows = ([cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in block)
    lines = []
    for first, *others in rows:
        said = [
            f"{inline(head)}: {inline(cell)}" if len(heads) > 2 and head else inline(cell)
            for head, cell in zip(heads[1:], others, strict=True)
            if cell
        ]
        lines += [".TP", inline(first), "\n.br\n".join(said)]
    return lines


_RENDER = {"heading": _heading, "code": _code, "item": _item, "paragraph": _paragraph, "table": _table}

if __name__ == "__main__":
    write_pages(Path(__file__).resolve().parents[1], Path(sys.argv[1]))
