"""A month of published history on the first day: entered before what is known, without a step, and on the tape."""

from __future__ import annotations

import random
from collections.abc import Iterator
from math import exp, log
from typing import Any

import orjson
import pytest

from service.config import Config
from service.core.backfill import Archive
from service.core.build import rules_of
from service.core.engine import Engine
from service.core.month import past_of
from service.core.replay import replay
from service.errors import TapeError
from service.model import (
    Denominator,
    Event,
    Funding,
    HistoryPoint,
    Listing,
    Mark,
    OpenInterest,
    Past,
    PastHour,
    past_from,
)
from service.tapes import Header, Record
from service.tapes.format import parse_line, record_line
from tests.core.build import T0, VENUES, engine, rules

HOUR, MINUTE, DAY = 3_600_000, 60_000, 86_400_000
MONTH_H = 30 * 24
WARM_H = 26
BASE = Denominator("BTC", 100_000.0, (("all", 20_000.0),), T0 - 40 * DAY, "test", "none", 2000.0, 2000.0)


def walk() -> dict[int, tuple[float, float, float]]:
    """minute since T0 -> (price, coins, rate): known to the minute, so that hours of it are the same market."""
    rng = random.Random(14)
    price, coins, rate = 100.0, 1_000.0, 1e-4
    found = {}
    for minute in range(-33 * 24 * 60, 1):
        price *= exp(rng.gauss(0, 6e-4))
        coins *= exp(rng.gauss(0, 5e-4))
        if minute % 480 == 0:
            rate = rng.uniform(-2e-4, 4e-4)
        found[minute] = (price, coins, rate)
    return found


WALK = walk()


def events(minute: int) -> list[Event]:
    price, coins, rate = WALK[minute]
    ts, found = T0 + minute * MINUTE, list[Event]()
    for number, venue in enumerate(VENUES):
        found.append(Mark(venue, "BTCUSDT", "BTC", price, price, None, ts))
        said = rate * (1 + number)  # a spread between the venues
        found.append(Funding(venue, "BTCUSDT", "BTC", said, 8.0, said, None, False, None, ts))
        found.append(OpenInterest(venue, "BTCUSDT", "BTC", coins, 1.0, coins, False, None, ts))
    return found


def hours(first_h: int, last_h: int = 0, origin: float = 5.0) -> tuple[PastHour, ...]:
    """The market of :func:`walk` on its full hours, with an index of another origin than any engine's."""
    told = []
    for hour in range(first_h, last_h + 1):
        price, coins, rate = WALK[hour * 60]
        told.append(PastHour(T0 + hour * HOUR, price, log(coins) + origin, 1.5 * rate, abs(rate)))
    return tuple(told)


def warm(made: Engine, warm_h: int = WARM_H) -> Engine:
    for minute in range(-warm_h * 60, 1):
        made.backfill(T0 + minute * MINUTE, silent=True, events=events(minute))
    return made


def month(symbol: str = "BTC", first_h: int = -31 * 24) -> Past:
    return Past(symbol, hours(first_h), VENUES)


def based() -> Engine:
    return Engine(["BTC"], rules(), engine().market_settings, [BASE])


@pytest.fixture(scope="module")
def state() -> bytes:
    """Of an engine that has filled in 26 hours by the minute, as on a first day."""
    return orjson.dumps(warm(based()).save())


def young(state: bytes) -> Engine:
    made = based()
    made.restore(orjson.loads(state), filling=True)
    return made


def said(made: Engine) -> dict[str, Any]:
    for event in events(0):
        made.apply(event)
    made.advance(T0 + 1_000)
    for venue in VENUES:
        price, coins, _ = WALK[0]
        made.apply(Mark(venue, "BTCUSDT", "BTC", price, price, None, T0 + 9_000))
        made.apply(OpenInterest(venue, "BTCUSDT", "BTC", coins, 1.0, coins, False, None, T0 + 9_000))
    return made.advance(T0 + 10_000)[-1].signals[0]


