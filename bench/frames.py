"""One frame of each message kind, in the venue's documented shape (values are made up), and what the metadata say."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson

from service.model import Decoded, Listing
from service.venues import VENUES
from service.venues.contract import Catalog

RECV_MS = 1_763_720_519_400
DATA = Path(__file__).resolve().parents[1] / "tests" / "data"


def _fixture(venue: str, name: str) -> str:
    return (DATA / venue / f"{name}.json").read_text().strip()


FRAMES: dict[tuple[str, str], str] = {
    ("binance_usdm", "markPrice"): (
        '{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","E":1763720519000,"s":"BTCUSDT","p":"91234.56789012",'
        '"ap":"91234.56789012","P":"91300.12345678","i":"91240.98765432","r":"0.00004321","T":1763740800000,"st":1}}'
    ),
    ("binance_usdm", "openInterest"): '{"openInterest":"81234.567","symbol":"BTCUSDT","time":1763720510123}',
    ("bybit", "ticker snapshot"): (
        '{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","tickDirection":"PlusTick","price24hPcnt":"-0.0123",'
        '"lastPrice":"91234.60","prevPrice24h":"92345.70","highPrice24h":"93456.00","lowPrice24h":"90123.80","prevPrice1h":"91111.30",'
        '"markPrice":"91234.70","indexPrice":"91240.01","openInterest":"57000.500","openInterestValue":"5200423500.22","turnover24h":"3734121786.2434",'
        '"volume24h":"44701.1000","fundingIntervalHour":"8","fundingCap":"0.00333","singleOpenInterest":"28500.250","singleOpenInterestValue":"2600211750.11",'
        '"nextFundingTime":"1763740800000","fundingRate":"-0.00007774","bid1Price":"91234.60","bid1Size":"3.871","ask1Price":"91234.70","ask1Size":"2.935"},'
        '"cs":818232112541,"ts":1763720519283}'
    ),
    ("bybit", "ticker delta"): (
        '{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","markPrice":"91234.60","openInterestValue":"5200423528.37",'
        '"ask1Price":"91234.70","ask1Size":"2.942","singleOpenInterestValue":"2600211805.70"},"cs":818232113624,"ts":1763720519383}'
    ),
    ("okx", "mark-price"): (
        '{"arg":{"channel":"mark-price","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","instType":"SWAP","markPx":"91233.8","ts":"1763720519016"}]}'
    ),
    ("okx", "open-interest"): (
        '{"arg":{"channel":"open-interest","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","instType":"SWAP","oi":"2874486.99000000925",'
        '"oiCcy":"28744.8699000000925","oiUsd":"2622812703.752047677463","ts":"1763720515759"}]}'
    ),
    ("okx", "funding-rate"): (
        '{"arg":{"channel":"funding-rate","instId":"BTC-USDT-SWAP"},"data":[{"formulaType":"withRate","fundingRate":"0.0000252378080097","fundingTime":"1763740800000",'
        '"impactValue":"20000.0000000000000000","instId":"BTC-USDT-SWAP","instType":"SWAP","interestRate":"0.0001000000000000","maxFundingRate":"0.00375",'
        '"method":"current_period","minFundingRate":"-0.00375","nextFundingRate":"","nextFundingTime":"1763769600000","premium":"-0.0005333853474351",'
        '"prevFundingTime":"1763712000000","settFundingRate":"0.0000337200721784","settState":"settled","ts":"1763720462992"}]}'
    ),
    ("hyperliquid", "activeAssetCtx"): (
        '{"channel":"activeAssetCtx","data":{"coin":"BTC","ctx":{"funding":"0.0000125","openInterest":"35409.41702","prevDayPx":"90666.0","dayNtlVlm":"845822222.75",'
        '"premium":"-0.0004003904","oraclePx":"91222.0","markPx":"91190.0","midPx":"91189.5","impactPxs":["91189.0","91190.0"],"dayBaseVlm":"10601.61339"}}}'
    ),
}
FRAMES |= {
    (venue, kind): _fixture(venue, name)
    for venue, kind, name in (
        ("binance_coinm", "markPrice", "ws_mark_price_update"),
        ("aster", "markPrice", "ws_mark_price_update"),
        ("bitget", "ticker", "ws_ticker"),
        ("gate", "tickers", "ws_tickers"),
        ("deribit", "ticker", "ws_ticker_linear"),
        ("kraken_futures", "ticker", "ws_ticker_linear"),
        ("bitmex", "instrument update", "ws_update_mark"),
        ("dydx", "batch", "ws_channel_batch_data"),
        ("lighter", "statistics update", "ws_update"),
    )
}
# What a decoder must have read before: deltas count from their snapshot on.
BEFORE: dict[str, str] = {
    "bybit": FRAMES["bybit", "ticker snapshot"],
    "bitmex": _fixture("bitmex", "ws_partial_inverse"),
    "dydx": _fixture("dydx", "ws_subscribed"),
}

# What the metadata say of the frames' instruments: a running service has it before the first frame comes.
LISTINGS = {
    venue: Listing(venue, name, symbol, inverse, size, 1.0, interval_h, True, RECV_MS)
    for venue, name, symbol, inverse, size, interval_h in (
        ("binance_usdm", "BTCUSDT", "BTC", False, 1.0, 8.0),
        ("binance_coinm", "BTCUSD_PERP", "BTC", True, 100.0, 8.0),
        ("aster", "BTCUSDT", "BTC", False, 1.0, 8.0),
        ("bybit", "BTCUSDT", "BTC", False, 1.0, 8.0),
        ("okx", "BTC-USDT-SWAP", "BTC", False, 0.01, 8.0),
        ("bitget", "ETHUSDT", "ETH", False, 1.0, 8.0),
        ("gate", "ETH_USDT", "ETH", False, 0.01, 8.0),
        ("deribit", "SOL_USDC-PERPETUAL", "SOL", False, 1.0, 8.0),
        ("kraken_futures", "PF_ETHUSD", "ETH", False, 1.0, 1.0),
        ("hyperliquid", "BTC", "BTC", False, 1.0, 1.0),
        ("lighter", "ETH-0", "ETH", False, 1.0, 1.0),
    )
}
ARRAY_ROWS = 500


def array_of_marks() -> str:
    """`!markPrice@arr` of Binance USD-M with 500 instruments."""
    rng = random.Random(1)

    def number(low: float, high: float) -> str:
        return f"{rng.uniform(low, high):.8f}"

    rows = [
        {
            "e": "markPriceUpdate", "E": RECV_MS - 400, "s": f"SYM{index}USDT", "p": number(1, 90_000),
            "ap": number(1, 90_000), "P": number(1, 90_000), "i": number(1, 90_000), "r": number(-0.001, 0.001),
            "T": 1_763_740_800_000, "st": 1,
        }
        for index in range(ARRAY_ROWS)
    ]  # fmt: skip
    return orjson.dumps(rows).decode()


def catalog_of(venue: str) -> Catalog:
    """The venue's catalog with the metadata loaded."""
    catalog = Catalog()
    if venue in LISTINGS:
        catalog.listings[LISTINGS[venue].instrument] = LISTINGS[venue]
    if venue == "binance_usdm":
        catalog.default_interval_h = 8.0
        for index in range(ARRAY_ROWS):
            name = f"SYM{index}USDT"
            catalog.listings[name] = Listing(venue, name, f"SYM{index}", False, 1.0, 1.0, 8.0, True, RECV_MS)
    return catalog


def texts_of(kind: str, text: str) -> Iterator[str]:
    """The frame again and again, as a venue would send it: a delta with an older cross sequence would be dropped."""
    if kind != "ticker delta":
        while True:
            yield text
    head, tail = text.split('"cs":818232113624')
    for number in range(818232113624, 818232113624 + 1_000_000_000):
        yield f'{head}"cs":{number}{tail}'


def decoding(venue: str, kind: str, text: str) -> Callable[[], list[Decoded]]:
    """Decodes the frame once a call, with metadata and, where there is one, its snapshot read before."""
    decoder = VENUES[venue].decoder(catalog_of(venue))
    if venue in BEFORE:
        decoder.decode(BEFORE[venue], RECV_MS)
    decode, following = decoder.decode, texts_of(kind, text).__next__
    assert decoder.decode(text, RECV_MS), (venue, kind)
    return lambda: decode(following(), RECV_MS)
