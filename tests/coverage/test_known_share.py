"""The share of known open interest that our venues hold, worked out by hand."""

from __future__ import annotations

import doctest
from dataclasses import replace
from typing import Any

import orjson
import pytest

from service.coverage import KnownShare, Tickers, markets
from service.coverage.markets import MARKETS, market_of
from service.venues import VENUES, symbols
from service.venues.symbols import ASSETS
from tests.coverage.build import NOW, sample, view
from tests.fakes.source_server import derivative

DAY_MS = 86_400_000


def known(*rows: dict[str, Any], symbols: tuple[str, ...] = ("BTC",), at: int = NOW) -> KnownShare:
    reader = Tickers(symbols, ASSETS, at)
    reader.feed(orjson.dumps(list(rows)))
    share = KnownShare(True)
    assert share.take(reader.finish())
    return share


def row(market: str, oi_usd: Any, symbol: str = "BTCUSDT", price: str = "100.5", **changes: Any) -> dict[str, Any]:
    return derivative(market, symbol, "BTC", price, open_interest=oi_usd, **changes)


OURS = (view("binance_usdm", 40.0), view("binance_coinm", 10.0), view("bybit", 20.0))  # 4,000, 1,000, 2,000 USD


def test_ours_are_our_own_figures_and_the_others_are_as_stated() -> None:
    """Ours: 7,000 USD, one-sided, whatever the list says of them. Others: 2,000 of HTX (one side, measured), 1,000 of
    an unknown venue whose sides nobody tells. 7 of 10; were the unknown one two-sided, 7 of 9.5."""
    body = known(
        row("Binance (Futures)", 4_040.0),
        row("Binance (Futures)", 960.0, "BTCUSD_PERP"),
        row("Bybit (Futures)", 4_020.0),
        row("HTX Futures", 1_500.0),
        row("HTX Futures", 500.0, "BTC-USD"),
        row("Nova (Futures)", 1_000.0),
        row("Silent", None),
    ).of(sample(*OURS), NOW)
    assert body["reason"] is None
    assert (body["ours_oi_usd"], body["not_fresh_oi_usd"], body["others_oi_usd"]) == (7_000.0, 0.0, 3_000.0)
    assert body["share"] == pytest.approx(0.7)
    assert body["share_most"] == pytest.approx(7 / 9.5)
    assert [(item["venue"], item["stated_oi_usd"], item["ratio"]) for item in body["ours"]] == [
        ("binance_usdm", 4_040.0, pytest.approx(1.01)),
        ("binance_coinm", 960.0, pytest.approx(0.96)),
        ("bybit", 4_020.0, pytest.approx(2.01)),
    ]
    assert [tuple(item.values()) for item in body["others"]] == [
        ("HTX Futures", 2_000.0, 2_000.0, 2, 1, "measured", 785_285_070.464, False),
        ("Nova (Futures)", 1_000.0, 1_000.0, 1, None, "unknown", 392_642_535.232, False),
    ]
    assert body["without_figure"] == ["Silent"]
    assert body["left_out"] == {}


def test_an_open_interest_of_many_days_of_volume_is_doubtful() -> None:
    """Cause: the documented example row has 7.7 billion USD of open interest over 0.13 billion of volume. As stated it
    stays in the share; the share at most is without it. A volume that nobody states proves nothing."""
    body = known(
        row("BYDFi (Futures)", 7_000.0, volume_24h=699.0),
        row("HTX Futures", 2_000.0, volume_24h=200.0),
        row("KuCoin Futures", 1_000.0, volume_24h=None),
    ).of(sample(*OURS), NOW)
    assert [(item["market"], item["doubtful"]) for item in body["others"]] == [
        ("BYDFi (Futures)", True),
        ("HTX Futures", False),
        ("KuCoin Futures", False),
    ]
    assert body["share"] == pytest.approx(7 / 17)
    assert body["share_most"] == pytest.approx(0.7)


