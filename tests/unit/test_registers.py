"""Addresses told from other numbers, and what the summary makes of values and latency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import funcsnoop
from funcsnoop.analyze.registers import are_pointers, as_error
from funcsnoop.analyze.summary import summary
from funcsnoop.cli.reports import span_text
from funcsnoop.cli.summary_text import wrapped

from .traces import Recording

HEAP = 0x55D0C0DE1000


def told(tmp_path: Path, values: list[int], slow: list[int], column: str = "arg0") -> list[dict[str, Any]]:
    """What the summary says of a function that takes 9 µs with the values `slow`, and 1 µs with others."""
    recording = Recording()
    now = 1000
    for value in values:
        given = [0] * 6
        if column != "ret_val":
            given[int(column[3:])] = value
        recording.entry("f", now, 4096, *given)
        now += 9000 if value in slow else 1000
        recording.exit("f", now, 4096, value if column == "ret_val" else 0)
    trace = funcsnoop.open(recording.write(tmp_path / "t.parquet"))
    return [dict(item) for item in summary(trace, trace.paired)["arguments"]]


@pytest.mark.parametrize(
    ("value", "number"), [(2**64 - 2, -2), (2**32 - 4095, -4095), (2**32 - 4096, 2**32 - 4096), (7, 7)]
)
def test_errors(value: int, number: int) -> None:
    assert as_error(value) == number


@pytest.mark.parametrize(
    ("values", "pointers"),
    [
        ([HEAP, HEAP + 64, HEAP + 128], True),
        ([0x19E9E220, 0x19E97418, 0], True),  # the heap of a program at a fixed address
        ([HEAP, 5], False),
        ([HEAP + 1, HEAP], False),
        ([1, 2, 3], False),
        ([0], False),
        ([2**64 - 8, 2**64 - 16], False),
    ],
)
def test_pointers(values: list[int], pointers: bool) -> None:
    row = {
        "min": min(values),
        "max": max(values),
        "top": [{"value": value, "count": 1} for value in values],
        "groups": [{"low": value, "high": value} for value in values],
    }
    assert are_pointers(row) is pointers


def test_a_value_that_time_goes_with(tmp_path: Path) -> None:
    (item,) = told(tmp_path, [0, 1] * 40, [1])
    assert (item["arg"], item["ratio"], item["fast"]["low"], item["slow"]["low"]) == ("arg0", 9.0, 0, 1)


def test_a_return_value_that_time_goes_with(tmp_path: Path) -> None:
    (item,) = told(tmp_path, [0, 1] * 40, [1], "ret_val")
    assert item["arg"] == "ret_val"


def test_registers_past_the_usual_parameters_tell_nothing(tmp_path: Path) -> None:
    assert told(tmp_path, [0, 1] * 40, [1], "arg2") == []


def test_few_calls_tell_nothing(tmp_path: Path) -> None:
    assert told(tmp_path, [0, 1] * 29, [1]) == []


def test_few_addresses_tell_objects_apart(tmp_path: Path) -> None:
    (item,) = told(tmp_path, [HEAP, HEAP + 64] * 40, [HEAP])
    assert item["slow"]["low"] == HEAP


def test_the_size_of_an_address_tells_nothing(tmp_path: Path) -> None:
    low = [0x19E90000 + 8 * i for i in range(40)]
    high = [HEAP + 8 * i for i in range(40)]
    assert told(tmp_path, [*low, *high], high) == []
    assert told(tmp_path, [*range(64, 104), *high, *high], high) == []
    sizes = range(300, 340)
    assert told(tmp_path, [*range(70, 110), *sizes], list(sizes)) != []


def test_spans() -> None:
    assert span_text(5, 5, None) == "5"
    assert span_text(512, 1023, None) == "512…1023"
    assert span_text(1 << 20, (1 << 21) - 1, None) == "2^20…2^21"
    assert span_text(-1023, -512, "i32") == "-1023…-512"


def test_notices_break_between_words() -> None:
    text = "return probes although functions may be left without a return, and the program can go astray"
    lines = wrapped(text, 40).splitlines()
    assert all(len(line) <= 40 for line in lines)
    assert [line[:4].strip() != "" for line in lines] == [True, False, False]
    assert " ".join(map(str.strip, lines)) == text
    assert wrapped(text, None) == f"  {text}\n"