def test_a_filled_month_is_as_if_it_had_been_lived(state: bytes) -> None:
    """Percentiles, counts and horizons are those of an engine that took the same hours as they came."""
    filled = young(state)
    filled.advance(T0)
    filled.fill(month(), T0 + 500)
    lived = based()
    for hour in range(-31 * 24, -WARM_H):
        lived.backfill(T0 + hour * HOUR, silent=True, step_s=3_600, events=events(hour * 60))
    warm(lived)
    lived.advance(T0)
    ours, theirs = said(filled), said(lived)
    for name in ("fragility", "fragility_2"):
        assert ours[name] == pytest.approx(theirs[name], abs=0.02), name
    one, other = ours["elr"][0], theirs["elr"][0]
    assert one["percentile"] == pytest.approx(other["percentile"], abs=0.01)
    assert one["horizon_h"] == other["horizon_h"] == MONTH_H
    assert one["n"] == pytest.approx(other["n"], abs=120)  # the hour of the seam
    assert one["z"] == pytest.approx(other["z"], rel=1e-9)  # of the last day alone
    assert ours["p_deleveraging"]["oi_5"] == pytest.approx(theirs["p_deleveraging"]["oi_5"], abs=0.01)
    assert (ours["provisional"], one["provisional"], one["backfilled"]) == (False, False, True)
    assert ours["month"] == {
        "from": T0 - MONTH_H * HOUR,
        "until": T0 - WARM_H * HOUR,
        "hours": MONTH_H - WARM_H,
        "venues": list(VENUES),
    }
    assert ours["oi_change"]["7d"] == pytest.approx(WALK[0][1] / WALK[-7 * 24 * 60][1] - 1, rel=1e-9)


def test_without_it_a_first_day_is_provisional(state: bytes) -> None:
    made = young(state)
    made.advance(T0)
    signal = said(made)
    assert (signal["provisional"], signal["month"], signal["p_deleveraging"]["reason"]) == (True, None, "short_rank")
    assert signal["elr"][0]["horizon_h"] == WARM_H


def test_there_is_no_step_at_the_seam(state: bytes) -> None:
    """The offset is of all hours in common: one of them that is wrong moves nothing."""
    made = young(state)
    rows = list(hours(-31 * 24))
    rows[-3] = rows[-3]._replace(ln_oi=rows[-3].ln_oi + 1)
    offset = made.indicators["BTC"].fill(Past("BTC", tuple(rows), VENUES))
    expected = log(WALK[-WARM_H * 60][1]) + 5.0  # where the engine's own index begins at 0
    assert offset == pytest.approx(-expected, abs=1e-9)


def test_daily_means_are_of_the_days_that_were_not_seen(state: bytes) -> None:
    """At the venues and the denominator of today: mean open interest of the day over them."""
    made = young(state)
    made.advance(T0)
    made.fill(month(), T0 + 500)
    means = {item["variant"]: item["ma"] for item in said(made)["elr"]}

    def day(ago: int) -> float:
        """Two venues' coins, over the minutes of a day that was lived, over the hours of one that was not."""
        step = 1 if ago == 1 else 60
        values = [WALK[minute][1] for minute in range(-ago * 1_440, -(ago - 1) * 1_440, step)]
        return 2 * sum(values) / len(values)

    for name, days in (("1d", 1), ("7d", 7), ("30d", 30)):
        coins = sum(day(ago) for ago in range(1, days + 1)) / days
        assert means["oi_mcap"][name] == pytest.approx(100 * coins / 100_000, rel=1e-3), name
        assert means["oi_reserve"][name] == pytest.approx(coins / 20_000, rel=1e-3), name


def test_no_hour_in_common_is_refused(state: bytes) -> None:
    made = young(state)
    made.advance(T0)
    before = orjson.dumps(made.save())
    made.fill(Past("BTC", hours(-31 * 24, -WARM_H - 1), VENUES), T0)
    made.fill(month("ETH"), T0)  # nobody's
    assert orjson.dumps(made.save()) == before
    assert made.indicators["BTC"].month is None


def test_a_second_month_changes_nothing(state: bytes) -> None:
    made = young(state)
    made.advance(T0)
    made.fill(month(), T0)
    before = orjson.dumps(made.save())
    made.fill(month(), T0)
    assert orjson.dumps(made.save()) == before


def test_while_the_engine_holds_it_waits(state: bytes) -> None:
    made = young(state)
    made.fill(month(), T0 + 700)
    assert made.indicators["BTC"].month is None
    made.advance(T0 + 1_000)
    assert made.indicators["BTC"].month is not None


def test_a_state_after_it_is_gone_on_from_exactly(state: bytes) -> None:
    made = young(state)
    made.advance(T0)
    made.fill(month(), T0 + 500)
    plain = orjson.loads(orjson.dumps(made.save()))
    other = based()
    other.restore(plain)
    assert orjson.dumps(said(other)) == orjson.dumps(said(made))
    assert orjson.dumps(other.save()) == orjson.dumps(made.save())
    made.reanchor(2 * HOUR)
    moved = made.indicators["BTC"].month
    assert moved is not None
    assert moved.until == T0 - WARM_H * HOUR + 2 * HOUR


def tape(state: bytes, records: list[Record]) -> Iterator[Header | Record]:
    config = Config.model_validate({"service": {"symbols": ["BTC"]}})
    enabled = {name: {"enabled": name in VENUES} for name in config.venues.enabled()}
    plain = {"service": {"symbols": ["BTC"]}, "venues": enabled}
    yield Header(T0, "live", "test", True, plain, [], orjson.loads(state))
    for record in records:
        yield parse_line(record_line(record))


