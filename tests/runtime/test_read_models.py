"""What people are shown of two coins under one ticker."""

from __future__ import annotations

import orjson
import pytest

from service.clock import ServiceClock
from service.config import Config, parse
from service.core.build import rules_of, venues_of
from service.core.engine import Engine
from service.core.intake import Intake
from service.coverage import LIST, KnownShare, Tickers
from service.metrics import Metrics
from service.model import Candidate, Funding, Mark, OpenInterest
from service.runtime.denominator_polls import SourceHealth
from service.runtime.read_models import ReadModels
from tests.core.build import T0
from tests.fakes.source_server import derivative

MARKS = {"bybit": 214.11, "okx": 30.0, "gate": 214.2}
CONFIG = parse(
    {
        "service": {"symbols": ["DASH", "BTC"]},
        "venues": {name: {"enabled": False} for name in Config().venues.enabled() if name not in MARKS},
    }
)


def test_a_conflict_of_names_is_no_data_that_says_why_and_who() -> None:
    engine = Engine(CONFIG.service.symbols, rules_of(CONFIG), CONFIG.market, [])
    venues = venues_of(CONFIG)
    intake = Intake(venues, ServiceClock(), engine.apply, lambda: 0, Metrics(tuple(venues), "live", "0"))
    views = ReadModels(CONFIG, "live", engine, intake, {}, ServiceClock())
    engine.advance(T0)
    for second in range(1, 31):
        ts = T0 + 1000 * second
        for venue, price in MARKS.items():
            for symbol, mark in (("DASH", price), ("BTC", 90_000.0)):
                name = f"{symbol}USDT"
                engine.apply(Mark(venue, name, symbol, mark, mark, None, ts - 500))
                engine.apply(OpenInterest(venue, name, symbol, 70.0, 1.0, 70.0, False, None, ts - 500))
                engine.apply(Funding(venue, name, symbol, 1e-4, 8.0, 1e-4, None, False, None, ts - 500))
        ticks = engine.advance(ts)
    dash, bitcoin = ticks[-1].signals
    assert (dash["status"], dash["score"], dash["market"]["price"]) == ("no_data", None, None)
    assert dash["reasons"][:2] == ["quorum", "naming_conflict:okx"]
    assert not dash["tradeable"]
    assert bitcoin["market"]["price"] == 90_000.0
    assert views.venues()["naming_conflicts"] == {"DASH": ["okx"]}


def test_the_known_share_and_what_it_rests_on() -> None:
    """As HTTP and the metrics show it: by symbol, with the age of the list, and null with the reason without one."""
    engine = Engine(CONFIG.service.symbols, rules_of(CONFIG), CONFIG.market, [])
    venues, clock = venues_of(CONFIG), ServiceClock()
    intake = Intake(venues, clock, engine.apply, lambda: 0, Metrics(tuple(venues), "live", "0"))
    known, health = KnownShare(True), SourceHealth(LIST.name, polls=3)
    views = ReadModels(CONFIG, "live", engine, intake, {}, clock, known=known, list_health=health)
    without = ReadModels(CONFIG, "replay", engine, intake, {}, clock)
    assert views.coverage_of("BTC") is None
    engine.advance(T0)
    for second in range(1, 4):
        ts = T0 + 1000 * second
        for venue in MARKS:
            engine.apply(Mark(venue, "BTCUSDT", "BTC", 90_000.0, 90_000.0, None, ts - 500))
            engine.apply(OpenInterest(venue, "BTCUSDT", "BTC", 70.0, 1.0, 70.0, False, None, ts - 500))
        engine.advance(ts)
    assert [item["reason"] for item in (views.coverage_of("BTC"), without.coverage_of("BTC")) if item] == [
        "no_answer",
        "off",
    ]
    reader = Tickers(CONFIG.service.symbols, CONFIG.all_assets(), clock.now_ms())
    others = 210 * 90_000.0
    reader.feed(
        orjson.dumps([derivative("HTX Futures", "BTC-USDT", "BTC", "90001", open_interest=others, last_traded_at=None)])
    )
    listed = reader.finish()
    assert known.take(listed)
    body = views.coverage_of("BTC")
    assert body is not None
    assert body["share"] == pytest.approx(0.5)
    head = views.coverage()
    assert (head["list"]["as_of"], head["list"]["stale"], head["list"]["markets"]) == (listed.as_of, False, 1)
    assert 0 <= head["list"]["age_s"] < 60
    assert (without.coverage()["list"]["wanted"], without.coverage()["list"]["age_s"]) == (False, None)
    assert views.scrape().known_shares == (("DASH", None, None), ("BTC", pytest.approx(0.5), pytest.approx(0.5)))
    assert views.scrape().known_share_as_of_ms == listed.as_of
    assert views.venues()["sources"] == {"coingecko_derivatives": health.plain()}
    assert without.venues()["sources"] == {}


def test_a_venue_with_two_sources_says_which_one_counts_and_why() -> None:
    config = parse({"service": {"symbols": ["BTC"]}})
    engine = Engine(config.service.symbols, rules_of(config), config.market, [])
    venues = venues_of(config)
    intake = Intake(venues, ServiceClock(), engine.apply, lambda: 0, Metrics(tuple(venues), "live", "0"))
    views = ReadModels(config, "live", engine, intake, {}, ServiceClock())
    engine.advance(T0)
    engine.apply(Mark("kraken_futures", "PF_XBTUSD", "BTC", 90_000.0, None, None, T0 + 500))
    engine.advance(T0 + 1000)
    shown = views.venues()["venues"]
    assert (shown["kraken_futures"]["counted_source"]["counts"], "counted_source" in shown["okx"]) == ("v1", False)
    fields = (("mark", "mark_price", 90_000.0), ("oi", "oi", 7.0))
    engine.apply(Candidate("kraken_futures", "PF_XBTUSD", "BTC", fields, False, 1.0, 1.0, 1.0, T0, None, T0 + 100_000))
    engine.advance(T0 + 101_000)
    shown = views.venues()["venues"]["kraken_futures"]["counted_source"]
    assert shown["counts"] == "none"
    assert shown["reason"].startswith("not agreed over two hours: linear mark agrees on 0 of 0")
