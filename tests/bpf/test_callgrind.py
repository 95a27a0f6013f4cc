"""A second oracle that is not ours: callgrind counts the same calls of the same program."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "sqlite_queries.py"


def callgrind(directory, command):
    """Counter of calls over each (caller, callee), as callgrind saw them."""
    output = directory / "callgrind.out"
    # Bound at load time, since callgrind takes a call through the lazy binder for one from there.
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", *command],
        env={"LD_BIND_NOW": "1", "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        timeout=300,
    )
    assert output.exists(), done.stderr
    return parse(output.read_text())


def parse(text):
    """The format: https://valgrind.org/docs/manual/cl-format.html, with compressed names."""
    names = {}

    def name(value):
        number, given = re.fullmatch(r"\((\d+)\)(?: (.*))?", value).groups()
        if given is not None:
            names[number] = given.split("'")[0]  # f'2 is f, called by itself
        return names[number]

    edges = Counter()
    caller = callee = None
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "fn":
            caller = name(value)
        elif key == "cfn":
            callee = name(value)
        elif key == "calls":
            edges[caller, callee] += int(value.split()[0])
    return edges


def callees(edges):
    counts = Counter()
    for (_, callee), calls in edges.items():
        counts[callee] += calls
    return counts


def recorded_edges(trace):
    rows = trace.callgraph().collect().select("caller", "callee", "calls").iter_rows()
    return Counter({(caller, callee): calls for caller, callee, calls in rows})


@pytest.mark.parametrize("attach", ["session", "multi"])
def test_known_program_edge_by_edge(build, record, tmp_path, attach):
    program = build("calls.c", "-O1", "-g", "-fno-optimize-sibling-calls", "-pthread")
    ours = recorded_edges(record(["--attach", attach], [program], status=3))
    theirs = callgrind(tmp_path, [program])
    functions = callees(ours)
    assert functions == {f: n for f, n in callees(theirs).items() if f in functions}
    inside = {edge: n for edge, n in ours.items() if edge[0] is not None}
    assert inside == {edge: n for edge, n in theirs.items() if edge[0] in functions and edge[1] in functions}


def test_sqlite_under_python_function_by_function(record, tmp_path):
    """Every exported function of SQLite that a Python program calls, also from inside SQLite."""
    command = ["/usr/bin/python3", str(EXAMPLE)]
    trace = record(["-f", "libsqlite3.so.0:sqlite3_*", "--exit", "return"], command)
    assert trace.metadata["counts"]["lost"] == {"buffer": 0}
    ours = callees(recorded_edges(trace))
    theirs = {f: n for f, n in callees(callgrind(tmp_path, command)).items() if f.startswith("sqlite3_")}
    assert sum(ours.values()) > 100_000
    assert ours == theirs
