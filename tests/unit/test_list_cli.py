from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess

import pytest

from funcsnoop.cli.plan_view import render_plan
from funcsnoop.printable import printable
from funcsnoop.record.plan import make_plan
from funcsnoop.record.target import Target

CODE = """
namespace ns { __attribute__((noinline)) int add(int a, int b) { return a + b; } }
extern "C" { int plain(int x) { return x; } int alias(int x) __attribute__((alias("plain"))); }
int main() { return ns::add(plain(1), 2); }
"""


@pytest.fixture
def module(build_text, tmp_path) -> str:
    path = build_text(CODE, "-O1", "-fcf-protection=none", suffix=".cc")
    return str(shutil.copy(path, tmp_path / "module"))


def test_table(run, module):
    done = run("list", module, "*a*")
    assert (done.status, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["ADDRESS", "SIZE", "SITE", "CLASS", "ENTRY", "RETURN", "FUNCTION"]
    named = [re.split(r" [0-9,]+  [0-9,]+  ", line)[1] for line in lines if "+0  " in line]
    # Of the two global names of one address, the first of equal length is the symbol.
    assert {"ns::add(int, int)  [_ZN2ns3addEii]", "alias  (also plain)", "main"} <= set(named)
    assert re.search(rf"^\d+ functions of {re.escape(module)} can be traced$", done.stdout, re.MULTILINE)
    assert "left out: 1 (start-up code)" in lines


def test_addresses_and_sizes_equal_those_of_nm(run, module):
    rows = json.loads(run("list", module, "--format", "json").stdout)
    nm = subprocess.run(["nm", "-S", module], capture_output=True, text=True, check=True).stdout
    sizes = {(f[3], int(f[0], 16), int(f[1], 16)) for f in map(str.split, nm.splitlines()) if len(f) == 4}
    mine = {(name, r["address"], r["size"]) for r in rows for name in (r["symbol"], *r["aliases"])}
    assert {"_ZN2ns3addEii", "plain", "alias", "main"} <= {name for name, _, _ in mine}
    assert mine <= sizes


@pytest.mark.parametrize("format_", ["json", "ndjson", "csv"])
def test_machine_formats_hold_the_same_rows(run, module, format_):
    done = run("list", module, "plain", "--format", format_)
    assert done.status == 0
    if format_ == "json":
        (row,) = json.loads(done.stdout)
    elif format_ == "ndjson":
        row = json.loads(done.stdout)
    else:
        (row,) = csv.DictReader(io.StringIO(done.stdout))
        row = row | {"aliases": row["aliases"].split()}
    assert list(row) == [
        "module", "symbol", "demangled", "address", "offset", "size", "site", "site_class", "return_site",
        "entry_ns", "return_ns", "ret_ns", "aliases",
    ]  # fmt: skip
    assert {row["symbol"], *row["aliases"]} == {"plain", "alias"}
    assert int(row["site"]) == int(row["offset"])
    assert "1 function of" in done.stderr


def test_libraries_commands_and_processes(run, module):
    assert run("list", "libc", "malloc").stdout.splitlines()[1].split()[6] == "malloc"
    found = run("list", "module", "plain", env={"PATH": os.path.dirname(module)})
    assert found.status == 0
    with subprocess.Popen(["sleep", "60"]) as process:
        done = run("list", "-p", str(process.pid), "libc", "malloc")
        process.kill()
    assert done.status == 0, done.stderr
    assert "malloc" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("/etc/passwd",), 1, "/etc/passwd: not an ELF file"),
        (("libnone9000",), 1, "no library libnone9000"),
        (("libc", "maloc"), 1, "no function of libc.so.6 matches 'maloc'"),
        (("libc", "/(/"), 2, "the regex is invalid"),
        (("-p", "99999999", "libc"), 1, "no process 99999999"),
        (("/no/such/file",), 1, "no such file: /no/such/file"),
    ],
)
def test_errors_are_two_lines(run, arguments, status, message):
    done = run("list", *arguments)
    assert (done.status, done.stdout) == (status, "")
    assert len(done.stderr.splitlines()) == 2
    assert message in done.stderr


def test_names_cannot_command_the_terminal(run, module, tmp_path):
    hostile = tmp_path / "hostile"
    with open(module, "rb") as file:
        hostile.write_bytes(file.read().replace(b"\0plain\0", b"\0\x1b[2J\n\0"))
    for format_ in ("table", "csv", "json", "ndjson"):
        done = run("list", str(hostile), "--format", format_)
        assert done.status == 0
        assert "\x1b" not in done.stdout
        assert "[2J\\n" in done.stdout


def test_printable():
    assert printable("größe<T>") == "größe<T>"
    assert printable("a\x1b\n\u202e\udc80\x7f") == "a\\x1b\\n\\u202e\\udc80\\x7f"


def test_a_plan_is_shown(module):
    specs = ["*a*", "libc:*alloc"]
    plan = make_plan(Target.for_command([module, "a b"]), specs, ["nothing"], exit_policy="none")
    file = io.StringIO()
    render_plan(plan, file)
    text = file.getvalue()
    assert f"Target     {module} 'a b'" in text
    for planned in plan.modules:
        assert f"\n{planned.path}\n" in text
        assert planned.build_id in text
    assert "ns::add(int, int)" in text
    assert f"Probes     entries only for {len(plan.functions)} functions: asked for with --exit none" in text
    assert text.count("Notice: ") == len(plan.notices) == 1
    assert f"Functions  {len(plan.functions)} in 2 modules" in text


def test_a_long_plan_is_cut(module):
    file = io.StringIO()
    plan = make_plan(Target.for_command([module]), ["libc:*"], [])
    render_plan(plan, file)
    assert f"… and {len(plan.functions) - 40:,} more" in file.getvalue()
    assert len(file.getvalue().splitlines()) < 70
