"""[[alerts]]: thresholds, mutes and a minimum hold, of one symbol or of all; without any, as by default."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.config import AlertSection, Config, parse
from service.core.engine import Engine
from service.deleveraging import packaged
from service.errors import ConfigError
from service.model import MARKET, EventRecord
from service.scoreboard.board import _raised
from service.scoring.alerts import DEFAULT_RULES, Alerts, rules_for
from service.scoring.market_wide import MarketScorer
from tests.core.build import rules
from tests.publishing.factories import signal_body
from tests.scoring.factory import T0, level, readings, ticks
from tests.scoring.factory import consensus as market_sample
from tests.scoring.test_alerts import spiking, update


def alerts(*rows: dict[str, Any], symbol: str = "BTC") -> Alerts:
    return Alerts(symbol, rules_for(symbol, [AlertSection(**row) for row in rows]))


def names(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(item["alert"], item["state"]) for item in found]


def test_without_rows_the_rules_are_those_of_the_documents() -> None:
    assert rules_for("BTC", ()) == DEFAULT_RULES
    assert names(update(alerts(), spiking(T0, 3.0, 0.95))) == [("elr_spike", "raised")]


def test_thresholds_of_one_symbol_are_not_those_of_another() -> None:
    row = {"alert": "elr_spike", "only": ["DOGE"], "z": 4.0}
    assert names(update(alerts(row), spiking(T0, 3.5, 0.97))) == [("elr_spike", "raised")]
    doge = alerts(row, symbol="DOGE")
    assert update(doge, spiking(T0, 3.9, 0.97)) == []
    assert names(update(doge, spiking(ticks(1), 4.0, 0.97))) == [("elr_spike", "raised")]
    assert update(doge, spiking(ticks(2), 3.0, 0.97)) == []  # the bound for its end is a whole z below, as by default
    assert names(update(doge, spiking(ticks(3), 2.9, 0.97))) == [("elr_spike", "cleared")]


def test_later_rows_count() -> None:
    both = [AlertSection(alert="elr_spike", z=5.0), AlertSection(alert="elr_spike", only=("BTC",), z=3.5, clear_z=3.4)]
    assert (rules_for("BTC", both)["elr_spike"].z, rules_for("ETH", both)["elr_spike"].z) == (3.5, 5.0)
    assert rules_for("BTC", both)["elr_spike"].clear_z == 3.4


def test_a_muted_alert_is_not_told_and_the_message_says_all_the_same_that_it_stands() -> None:
    made = alerts({"alert": "elr_spike", "mute": True})
    assert update(made, spiking(T0, 3.5, 0.97)) == []
    assert made.spike == {"since": T0}
    assert update(made, spiking(ticks(1), 1.0, 0.5)) == []
    assert made.spike is None


def test_a_minimum_hold_wants_no_break() -> None:
    made = alerts({"alert": "elr_spike", "hold_s": 30})
    for number, z in enumerate((3.5, 3.5, 1.0, 3.5, 3.5, 3.5)):
        assert update(made, spiking(ticks(number), z, 0.97)) == []
        assert made.spike is None
    found = update(made, spiking(ticks(6), 3.5, 0.97))
    assert names(found) == [("elr_spike", "raised")]
    assert made.spike == {"since": ticks(6)}
    again = alerts({"alert": "elr_spike", "hold_s": 30})
    update(again, spiking(T0, 3.5, 0.97))
    kept = alerts({"alert": "elr_spike", "hold_s": 30})
    kept.load(again.dump())  # a restart in between is no break
    assert names(update(kept, spiking(ticks(3), 3.5, 0.97))) == [("elr_spike", "raised")]


def test_of_thresholds_of_ones_own_the_record_says_nothing_and_takes_none() -> None:
    (own,) = update(alerts({"alert": "elr_spike", "z": 3.2}), spiking(T0, 3.5, 0.97))
    assert (own["values"]["own_rule"], own["values"]["followed_n"]) == (True, 0)
    assert "which nobody has judged" in own["text"]
    assert _raised([own]) == {}
    (usual,) = update(alerts(), spiking(T0, 3.5, 0.97))
    assert "own_rule" not in usual["values"]
    assert _raised([usual]) == {"BTC": ["elr_spike"]}


def test_a_held_crowding_tells_no_record_and_a_change_of_sides_is_a_break() -> None:
    """Cause: the other side was raised at once, as if it had been crowded all the time, with the default's record."""
    made = alerts({"alert": "crowding", "hold_s": 20})
    known = {"crowded_shorts": EventRecord(400, 0.35, 0.2, 1.75, 1.3, 2.2)}
    assert update(made, readings(), regime="crowded_longs", events=known) == []
    for number in (1, 2):
        assert update(made, readings(ticks(number)), regime="crowded_shorts", events=known) == []
    (body,) = update(made, readings(ticks(3)), regime="crowded_shorts", events=known)
    assert (body["values"]["own_rule"], body["values"]["followed_n"]) == (True, 0)
    assert "which nobody has judged" in body["text"]


