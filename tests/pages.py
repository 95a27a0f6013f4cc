"""The examples of the pages: found, run as in a terminal, compared.

An example is a block of commands at a `$`, each with what it prints. UPDATE_DOCS=1 writes what is printed now
into the page, where that is something else than the page says.
"""

from __future__ import annotations

import difflib
import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PARTIAL = "trace.parquet.partial"
BIN = Path(sys.executable).parent

_BLOCK = re.compile(r"^```(?:console)?\n(\$ .*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)$", re.MULTILINE)
#: What a terminal has overwritten when a command ends: the screen of `top`, lines that change.
_GONE = re.compile(
    r"\x1b\[\?1049h.*?\x1b\[\?1049l"
    r"|\r\x1b\[K(?: *[\d.]+ s  [\d,]+ events  [\d,]+/s  [\d,]+ lost  [\d.,]+ [kMG]?B)?"
    r"|\w+: line \d+: +\d+ Killed[^\n]*\n",  # a shell at a prompt says that in another way
    re.DOTALL,
)


def blocks(*pages: str) -> Iterator[Any]:
    """A parameter `page, block` for each example of these pages."""
    for page in pages:
        for number, block in enumerate(_BLOCK.findall((DOCS / f"{page}.md").read_text()), 1):
            yield pytest.param(DOCS / f"{page}.md", block, id=f"{page}-{number}")


def shown(block: str, directory: Path, columns: int = 100, before: Sequence[str] = ()) -> str:
    """What a terminal shows after the commands of `block`, typed in `directory`.

    One shell runs them all, as some are about what one before them started; `before` is what starts it.
    Whoever reads the page may need sudo; the tests are root.
    """
    script = [
        'sudo() { exec "$@"; }',
        # A recorder takes longer to start where the machine is busy.
        f"sleep() {{ until [ -s {PARTIAL} ]; do command sleep 0.1; done; command sleep $1; }}",
        "trap 'kill $! $(jobs -p) 2>/dev/null' EXIT",
    ]
    for command in _COMMAND.findall(block):
        script += [f"printf '%s\\n' {shlex.quote(f'$ {command}')}", command]
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 16, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment |= {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(directory),
        "NO_COLOR": "1",
        "TERM": "dumb",  # no bars that come and go
        "TZ": "UTC",
    }
    shell = subprocess.Popen(
        [*before, "bash", "-c", "\n".join(script)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        cwd=directory,
        env=environment,
    )
    os.close(theirs)
    text = b""
    try:
        while piece := os.read(ours, 1 << 16):
            text += piece
    except OSError:  # nobody has the other end any more
        pass
    os.close(ours)
    shell.wait(timeout=60)
    return _GONE.sub("", text.decode().replace("\r\n", "\n")).replace(str(directory), "/home/me")


#: What differs from run to run, and from one machine to another.
_VARIES = (
    (r"\d[\d.,]* +(?:ns|µs|ms|s)\b", "TIME"),
    (r"\d[\d.,]* (?:B|kB|MB|GB|MiB|KiB)\b", "SIZE"),
    (r"\d[\d.,]* bytes per event|, SIZE per event", "RATIO"),
    (r"0x[0-9a-f]+(?: +\d+\b)?", "ADDRESS"),
    (r"\b[0-9a-f]{40}\b", "BUILD-ID"),
    (r" +", " "),
    (r"(?m)^ ", ""),
)


def compare(page: Path, block: str, found: str, *more: tuple[str, str], exact: bool = False) -> None:
    """Fail if `found` is not what the page shows, but for what varies: always, and as `more` says, here."""

    def lasting(text: str) -> str:
        for pattern, name in () if exact else (*_VARIES, *more):
            text = re.sub(pattern, name, text)
        return text

    page_says, now = lasting(block).splitlines(), lasting(found).splitlines()
    if page_says == now:
        return
    if "UPDATE_DOCS" in os.environ:
        page.write_text(page.read_text().replace(block, found))
    else:
        different = "\n".join(difflib.unified_diff(page_says, now, page.name, "now", lineterm=""))
        pytest.fail(f"{different}\n\nbring it up to date with UPDATE_DOCS=1", pytrace=False)
