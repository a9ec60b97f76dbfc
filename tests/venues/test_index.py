"""An index of 0, or of nothing, beside a good mark: it costs itself, and the mark counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from service.model import Mark
from service.venues import VENUES
from service.venues.contract import Catalog
from tests.venues.frames import T0, decode, load, reasons

Frame = dict[str, Any]


def ticker_of(path: Callable[[Frame], Frame], key: str) -> Callable[[Frame, object], None]:
    def change(frame: Frame, value: object) -> None:
        path(frame)[key] = value

    return change


CASES: dict[str, tuple[str, Callable[[Frame, object], None]]] = {
    "binance_usdm": ("ws_mark_price_update", ticker_of(lambda frame: frame, "i")),
    "binance_coinm": ("ws_mark_price_update", ticker_of(lambda frame: frame, "i")),
    "aster": ("ws_mark_price_update", ticker_of(lambda frame: frame, "i")),
    "bybit": ("ws_tickers_snapshot", ticker_of(lambda frame: frame["data"], "indexPrice")),
    "bitget": ("ws_ticker", ticker_of(lambda frame: frame["data"][0], "indexPrice")),
    "deribit": ("ws_ticker_inverse", ticker_of(lambda frame: frame["params"]["data"], "index_price")),
    "kraken_futures": ("ws_ticker_linear", ticker_of(lambda frame: frame, "index")),
    "bitmex": ("ws_partial_inverse", ticker_of(lambda frame: frame["data"][0], "indicativeSettlePrice")),
    "hyperliquid": ("ws_active_asset_ctx", ticker_of(lambda frame: frame["data"]["ctx"], "oraclePx")),
}  # OKX's index comes on its own; dYdX has one price for both


@pytest.mark.parametrize(("value", "refused"), [("0", ["out_of_bounds"]), ("", [])])
@pytest.mark.parametrize("venue", CASES)
def test_an_index_that_is_none_costs_itself_and_not_the_mark(venue: str, value: object, refused: list[str]) -> None:
    fixture, change = CASES[venue]
    frame = json.loads(load(venue, fixture))
    sound = decode(VENUES[venue].decoder(Catalog()), frame)
    marks = [item.mark for item in sound if isinstance(item, Mark) and item.mark is not None]
    assert len(marks) == 1
    change(frame, value)
    found = decode(VENUES[venue].decoder(Catalog()), frame, T0)
    assert reasons(found) == refused
    assert [(item.mark, item.index) for item in found if isinstance(item, Mark)] == [(marks[0], None)]
    others = [item for item in sound if not isinstance(item, Mark)]
    assert [item for item in found if not isinstance(item, Mark) and not reasons([item])] == others
