"""``elr watch``: what the table and the lines show, whose clock judges them, and peers that are no feed."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from service.cli import watch
from service.deleveraging import packaged
from service.errors import ConfigError
from tests.publishing.factories import market_body_whole


def signal_message(symbol: str, ts: int, **changes: Any) -> dict[str, Any]:
    window = {"score": 0.25}
    message: dict[str, Any] = {
        "v": 1,
        "type": "signal",
        "source": "simulated",
        "sent_ts": ts,
        "symbol": symbol,
        "ts": ts,
        "ttl_ms": 30_000,
        "status": "ok",
        "score": -0.5,
        "confidence": 0.75,
        "fragility": 0.5,
        "regime": "crowded_longs",
        "windows": {"1m": window, "5m": window, "1h": {"score": None}},
        "elr": [
            {"variant": "oi_reserve", "percentile": 0.97},
            {"variant": "oi_mcap", "percentile": 0.97},
            {"variant": "funding_spend", "percentile": 0.123},
        ],
        "volatility_24h": 0.0456,
        "flush_falling": False,
        "flushed_1h": False,
        "p_deleveraging": {
            "oi_5": 0.318,
            "oi_10": 0.071,
            "base_rate": 0.187,
            "base_rate_10": 0.036,
            "reason": None,
            "evidence": "no_better_than_volatility",
        },
        "market": {"price": 91234.5, "funding_8h": 0.0001},
        "abstain": False,
        "conflict": True,
        "transition": {"from": "neutral", "to": "short"},
        "direction": "short",
        "tradeable": True,
        "sizing": {"size_fraction": 0.0, "stop_multiplier": 1.0, "risk_multiplier": 0.62},
        "provisional": False,
    }
    return message | changes


def market_message(ts: int, **changes: Any) -> dict[str, Any]:
    """signal.MARKET as the service's own scorer says it."""
    return {"v": 1, "type": "signal", "sent_ts": ts, **market_body_whole(ts), **changes}


def hello(source: str = "simulated", symbols: tuple[str, ...] = ("BTC", "ETH"), epoch: str = "e1") -> dict[str, Any]:
    return {"v": 1, "type": "hello", "epoch": epoch, "source": source, "symbols": list(symbols)}


