"""Tables in terminals of any width."""

from __future__ import annotations

import io

import pytest

from funcsnoop.cli.table import Column, write_table
from funcsnoop.cli.units import elide

NAMES = ["parse", "std::vector<int>::push_back(int)"]
COLUMNS = [
    Column("FUNCTION", NAMES, left=True, elastic=True),
    Column("CALLS", ["1,234,567", "8"]),
    Column("P50", ["12.3 µs", "4.56 ms"], rank=1),
    Column("P99", ["78.9 µs", "123 ms"], rank=2),
]


def table(width: int | None, columns: list[Column] = COLUMNS) -> str:
    out = io.StringIO()
    write_table(columns, out, width)
    return out.getvalue()


@pytest.mark.parametrize("width", range(13, 80))
def test_nothing_is_missing_in_silence(width: int) -> None:
    text = table(width)
    assert max(map(len, text.splitlines())) <= width
    heading = text.splitlines()[0]
    missing = [column for column in COLUMNS if column.title not in text]
    # A paragraph begins with the name, and has everything.
    assert heading.startswith("FUNCTION") or not [column for column in missing if column.rank]
    assert heading.endswith(" …") == any(column.rank for column in missing)
    for column in COLUMNS[1:]:
        assert column in missing or all(cell in text for cell in column.cells)


def test_no_limit() -> None:
    assert table(None).splitlines()[1].split() == ["parse", "1,234,567", "12.3", "µs", "78.9", "µs"]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (38, ["FUNCTION              CALLS      P50 …", "parse             1,234,567  12.3 µs"]),
        (29, ["FUNCTION              CALLS …", "parse             1,234,567"]),
        (28, ["parse", "  CALLS 1,234,567"]),
    ],
)
def test_which_way(width: int, expected: list[str]) -> None:
    assert table(width).splitlines()[:2] == expected


def test_a_number_that_is_longer_than_a_line() -> None:
    columns = [Column("NAME", ["f"], left=True, elastic=True), Column("VALUE", ["0x7f227019a2e0 and more"])]
    assert table(12, columns) == "f\n  VALUE\n    0x7f227019a2e0\n    and more\n"


def test_indentation_gives_way_before_the_name() -> None:
    assert elide(" " * 20 + "parse", 12) == "      …parse"
    assert elide(" " * 20 + "parse", 6) == "…parse"
    assert elide(" " * 20 + "parse", 5) == "parse"
    assert elide(" " * 20 + "parse", 4) == "p…se"
