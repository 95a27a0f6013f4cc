"""The documentation says what the program does. UPDATE_DOCS=1 writes the help texts into the pages."""

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import typer.main

from funcsnoop.cli.app import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FUNCSNOOP = Path(sys.executable).with_name("funcsnoop")
TOP = typer.main.get_command(app)
COMMANDS = TOP.commands
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md")])

#: What lies between the two comments is the help text of the command that the first one names.
HELP = re.compile(r"(<!-- help: (\w+) -->\n)(.*?)(<!-- end of help -->)", re.DOTALL)


@cache
def help_of(command):
    done = subprocess.run(
        [FUNCSNOOP, command, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "80"},
    )
    return f"```text\n{done.stdout.rstrip()}\n```\n"


def heading(title):
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("command", COMMANDS)
def test_page_has_the_help_text(command):
    page = DOCS / f"{command}.md"
    text = page.read_text()
    if "UPDATE_DOCS" in os.environ:
        text = HELP.sub(lambda block: block[1] + help_of(block[2]) + block[4], text)
        page.write_text(text)
    found = {block[2]: block[3] for block in HELP.finditer(text)}
    assert found == {command: help_of(command)}, "bring it up to date with UPDATE_DOCS=1"


@pytest.mark.parametrize("command", COMMANDS)
def test_page_has_what_a_page_has(command):
    text = (DOCS / f"{command}.md").read_text()
    assert text.startswith(f"# funcsnoop {command}\n")
    assert {"options", "fields", "examples"} <= {
        title.lower() for title in re.findall("^## (.+)$", text, re.MULTILINE)
    }
    # Somebody has shown it at work, beside the generated help.
    assert f"$ funcsnoop {command}" in HELP.sub("", text).replace("$ sudo ", "$ ")


@pytest.mark.parametrize("command", COMMANDS)
def test_page_names_every_option(command):
    text = (DOCS / f"{command}.md").read_text()
    options = {name for option in COMMANDS[command].params for name in (*option.opts, *option.secondary_opts)}
    missing = {name for name in options if name.startswith("-") and not re.search(rf"{name}\b", text)}
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_examples_exist(page):
    """Of each `funcsnoop COMMAND …` at a prompt."""
    for line in re.findall(
        r"^\$ (?:sudo )?(funcsnoop .*)$", page.read_text().replace("\\\n", " "), re.MULTILINE
    ):
        words = shlex.split(line, comments=True)
        ends = [words.index(word) for word in ("--", "|") if word in words]
        words = words[1 : min(ends, default=None)]
        if words and words[0] in COMMANDS:
            known = {name for option in COMMANDS[words[0]].params for name in option.opts} | {"-h", "--help"}
            given = {word.partition("=")[0] for word in words[1:] if re.match("-[a-z]|--", word)}
            assert given <= known, line
        else:
            assert not words or words[0].startswith("-"), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_the_text_exist(page):
    """Of each `--option` between backquotes, of whichever command."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    named = {
        option
        for code in re.findall(r"`([^`\n]+)`", text)
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", code)
    }
    params = [param for command in [TOP, *COMMANDS.values()] for param in command.params]
    known = {name for param in params for name in (*param.opts, *param.secondary_opts)}
    assert named <= known | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://")):
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        if anchor:
            titles = re.findall("^#+ (.+)$", found.read_text(), re.MULTILINE)
            assert anchor in {heading(title) for title in titles}, target


def test_index_lists_every_page():
    index = (DOCS / "README.md").read_text()
    assert {page.name for page in DOCS.glob("*.md")} - {"README.md"} == set(
        re.findall(r"\((\w[\w-]*\.md)\)", index)
    )


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(
        re.findall(
            r"^(?:sudo )?make ([\w-]+)|`(?:sudo )?make ([\w-]+)", (ROOT / page).read_text(), re.MULTILINE
        )
    )
    assert {a or b for a, b in named} <= targets
    assert named


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 200