def shown(board: watch.Board, width: int, now_ms: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(watch.table(board, width, now_ms))
    return out.getvalue()


def board_of(*messages: dict[str, Any], symbols: list[str] | None = None, source: str = "simulated") -> watch.Board:
    board = watch.Board("ws://x/v1/stream", symbols)
    board.take(hello(source))
    for message in messages:
        board.take(message)
    return board


def test_the_board_subscribes_to_all_by_wildcard_or_to_what_the_feed_has() -> None:
    assert watch.Board("u", None).take(hello()) == ["signal.*"]
    board = watch.Board("u", ["ETH", "DOT", "ETH"])
    assert board.take(hello()) == ["signal.ETH"]
    assert board.unknown == ["DOT"]
    with pytest.raises(ConfigError, match="it has BTC"):
        watch.Board("u", ["DOT"]).take(hello(symbols=("BTC",)))


def test_another_name_of_a_symbol_is_taken_for_it_unless_the_feed_has_that_very_name() -> None:
    assert watch.Board("u", ["TON", "GRAM"]).take(hello(symbols=("BTC", "GRAM"))) == ["signal.GRAM"]
    assert watch.Board("u", ["TON"]).take(hello(symbols=("BTC", "TON"))) == ["signal.TON"]  # an older feed
    assert watch.Board("u", ["OLD"], {"OLD": "BTC"}).take(hello()) == ["signal.BTC"]  # of a configuration
    board = watch.Board("u", ["TON", "BTC"])
    assert (board.take(hello()), board.unknown) == (["signal.BTC"], ["GRAM"])


def test_columns_stay_columns_beside_names_that_are_twice_as_wide() -> None:
    messages = [signal_message(symbol, 1_000_000) for symbol in ("BTC", "币安人生")]
    board = watch.Board("ws://x/v1/stream", None)
    for message in (hello(symbols=("BTC", "币安人生")), *messages):
        board.take(message)
    lines = [line for line in shown(board, 160, 1_000_000).splitlines() if "crowded_longs" in line]
    assert len(lines) == 2
    assert len({cell_len(line.partition("crowded_longs")[0]) for line in lines}) == 1


def test_unknown_names_are_said_in_the_title() -> None:
    message = signal_message("BTC", 1_000_000)
    assert "not in the feed: DOT XMR" in shown(board_of(message, symbols=["DOT", "BTC", "XMR"]), 160, 1_000_000)
    assert "not in the feed" not in shown(board_of(message, symbols=["BTC"]), 160, 1_000_000)


def test_the_table_shows_the_numbers_the_source_and_the_flags() -> None:
    text = " ".join(shown(board_of(signal_message("BTC", 1_000_000)), 180, 1_005_000).split())
    for part in (
        "SIMULATED",
        "BTC",
        "-0.50",
        "+0.25",
        "0.75",
        "crowded_longs",
        "0.970",
        "32% (19%)",
        "4.6 %",
        "by the record: no better than volatility alone",
        "91234.5",
        "1.00 bp",
        "conflict neutral->short",
    ):
        assert part in text


def test_a_live_signal_past_its_ttl_by_the_wall_clock_is_shown_as_stale_and_without_numbers() -> None:
    board = board_of(signal_message("BTC", 1_000_000), source="live")
    assert "STALE" not in shown(board, 160, 1_030_000)
    late = shown(board, 160, 1_030_001)
    assert "STALE" in late
    assert "-0.50" not in late
    board.take({"type": "tick", "ts": 9_000_000})
    assert "STALE" not in shown(board, 160, 1_030_000)


@pytest.mark.parametrize("kind", ["tick", "heartbeat"])
@pytest.mark.parametrize("source", ["simulated", "replay"])
def test_a_signal_that_is_not_live_is_judged_by_the_time_of_the_feed(kind: str, source: str) -> None:
    wall_ms = 1_800_000_000_000
    message = signal_message("BTC", 1_000_000)
    board = board_of(message, source=source)
    assert "STALE" not in shown(board, 160, wall_ms)
    board.take({"type": kind, "ts": 1_030_000})
    assert "STALE" not in shown(board, 160, wall_ms)
    assert board.line(message, wall_ms).endswith(
        f" source={source} tradeable=true stale=false risk_multiplier=0.62 provisional=false"
    )
    board.take({"type": kind, "ts": 1_030_001})
    board.take({"type": "tick", "ts": 1_020_000})  # the feed's time does not run backwards
    assert "STALE" in shown(board, 160, wall_ms)
    assert board.line(message, wall_ms).endswith(
        f" source={source} tradeable=true stale=true risk_multiplier=0.62 provisional=false"
    )


def test_a_snapshot_that_is_old_when_sent_is_stale_before_any_tick() -> None:
    board = board_of(signal_message("BTC", 1_000_000, sent_ts=1_030_001))
    assert "STALE" in shown(board, 160, 1_000_000)


def test_the_time_of_a_lost_feed_does_not_keep_its_signals_fresh() -> None:
    board = board_of(signal_message("BTC", 1_000_000))
    board.lost("no answer")
    text = shown(board, 160, 1_000_000)
    assert "STALE" in text
    assert "not connected (no answer)" in text


def test_another_run_of_the_feed_begins_with_an_empty_board_and_its_own_time() -> None:
    board = board_of(signal_message("BTC", 1_000_000), source="replay")
    board.take(hello("replay"))
    assert list(board.signals) == ["BTC"]
    board.take(hello("replay", epoch="e2"))
    assert board.signals == {}
    board.take(signal_message("BTC", 500_000))
    assert "STALE" not in shown(board, 160, 1_000_000)


def test_a_narrow_terminal_gets_fewer_columns_and_every_line_fits() -> None:
    board = board_of(signal_message("BTC", 1_000_000))
    for width in (60, 80, 100, 130, 160, 180):
        assert all(len(line) <= width for line in shown(board, width, 1_000_000).splitlines()[1:])
    for width, last, beyond in ((60, "vol 24h", "fragility"), (80, "fragility", "regime"), (130, "score", "conf")):
        assert last in shown(board, width, 1_000_000)
        assert beyond not in shown(board, width, 1_000_000)


def test_what_informs_stands_before_the_score() -> None:
    """Cause: score and direction, which carry no information, stood in front of what does."""
    cells = [text.plain for text in watch.row(signal_message("BTC", 1_000_000))]
    by_name = dict(zip(watch.COLUMNS, cells, strict=True))
    assert list(by_name)[:6] == ["symbol", "status", "ELR pct", "OI -5%", "vol 24h", "fragility"]
    assert (by_name["score"], by_name["dir"], by_name["conf"]) == ("-0.50", "short", "0.75")


@pytest.mark.parametrize(
    ("reason", "words"),
    [("short_rank", "needs 7 d"), ("no_quorum", "no quorum"), ("no_volatility", "no vol 24h"), ("new", "new")],
)
def test_a_chance_that_is_not_said_says_why(reason: str, words: str) -> None:
    """Cause: on the first day of a symbol there is none, and a dash does not tell that it will come."""
    said = signal_message("BTC", 1_000_000)["p_deleveraging"]
    none_said = {**said, "oi_5": None, "oi_10": None, "reason": reason, "evidence": "none_yet"}
    text = shown(board_of(signal_message("BTC", 1_000_000, p_deleveraging=none_said)), 60, 1_000_000)
    assert words in text
    assert "by the record: not judged yet" in " ".join(text.split())
    assert packaged().least_rank_h == 7 * 24


@pytest.mark.parametrize(
    ("oi_5", "base_rate", "words"),
    [(0.2779, 0.1869, "28% (19%)"), (3e-7, 0.0, "<1% (0%)"), (0.9996, 1.0, ">99% (100%)"), (0.005, 0.99, "<1% (99%)")],
)
def test_a_chance_is_0_or_100_per_cent_only_where_it_is_that(oi_5: float, base_rate: float, words: str) -> None:
    """Cause: a chance of 0.0000003 was told as 0 %, one of 0.9996 as 100 %: what is certain."""
    said = signal_message("BTC", 1_000_000)["p_deleveraging"] | {"oi_5": oi_5, "base_rate": base_rate}
    message = signal_message("BTC", 1_000_000, p_deleveraging=said)
    assert watch.row(message)[list(watch.COLUMNS).index("OI -5%")].plain == words


@pytest.mark.parametrize(
    ("falling", "within_1h", "words"),
    [(True, True, "flush, falling"), (False, True, "flush, fell"), (False, False, "flush"), (None, None, "flush")],
)
def test_a_flush_says_whether_it_falls_at_this_moment(falling: bool | None, within_1h: bool | None, words: str) -> None:
    message = signal_message("BTC", 1_000_000, regime="flush", flush_falling=falling, flushed_1h=within_1h)
    assert watch.row(message)[list(watch.COLUMNS).index("regime")].plain == words


@pytest.mark.parametrize(
    ("regime", "falling", "words"),
    [
        ("flush", True, "flush, falling"),
        ("reset", False, "reset"),
        ("calm", False, "calm~"),
        (None, True, "-, falling"),
    ],
)
def test_only_a_regime_that_a_rank_decides_is_provisional(regime: str | None, falling: bool, words: str) -> None:
    message = signal_message("BTC", 1_000_000, regime=regime, flush_falling=falling, provisional=True)
    assert watch.row(message)[list(watch.COLUMNS).index("regime")].plain == words


def test_a_young_rank_and_its_regime_are_marked() -> None:
    cells = dict(zip(watch.COLUMNS, watch.row(signal_message("BTC", 1_000_000, provisional=True)), strict=True))
    assert (cells["ELR pct"].plain, cells["regime"].plain, cells["risk"].plain) == ("0.970~", "crowded_longs~", "0.62")
    assert "~ judged against less" in shown(
        board_of(signal_message("BTC", 1_000_000, provisional=True)), 160, 1_000_000
    )
    assert "~" not in shown(board_of(signal_message("BTC", 1_000_000)), 160, 1_000_000)


def test_a_feed_of_before_has_neither_risk_nor_market() -> None:
    message = signal_message("BTC", 1_000_000)
    del message["sizing"], message["provisional"]
    board = board_of(message)
    assert "MARKET" not in shown(board, 160, 1_000_000)
    assert board.line(message, 0).endswith(" risk_multiplier=null provisional=null")


def test_the_market_stands_above_the_symbols_and_is_none_of_them() -> None:
    board = watch.Board("ws://x/v1/stream", None)
    assert board.take({**hello(), "market": "MARKET"}) == ["signal.*", "signal.MARKET"]
    board.take(signal_message("BTC", 1_000_000))
    assert board.take(market_message(1_000_000)) is None
    assert list(board.signals) == ["BTC"]
    text = " ".join(shown(board, 200, 1_000_000).split())
    assert "MARKET open interest 8.5 bn USD" in text
    assert "MARKET STALE" not in text
    board.take({"type": "tick", "ts": 1_030_001})
    assert "MARKET STALE" in " ".join(shown(board, 200, 1_030_001).split())
    assert watch.headline(market_message(1, status="no_data")) == "no_data"
    some = watch.Board("ws://x/v1/stream", ["ETH"])
    assert some.take({**hello(), "market": "MARKET"}) == ["signal.ETH", "signal.MARKET"]
    with pytest.raises(watch.NotAFeed, match="a market message of another shape"):
        board.take(market_message(1, shares=None))


def test_the_rank_is_that_of_leverage_also_where_only_funding_has_one() -> None:
    """Cause: the first variant with a percentile was shown, which on a cold start can be that of funding."""
    elr = [{"variant": "oi_mcap", "percentile": None}, {"variant": "funding_spend", "percentile": 0.123}]
    text = shown(board_of(signal_message("BTC", 1_000_000, elr=elr)), 160, 1_000_000)
    assert "0.123" not in text


def test_no_data_is_a_dash_not_a_zero() -> None:
    nothing = {"1m": {"score": None}, "5m": {"score": None}, "1h": {"score": None}}
    message = signal_message(
        "BTC", 1_000_000, status="no_data", score=None, confidence=0.0, fragility=None, regime=None, windows=nothing,
        market={"price": None, "funding_8h": None}, elr=[{"variant": "oi_mcap", "percentile": None}], transition=None,
        volatility_24h=None, direction=None,
    )  # fmt: skip
    line = next(line for line in shown(board_of(message), 160, 1_000_000).splitlines() if "BTC" in line)
    assert "no_data" in line
    assert line.count(" - ") >= 6


def test_plain_lines_for_pipes() -> None:
    board = board_of(source="live")
    message = signal_message("BTC", 5, score=None, tradeable=False)
    assert board.line(message, 30_006) == (
        "symbol=BTC ts=5 status=ok percentile=0.97 oi_5=0.318 base_rate=0.187 reason=null"
        " evidence=no_better_than_volatility volatility_24h=0.0456 fragility=0.5 regime=crowded_longs score=null"
        " direction=short confidence=0.75 source=live tradeable=false stale=true risk_multiplier=0.62 provisional=false"
    )
    assert board.line(message, 30_005).endswith(
        " source=live tradeable=false stale=false risk_multiplier=0.62 provisional=false"
    )


# -- peers --------------------------------------------------------------------------------------------------------

Handler = Callable[[ServerConnection], Awaitable[None]]


async def idle(connection: ServerConnection) -> None:
    await connection.wait_closed()


@asynccontextmanager
async def peer(handler: Handler = idle, statuses: list[int] | None = None) -> AsyncIterator[str]:
    """A WebSocket server; it answers upgrades with each of ``statuses`` first. Yields its address."""

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        return connection.respond(statuses.pop(0), "no\n") if statuses else None

    async with serve(handler, "127.0.0.1", 0, process_request=answer) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1/stream"


def saying(*texts: str) -> Handler:
    async def handler(connection: ServerConnection) -> None:
        for text in texts:
            await connection.send(text)
        await connection.wait_closed()

    return handler


async def follow(url: str, board: watch.Board | None = None) -> None:
    """Follows until it gives up; here within a short deadline."""
    async with asyncio.timeout(5):
        await watch._follow(board or watch.Board(url, None), asyncio.Event(), lambda message: None)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "RETRY_S", 0.01)
    monkeypatch.setattr(watch, "HELLO_S", 0.2)


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["good morning"], "it sends 'good morning', which is no JSON object"),
        (["[1]"], "it sends '[1]', which is no JSON object"),
        (["7"], "which is no JSON object"),
        ([], "no hello within 0.2 s"),
        (['{"type":"ticker","price":1}'] * 3, "no hello within 0.2 s"),
        ([json.dumps(hello() | {"v": 2})], "its hello is not one of version 1"),
        (['{"type":"hello"}'], "its hello is not one of version 1"),
        ([json.dumps({"type": "signal", "symbol": "BTC"})], "a signal message of another shape"),
        ([json.dumps({"type": "heartbeat"})], "a heartbeat without a time"),
    ],
)
async def test_a_peer_that_is_no_feed_is_one_problem(texts: list[str], why: str) -> None:
    async with peer(saying(*texts)) as url:
        with pytest.raises(ConfigError) as caught:
            await follow(url)
    (problem,) = caught.value.problems
    assert problem.startswith(f"not an ELR feed: {url}: ")
    assert why in problem


