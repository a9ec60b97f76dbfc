"""The engine must say, tick for tick and field for field, what the checker recomputes from the same events."""

from __future__ import annotations

import pytest

from service.config import MarketSection
from service.wiring.engine import Engine

from .cases import LONG, SHORT
from .features import Features
from .recompute import Checker, compare
from .scenarios import DENOMINATORS, RULES, Scenario, World

TICK_MS = 10_000
SHOWN = 90  # differing paths shown of a failing run


class Differences:
    """Differing lines by path; a failing run shows each path once, with its count and first occurrence."""

    def __init__(self) -> None:
        self.first: dict[str, str] = {}
        self.counts: dict[str, int] = {}

    def add(self, ts: int, lines: list[str]) -> None:
        for line in lines:
            path = "." + line.split(":")[0].split(".", 2)[-1]  # one entry for all symbols
            self.first.setdefault(path, f"at {ts}: {line}")
            self.counts[path] = self.counts.get(path, 0) + 1

    def report(self) -> str:
        paths = list(self.first)
        lines = [f"{self.counts[path]} x, first {self.first[path]}" for path in paths[:SHOWN]]
        return "\n".join([f"{len(paths)} paths differ", *lines])


def run(scenario: Scenario) -> tuple[Differences, Features]:
    """Drive both; compare every live tick. Ticks of a held-up stretch come from the engine's next advance."""
    settings = MarketSection()
    checker = Checker(scenario.symbols, RULES, settings, DENOMINATORS)
    engine = Engine(scenario.symbols, RULES, settings, DENOMINATORS)
    differences, features = Differences(), Features()
    waiting = []  # expected ticks the engine has not been asked for
    for kind, ts, events in World(scenario).steps():
        for event in events:
            checker.apply(event)
            engine.apply(event)
        if kind == "backfill":
            checker.sample(ts, 60)
            checker.tick(ts, backfill=True)
            engine.backfill(ts)
            continue
        checker.sample(ts, 1)
        if ts % TICK_MS == 0:
            bodies = checker.tick(ts)
            features.tick(bodies, checker.alerts)
            waiting.append((ts, bodies, checker.alerts))
        if kind == "held":
            continue
        ticks = engine.advance(ts)
        differences.add(ts, compare([at for at, _, _ in waiting], [tick.ts for tick in ticks], "ticks"))
        for (at, expected, alerts), tick in zip(waiting, ticks, strict=False):
            actual = {body["symbol"]: body for body in tick.signals}
            differences.add(at, compare(expected, actual))
            said = [{key: alert[key] for key in ("symbol", "ts", "alert", "state")} for alert in tick.alerts]
            differences.add(at, compare(by_name(alerts), by_name(said), "alerts"))
        waiting = []
    features.market(checker)
    for verdict in checker.verdicts.values():
        assert not verdict.alerts.undecided, "the scenario must not hang on a binned percentile: choose other drifts"
    return differences, features


def by_name(alerts: list[dict[str, object]]) -> list[dict[str, object]]:
    return sorted(alerts, key=lambda alert: (str(alert["symbol"]), str(alert["alert"])))


@pytest.mark.parametrize("scenario", [*SHORT, LONG], ids=lambda scenario: f"seed{scenario.seed}")
def test_engine_says_what_the_checker_recomputes(scenario: Scenario) -> None:
    differences, features = run(scenario)
    missing = [word for word in scenario.must if word not in features.seen]
    assert not missing, f"the scenario {scenario.name!r} shows nothing of {missing}"
    assert not differences.first, f"{scenario.name}\n{differences.report()}"