def loaded(made: MarketScorer, ts: int, **changes: Any) -> list[dict[str, Any]]:
    """What a tick of a loaded market raises."""
    sample = market_sample(ts, symbol=MARKET, venues=(), **changes)
    whole = replace(readings(ts, sample, elr=level(0.2, percentile=0.97, n=40_000, horizon_h=720)), symbol=MARKET)
    return made.score(whole, [readings(ts)], [signal_body("BTC", ts, flush=None)], False)[1]


def test_an_alert_of_the_market_says_that_its_rule_is_not_the_default_and_no_data_breaks_its_hold() -> None:
    (usual,) = loaded(MarketScorer(1, packaged()), T0)
    assert (usual["alert"], usual["values"].get("own_rule")) == ("market_loaded", None)
    rows = [AlertSection(alert="market_loaded", hold_s=20)]
    made = MarketScorer(1, packaged(), rules_for(MARKET, rows))
    assert loaded(made, T0) == []
    assert loaded(made, ticks(1), quorum=False) == []
    for number in (2, 3):
        assert loaded(made, ticks(number)) == []
    (own,) = loaded(made, ticks(4))
    assert (own["alert"], own["values"]["own_rule"]) == ("market_loaded", True)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"alert": "elr_spikes"}, "alerts.0.alert: is no alert; did you mean elr_spike? (docs/alerts.md)"),
        ({"alert": "flush", "z": 3.0}, "flush has no z; of it may be set mute, hold_s"),
        ({"alert": "market_flush", "only": ["BTC"]}, "is of the market as a whole"),
        ({"alert": "fading", "only": ["DOGI"]}, "DOGI is not in service.symbols; did you mean DOGE?"),
        ({"alert": "elr_spike", "percentile": 1.5}, "alerts.0.percentile"),
        ({"alert": "transition", "hold_s": 60}, "transition is of one tick and has no hold_s"),
        ({"alert": "elr_spike", "clear_z": 2.5}, "clear_z stands beside z: give both"),
        ({"alert": "elr_spike", "z": 3.0, "clear_z": 5.0}, "clear_z 5 is above z 3"),
        ({"alert": "fading", "share": 0.75, "clear_share": 0.5}, "clear_share 0.5 is below share 0.75"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(row: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse({"alerts": [row]})
    assert problem in str(refused.value)


def test_the_engine_has_the_rules_of_the_file() -> None:
    config = parse({"alerts": [{"alert": "market_loaded", "mute": True}, {"alert": "fading", "share": 0.5}]})
    made = Engine(["BTC"], rules(), Config().market, [], alerts=config.alerts)
    assert made.scorers["BTC"]._alerts._rules["fading"].share == 0.5
    assert made.apart(["BTC"]).scorers["BTC"]._alerts._rules["fading"].clear_share == pytest.approx(0.65)
    assert made.market_wide.scorer._rules["market_loaded"].mute
