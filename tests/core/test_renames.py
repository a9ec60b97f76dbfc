"""What was stored while a coin had another name goes on under the canonical one."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.config import Config, WeightsSection, parse, shareable
from service.core.build import rules_of
from service.core.engine import Engine
from service.core.renames import renamed_state
from service.denominators.operator_file import to_plain
from service.model import Denominator, Event, Funding, Mark, OpenInterest
from service.runtime.state_file import StateFile, document, restored
from service.tapes import Header, Record, TapeWriter
from service.venues.symbols import aliases
from tests.core.build import T0, replayed
from tests.core.test_stored import fresh, state_of

VENUES = ("hyperliquid", "bybit")
ALONE = parse(
    {
        "service": {"symbols": ["BTC", "GRAM"]},
        "venues": {name: {"enabled": False} for name in dict(Config().venues) if name not in VENUES},
        "start": {"history": False},
    }
)


def engine_of(
    symbols: tuple[str, ...], weights: WeightsSection | None = None, bases: Sequence[Denominator] = ()
) -> Engine:
    return Engine(symbols, rules_of(ALONE), ALONE.market, bases, weights)


def lived(symbol: str, per_symbol: bool = False, seconds: int = 400) -> Engine:
    """Hours of history, then both venues heard of the coin and of bitcoin each second; every tick is published."""
    engine = engine_of(("BTC", symbol), WeightsSection(per_symbol=per_symbol))
    for minute in range(-150, 1):
        ts = T0 + minute * 60_000
        for name, price in (("BTC", 100.0 + 0.01 * (minute % 13)), (symbol, 2.0 + 0.001 * (minute % 17))):
            for event in said(name, ts - 500, price):
                engine.apply(event)
        engine.backfill(ts, silent=True)
    for second in range(1, seconds + 1):
        ts = T0 + 1000 * second
        for name, price in (("BTC", 100.0 + 0.01 * second), (symbol, 2.0 + 0.001 * (second % 17))):
            for event in said(name, ts - 500, price):
                engine.apply(event)
        for tick in engine.advance(ts):
            engine.published(tick)
    return engine


def said(symbol: str, ts: int, price: float) -> Iterator[Event]:
    for venue in VENUES:
        name = "TONUSDT" if symbol != "BTC" else "BTCUSDT"  # the venue's own name stays, whatever we call the coin
        yield Mark(venue, name, symbol, price, price, None, ts)
        yield Funding(venue, name, symbol, 1e-4, 8.0, 1e-4, None, False, None, ts)
        yield OpenInterest(venue, name, symbol, 1000.0 + price, 1.0, 1000.0 + price, False, None, ts)


@pytest.mark.parametrize("per_symbol", [False, True])
def test_a_state_of_the_old_name_is_that_of_the_new_one_byte_for_byte(per_symbol: bool) -> None:
    """Cause: after the renaming a month of percentiles, the record of outcomes and what was learned are lost."""
    old, new = lived("TON", per_symbol), lived("GRAM", per_symbol)
    for engine in (old, new):  # the chain hashes the names that were published
        engine.scoreboard.chain.hash = "0" * 64
    assert old.learner.dump()["_pending"], "a round must be under way, or nothing of it is renamed"
    assert orjson.dumps(renamed_state(old.save(), aliases())) == orjson.dumps(new.save())


def test_a_state_file_of_the_old_name_is_gone_on_from(tmp_path: Path) -> None:
    before = lived("TON")
    file = StateFile(tmp_path)
    before_config = ALONE.model_copy(update={"service": ALONE.service.model_copy(update={"symbols": ("BTC", "TON")})})
    file.write([orjson.dumps(document(before, before_config, T0 + 400_000))])
    engine, found = restored(file, ALONE, lambda: engine_of(ALONE.service.symbols), T0 + 401_000)
    file.close()
    assert found == "restored the state saved 1 s ago"
    assert engine.sampled_ms == before.sampled_ms
    assert engine.scoreboard.chain.seq == before.scoreboard.chain.seq > 0
    [_, gram] = engine.advance(T0 + 410_000)[-1].signals
    assert gram["symbol"] == "GRAM"


def test_a_state_of_the_version_before_the_renaming_goes_on() -> None:
    """The stored state of version 4, as if its one symbol had been TON. Its venue's own name of it stays."""
    kept = state_of("state-4")
    text = orjson.dumps(kept["engine"]).decode()
    for place in ('"books":{', '"indicators":{', '"scorers":{', '"_boards":{'):
        assert text.count(place + '"BTC":') == 1
        text = text.replace(place + '"BTC":', place + '"TON":')
    text = text.replace('"symbols":["BTC"]', '"symbols":["TON"]').replace('"symbol":"BTC"', '"symbol":"TON"')
    config = parse({"service": {"symbols": ["GRAM"]}, "venues": {n: {"enabled": False} for n in unused(kept)}})
    engine = fresh(config)
    with pytest.raises(ValueError, match="state of other symbols"):
        engine.restore(orjson.loads(text))
    engine.restore(renamed_state(orjson.loads(text), aliases()))
    assert engine.begun
    assert orjson.dumps(engine.save()).decode().count('"BTC"') == text.count('"instrument":"BTC"') + text.count(
        '{"BTC":'
    )


