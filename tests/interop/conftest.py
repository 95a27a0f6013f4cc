"""Fixtures for tests with real readers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .browser import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One headless Chromium for all tests; each takes a page of its own."""
    with Browser() as browser:
        yield browser
