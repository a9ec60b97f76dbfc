"""``p_deleveraging`` and ``fragility_2`` (docs/signal.md section 7, docs/deleveraging.md), one symbol."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from .history import MINUTE, Level
from .numbers import Loose, slack_of

FILE = Path(__file__).parents[2] / "service" / "deleveraging.json"
USUAL_VOLATILITY = 0.03
NOT_KNOWN = {"oi_5": None, "oi_10": None, "as_of": None}


class Deleveraging:
    """``standing``: the probabilities that the last tick published, None where it had none to keep."""

    def __init__(self) -> None:
        self.file = json.loads(FILE.read_text())
        self.standing: dict[str, Any] | None = None

    def of(self, ts: int, quorum: bool, rank: Level, volatility: float | None, backfill: bool) -> dict[str, Any]:
        """What the message says at ``ts``; ``backfill``: a tick of the past."""
        reason = self._why_null(quorum, rank, volatility)
        said: dict[str, Any] = dict(NOT_KNOWN)
        if reason is None:
            assert rank.percentile is not None
            assert volatility is not None
            kept = self.standing
            if not backfill and kept is not None and kept["as_of"] // MINUTE == ts // MINUTE:
                said = kept
            else:
                said = {name: self.probability(name, rank.percentile, volatility) for name in ("oi_5", "oi_10")}
                said["as_of"] = ts
        self.standing = said if reason is None and not backfill else None
        return {
            "oi_5": said["oi_5"],
            "oi_10": said["oi_10"],
            "horizon_h": 24,
            "model": f"{self.file['form']}:{self.file['hash'][:8]}",
            "base_rate": self.file["base_rates"]["oi_5"],  # of a record without outcomes
            "base_rate_10": self.file["base_rates"]["oi_10"],
            "as_of": said["as_of"],
            "reason": reason,
            "evidence": "none_yet",
            "evidence_10": "none_yet",
        }

    def _why_null(self, quorum: bool, rank: Level, volatility: float | None) -> str | None:
        if not quorum:
            return "no_quorum"
        least_h = self.file["least_rank_h"]
        if rank.percentile is None or rank.horizon_h < least_h or rank.n < 30 * least_h:
            return "short_rank"
        return "no_volatility" if volatility is None or volatility == 0 else None

    def probability(self, name: str, rank: float, volatility: float) -> float:
        """Loose by what the slack of a binned rank makes of it."""
        slack = slack_of(rank)
        value, low, high = (self._logistic(name, share, volatility) for share in (rank, rank - slack, rank + slack))
        return Loose(value, max(abs(high - value), abs(value - low))) if slack > 0 else value

    def _logistic(self, name: str, rank: float, volatility: float) -> float:
        parameters = self.file["parameters"]
        x = parameters["a" + name.removeprefix("oi")] + parameters["c_rank"] * (rank - 0.5)
        x += parameters["c_volatility"] * math.log(volatility / USUAL_VOLATILITY)
        return 1 / (1 + math.exp(-x))


def fragility_2_of(levels: dict[str, Level]) -> float | None:
    leverage, volatility = levels["elr"].percentile, levels["volatility"].percentile
    if leverage is None or volatility is None:
        return None
    return Loose((leverage + volatility) / 2, (slack_of(leverage) + slack_of(volatility)) / 2)
