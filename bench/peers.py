"""What cryptofeed and ccxt.pro do with the same frames: their own handlers, without a network. `make peers` installs
them.

Only what a handler needs of its object is filled in (the names of the instruments, a callback that does nothing);
constructing them whole would ask the venues for their instruments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import orjson

from bench.frames import ARRAY_ROWS, BEFORE, FRAMES, array_of_marks, texts_of

Work = Callable[[], object]


class Forgetful(dict[Any, Any]):
    """Holds nothing: cryptofeed drops an open interest that it has seen before, and a frame that changes nothing."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


def cryptofeed_work() -> dict[str, Work]:
    """By measure: cryptofeed's reading of the frame, observations made and called back. Empty if not installed."""
    try:
        from cryptofeed.exchanges import OKX, BinanceFutures, Bybit, Deribit
    except ImportError:
        return {}

    async def ignore(item: object, receipt: float) -> None:
        pass

    def made(exchange: Any, name: str, **more: Any) -> Any:
        feed = exchange.__new__(exchange)
        feed.exchange_symbol_mapping = {name: "BTC-USDT-PERP"}
        feed.callbacks = defaultdict(lambda: [ignore])
        feed.requires_authentication = False
        for key, value in more.items():
            setattr(feed, key, value)
        return feed

    streams = ("funding", "open_interest", "index")  # what we take of the frame
    wanted = {stream: ["BTCUSDT"] for stream in streams}
    linear = SimpleNamespace(address="wss://stream.bybit.com/v5/public/linear", subscription=wanted, uuid="1")
    socket = SimpleNamespace(address="wss://example.invalid", subscription={}, uuid="1")
    bybit = made(Bybit, "BTCUSDT", tickers={})
    run(bybit.message_handler(BEFORE["bybit"], linear, 1.0))
    okx = made(OKX, "BTC-USDT-SWAP")
    binance = made(BinanceFutures, "BTCUSDT")
    deribit = made(Deribit, "SOL_USDC-PERPETUAL", _open_interest_cache=Forgetful())

    def reading(feed: Any, kind: str, text: str, connection: Any) -> Work:
        following = texts_of(kind, text).__next__

        return lambda: run(feed.message_handler(following(), connection, 1.0))

    return {
        "binance_mark": reading(binance, "", FRAMES["binance_usdm", "markPrice"], socket),
        "bybit_delta": reading(bybit, "ticker delta", FRAMES["bybit", "ticker delta"], linear),
        "okx_open_interest": reading(okx, "", FRAMES["okx", "open-interest"], socket),
        "okx_funding": reading(okx, "", FRAMES["okx", "funding-rate"], socket),
        "deribit_ticker": reading(deribit, "", FRAMES["deribit", "ticker"], socket),
    }


def ccxt_work() -> dict[str, Work]:
    """By measure: ccxt.pro's reading of the frame into its tickers. Empty if not installed."""
    try:
        import ccxt.pro
    except ImportError:
        return {}
    exchange = ccxt.pro.binance({"options": {"defaultType": "swap"}})
    exchange.set_markets(
        [
            {
                "id": f"SYM{index}USDT", "symbol": f"SYM{index}/USDT:USDT", "base": f"SYM{index}", "quote": "USDT",
                "settle": "USDT", "type": "swap", "swap": True, "spot": False, "contract": True, "linear": True,
                "inverse": False, "active": True, "precision": {"amount": 3, "price": 2}, "limits": {},
            }
            for index in range(ARRAY_ROWS)
        ]
    )  # fmt: skip
    client = SimpleNamespace(
        url="wss://fstream.binance.com/ws/!markPrice@arr@1s", subscriptions={}, futures={}, resolve=lambda *_: None
    )
    text = array_of_marks()

    def work() -> None:
        exchange.handle_message(client, orjson.loads(text))  # its client parses with orjson, too

    work()
    assert len(exchange.tickers) == ARRAY_ROWS
    return {"binance_array_500": work}


def name_of(package: str) -> str:
    """Package and version, as the table shows them."""
    return f"{package} {version(package)}"


def run(coroutine: Coroutine[Any, Any, object]) -> None:
    """A coroutine that waits for nothing, without an event loop: no peer pays for one."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("the handler waits for something")
