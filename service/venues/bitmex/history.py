"""BitMEX: the published past for the warm start, settled rates alone.

`GET /funding`, newest first (API explorer). Past mark prices do not exist ("not available historically",
BitMEX/api-connectors issue 123) and past open interest is not published either.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from service.venues.bitmex.metadata import interval_h
from service.venues.contract import Request
from service.venues.emit import Emit
from service.venues.history import context_of, same_name, tell_settled
from service.venues.numbers import iso_ms, rate, text
from service.venues.reading import mapping

RATES_A_PAGE = 100


def requests(rest: str, name: str) -> list[Request]:
    """The settled rates."""
    url = f"{rest}/funding?symbol={quote(name, safe='')}&count={RATES_A_PAGE}&reverse=true"
    return [Request("GET", url, context=context_of("funding", name))]


def tell_past(emit: Emit, rows: list[Any], what: str, name: str) -> None:
    """The points of one answer; each row says its own interval."""
    if what == "funding":
        emit.each(rows, "rows", _tell_rate, emit, name)


def _tell_rate(row: Any, emit: Emit, name: str) -> None:
    fields = mapping(row, "row")
    same_name(text(fields["symbol"]), name)
    listing = emit.listing(name)
    if listing is not None:
        settled = [(iso_ms(fields["timestamp"]), rate(fields["fundingRate"]))]
        tell_settled(emit, listing, settled, (), interval_h(fields["fundingInterval"]))
