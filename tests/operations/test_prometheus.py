"""A real Prometheus, with the project's own configuration and rules, scrapes a real feed: everything that Grafana and
the alert rules ask of it is asked here."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.scoreboard import HORIZONS
from tests.operations.dashboards import dashboards, filled, queries, variables
from tests.operations.running import OLDER, ON, SYMBOLS, Market

pytestmark = [
    pytest.mark.needs_prometheus,
    pytest.mark.skipif(
        shutil.which("prometheus") is None or shutil.which("promtool") is None,
        reason="prometheus and promtool are not installed (Debian package prometheus)",
    ),
]

SCRAPES = 5
DEADLINE_S = 60.0

# Expressions that a healthy market leaves without data, and why: none, once each horizon has had an outcome, the bases
# are there and the weights are everybody's. Add one here with its reason, or mend it.
EMPTY: dict[str, str] = {}
# Two counts; two falls with five numbers, four of them with intervals; five events with two counts, two falls, three
# numbers with intervals.
FALL_LINES = 2 + 2 * (2 + 4 * 3) + 5 * (2 + 2 * 3 * 3)


@dataclass
class Seen:
    """What was found while feed and Prometheus ran. ``answers``: by place, of every expression with its variables.
    ``upper``: what ElrDirectionsWrong compares with one half, by horizon."""

    answers: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    ranges: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    values: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    alerts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rules: list[dict[str, Any]] = field(default_factory=list)
    targets: list[dict[str, Any]] = field(default_factory=list)
    upper: dict[str, float] = field(default_factory=dict)
    exposition: bytes = b""
    scoreboard: dict[str, Any] = field(default_factory=dict)
    falls: dict[str, Any] = field(default_factory=dict)
    of_symbol: dict[str, dict[str, Any]] = field(default_factory=dict)

    def value(self, place: str, legend: str, **chosen: str) -> float:
        """The one number of a panel's expression, with the variables as ``chosen``."""
        made = self.answers[f"{place} {legend}"]
        (found,) = [rows for text, rows in made.items() if all(f'{name}="{chosen[name]}"' in text for name in chosen)]
        assert len(found) == 1
        return float(found[0]["value"][1])