def test_a_venue_of_ours_that_we_do_not_read_is_one_of_the_others() -> None:
    """Switched off, or nothing of it has come yet. Bybit documents that its figure counts both sides: halved. Gate's is
    measured as both, on a figure that the list may not take: as stated, and possibly half."""
    share = known(row("Bybit (Futures)", 4_000.0), row("Gate (Futures)", 3_000.0))
    body = share.of(sample(view("binance_usdm", 50.0), view("gate", None)), NOW)
    assert [(item["market"], item["oi_usd"], item["sides"], item["basis"]) for item in body["others"]] == [
        ("Bybit (Futures)", 2_000.0, 2, "documented"),
        ("Gate (Futures)", 3_000.0, 2, "measured"),
    ]
    assert body["share"] == pytest.approx(5 / 10)
    assert body["share_most"] == pytest.approx(5 / 8.5)


def test_a_stale_venue_of_ours_is_known_but_not_held() -> None:
    """Cause guarded against: a venue that fell silent would leave the known open interest, and the share would rise."""
    share = known(row("Bybit (Futures)", 4_000.0), row("HTX Futures", 2_000.0))
    before = share.of(sample(view("okx", 60.0), view("bybit", 20.0)), NOW)
    after = share.of(sample(view("okx", 60.0), view("bybit", None, last=20.0)), NOW)
    assert before["share"] == pytest.approx(0.8)
    assert after["share"] == pytest.approx(0.6)
    assert (after["ours_oi_usd"], after["not_fresh_oi_usd"], after["others_oi_usd"]) == (6_000.0, 2_000.0, 2_000.0)
    assert [(item["venue"], item["fresh"], item["ratio"]) for item in after["ours"]][1] == ("bybit", False, None)


def test_a_name_like_ours_is_neither_ours_nor_anothers() -> None:
    """Cause guarded against: a venue of ours that the list renames would count twice."""
    body = known(row("Binance US (Futures)", 9_000.0), row("HTX Futures", 3_000.0)).of(sample(*OURS), NOW)
    assert body["left_out"] == {"unclear_market:Binance US (Futures)": 1}
    assert body["share"] == pytest.approx(0.7)


@pytest.mark.parametrize(
    "name", ["Binance (Futures)", "  binance (futures) ", "BINANCE (DERIVATIVES)", "Binance Futures", "Binance"]
)
def test_the_kind_of_product_in_a_name_says_nothing(name: str) -> None:
    assert market_of(name) is MARKETS["binance"]


def test_the_examples_in_the_docstrings() -> None:
    assert doctest.testmod(markets).failed == doctest.testmod(symbols).failed == 0


def test_every_venue_of_ours_has_its_name_in_the_list() -> None:
    """A new venue without one would count twice: as ours, and among the others."""
    assert set(VENUES) <= {venue for market in MARKETS.values() for venue in market.venues}
    for name in (
        "Gate (Futures)",
        "Gate.io (Futures)",
        "BitMEX (Derivative)",
        "Deribit",
        "dYdX Chain",
        "dYdX (V4) (Perpetual)",
    ):
        found = market_of(name)
        assert found is not None
        assert found.venues, name


def test_another_asset_under_the_ticker_is_left_out_by_its_price() -> None:
    """A stock, say. 5 % is the limit, on both sides."""
    prices = {10.0: "104.9", 20.0: "95.1", 40.0: "105.1", 80.0: "94.9", 160.0: "0.1"}
    share = known(*(row("HTX Futures", oi_usd, f"BTC-{oi_usd}", price) for oi_usd, price in prices.items()))
    body = share.of(sample(*OURS), NOW)
    assert body["others_oi_usd"] == 30.0
    assert body["left_out"] == {"price": 3}


def test_a_price_in_another_unit_is_the_same_price() -> None:
    rows = [
        derivative("MEXC (Futures)", "PEPE_USDT", "PEPE", "0.00001", open_interest=100.0),
        derivative("BingX (Futures)", "1000PEPE-USDT", "PEPE", "0.01", open_interest=200.0),
        derivative("HTX Futures", "1000PEPE-USDT", "1000PEPE", "0.0101", open_interest=400.0),
    ]
    share = known(*rows, symbols=("1000PEPE",))
    body = share.of(sample(view("okx", 70_000.0), symbol="1000PEPE", price=0.01), NOW)
    assert (body["others_oi_usd"], body["left_out"]) == (700.0, {})
    assert body["share"] == pytest.approx(0.5)


