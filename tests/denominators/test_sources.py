"""Answers of the three sources, in the shapes of their documents; every field with a value of its own."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.denominators import SOURCES, Answer, Fetch, Figure
from service.denominators.contract import coins_of, epoch_ms, unit_of
from service.errors import BadPayload
from service.venues.symbols import ASSETS, aliases
from tests.fakes.source_server import catalogue, coin, protocol

SHARED = Path(__file__).resolve().parents[3] / "shared" / "captures" / "fundamentals"
NOW = 1_795_000_000_000  # 2026-11-18
DAY = 1_794_900_000
BASE = "http://x"


def read(source: str, fetch: Fetch, body: bytes, step: int = 7) -> Answer:
    reader = SOURCES[source].reader(fetch)
    for start in range(0, len(body), step):
        reader.feed(body[start : start + step])
    return reader.finish(NOW)


def llama(document: Any, symbols: list[str]) -> Answer:
    fetch = SOURCES["defillama"].begin(BASE, symbols, {})[0]
    assert fetch.url == "http://x/protocol/binance-cex"
    return read("defillama", fetch, orjson.dumps(document))


def test_defillama_newest_total_with_wrapped_forms_and_units() -> None:
    tokens = {"BTC": 600.5, "WBTC": 10.25, "CBBTC": 3.25, "BTCB": 9.0, "BETH": 77.0, "ETH": 900.0, "PEPE": 5_000.0}
    answer = llama(protocol([(DAY - 86_400, {"BTC": 1.0}), (DAY, tokens)]), ["BTC", "ETH", "SOL", "1000PEPE"])
    assert answer.figures == (
        Figure("reserve", "BTC", "binance", 614.0, DAY * 1000),
        Figure("reserve", "ETH", "binance", 900.0, DAY * 1000),
        Figure("reserve", "1000PEPE", "binance", 5.0, DAY * 1000),
    )
    assert answer.refused == ()


def test_a_renamed_coin_is_found_under_its_names_at_every_source() -> None:
    answer = llama(protocol([(DAY, {"TON": 5.0, "TONCOIN": 2.5, "GRAM": 0.25})]), ["GRAM"])
    assert answer.figures == (Figure("reserve", "GRAM", "binance", 7.75, DAY * 1000),)
    [fetch] = SOURCES["coingecko"].begin("http://x", ["GRAM"], {})
    assert "ids=the-open-network&" in fetch.url
    [fetch] = SOURCES["coingecko"].begin("http://x", sorted({asset.canonical for asset in ASSETS}), {})
    assert fetch.url.partition("ids=")[2].partition("&")[0].count(",") == len({a.canonical for a in ASSETS}) - 1
    [fetch] = SOURCES["coinmetrics"].begin("http://x", ["GRAM", "币安人生"], {})
    assert "assets=ton,%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9F&" in fetch.url


def test_defillama_coins_under_every_name_that_means_one_of_them() -> None:
    """Cause: of the renamed coins only GRAM was asked for under its old name; what had not been exchanged was missing.
    AGIX is not FET one for one."""
    held = {"MATIC": 5.0, "POL": 7.0, "FTM": 3.0, "LUNA2": 4.0, "RNDR": 2.0, "RENDER": 1.0, "KLAY": 8.0, "AGIX": 9.0}
    answer = llama(protocol([(DAY, held | {"FET": 6.0})]), ["POL", "S", "LUNA", "RENDER", "KAIA", "FET"])
    assert [(item.symbol, item.coins) for item in answer.figures] == [
        ("POL", 12.0), ("S", 3.0), ("LUNA", 4.0), ("RENDER", 3.0), ("KAIA", 8.0), ("FET", 6.0),
    ]  # fmt: skip
    for ticker, symbol in aliases().items():  # whatever is added to the table
        assert llama(protocol([(DAY, {ticker: 2.5})]), [symbol]).figures[0].coins == 2.5


def test_defillama_entries_out_of_order_are_read_by_their_date() -> None:
    answer = llama(protocol([(DAY, {"BTC": 7.0}), (DAY - 86_400, {"BTC": 1.0})]), ["BTC"])
    assert answer.figures[0].coins == 7.0


@pytest.mark.parametrize("amount", [0, -1.0, "7", None, True, 1e300])
def test_defillama_a_bad_amount_is_no_figure(amount: Any) -> None:
    answer = llama(protocol([(DAY, {"BTC": amount, "ETH": 3.5})]), ["BTC", "ETH"])
    assert [figure.symbol for figure in answer.figures] == (["BTC", "ETH"] if amount == "7" else ["ETH"])
    assert len(answer.refused) == (0 if amount == "7" else 1)


@pytest.mark.parametrize(
    "document",
    [
        {"chainTvls": {}},
        {"tokens": []},
        {"tokens": [{"date": DAY}]},
        {"tokens": [{"date": DAY, "tokens": []}]},
        {"tokens": [{"date": "soon", "tokens": {}}]},
        {"tokens": [{"date": NOW // 1000 + 7200, "tokens": {}}]},
        [],
    ],
)
def test_defillama_other_shapes_are_refused(document: Any) -> None:
    with pytest.raises(BadPayload):
        llama(document, ["BTC"])


def test_defillama_a_torn_body_is_refused() -> None:
    body = orjson.dumps(protocol([(DAY, {"BTC": 1.0})]))
    fetch = SOURCES["defillama"].begin(BASE, ["BTC"], {})[0]
    with pytest.raises(BadPayload):
        read("defillama", fetch, body[:-20])


def test_defillama_memory_does_not_grow_with_the_history() -> None:
    """The body is read as it comes: nothing but the newest entry is kept."""
    days = [(DAY - 86_400 * n, {f"T{m}": 1.5 + m for m in range(60)} | {"BTC": 1.0 + n}) for n in range(1600)]
    body = orjson.dumps(protocol(days[::-1]))
    reader = SOURCES["defillama"].reader(SOURCES["defillama"].begin(BASE, ["BTC"], {})[0])
    tracemalloc.start()
    for start in range(0, len(body), 65_536):
        reader.feed(body[start : start + 65_536])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(body) > 1_000_000
    assert peak < 150_000
    assert reader.finish(NOW).figures[0].coins == 1.0


def gecko(rows: Any, symbols: list[str], ids: dict[str, str] | None = None) -> Answer:
    fetch = SOURCES["coingecko"].begin(BASE, symbols, ids or {})[0]
    return read("coingecko", fetch, orjson.dumps(rows))


def test_coingecko_one_call_supply_in_canonical_units() -> None:
    rows = [
        coin("bitcoin", 19_950_000.0, "2026-11-17T10:00:00.123Z"),
        coin("pepe", 420_689_899_653_544.0, "2026-11-17T10:00:01Z"),
        coin("solana", None, "2026-11-17T10:00:02Z"),
        coin("stranger", 5.0, "2026-11-17T10:00:03Z"),
    ]
    answer = gecko(rows, ["BTC", "1000PEPE", "SOL"])
    assert answer.figures == (
        Figure("supply", "BTC", "", 19_950_000.0, 1_794_909_600_123),
        Figure("supply", "1000PEPE", "", 420_689_899_653.544, 1_794_909_601_000),
    )


def test_coingecko_operator_ids_win_and_unknown_symbols_are_not_asked() -> None:
    fetches = SOURCES["coingecko"].begin(BASE, ["BTC", "XYZ", "ABC"], {"XYZ": "xyz-network", "BTC": "other-coin"})
    assert [fetch.url for fetch in fetches] == [
        "http://x/api/v3/coins/markets?vs_currency=usd&ids=other-coin,xyz-network&per_page=250"
    ]
    assert SOURCES["coingecko"].begin(BASE, ["XYZ"], {}) == []


def test_coingecko_500_symbols_in_pages_of_250() -> None:
    ids = {f"S{n}": f"coin-{n}" for n in range(500)}
    fetches = SOURCES["coingecko"].begin(BASE, list(ids), ids)
    assert [fetch.url.count(",") for fetch in fetches] == [249, 249]


def test_coingecko_a_bad_row_costs_that_row() -> None:
    rows: list[Any] = [coin("bitcoin", -1.0, "2026-11-17T10:00:00Z"), 7, coin("ethereum", 5.5, "yesterday")]
    rows.append(coin("ethereum", 120.5, "2026-11-17T10:00:00Z"))
    answer = gecko(rows, ["BTC", "ETH"])
    assert [figure.coins for figure in answer.figures] == [120.5]
    assert answer.refused == ("out_of_bounds", "wrong_type", "bad_number")


def test_coinmetrics_asks_the_catalogue_and_then_only_for_what_is_free() -> None:
    source = SOURCES["coinmetrics"]
    first = source.begin(BASE, ["BTC", "ETH", "SOL"], {})[0]
    assert first.url.startswith("http://x/v4/catalog-v2/asset-metrics?assets=btc,eth,sol&metrics=SplyExNtv,SplyCur")
    offers = {
        "btc": {"SplyExNtv": True, "SplyCur": True},
        "eth": {"SplyExNtv": True, "SplyCur": False},
        "sol": {"SplyExNtv": False},
        "doge": {"SplyExNtv": True},
    }
    answer = read("coinmetrics", first, orjson.dumps(catalogue(offers)))
    assert answer.figures == ()
    assert [fetch.url for fetch in answer.more] == [
        "http://x/v4/timeseries/asset-metrics?assets=btc,eth&metrics=SplyExNtv&frequency=1d&limit_per_asset=1",
        "http://x/v4/timeseries/asset-metrics?assets=btc&metrics=SplyCur&frequency=1d&limit_per_asset=1",
    ]
    point = {"asset": "btc", "time": "2026-11-16T00:00:00.000000000Z", "SplyExNtv": "2345678.25"}
    other = {"asset": "eth", "time": "2026-11-16T00:00:00.000000000Z", "SplyExNtv": "NaN"}
    series = read("coinmetrics", answer.more[0], orjson.dumps({"data": [point, other], "next_page_url": "x"}))
    # A point stamped D is the balance at the end of D.
    assert series.figures == (Figure("reserve", "BTC", "all", 2_345_678.25, 1_794_873_600_000),)
    assert series.refused == ("bad_number",)


@pytest.mark.parametrize("source", SOURCES)
@given(body=st.binary(max_size=200))
def test_only_our_own_error_comes_out(source: str, body: bytes) -> None:
    for fetch in SOURCES[source].begin(BASE, ["BTC"], {})[:1]:
        try:
            answer = read(source, fetch, body)
        except BadPayload:
            continue
        assert all(0 < figure.coins <= 1e18 for figure in answer.figures)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["tokens", "date", "BTC"]), inner),
    max_leaves=12,
)


@pytest.mark.parametrize("source", SOURCES)
@given(value=_VALUES, key=st.sampled_from(["tokens", "data", "x"]))
def test_only_our_own_error_comes_out_of_any_json(source: str, value: Any, key: str) -> None:
    for document in (value, {key: value}, {key: [value]}, [value]):
        fetch = SOURCES[source].begin(BASE, ["BTC"], {})[0]
        try:
            answer = read(source, fetch, json.dumps(document).encode())
        except BadPayload:
            continue
        assert all(0 < figure.coins <= 1e18 for figure in answer.figures)


@pytest.mark.parametrize(
    "value", ["nan", "inf", "1e999", "1_000", "", " 1", "+1", "0x1", "01", "٣", "-1", "0", None, []]
)
def test_texts_that_are_no_coins(value: Any) -> None:
    with pytest.raises(BadPayload):
        coins_of(value)


def test_times_before_any_chain_or_ahead_of_us_are_refused() -> None:
    assert epoch_ms("2026-11-17T10:00:00+01:00", NOW) == 1_794_906_000_000
    for value in (0, -5.0, float("inf"), NOW, "1999-01-01T00:00:00Z", None):
        with pytest.raises(BadPayload):
            epoch_ms(value, NOW)


def test_units() -> None:
    assert unit_of("1000") == ("1000", 1.0)
    assert unit_of("1000BONK") == ("BONK", 1000.0)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared folder of recorded answers is not here")
@pytest.mark.needs_shared
def test_the_documented_answer_of_coingecko() -> None:
    rows = orjson.loads((SHARED / "coingecko_coins_markets.json").read_bytes())
    answer = gecko(rows, ["BTC", "ETH"])
    assert Figure("supply", "BTC", "", 20_030_493.0, 1_779_108_561_599) in answer.figures
    assert answer.refused == ()
