"""``elr watch``: a live table of the feed; plain lines when piped. Reads only the feed, like any client."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import Any

import orjson
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from service.errors import ConfigError

RETRY_S = 3.0
QUIET_S = 25.0  # heartbeats come every 10 s: this long without any message is a dead connection


class Board:
    """The latest signal of every symbol and how the connection stands. Times in epoch ms."""

    def __init__(self, url: str, symbols: list[str] | None) -> None:
        self.url = url
        self.symbols = symbols
        self.signals: dict[str, dict[str, Any]] = {}
        self.source = "?"
        self.connection = "connecting"
        self.tick_ms = 0

    def take(self, message: dict[str, Any]) -> list[str] | None:
        """Apply one message; a hello answers with the channels to subscribe to."""
        kind = message.get("type")
        if kind == "hello":
            self.source = str(message.get("source"))
            known = [str(symbol) for symbol in message.get("symbols", [])]
            if self.symbols is None:
                wanted = known
            else:
                wanted = [symbol for symbol in self.symbols if symbol in known]
                if not wanted:
                    raise ConfigError([f"--symbols: the feed has none of these; it has {' '.join(known)}"])
            self.connection = "connected"
            return [f"signal.{symbol}" for symbol in wanted]
        if kind == "signal":
            self.signals[str(message["symbol"])] = message
        elif kind == "tick":
            self.tick_ms = int(message["ts"])
        elif kind == "notice":
            self.connection = f"the service says: {message.get('code')}"
        return None

    def fresh(self, signal: dict[str, Any], now_ms: float) -> bool:
        return bool(now_ms <= signal["ts"] + signal["ttl_ms"])


def table(board: Board, width: int, now_ms: float) -> Table:
    """The board as a table; narrow terminals drop the columns at the right."""
    title = Text(f"ELR signals  {board.url}  ", style="bold")
    title.append(f" {board.source.upper()} ", style="black on yellow" if board.source != "live" else "black on green")
    title.append(f"  {board.connection}", style="dim" if board.connection == "connected" else "bold red")
    grid = Table(title=title, title_justify="left", expand=False, pad_edge=False)
    names = [
        "symbol",
        "status",
        "score",
        "1m",
        "5m",
        "1h",
        "conf",
        "fragility",
        "regime",
        "ELR pct",
        "price",
        "funding 8h",
        "flags",
    ]
    count = len(names) if width >= 132 else 9 if width >= 92 else 6
    for name in names[:count]:
        grid.add_column(
            name, justify="left" if name in ("symbol", "status", "regime", "flags") else "right", no_wrap=True
        )
    for symbol in sorted(board.signals, key=lambda name: list(board.signals).index(name)):
        signal = board.signals[symbol]
        cells = row(signal)
        if not board.fresh(signal, now_ms):
            grid.add_row(*[Text(symbol), Text("STALE", style="bold red"), *[Text("-", style="dim")] * (count - 2)])
        else:
            grid.add_row(*cells[:count])
    return grid


def row(signal: dict[str, Any]) -> list[Text]:
    windows = signal["windows"]
    elr = next((item for item in signal["elr"] if item["percentile"] is not None), None)
    market = signal["market"]
    flags = [name for name in ("abstain", "conflict") if signal[name]]
    if signal["transition"] is not None:
        flags.append(f"{signal['transition']['from']}->{signal['transition']['to']}")
    return [
        Text(signal["symbol"], style="bold"),
        Text(signal["status"], style={"ok": "green", "no_data": "bold red"}.get(signal["status"], "yellow")),
        _signed(signal["score"]),
        *[_signed(windows[name]["score"]) for name in ("1m", "5m", "1h")],
        _plain(signal["confidence"], 2),
        _plain(signal["fragility"], 2),
        Text(signal["regime"] or "-", style=_regime_style(signal["regime"])),
        _plain(None if elr is None else elr["percentile"], 3),
        _plain(market["price"], 7, significant=True),
        _plain(None if market["funding_8h"] is None else market["funding_8h"] * 1e4, 2, suffix=" bp"),
        Text(" ".join(flags), style="yellow"),
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


def line(signal: dict[str, Any]) -> str:
    """One plain line for pipes: space-separated key=value."""
    shown = {
        name: signal[name]
        for name in ("symbol", "ts", "status", "score", "confidence", "fragility", "regime", "direction")
    }
    return " ".join(f"{key}={'null' if value is None else value}" for key, value in shown.items())


async def _follow(board: Board, changed: asyncio.Event, on_signal: Any) -> None:
    while True:
        try:
            async with connect(board.url, max_size=1 << 20, open_timeout=5, proxy=None) as socket:
                while True:
                    message = orjson.loads(await asyncio.wait_for(socket.recv(), QUIET_S))
                    channels = board.take(message)
                    if channels is not None:
                        await socket.send(orjson.dumps({"op": "subscribe", "id": 1, "channels": channels}).decode())
                    if message.get("type") == "signal":
                        on_signal(message)
                    changed.set()
        except BrokenPipeError:  # the reader of our lines went away; a lost feed says ConnectionClosed
            raise
        except InvalidURI:
            raise ConfigError([f"{board.url}: not a WebSocket address, e.g. ws://127.0.0.1:8080/v1/stream"]) from None
        except (OSError, TimeoutError, WebSocketException, InvalidHandshake) as error:
            why = "no answer" if isinstance(error, TimeoutError) else (str(error) or type(error).__name__)
            board.connection = f"not connected ({why}); trying again. Is the service running? (elr demo)"
            changed.set()
            if not sys.stdout.isatty():
                print(f"elr watch: {board.connection}", file=sys.stderr)
        await asyncio.sleep(RETRY_S)


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


def run(options: argparse.Namespace) -> int:
    board = Board(options.url, options.symbols)
    if sys.stdout.isatty():
        asyncio.run(_table(board))
    else:
        asyncio.run(_follow(board, asyncio.Event(), lambda message: print(line(message), flush=True)))
    return 0
