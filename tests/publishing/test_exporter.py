"""What a scrape shows: fresh numbers of configured names, and nothing else."""

from __future__ import annotations

import gc
import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from service.metrics import (
    FAMILIES,
    AuditNumbers,
    EvalNumbers,
    LedgerNumbers,
    Metrics,
    ScrapeState,
    WeightNumbers,
    numbers_of,
)
from service.publishing.exporter import render
from service.scoreboard.fall_record import FallRecord
from tests.publishing.factories import SYMBOLS, TS, VENUES, sample, signal_body, view
from tests.publishing.scraped import series, text_of, whole

EVALUATIONS = (
    EvalNumbers("BTC", "1m", 0.52, 0.031, 0.0284, 0.2501, 1300, 1187.5, 1400, 8600, 40),
    EvalNumbers("BTC", "composite", None, None, None, None, 0, None, 1, 0, 7),
)
WEIGHTS = (
    WeightNumbers("1m", 700, True, (("positioning", 0.25), ("static", 0.15), ("zero", 0.6))),
    WeightNumbers("1h", 0, False, (("zero", 0.5), ("funding", 0.5))),
)


def state(*bodies: dict[str, Any], **changes: Any) -> ScrapeState:
    made = ScrapeState(
        now_ms=TS + 4,
        symbols=SYMBOLS,
        venues=(("bybit", True), ("okx", False)),
        samples=(sample(),),
        reconnects=(("okx", "reset", 3), ("bybit", "dns", 0)),
        signals=tuple(numbers_of(body) for body in bodies),
        evaluations=EVALUATIONS,
        weights=WEIGHTS,
        ledger=LedgerNumbers(8123, 20, False),
    )
    return replace(made, **changes)


def scrape(made: ScrapeState) -> dict[tuple[str, ...], float]:
    """(name, label values in name order...) -> value, as Prometheus would read it."""
    registry = CollectorRegistry()
    Metrics(VENUES, "live", "0.1.0", registry)
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(render(registry, made).decode()):
        for item in family.samples:
            key = (item.name, *(f"{name}={value}" for name, value in sorted(item.labels.items())))
            assert key not in found, key
            found[key] = item.value
    return found


def names(found: dict[tuple[str, ...], float], prefix: str) -> set[tuple[str, ...]]:
    return {key for key in found if key[0].startswith(prefix)}


def test_signal_numbers() -> None:
    found = scrape(state(signal_body()))
    reserve = ("symbol=BTC", "unit=ratio", "variant=oi_reserve")
    assert found["elr_ratio", *reserve] == 0.2134
    assert found["elr_zscore", *reserve] == 1.9
    assert found["elr_percentile", *reserve] == 0.96
    assert ("elr_ratio", "symbol=BTC", "unit=%", "variant=oi_mcap") not in found  # null
    assert found["elr_zscore", "symbol=BTC", "unit=%", "variant=oi_mcap"] == 1.8
    scores = {key[2]: value for key, value in found.items() if key[0] == "elr_score"}
    assert scores == {"window=composite": -0.31, "window=1m": -0.12, "window=5m": -0.22, "window=1h": -0.33}
    assert found["elr_strength", "symbol=BTC", "window=1h"] == 0.6
    assert found["elr_confidence", "symbol=BTC", "window=composite"] == 0.69471
    assert found["elr_conflict", "symbol=BTC"] == 0
    assert found["elr_abstain", "symbol=BTC"] == 0
    assert found["elr_fragility", "symbol=BTC"] == 0.81
    assert found["elr_fragility_2", "symbol=BTC"] == 0.77
    assert (found["elr_flush_falling", "symbol=BTC"], found["elr_flushed_1h", "symbol=BTC"]) == (0, 1)
    assert found["elr_volatility_24h", "symbol=BTC"] == 0.0312
    assert found["elr_deleveraging_probability", "fall=oi_5", "symbol=BTC"] == 0.2715
    assert found["elr_deleveraging_probability", "fall=oi_10", "symbol=BTC"] == 0.0526
    assert found["elr_deleveraging_base_rate", "fall=oi_5", "symbol=BTC"] == 0.1869
    assert found["elr_deleveraging_base_rate", "fall=oi_10", "symbol=BTC"] == 0.0364
    assert names(found, "elr_regime") == {("elr_regime", "regime=crowded_longs", "symbol=BTC")}
    assert found["elr_build_info", "source=live", "version=0.1.0"] == 1


