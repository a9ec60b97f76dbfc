"""Deribit rows of the simulated server, in the venue's units: instruments, tickers, trades and the past. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from service.simulation.market import HOUR_MS, Quote
from service.simulation.minutes import MINUTE_MS
from service.simulation.protocol import day_volume
from service.simulation.quotes import Trade

BLOCK_EVERY = 640  # trade numbers: a block trade is reported along with about one second's trades in forty
SPANS = {"1h": (1, 1), "1d": (24, 5), "2d": (48, 10), "1m": (72, 60), "all": (72, 60)}  # range -> hours, minutes apart


def filed_under(quote: Quote) -> str:
    """The currency that the venue files an instrument under."""
    return quote.instrument.base if quote.instrument.inverse else quote.instrument.quote


def index_name(quote: Quote) -> str:
    return f"{quote.instrument.base}_{quote.instrument.quote}".lower()


def instruments(quotes: Iterable[Quote]) -> list[dict[str, Any]]:
    """The perpetuals, and what a client must leave out: a dated future, and a perpetual no longer traded."""
    rows = [_instrument(quote, number) for number, quote in enumerate(quotes)]
    if rows:
        base = rows[0]["base_currency"]
        dated = {"instrument_name": f"{base}-25DEC26", "settlement_period": "month", "instrument_id": 390_001}
        rows.append({**rows[0], **dated, "expiration_timestamp": 1_798_185_600_000})
        gone = {"instrument_name": "SIMOLD_USDC-PERPETUAL", "base_currency": "SIMOLD", "instrument_id": 390_002}
        rows.append({**rows[0], **gone, "future_type": "linear", "instrument_type": "linear", "is_active": False})
    return rows


def _instrument(quote: Quote, number: int) -> dict[str, Any]:
    item = quote.instrument
    kind = "reversed" if item.inverse else "linear"
    step = contract_size(quote)
    return {
        "price_index": index_name(quote),
        "kind": "future",
        "instrument_name": item.name,
        "max_leverage": 50,
        "maker_commission": 0.0,
        "taker_commission": 0.0005,
        "instrument_type": kind,
        "expiration_timestamp": 32_503_708_800_000,
        "creation_timestamp": 1_534_000_000_000,
        "is_active": True,
        "tick_size": 10.0**-item.price_digits,
        "contract_size": step,
        "instrument_id": 100_001 + number,
        "min_trade_amount": step,
        "future_type": kind,
        "max_liquidation_commission": 0.0075,
        "block_trade_commission": 0.00025,
        "block_trade_min_trade_amount": 200_000,
        "block_trade_tick_size": 0.01,
        "settlement_currency": item.base if item.inverse else item.quote,
        "settlement_period": "perpetual",
        "base_currency": item.base,
        "counter_currency": item.quote,
        "quote_currency": item.quote,
        "tick_size_steps": [],
    }


def contract_size(quote: Quote) -> float:
    """The step in which amounts are traded: not what open interest is counted in."""
    item = quote.instrument
    return (10.0 if item.base == "BTC" else 1.0) if item.inverse else 10.0**-item.oi_digits


def ticker(quote: Quote, now_ms: int, day: tuple[float, float, float]) -> dict[str, Any]:
    """A perpetual's ticker; ``day``: price 24 h ago, highest, lowest."""
    item = quote.instrument
    mark, digits = quote.mark, item.price_digits
    before, high, low = day
    volume = day_volume(quote)
    usd = round(volume * mark, 2)
    return {
        "timestamp": now_ms,
        "state": "open",
        "stats": {
            "high": round(max(high, mark), digits),
            "low": round(min(low, mark), digits),
            "price_change": round((mark / before - 1) * 100, 4),
            "volume": round(volume, 8),
            "volume_usd": usd,
            "volume_notional": usd,
        },
        "index_price": quote.index,
        "instrument_name": item.name,
        "last_price": mark,
        "settlement_price": round(before, digits),
        "min_price": round(mark * 0.985, digits),
        "max_price": round(mark * 1.015, digits),
        "open_interest": quote.contracts,  # an amount: USD (inverse) or coins
        "mark_price": mark,
        "interest_value": quote.rate * 80,
        "best_ask_price": round(mark + 10.0**-digits, digits),
        "best_bid_price": mark,
        "estimated_delivery_price": quote.index,
        "best_ask_amount": round(quote.contracts / 5000, item.oi_digits),
        "best_bid_amount": round(quote.contracts / 8000, item.oi_digits),
        "current_funding": quote.rate,
        "funding_8h": round(quote.average_premium, 8),
    }