def test_null_and_why() -> None:
    """Every way not to know the share has its reason, and none of them is a number."""
    data = sample(*OURS)
    assert KnownShare(False).of(data, NOW)["reason"] == "off"
    assert KnownShare(True).of(data, NOW)["reason"] == "no_answer"
    share = known(row("HTX Futures", 3_000.0))
    assert share.of(sample(*OURS, price=None), NOW)["reason"] == "no_data"
    assert share.shares(data, NOW)[0] == pytest.approx(0.7)
    assert share.shares(data, NOW + DAY_MS)[0] == pytest.approx(0.7)
    old = share.of(data, NOW + DAY_MS + 1)
    assert (old["share"], old["reason"], old["others"], old["ours_oi_usd"]) == (None, "stale", [], 7_000.0)
    silent = known(row("Silent", 0), row("Silent", None, "BTC-USD"))
    for alone, reason in ((known(row("Binance (Futures)", 4_000.0)), "no_other_venue"), (silent, "little_known")):
        body = alone.of(data, NOW)
        assert (body["share"], body["share_most"], body["reason"]) == (None, None, reason)
    assert known(row("HTX Futures", 3_000.0)).of(data, NOW + 900_001)["reason"] == "unchecked"  # prices have moved on
    assert known(row("HTX Futures", 3_000.0)).of(replace(data, symbol="ETH"), NOW)["reason"] == "no_other_venue"


def test_prices_are_compared_once_and_may_then_move() -> None:
    """Cause guarded against: after a fall of 6 % every ticker of an hour ago would name another asset. And the list's
    dollars are coins at the price of that hour: a price that halves since halves them and ours alike."""
    share = known(row("HTX Futures", 3_000.0))
    assert share.shares(sample(*OURS), NOW)[0] == pytest.approx(0.7)
    body = share.of(sample(*OURS, price=50.0), NOW + 3_600_000)
    assert (body["share"], body["others_oi_usd"]) == (pytest.approx(0.7), 1_500.0)
    [other] = body["others"]
    assert (other["oi_usd"], other["stated_oi_usd"]) == (1_500.0, 3_000.0)


def test_a_list_that_has_lost_half_of_its_markets_is_not_taken() -> None:
    """Cause guarded against: with the others missing, the share would rise to almost one."""
    share = known(*(row(f"Market {number}", 750.0) for number in range(4)))
    reader = Tickers(("BTC",), ASSETS, NOW + 1)
    reader.feed(orjson.dumps([row("Market 1", 750.0)]))
    torn = reader.finish()
    assert not share.take(torn)
    assert share.shares(sample(*OURS), NOW)[0] == pytest.approx(0.7)
    assert share.take(replace(torn, as_of=NOW + DAY_MS + 1))  # the last one says nothing any more


@pytest.mark.parametrize(
    "rows",
    [
        (row("Market 0", 100.0), row("Market 1", None), row("Market 2", None), row("Market 3", 0)),
        (row("Market 0", 100.0), row("Market 1", 100.0), row("Market 2", None), row("Market 3", 100.0)),
    ],
)
def test_a_list_that_has_lost_the_figures_of_its_markets_gives_no_share(rows: tuple[dict[str, Any], ...]) -> None:
    """Cause: MEXC, KuCoin and BingX stated nothing any more, their names stayed, and the share jumped to 0.99."""
    share = known(*(row(f"Market {number}", 750.0) for number in range(4)))
    assert share.shares(sample(*OURS), NOW)[0] == pytest.approx(0.7)
    assert share.take(known(*rows, at=NOW + 1).listed)  # type: ignore[arg-type]
    body = share.of(sample(*OURS), NOW + 1)
    assert (body["share"], body["share_most"]) == (None, None)
    assert body["reason"] in ("not_whole", "little_known")
    assert share.take(known(*(row(f"Market {number}", 750.0) for number in range(4)), at=NOW + 2).listed)  # type: ignore[arg-type]
    assert share.shares(sample(*OURS), NOW + 2)[0] == pytest.approx(0.7)