def test_inputs() -> None:
    found = scrape(state())
    assert found["elr_mark_price_usd", "symbol=BTC", "venue=bybit"] == 83024.7
    assert found["elr_funding_rate_8h", "symbol=BTC", "venue=bybit"] == 0.0001
    assert found["elr_open_interest_coins", "symbol=BTC", "venue=bybit"] == 51234.5
    assert not any("venue=okx" in key for key in found if key[0] == "elr_mark_price_usd")
    stamps = {key[1:]: value for key, value in found.items() if key[0] == "elr_input_timestamp_seconds"}
    assert stamps == {
        ("stream=mark", "symbol=BTC", "venue=bybit"): (TS - 120) / 1000,
        ("stream=funding", "symbol=BTC", "venue=bybit"): (TS - 2300) / 1000,
        ("stream=oi", "symbol=BTC", "venue=bybit"): (TS - 4500) / 1000,
        ("stream=mark", "symbol=BTC", "venue=okx"): (TS - 61_000) / 1000,
        ("stream=oi", "symbol=BTC", "venue=okx"): (TS - 70_000) / 1000,
    }
    assert found["elr_venue_up", "venue=bybit"] == 1
    assert found["elr_venue_up", "venue=okx"] == 0
    assert found["elr_venue_reconnects_total", "reason=reset", "venue=okx"] == 3
    assert found["elr_venue_reconnects_total", "reason=dns", "venue=bybit"] == 0


def test_the_record_of_the_scoreboard() -> None:
    found = scrape(state(evaluations=(*EVALUATIONS, EvalNumbers("SOL", "1m", 0.5, 0.0, 0.1, 0.25, 1, 1.0, 1, 1, 1))))
    labels = ("horizon=1m", "symbol=BTC")
    values = {key[0]: value for key, value in found.items() if key[1:] == labels}
    assert values == {
        "elr_eval_hit_ratio": 0.52,
        "elr_eval_ic": 0.031,
        "elr_eval_ic_se": 0.0284,
        "elr_eval_brier": 0.2501,
        "elr_eval_outcomes": 1300,
        "elr_eval_trials": 1187.5,
        "elr_eval_ic_pairs": 1400,
        "elr_eval_matured": 8600,
        "elr_eval_lost": 40,
    }
    # Counts are there from the start, ratios once there is something to divide by; SOL is not configured.
    counts = {key[0]: value for key, value in found.items() if key[1:] == ("horizon=composite", "symbol=BTC")}
    assert counts == {"elr_eval_outcomes": 0, "elr_eval_ic_pairs": 1, "elr_eval_matured": 0, "elr_eval_lost": 7}
    assert not any("symbol=SOL" in key for key in found)


