"""The learner on recorded hours (skipped where they are absent): the bound holds, and no component earns its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.weights_history import PATTERN, summary

SHARED = Path(os.environ.get("ELR_SHARED", Path(__file__).resolve().parents[3] / "shared"))
FILES = sorted((SHARED / "history").glob(PATTERN))

pytestmark = [
    pytest.mark.needs_shared,
    pytest.mark.skipif(not FILES, reason=f"needs {PATTERN} in {SHARED / 'history'}"),
]


def test_hourly_bitcoin_says_that_no_component_works_at_one_hour() -> None:
    found = summary(FILES)
    assert found["rounds"] > 5_000
    for entry in found["regret"]:
        assert 0 < entry["measured"] < 0.1 * entry["bound"]  # far from the worst case
    for name in ("positioning", "funding", "static"):
        n, mean, error = found["edges"][name]
        assert n > 5_000
        assert abs(mean) < 1.96 * error, name  # not to be told from nothing
        assert found["gains"][name] < 0, name  # and below the hurdle
    assert found["shares"]["zero"] > 0.5
    assert found["shares"]["premium"] == min(found["shares"].values())
    assert found["awake"]["divergence"] == 0.0  # one venue: it sleeps throughout
    assert found["gain"] > found["gains"]["static"]  # the mixture loses less than the fixed formula
