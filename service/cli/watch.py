"""``elr watch``: a live table of the feed; plain lines when piped. Reads only the feed, like any client."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import accumulate
from typing import Any

import orjson
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidMessage, InvalidStatus, InvalidURI, WebSocketException

from service.config import load
from service.errors import ConfigError
from service.model import MARKET
from service.statistics import fold
from service.venues.symbols import aliases, canonical_symbol

VERSION = 1
RETRY_S = 3.0
HELLO_S = 5.0  # the feed speaks first, at once
QUIET_S = 25.0  # heartbeats come every 10 s: this long without any message is a dead connection
# Columns and the width they need. What informs stands in front; narrow terminals drop those at the right.
COLUMNS = {
    "symbol": 8, "status": 8, "ELR pct": 7, "OI -5%": 10, "vol 24h": 7, "fragility": 9, "regime": 15, "risk": 4,
    "price": 9, "funding 8h": 10, "score": 5, "dir": 7, "conf": 4, "flags": 23, "1m": 5, "5m": 5, "1h": 5,
}  # fmt: skip
LEFT = ("symbol", "status", "OI -5%", "regime", "dir", "flags")
UNRANKED = ("flush", "reset")  # regimes that no rank decides: never provisional
LEAST_COLUMNS = 4
BETWEEN = 3  # columns: a line and a space at each side of it
# Why there is no chance, and what the record says of those there were (docs/messages.md).
NO_CHANCE = {"no_quorum": "no quorum", "short_rank": "needs 7 d", "no_volatility": "no vol 24h"}
EVIDENCE = {
    "none_yet": "not judged yet",
    "worse_than_base_rate": "worse than the usual share",
    "no_better_than_base_rate": "no better than the usual share",
    "no_better_than_volatility": "no better than volatility alone",
    "better_than_volatility": "better than volatility alone",
}


class NotAFeed(Exception):
    """The peer does not speak the feed's protocol; its text says how that showed."""