def test_the_record_of_probabilities_and_events() -> None:
    summary = FallRecord().summary
    five = {name: number / 100 for number, name in enumerate(summary["deleveraging"]["falls"]["oi_5"])}
    ten = dict.fromkeys(five, None) | {"n": 7}
    spike = {name: number / 10 for number, name in enumerate(summary["events"]["elr_spike"]["falls"]["oi_5"], 1)}
    said = {
        "deleveraging": {"weeks": 11, "lost": 5, "falls": {"oi_5": five, "oi_10": ten}},
        "events": {"elr_spike": {"n": 3, "lost": 1, "falls": {"oi_5": spike}}},
    }
    ours = ("elr_eval_deleveraging_", "elr_eval_event_")
    found = {key: value for key, value in scrape(state(falls=said)).items() if key[0].startswith(ours)}
    name = "elr_eval_deleveraging_"
    expected = {
        (f"{name}clusters",): 11, (f"{name}lost",): 5, (f"{name}outcomes", "fall=oi_5"): 0.0,
        (f"{name}outcomes", "fall=oi_10"): 7, (f"{name}happened", "fall=oi_5"): five["happened"],
    }  # fmt: skip
    for end in ("", "_low", "_high"):
        for kind in ("brier", "auc"):
            expected[f"{name}{kind}{end}", "fall=oi_5"] = five[kind + end]
        for against in ("base_rate", "volatility"):
            expected[f"{name}skill{end}", f"against={against}", "fall=oi_5"] = five[f"skill_{against}{end}"]
        for kind in ("share", "matched", "lift"):
            expected[f"elr_eval_event_{kind}{end}", "event=elr_spike", "fall=oi_5"] = spike[kind + end]
    expected |= {("elr_eval_event_outcomes", "event=elr_spike"): 3, ("elr_eval_event_lost", "event=elr_spike"): 1}
    assert found == expected
    assert not any(key[0].startswith(ours) for key in scrape(state()))


def test_known_shares_and_the_time_of_their_list() -> None:
    shares = (("BTC", 0.7, 0.8), ("ETH", None, None), ("NOPE", 0.5, 0.5))
    found = scrape(state(known_shares=shares, known_share_as_of_ms=TS - 500))
    shown = {key: value for key, value in found.items() if key[0].startswith("elr_oi_known")}
    assert shown == {
        ("elr_oi_known_share", "symbol=BTC"): 0.7,
        ("elr_oi_known_share_most", "symbol=BTC"): 0.8,
        ("elr_oi_known_share_as_of_seconds",): (TS - 500) / 1000,
    }
    assert not any(key[0].startswith("elr_oi_known") for key in scrape(state()))
    held_up = scrape(state(known_shares=shares, known_share_as_of_ms=TS - 500, now_ms=TS + 31_000))
    assert [key[0] for key in held_up if key[0].startswith("elr_oi_known")] == ["elr_oi_known_share_as_of_seconds"]


def test_the_ledger_where_one_is_kept() -> None:
    shown = {key[0]: value for key, value in scrape(state()).items() if key[0].startswith("elr_ledger")}
    assert shown == {
        "elr_ledger_waiting_bytes": 8123, "elr_ledger_write_failures_total": 20, "elr_ledger_stopped": 0
    }  # fmt: skip
    assert scrape(state(ledger=LedgerNumbers(0, 700, True)))[("elr_ledger_stopped",)] == 1
    assert names(scrape(state(ledger=None)), "elr_ledger") == set()


def test_the_audit_where_one_was_made() -> None:
    """What is too old says nothing of now, and nothing compared is no agreement."""
    figures = (("oi", "BTC", 2.0), ("mark", "BTC", 1.001), ("funding", "BTC", -0.00003), ("oi", "NONE", 3.0))
    audits = (
        AuditNumbers("okx", TS - 60_000, 3, 1, figures, False),
        AuditNumbers("bybit", TS - 9_000_000, 3, 2, figures, True),
        AuditNumbers("gate", TS - 70_000, 0, 0, (), False),
    )
    found = {key: value for key, value in scrape(state(audits=audits)).items() if key[0].startswith("elr_audit")}
    assert found == {
        ("elr_audit_oi_ratio", "symbol=BTC", "venue=okx"): 2.0,
        ("elr_audit_mark_ratio", "symbol=BTC", "venue=okx"): 1.001,
        ("elr_audit_funding_difference_8h", "symbol=BTC", "venue=okx"): -0.00003,
        ("elr_audit_compared", "venue=okx"): 3.0,
        ("elr_audit_compared", "venue=gate"): 0.0,
        ("elr_audit_beyond", "venue=okx"): 1.0,
        **{("elr_audit_timestamp_seconds", f"venue={item.venue}"): item.ts_ms / 1000 for item in audits},
    }
    assert names(scrape(state(audits=audits, max_venue_symbols=0)), "elr_audit_oi_ratio") == set()


