"""How often a day the feed's alerts are raised over the history files: ``python -m bench.rates HISTORY``.

HISTORY holds the files that docs/evidence.md names (some minutes). Each goes through the service's own core as in the
back-test, and every tick of it through the rule of the live alerts, with nothing configured. Prints the table of
docs/alerts.md, "How often they come"; ``--check docs/alerts.md`` prints only those of its lines that the document does
not have, and ends with status 1 if there are any.

A tick here is a row: one an hour or one in five minutes, where the feed has one each ten seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.evidence import FITTED, REPORTS, SIX, line
from service.core.engine import Engine
from service.model import Tick
from service.research.backtest.csv_history import MINUTE_MS, History, read_history
from service.research.backtest.run import Run, Scored, warm_after
from service.research.backtest.series import DAY_S
from service.scoring.alerts import Alerts, Situation

ALERTS = ("transition", "fading", "elr_spike", "flush", "reset", "crowding")
GROUPS = {
    "hourly, all ten files": FITTED,
    "hourly, BTC 2024-10 to 2026-02": ("bybit_btc",),
    "hourly, BTC 2020-12 to 2023-11": ("bybit_btc_old",),
    "hourly, BTC 2023-11 to 2024-10": ("hourly",),
    "hourly, six coins 2024-10 to 2026-02": SIX,
    "5 minutes, BTC 2024-09-13 to 2024-09-18": ("btc_5m",),
}
DELAY_MS = 60 * MINUTE_MS  # after midnight, of daily rows; of which there are none here


@dataclass(frozen=True, slots=True)
class Told:
    """Of one file: the days of the ticks at which alerts could be raised, and how many of each were."""

    days: float
    raised: Counter[str]


class Alerted(Run):
    """A run that also raises alerts, as live does, from the row on from which its ranks count."""

    def __init__(self, history: History, slow: Sequence[History], symbol: str) -> None:
        self.watched, self.raised = 0, Counter[str]()
        super().__init__(history, slow, symbol)

    def _made(self) -> Engine:
        self._alerts, self._seen = Alerts(self.symbol), 0  # after a hole everything begins anew
        return super()._made()

    def _scored(self, tick: Tick) -> Scored:
        body, readings = super()._scored(tick)
        self._seen += 1
        if self._seen <= warm_after(self.history.step_s):
            return body, readings
        status = self._status(body, readings)
        assert status in ("ok", "degraded", "warming", "no_data")  # None is of days
        self.watched += status in ("ok", "degraded")
        flush = body["flush"]
        now = Situation(
            readings=readings,
            status=status,
            flushing=flush is not None,
            forced=None if flush is None else flush["forced"],
            regime=body["regime"],
            conflict_windows=(),  # of the windows of 1m and 5m, which rows an hour apart do not have
            conflict_since=None,
            transition=body["transition"],
            score=body["score"],
            confidence=body["confidence"],
            flush_falling=body["flush_falling"],
            direction=body["direction"],
            momentum=body["momentum"],
        )
        self.raised.update(item["alert"] for item in self._alerts.update(now) if item["state"] == "raised")
        return body, readings


def of_report(history: Path, name: str) -> list[Told]:
    """What a report's files raise, each by itself."""
    files, slow_files, symbol = REPORTS[name]
    slow = [read_history(history / file, DELAY_MS, symbol) for file in slow_files]
    told = []
    for file in files:
        run = Alerted(read_history(history / file, DELAY_MS, symbol), slow, symbol)
        for _ in run.ticks():
            pass
        told.append(Told(run.watched * run.history.step_s / DAY_S, run.raised))
    return told


def table(found: dict[str, list[Told]], reports: Collection[str] = REPORTS) -> Iterator[str]:
    """Of the groups whose ``reports`` are all there."""
    yield line("rows", "days of a symbol", *(f"`{alert}`" for alert in ALERTS))
    yield "|" + "---|" * (2 + len(ALERTS))
    for group, names in GROUPS.items():
        if not set(names) <= set(reports):
            continue
        parts = [part for name in names for part in found[name]]
        days = sum(part.days for part in parts)
        counts = Counter[str]()
        for part in parts:
            counts.update(part.raised)
        yield line(group, f"{days:,.0f}", *(f"{counts[alert] / days:.2f} ({counts[alert]:,})" for alert in ALERTS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("history", type=Path)
    parser.add_argument("--check", type=Path, metavar="FILE", help="only the lines that FILE does not have")
    options = parser.parse_args()
    found = {name: of_report(options.history, name) for name in dict.fromkeys(n for g in GROUPS.values() for n in g)}
    lines = list(table(found))
    if options.check is not None:
        known = options.check.read_text(encoding="utf-8").splitlines()
        lines = [item for item in lines if item not in known]
    print("\n".join(lines))
    sys.exit(options.check is not None and len(lines) > 0)


if __name__ == "__main__":
    main()