def summary(quote: Quote, told: dict[str, Any]) -> dict[str, Any]:
    """A row of the book summaries, of what the ticker tells."""
    kept = ("open_interest", "mark_price", "instrument_name", "funding_8h", "estimated_delivery_price")
    stats = told["stats"]
    return {
        **{key: stats[key] for key in ("volume_usd", "volume_notional", "volume", "price_change", "low", "high")},
        **{key: told[key] for key in kept},
        "quote_currency": quote.instrument.quote,
        "base_currency": quote.instrument.base,
        "last": told["last_price"],
        "mid_price": told["best_bid_price"],
        "bid_price": told["best_bid_price"],
        "ask_price": told["best_ask_price"],
        "current_funding": told["current_funding"],
        "creation_timestamp": told["timestamp"],
    }


def trades(quote: Quote, fills: Iterable[Trade]) -> list[dict[str, Any]]:
    """Rows in the given order. Now and then a block trade is among them, which no taker made on the book."""
    rows = []
    for fill in fills:
        rows.append(_trade(quote, fill, fill.contracts))
        if fill.number % BLOCK_EVERY == 0:
            block = _trade(quote, fill, round(fill.contracts * 40, quote.instrument.oi_digits))
            block["trade_seq"] += 1
            block["trade_id"] += "1"
            block.pop("liquidation", None)
            rows.append({**block, "block_trade_id": f"BLOCK-{fill.number}", "block_trade_leg_count": 1})
    return rows


def _trade(quote: Quote, fill: Trade, amount: float) -> dict[str, Any]:
    item = quote.instrument
    step = contract_size(quote)
    prefix = "" if item.inverse else f"{item.base}_{item.quote}-"
    row = {
        "trade_seq": fill.number * 2,
        "trade_id": f"{prefix}{fill.number * 3}",
        "timestamp": fill.ts,
        "tick_direction": fill.number % 4,
        "price": fill.price,
        "mark_price": quote.mark,
        "instrument_name": item.name,
        "index_price": quote.index,
        "direction": fill.taker,
        "amount": amount,  # USD (inverse) or coins
        "contracts": round(amount / step, 6),
    }
    if fill.liquidated is not None:
        row["liquidation"] = "T"  # in this market it is always the taker
    return row


def funding_history(quote: Quote, begin_ms: int, end_ms: int) -> list[dict[str, Any]]:
    """One row per full hour, oldest first: what an hour and the last eight hours have charged."""
    rows = []
    for point in quote.past.points(begin_ms, end_ms, HOUR_MS):
        rate = next((charged for at, charged in reversed(quote.settlements) if at <= point.ts), 0.0)
        before = quote.past.points(point.ts - HOUR_MS, point.ts - HOUR_MS)
        rows.append(
            {
                "timestamp": point.ts,
                "index_price": point.index,
                "prev_index_price": before[0].index if before else point.index,
                "interest_8h": rate,
                "interest_1h": rate / 8,
            }
        )
    return rows


def index_chart(quote: Quote, span: str, now_ms: int) -> list[list[float]]:
    """[time, price] pairs of the index, oldest first."""
    hours, minutes = SPANS[span]
    points = quote.past.points(now_ms - hours * HOUR_MS, now_ms, minutes * MINUTE_MS)
    return [[point.ts, point.index] for point in points]
