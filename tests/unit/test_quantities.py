"""Sizes and durations as people write them."""

import pytest

from funcsnoop.cli.quantities import parse_duration, parse_size, show_bytes
from funcsnoop.errors import UsageError


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("10s", 10**10),
        ("1.5ms", 1_500_000),
        ("200us", 200_000),
        ("200µs", 200_000),
        ("7", 7 * 10**9),
        ("2m", 12 * 10**10),
        ("3 ns", 3),
    ],
)
def test_durations(text, ns):
    assert parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "s", "-1s", "1h", "1e3", "1..5s", "ten"])
def test_no_durations(text):
    with pytest.raises(UsageError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("16M", 16 << 20), ("256k", 256 << 10), ("65536", 65536), ("1GiB", 1 << 30), ("4KB", 4096)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "1.5M", "-1", "1T"])
def test_no_sizes(text):
    with pytest.raises(UsageError):
        parse_size(text)


def test_shown_sizes():
    assert [show_bytes(n) for n in (0, 999, 1000, 1_250_000, 79_000_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.2 MB",
        "79.0 GB",
    ]