class Board:
    """The latest signal of every symbol and how the connection stands. Times in epoch ms.

    ``unknown``: names asked for that the feed does not have. ``feed_ms``: the latest time the feed said it has.
    ``known``: other names of symbols.
    """

    def __init__(self, url: str, symbols: list[str] | None, known: Mapping[str, str] | None = None) -> None:
        self.url = url
        self.symbols = symbols
        self._others = aliases() if known is None else known
        self.unknown: list[str] = []
        self.signals: dict[str, dict[str, Any]] = {}
        self.market: dict[str, Any] | None = None  # the latest of the market as a whole
        self.greeted = False
        self.connected = False
        self.connection = "connecting"
        self.source = "?"
        self.feed_ms = 0
        self._epoch: object = None

    def take(self, message: dict[str, Any]) -> list[str] | None:
        """Apply one message; a hello answers with the channels to subscribe to. Raises :exc:`NotAFeed`."""
        kind = message.get("type")
        if kind == "hello":
            return self._greet(message)
        if kind == "signal" and message.get("symbol") == MARKET:
            try:
                headline(message)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise NotAFeed(f"a market message of another shape ({type(error).__name__}: {error})") from None
            self.market = message
        elif kind == "signal":
            try:
                row(message)  # a table or a line that cannot be made must not be met while drawing
                self.line(message, 0)
                self.feed_ms = max(self.feed_ms, int(message["ts"]), int(message["sent_ts"]))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise NotAFeed(f"a signal message of another shape ({type(error).__name__}: {error})") from None
            self.signals[str(message["symbol"])] = message
        elif kind in ("tick", "heartbeat"):
            ts = message.get("ts")
            if type(ts) is not int:
                raise NotAFeed(f"a {kind} without a time")
            self.feed_ms = max(self.feed_ms, ts)
        elif kind == "notice":
            self.connection = f"the service says: {message.get('code')}"
        return None

    def _greet(self, hello: dict[str, Any]) -> list[str]:
        symbols, source = hello.get("symbols"), hello.get("source")
        if hello.get("v") != VERSION or type(symbols) is not list or type(source) is not str:
            raise NotAFeed(f"its hello is not one of version {VERSION}")
        known = [str(symbol) for symbol in symbols]
        asked = list(dict.fromkeys(s if s in known else canonical_symbol(s, self._others) for s in self.symbols or ()))
        self.unknown = [symbol for symbol in asked if symbol not in known]
        if asked and len(self.unknown) == len(asked):
            raise ConfigError([f"--symbols: the feed has none of these; it has {' '.join(known)}"])
        if hello.get("epoch") != self._epoch:  # another run: its clock may be another too
            self._epoch = hello.get("epoch")
            self.signals.clear()
            self.market = None
            self.feed_ms = 0
        self.source = source
        self.greeted = self.connected = True
        self.connection = "connected"
        whole = [f"signal.{MARKET}"] if hello.get("market") == MARKET else []  # older services have none
        if self.symbols is None:
            return ["signal.*", *whole]
        return [*(f"signal.{symbol}" for symbol in asked if symbol in known), *whole]

    def lost(self, why: str) -> None:
        self.connected = False
        self.connection = f"not connected ({why}); trying again. Is the service running? (elr demo)"

    def fresh(self, signal: dict[str, Any], wall_ms: float) -> bool:
        """Within its time to live: by the wall clock when live; else by the feed's clock, which stops with the feed."""
        end_ms: float = signal["ts"] + signal["ttl_ms"]
        if self.source == "live":
            return wall_ms <= end_ms
        return self.connected and self.feed_ms <= end_ms

    def line(self, signal: dict[str, Any], wall_ms: float) -> str:
        """One plain line for pipes: space-separated key=value, values as in JSON."""
        chance = signal["p_deleveraging"]
        shown = {name: signal[name] for name in ("symbol", "ts", "status")}
        shown["percentile"] = _rank(signal)
        shown |= {name: chance[name] for name in ("oi_5", "base_rate", "reason", "evidence")}
        shown |= {
            name: signal[name] for name in ("volatility_24h", "fragility", "regime", "score", "direction", "confidence")
        }
        shown["source"] = self.source
        shown["tradeable"] = signal["tradeable"]
        shown["stale"] = not self.fresh(signal, wall_ms)
        shown["risk_multiplier"] = _risk(signal)
        shown["provisional"] = signal.get("provisional")
        return " ".join(f"{key}={_word(value)}" for key, value in shown.items())