def unused(kept: dict[str, Any]) -> list[str]:
    return [name for name in dict(Config().venues) if name not in kept["venues"]]


def test_nothing_is_renamed_where_nothing_has_another_name() -> None:
    saved = lived("SOL", seconds=20).save()
    assert renamed_state(saved, aliases()) is saved


def test_two_names_of_one_coin_in_a_state_do_not_become_one() -> None:
    saved = {"symbols": ["TON", "GRAM"], "engine": {}}
    assert renamed_state(saved, aliases()) is saved


def test_a_tape_of_the_old_name_replays_under_the_new_one(tmp_path: Path) -> None:
    """Cause: the header says TON, the decoder GRAM: a tape without a single number."""
    old = shareable(ALONE)
    old["service"]["symbols"] = ["BTC", "TON"]
    del old["assets"]  # of a version before the table
    writer = TapeWriter(tmp_path / "old.tape")
    denominators = [Denominator("TON", 5e9, (), T0, "test", "none")]
    saved = engine_of(("BTC", "TON"), None, denominators)
    saved.advance(T0 - 10_000)
    writer.header(Header(T0, "live", "0.1.0", True, old, to_plain(denominators), saved.save()))
    for second in range(1, 31):
        ts = T0 + 1000 * second
        for venue, raw in FRAMES.items():
            writer.record(Record("f", ts - 400, venue, "main-1", raw.replace("$TS", str(ts - 450)), ""))
        if second == 15:
            reserve = Denominator("TON", None, (("bybit", 7e6),), T0, "later", "none")
            writer.record(Record("d", ts - 300, item=to_plain([reserve])[0]))
        if second % 10 == 0:
            writer.record(Record("p", ts))
    writer.record(Record("e", T0 + 31_000))
    writer.close()
    [*_, last] = [tick for _, _, ticks in replayed(tmp_path / "old.tape") for tick in ticks]
    signal = last.signals[1]
    assert (signal["symbol"], signal["status"]) != ("GRAM", "no_data")
    assert signal["symbol"] == "GRAM"
    assert signal["market"]["price"] == pytest.approx(2.1, rel=0.01)
    assert signal["market"]["oi_coins"] == 4001.0 + 5120.5
    bases = {item["variant"]: item["value"] for item in signal["elr"]}
    assert bases["oi_mcap"] is not None
    assert bases["oi_reserve"] is not None


FRAMES = {
    "bybit": (
        '{"topic":"tickers.TONUSDT","type":"snapshot","cs":51,"ts":$TS,"data":{"symbol":"TONUSDT","markPrice":"2.11",'
        '"indexPrice":"2.112","openInterest":"8002","singleOpenInterest":"4001","nextFundingTime":"1763712000000",'
        '"fundingRate":"0.00003","fundingIntervalHour":"8"}}'
    ),
    "hyperliquid": (
        '{"channel":"activeAssetCtx","data":{"coin":"GRAM","ctx":{"funding":"0.0000125","openInterest":"5120.5",'
        '"markPx":"2.1125","oraclePx":"2.112","midPx":"2.1126","premium":"0.0001","dayNtlVlm":"1.0","prevDayPx":"2"}}}'
    ),
}


def test_the_stored_tape_is_untouched() -> None:
    """The file of tests/data/stored has no other name in it: its replay is compared byte for byte elsewhere."""
    folder = Path(__file__).resolve().parents[1] / "data" / "stored" / "state-4"
    plain = orjson.loads(gzip.decompress((folder / "state.json.gz").read_bytes()))
    assert renamed_state(plain["engine"], aliases()) is plain["engine"]