def test_learned_weights() -> None:
    found = scrape(state())
    shares = {key[1:]: value for key, value in found.items() if key[0] == "elr_weight_share"}
    assert shares == {
        ("expert=positioning", "window=1m"): 0.25,
        ("expert=static", "window=1m"): 0.15,
        ("expert=zero", "window=1m"): 0.6,
        ("expert=zero", "window=1h"): 0.5,
        ("expert=funding", "window=1h"): 0.5,
    }
    assert (found["elr_weight_rounds", "window=1m"], found["elr_weight_rounds", "window=1h"]) == (700, 0)
    assert (found["elr_weight_in_force", "window=1m"], found["elr_weight_in_force", "window=1h"]) == (1, 0)
    assert names(scrape(state(weights=())), "elr_weight") == set()  # weights of each symbol's own


def test_zero_is_a_value() -> None:
    found = scrape(state(signal_body(score=0.0, fragility=0.0), samples=(sample(venues=(view(rate_8h=0.0),)),)))
    assert found["elr_score", "symbol=BTC", "window=composite"] == 0
    assert found["elr_fragility", "symbol=BTC"] == 0
    assert found["elr_funding_rate_8h", "symbol=BTC", "venue=bybit"] == 0


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"score": None}, ("elr_score", "symbol=BTC", "window=composite")),
        ({"strength": None}, ("elr_strength", "symbol=BTC", "window=composite")),
        ({"fragility": None}, ("elr_fragility", "symbol=BTC")),
        ({"fragility_2": None}, ("elr_fragility_2", "symbol=BTC")),
        ({"volatility_24h": None}, ("elr_volatility_24h", "symbol=BTC")),
        ({"flush_falling": None}, ("elr_flush_falling", "symbol=BTC")),
        ({"flushed_1h": None}, ("elr_flushed_1h", "symbol=BTC")),
        ({"score": math.nan}, ("elr_score", "symbol=BTC", "window=composite")),
        ({"regime": None}, ("elr_regime", "regime=crowded_longs", "symbol=BTC")),
    ],
)
def test_a_value_that_is_gone_has_no_series_at_the_next_scrape(changes: dict[str, Any], gone: tuple[str, ...]) -> None:
    before, after = scrape(state(signal_body())), scrape(state(signal_body(**changes)))
    assert gone in before
    assert set(before) - set(after) == {gone}


def test_a_chance_that_is_not_said_has_no_series_and_what_is_usual_stays() -> None:
    """Cause: on the first day the rank has too little behind it; a chance of 0 would be the opposite of not known."""
    said = signal_body()["p_deleveraging"]
    none_said = {**said, "oi_5": None, "oi_10": None, "as_of": None, "reason": "short_rank"}
    found = scrape(state(signal_body(p_deleveraging=none_said)))
    assert names(found, "elr_deleveraging_probability") == set()
    assert len(names(found, "elr_deleveraging_base_rate")) == 2
    expired = scrape(state(signal_body(), now_ms=TS + 30_001))
    assert names(expired, "elr_deleveraging") == set()


def test_no_data_expired_stale_and_unconfigured_show_nothing() -> None:
    bare = names(scrape(state()), "elr_")
    lost = names(scrape(state(signal_body(status="no_data", score=None, confidence=0.0, tradeable=False))), "elr_")
    assert lost - bare == {("elr_status", "status=no_data", "symbol=BTC"), ("elr_tradeable", "symbol=BTC")}
    assert names(scrape(state(signal_body("SOL"))), "elr_") == bare
    assert names(scrape(state(signal_body(), now_ms=TS + 30_000)), "elr_score") != set()
    assert names(scrape(state(signal_body(), now_ms=TS + 30_001)), "elr_score") == set()
    assert names(scrape(state(now_ms=TS + 30_001)), "elr_mark") == set()
    stale = signal_body()
    stale["elr"] = [{**item, "stale": True} for item in stale["elr"]]
    found = scrape(state(stale))
    assert names(found, "elr_ratio") == set()  # its base is too old; the statistics do not depend on it
    assert len(names(found, "elr_zscore")) == 2


