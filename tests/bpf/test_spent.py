"""Functions whose budget is spent lose their probes; whatever else is recorded goes on, exactly."""

from __future__ import annotations

import polars as pl
import pytest

import funcsnoop

BUDGET, PHASES = 20_011, 4
NAMES = "/^(main|hot.|inner.|steady.|visit|climb|both)$/"
WAYS = {
    "session": ("session", "return", "--follow"),
    "session-filter": ("session", "return", "--no-follow"),
    "session-ret": ("session", "ret", "--follow"),
    "multi": ("multi", "return", "--no-follow"),
    "multi-ret": ("multi", "ret", "--follow"),
    "perf-ret": ("perf", "ret", "--no-follow"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_spent_functions_cost_nothing(build, run, tmp_path, way):
    attach, exits, follow = way
    program = build("spends.c", "-O1", "-pthread")
    options = ["--attach", attach, "--exit", exits, follow, "--budget", str(BUDGET), "--args", "1"]
    done = run("record", *options, "-f", NAMES, "--", program, str(BUDGET), str(PHASES))
    assert done.status == 0, done.stderr
    *phases, made = (line.split() for line in done.stdout.splitlines())
    # The program itself waits for it, and says by how much.
    assert [float(faster) >= 10 for _, faster in phases] == [True] * PHASES

    trace = funcsnoop.open(tmp_path / "trace.parquet")
    assert trace.metadata["notices"] == []
    counts = trace.metadata["counts"]
    assert counts["lost"] == {"buffer": 0}
    assert counts["produced"] == counts["recorded"] + counts["filtered"]["budget"]
    calls = (
        trace.calls()
        .select("pid", "start", "arg0", "ret_val", "cookie", pl.col("name", "status").cast(pl.String))
        .collect()
    )
    spent = {"both", *(f"hot{n}" for n in range(PHASES))}
    *steadies, visits = map(int, made[1:])
    expected = dict.fromkeys(spent, BUDGET) | {"visit": visits, "climb": PHASES + 1, "main": 1}
    for n in range(8):
        # Calls are numbered from 1, and go to the eight functions in turn.
        once = sum(calls // 8 + (n > 0 and calls % 8 >= n) for calls in steadies)
        expected |= {f"steady{n}": once, f"inner{n}": once}
    assert max(once for name, once in expected.items() if name not in spent) < BUDGET
    assert dict(calls.group_by("name").len().iter_rows()) == expected
    # Also those that were under way when links were exchanged, once and more often.
    assert set(calls["status"]) == {"complete"}
    plain = calls.filter(pl.col("name") != "main")
    assert plain["ret_val"].equals(plain["arg0"] + 1)
    for n, thread in enumerate(set(calls.filter(pl.col("name").str.starts_with("steady"))["pid"])):
        numbers = calls.filter(pl.col("name").str.starts_with("steady"), pid=thread).sort("start")["arg0"]
        assert numbers.to_list() == list(range(1, len(numbers) + 1)), n

    symbols = {function["cookie"]: function["symbol"] for function in trace.metadata["functions"]}
    cuts = {symbols[cut["cookie"]]: cut["time_ns"] for cut in trace.metadata["filters"]["budget_cuts"]}
    assert set(cuts) == spent
    for name, time in cuts.items():
        assert calls.filter(pl.col("name") == name)["start"].max() < time


@pytest.mark.attach("session")
def test_processes_that_are_followed_share_a_budget(build, run, tmp_path):
    """Their calls under way are caught in each of them."""
    program = build("spends.c", "-O1", "-pthread")
    shell = f"{program} {BUDGET} 2 & {program} {BUDGET} 2 & wait"
    options = ["--attach", "session", "--exit", "return", "--follow", "--budget", str(2 * BUDGET)]
    done = run("record", *options, "-f", f"{program}:{NAMES}", "--", "sh", "-c", shell)
    assert done.status == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [float(words[1]) >= 10 for words in lines if words[0] == "faster"] == [True] * 4
    made = [list(map(int, words[1:])) for words in lines if words[0] == "calls"]

    trace = funcsnoop.open(tmp_path / "trace.parquet")
    assert trace.metadata["counts"]["lost"] == {"buffer": 0}
    calls = trace.calls().select(pl.col("name", "status").cast(pl.String)).collect()
    assert set(calls["status"]) == {"complete"}
    names = calls["name"].str.strip_chars_end("01234567")
    hot = calls.filter(pl.col("name").is_in(["both", "hot0", "hot1"]))
    assert dict(hot.group_by("name").len().iter_rows()) == dict.fromkeys(["both", "hot0", "hot1"], 2 * BUDGET)
    steadies = sum(steady for *both, _ in made for steady in both)
    others = {name: (names == name).sum() for name in ("steady", "inner", "visit", "climb", "main")}
    visits = sum(visits for *_, visits in made)
    assert others == {"steady": steadies, "inner": steadies, "visit": visits, "climb": 2 * 3, "main": 2}
