"""speedscope's own page opens what `export` writes for it, and what it writes for others."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import funcsnoop

from ..unit.test_correction import STACKS, nested
from ..unit.test_export import EVIL, RUST, demo
from ..unit.traces import ENDED, Recording
from .browser import Browser
from .speedscope import calls, open_in, read
from .test_export_perfetto import EXAMPLE, export, reused

MAIN = [
    ("main", 2_000, 11_000, 0),
    *(("parse", now, now + 500, 1) for now in range(3_000, 10_000, 1_000)),
    (RUST, 10_000, 10_210, 1),
    (EVIL, 10_100, 10_207, 2),
    ("main", 12_000, ENDED["monotonic_ns"], 0),
]
UNWOUND = [("parse", 4_000, 4_101, 0), (EVIL, 4_100, 4_101, 1), ("parse", 6_000, 6_100, 0)]


def test_its_own_format(tmp_path: Path, browser: Browser) -> None:
    trace = funcsnoop.open(reused(demo()).write(tmp_path / "trace.parquet"))
    page = open_in(browser, export(trace, "speedscope"))
    assert "demo 7, worker-7 7 – 18 of 50 events lost (1/5)" in page.evaluate("document.body.innerText")
    found = read(page)
    assert (
        found["name"]
        == "trace.parquet – drawn as far as known: 2 open, 2 unwound; 18 of 50 events lost (36.00%)"
    )
    begins = [2_000, 4_000, 21_000, 21_100, 5_000]
    shown = {}
    for begin, profile in zip(begins, found["profiles"], strict=True):
        assert profile["unit"] == "nanoseconds"
        shown[profile["name"].removesuffix(" – 18 of 50 events lost")] = [
            (name, begin + start, begin + end, depth)
            for name, start, end, depth in calls(profile, found["shared"]["frames"])
        ]
    assert shown == {
        "demo 7, worker-7 7": MAIN,
        "demo 7, worker-8 8": UNWOUND,
        "other 7, worker-11 11": [("main", 21_000, 21_200, 0)],
        "other 7, worker-11 11 (stack 2)": [("parse", 21_100, 21_300, 0)],
        # The call that is known by its exit alone has no width.
        "demo 9, worker-9 9": [("parse", 5_001, 5_002, 0)],
    }


def test_an_example(tmp_path: Path, browser: Browser) -> None:
    copy = tmp_path / EXAMPLE.name
    copy.write_bytes(EXAMPLE.read_bytes())
    trace = funcsnoop.open(copy)
    found = read(open_in(browser, export(trace, "speedscope")))
    (profile,) = found["profiles"]
    ours = trace.calls().collect()
    first = ours["start"][0]
    assert calls(profile, found["shared"]["frames"]) == [
        (name, start - first, end - first, depth)
        for name, start, end, depth in ours.select("name", "start", "end", "depth").rows()
    ]


def test_corrected_times_by_stack(tmp_path: Path, browser: Browser) -> None:
    trace = funcsnoop.open(nested().write(tmp_path / "t.parquet"), correct=True)
    found = read(open_in(browser, export(trace, "speedscope")))
    assert "corrected for probes: 0.04 to 0.1 us a call" in found["name"]
    (profile,) = found["profiles"]
    weights: Counter[str] = Counter()
    around: list[str] = []
    # It saves each stack as calls with a begin and an end.
    for name, begin, end, depth in calls(profile, found["shared"]["frames"]):
        around[depth:] = [name]
        weights[";".join(around)] += round(end - begin)
        if depth:
            weights[";".join(around[:-1])] -= round(end - begin)
    assert +weights == {stack: weight for stack, weight in STACKS.items() if weight}


def test_chrome(tmp_path: Path, browser: Browser) -> None:
    trace = funcsnoop.open(reused(demo()).write(tmp_path / "trace.parquet"))
    found = read(open_in(browser, export(trace, "chrome")))
    shown = {}
    for begin, profile in zip([2_000, 4_000, 21_000, 21_100, 5_001], found["profiles"], strict=True):
        assert profile["unit"] == "microseconds"
        first = profile["events"][0]["at"]
        shown[profile["name"]] = [
            # It takes arguments for a part of the name.
            (name.partition(" {")[0], *(begin + round((at - first) * 1000) for at in (start, end)), depth)
            for name, start, end, depth in calls(profile, found["shared"]["frames"])
        ]
    assert shown == {
        "demo, other (pid 7), worker-7 (tid 7)": MAIN,
        "demo, other (pid 7), worker-8 (tid 8)": UNWOUND,
        "demo, other (pid 7), worker-11 (tid 11)": [("main", 21_000, 21_200, 0)],
        "demo, other (pid 7), worker-11 (stack 2) (tid 4194315)": [("parse", 21_100, 21_300, 0)],
        "demo (pid 9), worker-9 (tid 9)": [("parse", 5_001, 5_002, 0)],
    }
    names = {frame["name"] for frame in found["shared"]["frames"]}
    assert 'main {"arg0":"3","arg1":"0x8000000000000001","ret_val":"0","status":"complete"}' in names
    assert 'main {"status":"open"}' in names


def test_chrome_calls_that_end_together_nest(tmp_path: Path, browser: Browser) -> None:
    """Days after the start, where a double of microseconds is near its end."""
    rng = random.Random(7)
    recording = Recording()
    now = 86_400 * 10**9
    for _ in range(701):
        depth = rng.randint(2, 9)
        for level in range(depth):
            now += rng.randint(1, 3_000)
            recording.entry("fgh"[level % 3], now, 9_000 - level)
        now += 10_000
        recording.entry("f", now, 9_100).exit("f", now + 1, 9_100)  # the others are left by a jump
    recording.metadata["ended"] = ENDED | {"monotonic_ns": now + 10}
    trace = funcsnoop.open(recording.write(tmp_path / "trace.parquet"))
    export(trace, "speedscope"), export(trace, "chrome")
    shapes = []
    for name in ("trace.speedscope.json", "trace.json"):
        found = read(open_in(browser, tmp_path / name))
        (profile,) = found["profiles"]
        shapes.append(
            [(call.partition(" ")[0], depth) for call, *_, depth in calls(profile, found["shared"]["frames"])]
        )
    assert shapes[0] == shapes[1]
    assert len(shapes[0]) == len(trace.calls().collect())


def test_folded(tmp_path: Path, browser: Browser) -> None:
    trace = funcsnoop.open(demo().write(tmp_path / "trace.parquet"))
    found = read(open_in(browser, export(trace, "folded")))
    (profile,) = found["profiles"]
    frames = [frame["name"] for frame in found["shared"]["frames"]]
    weights: dict[str, int] = {}
    stack: list[str] = []
    last = 0
    for event in profile["events"]:
        key = ";".join(stack)
        weights[key] = weights.get(key, 0) + event["at"] - last
        last = event["at"]
        stack = [*stack, frames[event["frame"]]] if event["type"] == "O" else stack[:-1]
    text = (tmp_path / "trace.folded").read_text()
    lines = [line.rpartition(" ") for line in text.splitlines()]
    assert {key: weight for key, weight in weights.items() if weight} == {
        stack: int(weight) for stack, _, weight in lines
    }
    assert json.dumps(EVIL)[1:9] not in text