def test_every_symbol_has_the_numbers_that_its_signal_tells() -> None:
    """Cause: beyond the first fifty symbols there was no price, no open interest and no funding at all."""
    body = signal_body("1000PEPE", momentum="decelerating")
    body["windows"]["1h"] |= {"liquidated": {"long_coins": 4.5, "short_coins": 1.25}}
    body["windows"]["5m"] |= {"taker": {"buy_coins": 3.0, "sell_coins": 1.0, "imbalance": 0.5}}
    found = scrape(state(body, samples=(sample("1000PEPE"),), max_venue_symbols=0))
    market = body["market"]
    for key, value in {
        ("elr_price_usd",): market["price"],
        ("elr_oi_usd",): market["oi_usd"],
        ("elr_oi_coins",): market["oi_coins"],
        ("elr_funding_8h",): market["funding_8h"],
        ("elr_oi_change", "window=24h"): body["oi_change"]["24h"],
        ("elr_liquidated_coins", "side=short"): 1.25,
        ("elr_liquidated_coins", "side=long"): 4.5,
        ("elr_taker_imbalance", "window=5m"): 0.5,
        ("elr_mode_score", "mode=swing"): body["modes"]["swing"]["score"],
        ("elr_momentum",): -1.0,
        ("elr_risk_multiplier",): body["sizing"]["risk_multiplier"],
        ("elr_status", "status=ok"): 1.0,
        ("elr_tradeable",): 1.0,
        ("elr_spiking",): 1.0,
        ("elr_provisional",): 1.0,
    }.items():
        labels = sorted([*key[1:], "symbol=1000PEPE"])
        assert found[(key[0], *labels)] == pytest.approx(value), key
    assert found[("elr_provisional_symbols",)] == 1.0
    assert ("elr_oi_change", "symbol=1000PEPE", "window=7d") not in found  # not known: no series


def test_labels_come_from_the_configuration_only() -> None:
    strange = (sample(venues=(view("nowhere"), view("bybit"))), sample("SOL"))
    found = scrape(state(samples=strange))
    assert {key[2] for key in names(found, "elr_mark_price_usd")} == {"venue=bybit"}
    assert {key[1] for key in names(found, "elr_mark_price_usd")} == {"symbol=BTC"}


def test_per_venue_series_stop_at_the_configured_number_of_symbols() -> None:
    samples = (sample("BTC"), sample("ETH"), sample("1000PEPE"))
    found = scrape(state(signal_body("1000PEPE"), samples=samples, max_venue_symbols=2))
    assert {key[1] for key in names(found, "elr_mark_price_usd")} == {"symbol=BTC", "symbol=ETH"}
    assert {key[2] for key in names(found, "elr_input_timestamp_seconds")} == {"symbol=BTC", "symbol=ETH"}
    assert ("elr_score", "symbol=1000PEPE", "window=1m") in found
    assert names(scrape(state(max_venue_symbols=0)), "elr_mark_price_usd") == set()


def test_families_are_exactly_those_of_the_table() -> None:
    registry = CollectorRegistry()
    Metrics(VENUES, "live", "0.1.0", registry)
    shown = {}
    for family in text_string_to_metric_families(render(registry, state(signal_body())).decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        shown[name] = (family.type, family.documentation)
        for item in family.samples:
            assert set(item.labels) - {"le"} == set(FAMILIES[name].labels), item
    assert shown == {name: (family.kind, family.help) for name, family in FAMILIES.items()}


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1e16, 1234567.5, 5e-324])