def ask(base: str, path: str, **parameters: str) -> Any:
    """The data of an answer of the HTTP API; an error fails with what Prometheus says."""
    address = f"{base}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            document = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{parameters}: {error.read().decode()}") from None
    assert document["status"] == "success", (parameters, document)
    assert not document.get("warnings"), (parameters, document)
    return document["data"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configured(repository: Path, folder: Path, feed_port: int) -> Path:
    """config/prometheus.yml as it is, but for what names the containers, and scraped each second."""
    document = yaml.safe_load((repository / "config" / "prometheus.yml").read_text())
    (job,) = document["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["elr:8080"]}]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{feed_port}"]}]
    assert document["rule_files"] == ["/etc/prometheus/alerts.yml"]
    document["rule_files"] = [str(repository / "config" / "alerts.yml")]
    document["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(document))
    return path


async def scraped(repository: Path, folder: Path) -> Seen:
    market = Market(folder / "ledger")
    begun = asyncio.Event()
    views, scrape = market.service.views, market.service.views.scrape

    def noticed() -> Any:
        begun.set()
        return scrape()

    views.scrape = noticed  # type: ignore[method-assign]
    port = await market.service.feed.start()
    at = free_port()
    base = f"http://127.0.0.1:{at}"
    command = ["prometheus", f"--config.file={configured(repository, folder, port)}", "--log.level=warn"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{at}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        async with asyncio.timeout(DEADLINE_S):
            for _ in range(SCRAPES):  # between two scrapes a tick: rates have something to say
                await begun.wait()
                market.drive(10)
                begun.clear()
            await begun.wait()
            return await asyncio.to_thread(look, repository, base, port, market)
    except BaseException:
        print((folder / "log").read_text())
        raise
    finally:
        process.terminate()
        process.wait(10)
        await market.service.feed.drain()
        market.service.close()


def look(repository: Path, base: str, port: int, market: Market) -> Seen:
    """Everything that Grafana and the rules ask; the market stands still meanwhile."""
    count, deadline = 0.0, time.monotonic() + DEADLINE_S
    while count <= SCRAPES:  # the last scrape is in the database
        assert time.monotonic() < deadline
        found = ask(base, "query", query="count_over_time(elr_build_info[5m])")["result"]
        count = float(found[0]["value"][1]) if found else 0.0
    seen = Seen()
    for name, dashboard in dashboards(repository).items():
        values = seen.values[name] = {
            variable: ask(base, f"label/{label}/values", **{"match[]": metric})
            for variable, (metric, label) in variables(dashboard).items()
        }
        now = time.time()
        for item in queries(name, dashboard):
            place = f"{item.place} {item.legend}"
            seen.answers[place] = {made: ask(base, "query", query=made)["result"] for made in filled(item.expr, values)}
            if not item.instant:
                span = {"start": str(now - 60), "end": str(now), "step": "1"}
                seen.ranges[place] = {
                    made: ask(base, "query_range", query=made, **span)["result"] for made in filled(item.expr, values)
                }
    groups = yaml.safe_load((repository / "config" / "alerts.yml").read_text())["groups"]
    for rule in [rule for group in groups for rule in group["rules"]]:
        seen.alerts[rule["alert"]] = ask(base, "query", query=rule["expr"])["result"]
        if rule["alert"] == "ElrDirectionsWrong":
            compared, _, half = rule["expr"].rpartition("<")
            assert float(half) == 0.5
            upper = ask(base, "query", query=compared)["result"]
            seen.upper = {row["metric"]["horizon"]: float(row["value"][1]) for row in upper}
    seen.rules = [rule for group in ask(base, "rules")["groups"] for rule in group["rules"]]
    seen.targets = ask(base, "targets")["activeTargets"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        seen.exposition = answer.read()
    document = market.service.views.scoreboard()
    seen.scoreboard, seen.falls = document["horizons"], document
    seen.of_symbol = {name: market.service.views.scoreboard_of(name)["horizons"] for name in SYMBOLS}
    return seen


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    repository = Path(__file__).resolve().parents[2]
    return asyncio.run(scraped(repository, tmp_path_factory.mktemp("prometheus")))


def numbers(result: list[dict[str, Any]]) -> list[float]:
    """Every number of an answer that is one; NaN is shown as no data."""
    found = [float(pair[1]) for row in result for pair in row.get("values", [row.get("value")])]
    return [number for number in found if not math.isnan(number)]


def test_variables_expand_to_every_symbol_and_horizon(seen: Seen) -> None:
    assert seen.values == {
        "overview": {"symbol": sorted(SYMBOLS)},
        "scoreboard": {"symbol": sorted(SYMBOLS), "horizon": sorted(name for name, _ in HORIZONS)},
    }


def test_every_expression_of_every_dashboard_has_data(seen: Seen) -> None:
    """Whatever value the variables have: at once, and over time where the panel shows that."""
    assert len(seen.answers) > 60
    assert sum(len(made) for made in seen.answers.values()) > 150
    empty = {
        place for answers in (seen.answers, seen.ranges) for place, made in answers.items()
        if not all(numbers(result) for result in made.values())
    }  # fmt: skip
    assert empty == set(EMPTY)


def test_every_alert_expression_is_evaluated_and_none_fires_on_a_healthy_market(seen: Seen) -> None:
    assert [(rule["name"], rule["health"], rule.get("lastError", "")) for rule in seen.rules] == [
        (name, "ok", "") for name in seen.alerts
    ]
    assert {name: result for name, result in seen.alerts.items() if result} == {}
    assert [rule["name"] for rule in seen.rules if rule["alerts"]] == []
    assert [(target["labels"]["job"], target["health"]) for target in seen.targets] == [("elr", "up")]


def test_promtool_finds_nothing_to_object_to_in_what_the_service_says(seen: Seen) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=seen.exposition, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    lines = seen.exposition.decode().splitlines()
    assert sum(line.startswith("elr_eval_") for line in lines) == 9 * len(SYMBOLS) * len(HORIZONS) + FALL_LINES
    assert sum(line.startswith("elr_weight_") for line in lines) == (5 + 5 + 6) + 3 + 3
    assert len(lines) < 1_000
    assert f'elr_venue_up{{venue="{ON[0]}"}} 1.0' in lines
    ledger = [line for line in lines if line.startswith("elr_ledger_")]
    assert ledger == [f"elr_ledger_{name} 0.0" for name in ("waiting_bytes", "write_failures_total", "stopped")]


@pytest.mark.parametrize("horizon", [name for name, _ in HORIZONS])
def test_the_dashboard_s_arithmetic_is_the_scoreboard_s(seen: Seen, horizon: str) -> None:
    """What PromQL makes of the metrics is what the scoreboard says itself, all symbols together and one by one."""
    pooled = seen.scoreboard[horizon]
    records = {None: pooled} | {name: horizons[horizon] for name, horizons in seen.of_symbol.items()}
    titles = {
        "Hit ratio, all symbols: $horizon": ("hit", "hit_low", "hit_high"),
        "Information coefficient, all symbols: $horizon": ("ic", "low", "high"),
        "Brier score, all symbols: $horizon": ("brier", "brier_climatology"),
    }
    legends = {"hit": "hit", "hit_low": "lower", "hit_high": "upper", "ic": "ic", "low": "lower", "high": "upper"}
    legends |= {"brier": "brier", "brier_climatology": "climatology"}
    for title, names in titles.items():
        for ref, name in zip("ABC", names, strict=False):
            for chosen, entry in records.items():
                named = title if chosen is None else title.replace(", all symbols: $horizon", ": $symbol $horizon")
                labels = {"horizon": horizon} if chosen is None else {"horizon": horizon, "symbol": chosen}
                shown = seen.value(f"scoreboard: {named}: {ref}", legends[name], **labels)
                half = 1.96 * entry["ic_se"]
                said = {**entry, "low": entry["ic"] - half, "high": entry["ic"] + half}[name]
                assert shown == pytest.approx(said, abs=1e-4), (named, labels, name)
    place = "scoreboard: Outcomes of all symbols: $horizon"
    assert seen.value(f"{place}: A", "counted", horizon=horizon) == pooled["n"]
    assert seen.value(f"{place}: B", "worth", horizon=horizon) == pytest.approx(pooled["n_effective"], rel=1e-12)
    lost = seen.value("scoreboard: Lost: $horizon: A", "lost", horizon=horizon)
    assert lost == pytest.approx(pooled["lost"] / (pooled["lost"] + pooled["matured"]))
    assert pooled["lost"] > 0


def test_what_is_compared_is_a_record_that_dependence_makes_worth_less(seen: Seen) -> None:
    """Else the arithmetic of independent outcomes would pass for the scoreboard's."""
    for (symbol, horizon), count in OLDER.items():
        alone, pooled = seen.of_symbol[symbol][horizon], seen.scoreboard[horizon]
        assert alone["n"] >= count
        assert alone["n_effective"] < 0.8 * alone["n"], (symbol, horizon)
        assert alone["ic_se"] > 1.15 / math.sqrt(alone["ic_n"] - 1), (symbol, horizon)
        ns = [horizons[horizon]["n"] for horizons in seen.of_symbol.values()]
        assert pooled["n_effective"] < 0.9 * sum(ns) ** 2 / sum(math.sqrt(n) for n in ns) ** 2
        assert pooled["n"] == sum(ns)
    young = [entry for horizons in seen.of_symbol.values() for entry in horizons.values() if entry["n"] < 120]
    assert young  # and one side where nothing is corrected
    assert all(entry["n_effective"] == entry["n"] for entry in young)


def test_the_table_and_the_count_of_intervals_are_the_scoreboard_s(seen: Seen) -> None:
    columns = {"A": "n", "J": "n_effective", "B": "hit", "C": "hit_low", "D": "hit_high", "E": "ic", "F": "ic_se",
               "G": "brier", "H": "brier_climatology"}  # fmt: skip
    for ref, name in columns.items():
        (rows,) = seen.answers[f"scoreboard: Every symbol and horizon: {ref} "].values()
        shown = {(row["metric"]["symbol"], row["metric"]["horizon"]): float(row["value"][1]) for row in rows}
        said = {
            (symbol, horizon): entry[name] * (1.96 if name == "ic_se" else 1)
            for symbol, horizons in seen.of_symbol.items()
            for horizon, entry in horizons.items()
        }
        assert shown == pytest.approx(said, abs=1e-4), name
    entries = [entry for horizons in seen.of_symbol.values() for entry in horizons.values()]
    place = "scoreboard: 95 % intervals that miss 0.5"
    missing = sum(entry["hit_low"] > 0.5 or entry["hit_high"] < 0.5 for entry in entries)
    assert seen.value(f"{place}: A", "found") == missing
    assert seen.value(f"{place}: B", "by luck") == pytest.approx(0.05 * len(entries))


def test_the_panels_of_falls_and_events_are_the_scoreboard_s(seen: Seen) -> None:
    said, events = seen.falls["deleveraging"], seen.falls["events"]
    for fall, words in (("oi_5", "5 %"), ("oi_10", "10 %")):
        own = said["falls"][fall]
        skill = f"scoreboard: Skill of the probability of a fall of {words}"
        for first, legend, name in (
            ("A", "over the base rate", "skill_base_rate"),
            ("D", "over volatility", "skill_volatility"),
        ):
            for ref, end, key in zip(range(3), ("", ", lower", ", upper"), ("", "_low", "_high"), strict=True):
                shown = seen.value(f"{skill}: {chr(ord(first) + ref)}", legend + end)
                assert shown == pytest.approx(own[name + key], abs=1e-9)
        area = seen.value(
            f"scoreboard: Area under the curve of the probability: {'A' if fall == 'oi_5' else 'D'}", words
        )
        assert area == pytest.approx(own["auc"])
    title = "scoreboard: Probabilities of a fall of open interest"
    for ref, legend, value in (("A", "counted", own["n"]), ("B", "weeks", said["weeks"]), ("C", "lost", said["lost"])):
        assert seen.value(f"{title}: {ref}", legend) == value
    columns = {"B": "share", "C": "share_low", "D": "share_high", "E": "matched", "F": "lift", "G": "lift_low",
               "H": "lift_high"}  # fmt: skip
    for ref, name in {"A": "n", **columns}.items():
        (rows,) = seen.answers[f"scoreboard: What followed the events: {ref} "].values()
        shown = {(row["metric"]["event"], row["metric"]["fall"]): float(row["value"][1]) for row in rows}
        assert shown == pytest.approx(
            {
                (event, fall.removeprefix("oi_")): found["n"] if name == "n" else own[name]
                for event, found in events.items()
                for fall, own in found["falls"].items()
            }
        )


@pytest.mark.parametrize("horizon", [name for name, _ in HORIZONS])
def test_the_rule_for_wrong_directions_asks_what_it_says_it_asks(seen: Seen, horizon: str) -> None:
    """docs/alerts.md: the pooled hit ratio and a bound that rests on ``n_effective``."""
    pooled = seen.scoreboard[horizon]
    n = pooled["n_effective"]
    bound = math.sqrt((n / 4 + 50) * math.log((n / 4 + 50) / 0.00125)) / n
    assert seen.upper[horizon] == pytest.approx(pooled["hit"] + bound, rel=1e-9)
