from __future__ import annotations

import pytest

from service.model import Readings
from service.scoring.status import judge
from tests.scoring.factory import consensus, no_data, readings

TROUBLE = ("stale:beta",)


@pytest.mark.parametrize(
    ("now", "status", "reasons"),
    [
        (readings(), "ok", []),
        (readings(w1m={"ready": False}, w5m={"ready": False}), "ok", []),
        (readings(sample=consensus(coverage=0.8)), "ok", []),
        (readings(sample=consensus(coverage=0.8 - 1e-12)), "degraded", ["coverage"]),
        (readings(sample=consensus(trouble=TROUBLE)), "degraded", ["stale:beta"]),
        (readings(w1h={"ready": False}), "warming", ["warming:1h"]),
        (readings(statistics_ready=False), "warming", ["warming:statistics"]),
        (
            readings(sample=consensus(trouble=TROUBLE), w1h={"ready": False}, statistics_ready=False),
            "warming",
            ["warming:1h", "warming:statistics", "stale:beta"],
        ),
        (readings(sample=no_data(trouble=())), "no_data", ["quorum"]),
        (
            readings(sample=no_data(trouble=TROUBLE), statistics_ready=False),
            "no_data",
            ["quorum", "stale:beta"],
        ),
    ],
)
def test_status(now: Readings, status: str, reasons: list[str]) -> None:
    assert judge(now) == (status, reasons)