@given(symbol=st.text(min_size=1), venue=st.text(min_size=1), value=NUMBERS, count=st.integers(0, 10**18))
def test_the_text_is_the_library_s_own(symbol: str, venue: str, value: float, count: int) -> None:
    """Cause of our own writer: the library's objects set off full garbage collections, 0.1 s each at 500 symbols."""
    made = ScrapeState(
        now_ms=TS,
        symbols=(symbol,),
        venues=((venue, True),),
        samples=(sample(symbol, venues=(view(venue, mark=value),)),),
        reconnects=((venue, "reset", count),),
        ledger=LedgerNumbers(count, 3, True),
        evaluations=(EvalNumbers(symbol, "1m", value, None, None, None, count, None, 0, 0, 0),),
    )
    found: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
    for family in FAMILIES.values():
        if family.scraped and family.kind == "counter":
            found[family.name] = CounterMetricFamily(family.name[:-6], family.help, labels=family.labels)
        elif family.scraped:
            found[family.name] = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    found["elr_mark_price_usd"].add_metric([symbol, venue], value)
    found["elr_funding_rate_8h"].add_metric([symbol, venue], 0.0001)
    found["elr_open_interest_coins"].add_metric([symbol, venue], 51234.5)
    for stream, age in (("mark", 120), ("funding", 2300), ("oi", 4500)):
        found["elr_input_timestamp_seconds"].add_metric([venue, symbol, stream], (TS - age) / 1000)
    found["elr_venue_up"].add_metric([venue], 1)
    found["elr_venue_reconnects_total"].add_metric([venue, "reset"], count)
    found["elr_eval_hit_ratio"].add_metric([symbol, "1m"], value)
    for name, number in (("waiting_bytes", count), ("write_failures_total", 3), ("stopped", 1)):
        found[f"elr_ledger_{name}"].add_metric([], number)
    for name, number in (("outcomes", count), ("ic_pairs", 0), ("matured", 0), ("lost", 0)):
        found[f"elr_eval_{name}"].add_metric([symbol, "1m"], number)

    class Made:
        def collect(self) -> list[object]:
            return list(found.values())

    assert render(CollectorRegistry(), made) == generate_latest(Made())  # type: ignore[arg-type]


def test_a_scrape_leaves_nothing_for_the_garbage_collector() -> None:
    """Cause: a scrape's objects, alive together, set off a full collection that walked the whole engine's heap."""
    symbols = tuple(f"S{number}" for number in range(400))
    made = state(*(signal_body(symbol) for symbol in symbols), symbols=symbols)
    tracked: list[int] = []

    def seen(phase: str, info: dict[str, int]) -> None:
        tracked.append(info["generation"])

    registry = CollectorRegistry()
    gc.collect()
    gc.callbacks.append(seen)
    try:
        text = render(registry, made)
    finally:
        gc.callbacks.remove(seen)
    assert text.count(b"\n") > 9000
    assert tracked.count(1) + tracked.count(2) == 0


@pytest.mark.needs_prometheus
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian package prometheus)")
def test_promtool_finds_nothing_to_object_to() -> None:
    registry = CollectorRegistry()
    Metrics(VENUES, "live", "0.1.0", registry)
    text = render(registry, state(signal_body()))
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_as_many_series_as_the_documents_say(repository: Path) -> None:
    """Cause: what a Prometheus must hold was calculated once, for fewer venues, and then forgotten."""
    counts = {symbols: series(text_of(whole(symbols))) for symbols in (1, 2, 21, 51, 52)}
    many = counts[21] + 29 * (counts[2] - counts[1]) + 450 * (counts[52] - counts[51])  # 500, without rendering them
    stated = " ".join((repository / "docs/metrics.md").read_text(encoding="utf-8").split())
    assert f"{counts[2] - counts[1]} series a symbol up to `max_venue_symbols`" in stated
    assert f"{counts[52] - counts[51]} a symbol beyond, {2 * counts[1] - counts[2]} whatever the symbols" in stated
    assert f"{counts[21]:,} series at 21 symbols" in stated
    assert f"{many:,} at 500" in stated
