"""How a trace and its loss look in a notebook."""

from __future__ import annotations

import html
import re
from pathlib import Path

import funcsnoop

from .traces import Recording


def text_of(shown: str) -> str:
    return html.unescape(re.sub("<[^>]*>", " ", shown))


def test_trace_and_loss(tmp_path: Path) -> None:
    hostile = "</td><script>alert(1)</script>\x1b[31m"
    recording = Recording(metadata={"command": [hostile, "-v"]})
    recording.metadata["counts"] = {
        "produced": 9,
        "recorded": 2,
        "lost": {"buffer": 4},
        "filtered": {},
        "after_limit": 3,
    }
    recording.entry("f", 10, 1000).entry("g", 20, 900)
    trace = funcsnoop.open(recording.write(tmp_path / "t.parquet"))
    shown = trace._repr_html_()
    assert "<script" not in shown
    assert "\x1b" not in shown
    assert "</td><script>alert(1)</script>\\x1b[31m -v" in text_of(shown)
    assert "2 recorded, 4 of 9 lost" in text_of(shown)
    assert "2023-11-14 22:13:20 UTC for 0.001 s on testhost" in text_of(shown)
    loss = trace.loss._repr_html_()
    assert "<script" not in loss
    for line in ("events lost: buffer", "events past the limit", "2 of 9 recorded"):
        assert line in text_of(loss)


def test_long_text_is_cut(tmp_path: Path) -> None:
    recording = Recording(metadata={"command": ["x" * 5000]})
    assert len(funcsnoop.open(recording.write(tmp_path / "t.parquet"))._repr_html_()) < 1500


def test_tables_show_themselves_without_scripts(tmp_path: Path) -> None:
    recording = Recording().entry("f", 10, 1000, 7).exit("f", 20, 1000)
    trace = funcsnoop.open(recording.write(tmp_path / "t.parquet"))
    for table in (trace.events, trace.calls(), trace.latency(), trace.arguments(), trace.functions):
        for shown in (table._repr_html_(), table.collect()._repr_html_()):
            assert shown
            assert "<script" not in shown
