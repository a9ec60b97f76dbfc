"""Sides of orders; that a liquidation is told once is tested with the venues that have a channel for it."""

from __future__ import annotations

import pytest

from service.errors import BadPayload
from service.venues.liquidations import is_buy


def test_sides() -> None:
    assert is_buy("Buy")
    assert is_buy("buy")
    assert not is_buy("SELL")
    for value, reason in (("long", "unknown_shape"), ("", "unknown_shape"), (None, "wrong_type"), (1, "wrong_type")):
        with pytest.raises(BadPayload, match=reason):
            is_buy(value)