def _word(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def table(board: Board, width: int, wall_ms: float) -> Table:
    """The board as a table."""
    title = Text(f"ELR signals  {board.url}  ", style="bold")
    title.append(f" {board.source.upper()} ", style="black on yellow" if board.source != "live" else "black on green")
    title.append(f"  {board.connection}", style="dim" if board.connection == "connected" else "bold red")
    if board.market is not None:
        gone = not board.fresh(board.market, wall_ms)
        title.append(f"\nMARKET  {'STALE' if gone else headline(board.market)}", style="bold red" if gone else "")
    if board.unknown:
        title.append(f"  not in the feed: {' '.join(board.unknown)}", style="bold red")
    grid = Table(
        title=title, title_justify="left", caption=_legend(board), caption_justify="left", expand=False, pad_edge=False
    )
    ends = accumulate(needed + BETWEEN for needed in COLUMNS.values())
    count = max(LEAST_COLUMNS, sum(end < width for end in ends))  # integers
    for name in list(COLUMNS)[:count]:
        grid.add_column(name, justify="left" if name in LEFT else "right", no_wrap=True)
    for symbol in sorted(board.signals, key=lambda name: list(board.signals).index(name)):
        signal = board.signals[symbol]
        cells = row(signal)
        if not board.fresh(signal, wall_ms):
            grid.add_row(*[Text(symbol), Text("STALE", style="bold red"), *[Text("-", style="dim")] * (count - 2)])
        else:
            grid.add_row(*cells[:count])
    return grid


def _legend(board: Board) -> Text:
    """What the chance is, and what may be said of it: one record for all symbols."""
    said = dict.fromkeys(str(signal["p_deleveraging"]["evidence"]) for signal in board.signals.values())
    words = ", ".join(EVIDENCE.get(code, code) for code in said)
    text = "OI -5%: chance that open interest falls by 5 % within 24 h (usual share)"
    young = any(signal.get("provisional") for signal in board.signals.values())
    note = "\n~ judged against less than a week: provisional" if young else ""
    return Text((f"{text}; by the record: {words}" if words else text) + note, style="dim")


def headline(market: dict[str, Any]) -> str:
    """The market as a whole in a line."""
    if market["status"] in ("no_data", "warming"):
        return str(market["status"])
    held, level, change = market["shares"], market["level"]["percentile"], market["oi_change"]["24h"]
    young = "~" if market["provisional"] else ""
    crowded = fold(0.0 if held[name] is None else held[name]["oi"] for name in ("crowded_longs", "crowded_shorts"))
    said = [
        f"open interest {market['oi_usd'] / 1e9:.1f} bn USD" + ("" if change is None else f" ({change:+.1%} in 24 h)"),
        "" if level is None else f"its rank {level:.3f}{young}",
        "" if market["leverage_rank"] is None else f"ranks of symbols {market['leverage_rank']:.2f}",
        f"{crowded:.0%} of it crowded",
        f"{market['regime'] or '-'}",
        "FLUSHING" if market["flushing"] else "",
    ]
    return ", ".join(part for part in said if part)


def _risk(signal: dict[str, Any]) -> float | None:
    """None from a service that has none yet."""
    found: float | None = signal["sizing"].get("risk_multiplier") if "sizing" in signal else None
    return found


def _rank(signal: dict[str, Any]) -> float | None:
    """The percentile of leverage: oi_reserve and oi_mcap have the same one, that of funding_spend is of funding."""
    return next((item["percentile"] for item in signal["elr"] if item["variant"] == "oi_mcap"), None)


def _chance(chance: dict[str, Any]) -> Text:
    if chance["oi_5"] is None:
        return Text(NO_CHANCE.get(chance["reason"], str(chance["reason"])), style="dim")
    return Text(f"{_percent(chance['oi_5'])} ({_percent(chance['base_rate'])})")


def _percent(share: float) -> str:
    """0 or 100 % only where it is that."""
    if 0.0 < share < 0.01:
        return "<1%"
    return ">99%" if 0.99 < share < 1.0 else f"{share:.0%}"


def row(signal: dict[str, Any]) -> list[Text]:
    windows, market, volatility = signal["windows"], signal["market"], signal["volatility_24h"]
    flags = [name for name in ("abstain", "conflict") if signal[name]]
    young = "~" if signal.get("provisional") else ""
    regime = f"{signal['regime']}{'' if signal['regime'] in UNRANKED else young}" if signal["regime"] else "-"
    falling = ", falling" if signal["flush_falling"] else ", fell" if signal["flushed_1h"] else ""
    if signal["transition"] is not None:
        flags.append(f"{signal['transition']['from']}->{signal['transition']['to']}")
    return [
        Text(signal["symbol"], style="bold"),
        Text(signal["status"], style={"ok": "green", "no_data": "bold red"}.get(signal["status"], "yellow")),
        _plain(_rank(signal), 3, suffix=young),
        _chance(signal["p_deleveraging"]),
        _plain(None if volatility is None else volatility * 100, 1, suffix=" %"),
        _plain(signal["fragility"], 2),
        Text(f"{regime}{falling}", style=_regime_style(signal["regime"])),
        _plain(_risk(signal), 2),
        _plain(market["price"], 7, significant=True),
        _plain(None if market["funding_8h"] is None else market["funding_8h"] * 1e4, 2, suffix=" bp"),
        _signed(signal["score"]),
        Text(signal["direction"] or "-"),
        _plain(signal["confidence"], 2),
        Text(" ".join(flags), style="yellow"),
        *[_signed(windows[name]["score"]) for name in ("1m", "5m", "1h")],
    ]


def _signed(value: float | None) -> Text:
    if value is None:
        return Text("-", style="dim")
    style = "green" if value >= 0.15 else "red" if value <= -0.15 else ""
    return Text(f"{value:+.2f}", style=style)


def _plain(value: float | None, digits: int, significant: bool = False, suffix: str = "") -> Text:
    if value is None:
        return Text("-", style="dim")
    return Text((f"{value:.{digits}g}" if significant else f"{value:.{digits}f}") + suffix)


def _regime_style(regime: str | None) -> str:
    return {
        "flush": "bold red",
        "crowded_longs": "magenta",
        "crowded_shorts": "magenta",
        "loaded": "yellow",
    }.get(regime or "", "")


async def _follow(board: Board, changed: asyncio.Event, on_signal: Callable[[dict[str, Any]], None]) -> None:
    """Keep the board up to date for ever. :exc:`ConfigError` when there has never been a feed at the address."""
    while True:
        try:
            await _connection(board, changed, on_signal)
        except BrokenPipeError:  # the reader of our lines went away; a lost feed says ConnectionClosed
            raise
        except InvalidURI:
            raise ConfigError([f"{board.url}: not a WebSocket address, e.g. ws://127.0.0.1:8080/v1/stream"]) from None
        except NotAFeed as error:
            if not board.greeted:
                raise ConfigError([f"not an ELR feed: {board.url}: {error}"]) from None
            board.lost(str(error))  # it was one before: a proxy's page while the service restarts
        except TimeoutError:
            board.lost("no answer")
        except (OSError, WebSocketException) as error:
            board.lost(str(error) or type(error).__name__)
        changed.set()
        _warn(board.connection)
        await asyncio.sleep(RETRY_S)


async def _connection(board: Board, changed: asyncio.Event, on_signal: Callable[[dict[str, Any]], None]) -> None:
    """One connection, until it is lost or shows not to be a feed."""
    loop = asyncio.get_running_loop()
    async with _connect(board.url) as socket:
        hello_until_s: float | None = loop.time() + HELLO_S
        while True:
            try:
                wait_s = QUIET_S if hello_until_s is None else hello_until_s - loop.time()
                message = _object(await asyncio.wait_for(socket.recv(), wait_s))
            except TimeoutError:
                if hello_until_s is not None:
                    raise NotAFeed(f"no hello within {HELLO_S:g} s") from None
                raise
            channels = board.take(message)
            if channels is not None:
                hello_until_s = None
                if board.unknown:
                    _warn(f"--symbols: not in the feed: {' '.join(board.unknown)}")
                await socket.send(orjson.dumps({"op": "subscribe", "id": 1, "channels": channels}).decode())
            if message.get("type") == "signal" and message.get("symbol") != MARKET:
                on_signal(message)
            changed.set()


@asynccontextmanager
async def _connect(url: str) -> AsyncIterator[ClientConnection]:
    """An open socket. :exc:`NotAFeed` when the peer refuses the upgrade for good or does not speak HTTP."""
    try:
        socket = await connect(url, max_size=1 << 20, open_timeout=5, close_timeout=1, proxy=None)
    except InvalidStatus as error:
        if error.response.status_code < 500:
            raise NotAFeed(f"HTTP {error.response.status_code}") from None
        raise
    except InvalidMessage as error:
        if isinstance(error.__cause__, EOFError):  # hung up without a word: a service that is stopping does
            raise
        raise NotAFeed("it does not speak HTTP") from None
    async with socket:
        yield socket


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        message = None
    if not isinstance(message, dict):
        raise NotAFeed(f"it sends {text[:40]!r}, which is no JSON object")
    return message


def _warn(text: str) -> None:
    """Beside piped lines; the table says it in its title."""
    if not sys.stdout.isatty():
        print(f"elr watch: {text}", file=sys.stderr)


async def _table(board: Board) -> None:
    changed = asyncio.Event()
    console = Console()
    task = asyncio.create_task(_follow(board, changed, lambda message: None))
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while not task.done():
            live.update(table(board, console.width, time.time() * 1000), refresh=True)
            changed.clear()
            waiter = asyncio.create_task(changed.wait())
            await asyncio.wait({task, waiter}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            waiter.cancel()
    await task


def _print(board: Board, message: dict[str, Any]) -> None:
    print(board.line(message, time.time() * 1000), flush=True)


def run(options: argparse.Namespace) -> int:
    board = Board(options.url, options.symbols, load(options.config).aliases())
    if sys.stdout.isatty():
        asyncio.run(_table(board))
    else:
        asyncio.run(_follow(board, asyncio.Event(), lambda message: _print(board, message)))
    return 0