def test_a_tape_has_it_and_replays_it(state: bytes) -> None:
    """The same bytes as live, which a percentile of another past would not be."""
    live = Engine(["BTC"], [rule for rule in rules_of(Config()) if rule.venue in VENUES], engine().market_settings, [])
    live.restore(orjson.loads(state))
    live.advance(T0)
    live.fill(month(), T0 + 500)
    [tick] = live.advance(T0 + 10_000)
    records = [Record("m", T0 + 500, item=month().plain()), Record("p", T0 + 10_000)]
    ticks = [tick for _, _, ticks in replay(tape(state, records), "a tape") for tick in ticks]
    assert [orjson.dumps(item.signals) for item in ticks] == [orjson.dumps(tick.signals)]
    assert ticks[0].signals[0]["month"] is not None


@pytest.mark.parametrize(
    "change",
    [
        {"hours": []},
        {"hours": [[T0 + 1, 1.0, 0.0, None, None]]},
        {"hours": [[T0, -1.0, 0.0, None, None]]},
        {"hours": [[T0, 1.0, 1e9, None, None]]},
        {"hours": [[T0, "1", 0.0, None, None]]},
        {"hours": [[T0, 1.0, 0.0, "x", None]]},
        {"hours": [[T0, 1.0]]},
        {"hours": [[T0, 1.0, 0.0, None, None], [T0, 1.0, 0.0, None, None]]},
        {"hours": 7},
        {"symbol": 7},
        {"venues": [1]},
    ],
)
def test_a_month_that_is_none_is_an_error_of_the_tape(state: bytes, change: dict[str, Any]) -> None:
    plain = {**month().plain(), **change}
    with pytest.raises((ValueError, KeyError, TypeError)):
        past_from(plain)
    with pytest.raises(TapeError, match="history at"):
        list(replay(tape(state, [Record("m", T0 + 500, item=plain)]), "a tape"))


def test_plain_and_back() -> None:
    assert past_from(orjson.loads(orjson.dumps(month().plain()))) == month()


def finished(made: Iterator[None]) -> Past | None:
    while True:
        try:
            next(made)
        except StopIteration as end:
            value: Past | None = end.value
            return value


def archive(gap: range = range(0), first_h: int = -100) -> Archive:
    """Hourly points of two venues; the second says nothing of open interest and price in the hours of ``gap``."""
    made = Archive()
    for number, venue in enumerate(VENUES):
        for hour in range(first_h, 1):
            if number == 1 and hour in gap:
                continue
            price, coins, rate = WALK[hour * 60]
            for stream, value in (("mark", price), ("oi", coins * (1 + 2 * number))):
                made.add(HistoryPoint(venue, "BTCUSDT", "BTC", stream, T0 + hour * HOUR, value, None, 2 * HOUR))  # type: ignore[arg-type]
            if hour % 8 == 0:
                made.add(HistoryPoint(venue, "BTCUSDT", "BTC", "funding", T0 + hour * HOUR, rate, 8.0, 10 * HOUR))
    return made


def listings() -> list[Listing]:
    return [Listing(venue, "BTCUSDT", "BTC", False, 1.0, 1.0, 8.0, True, T0) for venue in VENUES]


def past(of: Archive, since_h: int = -101) -> Past | None:
    return finished(past_of(of, listings(), "BTC", T0 + since_h * HOUR, T0, rules(), engine().market_settings))


def test_hours_of_the_venues_points() -> None:
    found = past(archive())
    assert found is not None
    assert (found.symbol, found.venues) == ("BTC", VENUES)
    assert [hour.ts for hour in found.hours] == [T0 + hour * HOUR for hour in range(-100, 1)]
    first, last = found.hours[0], found.hours[-1]
    assert last.price == pytest.approx(WALK[0][0])
    assert last.ln_oi - first.ln_oi == pytest.approx(log(WALK[0][1] / WALK[-6000][1]))
    assert last.funding_8h == pytest.approx(WALK[0][2])
    assert last.spread == pytest.approx(0.0)


def test_a_venue_that_is_missing_for_a_while_is_no_change_of_leverage() -> None:
    """It holds three quarters; while it is away there is one venue left, no quorum and no hour."""
    found = past(archive(range(-50, -40), -120), -121)
    assert found is not None
    stood = range(-50, -48)  # a point stands for two hours
    missing = {T0 + hour * HOUR for hour in range(-50, -40) if hour not in stood}
    assert not missing & {hour.ts for hour in found.hours}
    changes = [after.ln_oi - before.ln_oi for before, after in zip(found.hours, found.hours[1:], strict=False)]
    assert max(map(abs, changes)) < 0.1


def test_three_days_at_least() -> None:
    assert past(archive(first_h=-70), -71) is None
    assert past(archive(first_h=-71), -72) is not None
