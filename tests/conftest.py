"""Shared by all tests: where things are, and seeds that a failing run prints."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("default")

# A sync test before the first async one would leave pytest-asyncio's placeholder loop unclosed (Python 3.11), and
# an unclosed loop is an error here.
asyncio.set_event_loop(None)

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def repository() -> Path:
    return REPOSITORY