def test_where_most_prices_are_not_ours_there_is_no_share() -> None:
    """Cause: our price had moved by 6 % since the list; all large markets were left out, and a tiny one stayed."""
    share = known(row("HTX Futures", 3_000.0, price="94"), row("KuCoin Futures", 2_000.0, price="94"), row("Tiny", 3.0))
    body = share.of(sample(*OURS), NOW)
    assert (body["share"], body["reason"], body["left_out"]) == (None, "unchecked", {"price": 2})
    assert known(row("HTX Futures", 3_000.0, price="94")).of(sample(*OURS), NOW)["reason"] == "unchecked"


def test_a_silent_instrument_of_a_fresh_venue_lowers_the_share() -> None:
    """Cause: OKX's inverse contract went on, its linear ones fell silent, and what they held counted nowhere."""
    partly = replace(view("okx", 10.0), oi_coins_last=30.0)
    body = known(row("HTX Futures", 3_000.0)).of(sample(partly, view("bybit", 20.0)), NOW)
    assert (body["ours_oi_usd"], body["not_fresh_oi_usd"]) == (3_000.0, 2_000.0)
    assert body["share"] == pytest.approx(3 / 8)


@pytest.mark.parametrize(
    "name", ["OKEx (Futures)", "GateIO (Futures)", "Gate-io", "Binance-Futures", "Crypto Facilities"]
)
def test_other_names_of_ours_are_left_out_and_said(name: str) -> None:
    """Cause: a venue of ours under an old or another name counted once more, as one of the others."""
    body = known(row(name, 9_000.0), row("HTX Futures", 3_000.0)).of(sample(*OURS), NOW)
    assert body["left_out"] == {f"unclear_market:{name}": 1}


@pytest.mark.parametrize(
    ("name", "venue"), [("AsterDEX", "aster"), ("Asterdex (Futures)", "aster"), ("zkLighter", "lighter")]
)
def test_the_names_of_the_new_venues(name: str, venue: str) -> None:
    found = market_of(name)
    assert found is not None
    assert found.venues == (venue,)


def test_one_venue_under_two_names_counts_once() -> None:
    share = known(row("Gate (Futures)", 2_000.0), row("Gate.io (Futures)", 2_000.0), row("HTX Futures", 1_000.0))
    body = share.of(sample(*OURS), NOW)  # without Gate among ours
    assert (body["others_oi_usd"], body["left_out"]) == (3_000.0, {"repeated": 1})


def test_what_the_list_takes_of_our_venues_is_measured() -> None:
    """Three symbols at least; twice ours in all of them is both sides."""
    symbols = ("BTC", "ETH", "SOL")
    rows = []
    for symbol in symbols:
        rows += [
            derivative("Bybit (Futures)", f"{symbol}USDT", symbol, "100", open_interest=4_000.0),
            derivative("OKX (Futures)", f"{symbol}-USDT-SWAP", symbol, "100", open_interest=1_010.0),
            derivative("HTX Futures", f"{symbol}-USDT", symbol, "100", open_interest=50.0),
        ]
    share = known(*rows, symbols=symbols)
    views = (view("bybit", 20.0), view("okx", 10.0), view("deribit", 5.0))
    samples = [sample(*views, symbol=symbol) for symbol in symbols]
    assert share.measured_sides(samples, NOW) == {
        "bybit": {"sides": 2, "ratio": 2.0, "symbols": 3, "agreeing": 1.0},
        "okx": {"sides": 1, "ratio": 1.01, "symbols": 3, "agreeing": 1.0},
    }
    assert share.measured_sides(samples[:2], NOW) == {}
    gone = [sample(*views, view("gate", None, last=7.0), symbol=symbol, price=None) for symbol in symbols]
    assert share.measured_sides(gone, NOW) == {}


def test_a_stepped_clock_does_not_age_the_list() -> None:
    share = known(row("HTX Futures", 3_000.0))
    assert share.shares(sample(*OURS), NOW)[0] == pytest.approx(0.7)
    share.reanchor(2 * DAY_MS)
    assert share.shares(sample(*OURS), NOW + 2 * DAY_MS)[0] == pytest.approx(0.7)