@pytest.mark.parametrize("status", [200, 400, 401, 404, 426])
async def test_an_upgrade_refused_for_good_is_one_problem(status: int) -> None:
    async with peer(statuses=[status]) as url:
        with pytest.raises(ConfigError, match=f"not an ELR feed: {url}: HTTP {status}"):
            await follow(url)


async def test_a_peer_that_does_not_speak_http_is_one_problem() -> None:
    async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(banner, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConfigError, match="it does not speak HTTP"):
            await follow(f"ws://127.0.0.1:{port}/")


async def test_the_command_exits_2_with_one_line() -> None:
    async with peer(saying("good morning")) as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "service", "watch", url,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, said = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, out) == (2, b"")
    assert said.decode().splitlines() == [
        f"elr: config: not an ELR feed: {url}: it sends 'good morning', which is no JSON object"
    ]


async def test_5xx_and_hang_ups_are_tried_again_until_the_feed_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    asked: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    calls = 0

    async def handler(connection: ServerConnection) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            return  # hangs up without a word
        await connection.send(json.dumps(hello("live")))
        asked.set_result(str(await connection.recv()))
        await connection.send(json.dumps(signal_message("ETH", 7)))
        await connection.wait_closed()

    seen = asyncio.Event()
    async with peer(handler, [503, 500]) as url:
        board = watch.Board(url, ["DOT", "ETH"])
        task = asyncio.create_task(watch._follow(board, asyncio.Event(), lambda message: seen.set()))
        await asyncio.wait_for(seen.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert json.loads(asked.result()) == {"op": "subscribe", "id": 1, "channels": ["signal.ETH"]}
    lines = capsys.readouterr().err.splitlines()
    assert [("503" in line, "500" in line, "not in the feed: DOT" in line) for line in lines] == [
        (True, False, False), (False, True, False), (False, False, False), (False, False, True),
    ]  # fmt: skip


async def test_a_refused_connection_is_tried_again() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{free.getsockname()[1]}/"
        changed = asyncio.Event()
        board = watch.Board(url, None)
        task = asyncio.create_task(watch._follow(board, changed, lambda message: None))
        for _ in range(3):
            await asyncio.wait_for(changed.wait(), 5)
            changed.clear()
        assert not task.done()
        assert "trying again" in board.connection
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_what_was_a_feed_once_is_tried_again_whatever_it_answers_meanwhile() -> None:
    statuses: list[int] = []
    greetings = 0
    again = asyncio.Event()

    async def handler(connection: ServerConnection) -> None:
        nonlocal greetings
        greetings += 1
        await connection.send(json.dumps(hello()))
        if greetings == 1:
            await connection.recv()
            statuses.append(404)
            return
        again.set()
        await connection.wait_closed()

    async with peer(handler, statuses) as url:
        task = asyncio.create_task(follow(url))
        await asyncio.wait_for(again.wait(), 5)
        assert statuses == []
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
