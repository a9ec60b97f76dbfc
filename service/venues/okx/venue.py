"""OKX v5 perpetual swaps: four channels per instrument on one public socket; extra streams on sockets of their own.

Facts from the venue page: the next funding is `fundingTime` (`nextFundingTime` is the one after); sizes are contracts,
`oiCcy` coins; the index has its own id (`BTC-USDT`); keep-alive is the text `ping`; timestamps are of the last change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.errors import BadPayload
from service.model import STREAMS, Control, Decoded, Endpoints, ExtraStream, Listing, Skipped, StreamRule, VenueRules
from service.venues.contract import Catalog, ConnectionPlan, Limits, Poll, Request, Streamed
from service.venues.emit import HOUR_MS, echo, guarded, items, label, mapping, need
from service.venues.history import subject_of
from service.venues.numbers import coins, number, price, rate, text, timestamp_ms
from service.venues.okx.history import INTERVALS_H, OkxHistory, history
from service.venues.okx.trades import (
    KEEPALIVE,
    LIQUIDATIONS,
    RATIO,
    SWAP,
    TRADES,
    extra_connections,
    ratio_polls,
    subscriptions,
)
from service.venues.symbols import USD_QUOTES, canonical

SIZE_TOLERANCE = 0.005  # oiCcy against contracts x contract size: further apart is a unit error
CHANNELS = ("mark-price", "funding-rate", "open-interest")
NOTICE_CLOSING = "64008"


class Okx(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "okx"
    title = "OKX v5 perpetual swaps"
    endpoints = Endpoints(ws={"public": "wss://ws.okx.com:8443/ws/v5/public"}, rest="https://www.okx.com")
    limits = Limits(
        connects=3,
        connect_period_s=1.0,
        sends_per_s=2.0,  # 480 requests an hour and connection: few and large ones
        rest_weight=20.0,
        rest_period_s=2.0,
        max_topics=240,
        first_message_s=95.0,  # funding comes every 30-90 s
    )
    rules = VenueRules(
        venue="okx",
        exchange="okx",
        mark=StreamRule(30_000, "change"),
        funding=StreamRule(300_000, "change"),
        oi=StreamRule(60_000, "change"),
        index_max_age_ms=90_000,
        funding_cap_8h=0.16,
    )

    def decoder(self, catalog: Catalog) -> OkxDecoder:
        return OkxDecoder(catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [Request("GET", f"{endpoints.rest}/api/v5/public/instruments?instType=SWAP", context="instruments")]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        plans: list[ConnectionPlan] = []
        per_socket = self.limits.max_topics // (len(CHANNELS) + 1)
        for start in range(0, len(listings), per_socket):
            part = listings[start : start + per_socket]
            args = [{"channel": channel, "instId": item.instrument} for item in part for channel in CHANNELS]
            indices = dict.fromkeys(item.instrument.removesuffix(SWAP) for item in part)
            args += [{"channel": "index-tickers", "instId": index} for index in indices]
            plans.append(
                ConnectionPlan(
                    name=f"public-{len(plans) + 1}",
                    url=endpoints.ws["public"],
                    frames=subscriptions(args),
                    expects=tuple((item.instrument, stream) for item in part for stream in STREAMS),
                    acks=len(args),
                    keepalive=KEEPALIVE,
                )
            )
        return plans + extra_connections(endpoints, listings, extras, self.limits.max_topics)

    def polls(
        self,
        endpoints: Endpoints,
        listings: Sequence[Listing],
        oi_poll_s: float,
        extras: Sequence[ExtraStream] = (),
    ) -> list[Poll]:
        """Of all streams only the ratio is polled."""
        return ratio_polls(endpoints, listings, extras, self.limits.rest_weight / self.limits.rest_period_s)

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history(endpoints, listing, since_ms, now_ms)


class OkxDecoder(OkxHistory):
    """Frames and HTTP answers of the venue."""

    venue = "okx"

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog)
        self._channels = {
            "mark-price": self._price_row,
            "index-tickers": self._index_row,
            "funding-rate": self._funding_row,
            "open-interest": self._interest_row,
            "instruments": self._instrument,
            LIQUIDATIONS: self._liquidations,
        }

    def _read(self, parsed: Any, recv_ts: int, context: str, out: list[Decoded]) -> None:
        if type(parsed) is not dict:
            raise BadPayload("unknown_shape", type(parsed).__name__)
        if "event" in parsed:
            self._control(parsed, recv_ts, out)
        elif "arg" in parsed:
            channel = label(need(mapping(parsed["arg"], "arg"), "channel"), "channel")
            handler = self._channels.get(channel)
            if channel == TRADES:
                self._trades(items(need(parsed, "data"), "data"), recv_ts, out)
            elif handler is not None:  # tickers, books: not used
                for row in items(need(parsed, "data"), "data"):
                    guarded(out, handler, row, recv_ts, out)
        elif "code" in parsed:
            self._answer(parsed, recv_ts, context, out)
        elif "op" not in parsed:  # a request of ours, as recordings hold them
            raise BadPayload("unknown_shape", ",".join(list(parsed)[:5])[:80])

    def _control(self, frame: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        event, code = label(frame["event"], "event"), frame.get("code")
        arg = frame.get("arg")
        key = f"{echo(arg.get('channel'))}:{echo(arg.get('instId'))}" if isinstance(arg, dict) else None
        message = f"{echo(code)} {echo(frame.get('msg'))}".strip()
        if event == "subscribe" and isinstance(arg, dict) and arg.get("channel") == LIQUIDATIONS:
            self._begin(LIQUIDATIONS, recv_ts)
        if event in ("subscribe", "unsubscribe", "login"):
            out.append(Control("ack", key, echo(event)))
        elif event == "error" or event == "channel-conn-count-error":
            out.append(Control("refused", key, message))
        elif event == "notice" and code == NOTICE_CLOSING:
            out.append(Control("closing", key, message))
        else:
            out.append(Control("info", key, f"{echo(event)} {message}".strip()))

    def _answer(self, frame: dict[str, Any], recv_ts: int, context: str, out: list[Decoded]) -> None:
        if frame["code"] != "0":
            out.append(Control("refused", None, f"{echo(frame['code'])} {echo(frame.get('msg'))}"))
            return
        rows = items(need(frame, "data"), "data")
        past = subject_of(context)
        if past is not None:
            self._past_rows(rows, *past, recv_ts, out)
            return
        if context.startswith(RATIO):
            self._ratio(rows, context.removeprefix(RATIO), recv_ts, out)
            return
        if any(type(row) is dict and "realizedRate" in row for row in rows):
            keys = ("instId", "realizedRate", "fundingTime")
            self._history(rows, keys, INTERVALS_H, lambda item, _: item.interval_h, recv_ts, out)
            return
        for row in rows:
            guarded(out, self._row, row, recv_ts, out)
        if context == "instruments":
            self._delist_absent(out, recv_ts)

    def _row(self, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        """One row of an HTTP answer, told by its fields."""
        if type(row) is list:
            return  # candles, taker volume, ratios
        fields = mapping(row, "data[]")
        if "ctVal" in fields:
            self._instrument(fields, recv_ts, out)
        elif "markPx" in fields:
            self._price_row(fields, recv_ts, out)
        elif "idxPx" in fields:
            self._index_row(fields, recv_ts, out)
        elif "fundingRate" in fields:
            self._funding_row(fields, recv_ts, out)
        elif "oi" in fields or "oiCcy" in fields:
            self._interest_row(fields, recv_ts, out)
        elif "last" not in fields and "px" not in fields and "details" not in fields:
            raise BadPayload("unknown_shape", ",".join(list(fields)[:5])[:80])

    # -- mark, index, funding ----------------------------------------------------------------------------------

    def _price_row(self, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        listing = self._swap(row)
        if listing is not None:
            value, venue_ts = price(need(row, "markPx")), timestamp_ms(need(row, "ts"))
            out.append(self._mark(listing, value, None, venue_ts, recv_ts))

    def _index_row(self, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        """An index prices every swap on it; without metadata, the swap of the same name."""
        index = text(need(mapping(row, "data[]"), "instId"))
        swaps = self._catalog.swaps_of_index.get(index, (index + SWAP,))
        listings = [listing for listing in map(self._listing, swaps) if listing is not None]
        if listings:
            value, venue_ts = price(need(row, "idxPx")), timestamp_ms(need(row, "ts"))
            out.extend(self._mark(listing, None, value, venue_ts, recv_ts) for listing in listings)

    def _funding_row(self, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        listing = self._swap(row)
        if listing is None or need(row, "fundingRate") == "":
            return
        value = rate(row["fundingRate"])
        next_ts = timestamp_ms(need(row, "fundingTime"))
        venue_ts = timestamp_ms(row["ts"]) if "ts" in row else None  # messages before 2023 have none
        interval_h = listing.interval_h
        if row.get("nextFundingTime", "") != "":
            hours, rest = divmod(timestamp_ms(row["nextFundingTime"]) - next_ts, HOUR_MS)
            interval_h = float(hours) if rest == 0 and hours in INTERVALS_H else None
        out.append(self._funding(listing, value, interval_h, next_ts, venue_ts, recv_ts))

    # -- open interest -----------------------------------------------------------------------------------------

    def _interest_row(self, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        listing = self._swap(row)
        if listing is None:
            return
        contracts = coins(need(row, "oi"))
        venue_ts = timestamp_ms(need(row, "ts"))
        stated = coins(row["oiCcy"]) * listing.multiplier if row.get("oiCcy", "") != "" else None
        size, derived = listing.contract_size, False
        if listing.inverse and size is not None:
            mark = self._catalog.marks.get(listing.instrument)
            size, derived = (None, False) if mark is None else (size / mark, True)
        if stated is None:
            if size is None:
                reason = "unknown_contract_size" if listing.contract_size is None else "no_mark"
                out.append(Skipped(self.venue, listing.instrument, reason))
                return
            amount = contracts * size
        elif listing.inverse or size is None:
            # the venue's own conversion; no contracts leave the size open, and 0 coins need none
            amount, size, derived = stated, stated / contracts if contracts > 0 else size or 0.0, False
        else:
            amount = stated
            if abs(stated - contracts * size) > SIZE_TOLERANCE * contracts * size:
                raise BadPayload(
                    "size_mismatch", f"{listing.instrument}: oiCcy {stated:g}, by size {contracts * size:g}"
                )
        out.append(self._open_interest(listing, contracts, size, amount, derived, venue_ts, recv_ts))

    # -- metadata ----------------------------------------------------------------------------------------------

    def _by_name(self, name: str) -> Listing | None:
        parts = name.split("-")
        if len(parts) != 3 or parts[2] != "SWAP" or parts[1] not in USD_QUOTES or not parts[0]:
            return None
        symbol, multiplier = canonical(parts[0])
        return self._guess(name, symbol, multiplier, parts[1] == "USD", None)

    def _instrument(self, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(row, "data[]")
        name = text(need(fields, "instId"))
        by_name = self._by_name(name)
        if need(fields, "instType") != "SWAP" or by_name is None:
            self._refuse(name, recv_ts, out)
            return
        kind = label(need(fields, "ctType"), "ctType")
        if kind not in ("linear", "inverse"):
            raise BadPayload("unknown_shape", f"ctType {kind}")
        size = self._contract_size(fields, name, by_name.multiplier, kind)
        trading = label(need(fields, "state"), "state") == "live"
        listing = Listing(
            self.venue,
            name,
            by_name.symbol,
            kind == "inverse",
            size,
            by_name.multiplier,
            None,
            trading,
            recv_ts,
        )
        index = text(fields["uly"]) if fields.get("uly", "") != "" else name.removesuffix(SWAP)
        self._price_by(index, name)
        self._list(listing, out)

    @staticmethod
    def _contract_size(fields: dict[str, Any], name: str, multiplier: float, kind: str) -> float | None:
        """Canonical coins (linear) or USD (inverse) per contract; None where the row does not say it in these."""
        value, times, unit = need(fields, "ctVal"), fields.get("ctMult", ""), need(fields, "ctValCcy")
        if value == "" or unit != (name.split("-")[0] if kind == "linear" else "USD"):
            return None
        size = number(value, 1e-12, 1e15) * (1.0 if times == "" else number(times, 1e-12, 1e15))
        return size * multiplier if kind == "linear" else size

    def _price_by(self, index: str, name: str) -> None:
        """Remember that ``index`` now prices ``name``; contracts have moved between indices."""
        by_index = self._catalog.swaps_of_index
        if name not in by_index.get(index, ()):
            for other, swaps in by_index.items():
                by_index[other] = tuple(item for item in swaps if item != name)
            by_index[index] = (*by_index.get(index, ()), name)
