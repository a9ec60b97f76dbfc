"""What the HTTP answers and the metrics show of the rest of the service: copies made on the event loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.clock import Clock
from service.config import Config
from service.core.engine import Engine
from service.core.intake import Intake
from service.coverage import LIST, STALE_MS, KnownShare
from service.market import SideRule
from service.market.symbol_state import NAMING_CONFLICT
from service.metrics import LedgerNumbers, ScrapeState
from service.model import Consensus, Endpoints, VenueView
from service.publishing import status_body
from service.runtime.audits import Audits, described, ours
from service.runtime.denominator_polls import SourceHealth
from service.runtime.ledger_file import LedgerFile
from service.venues.changes import day_of, shown
from service.venues.transport.health import VenueHealth
from service.venues.transport.session import REASONS

_NO_RECONNECTS = {reason: 0 for reason in REASONS if reason != "stopped"}  # from 0, so that the first one shows


class ReadModels:
    """Implements :class:`service.publishing.Views` over the engine's last samples and the links' health.

    ``health`` is empty in a replay: a venue is then up while any of its streams is fresh. ``sources``: health of the
    denominators' sources. ``ledger``: None where none is kept. ``known``, ``list_health``: of the list of other venues'
    open interest. ``audits``: None where none are made. ``endpoints``: the venues' addresses; empty in a replay.
    """

    def __init__(
        self,
        config: Config,
        source: str,
        engine: Engine,
        intake: Intake,
        health: Mapping[str, VenueHealth],
        clock: Clock,
        sources: Mapping[str, SourceHealth] | None = None,
        ledger: LedgerFile | None = None,
        known: KnownShare | None = None,
        list_health: SourceHealth | None = None,
        audits: Audits | None = None,
        endpoints: Mapping[str, Endpoints] | None = None,
    ) -> None:
        self._config = config
        self._source = source
        self._engine = engine
        self._intake = intake
        self._health = health
        self._clock = clock
        self._sources = {} if sources is None else sources
        self._ledger = ledger
        self._known = KnownShare(False) if known is None else known
        self._list_health = list_health
        self._audits = audits
        self._endpoints = {} if endpoints is None else endpoints
        self._venues = config.venues.enabled()

    def symbols(self) -> dict[str, Any]:
        """Canonical symbol to its instruments on every venue, as the venues' metadata say."""
        table: dict[str, list[dict[str, Any]]] = {symbol: [] for symbol in self._config.service.symbols}
        for venue, catalog in self._intake.catalogs.items():
            for _, listing in sorted(catalog.listings.items()):
                if listing.trading and listing.symbol in table:
                    table[listing.symbol].append(
                        {
                            "venue": venue,
                            "instrument": listing.instrument,
                            "inverse": listing.inverse,
                            "contract_size": listing.contract_size,
                            "multiplier": listing.multiplier,
                            "interval_h": listing.interval_h,
                        }
                    )
        return {"source": self._source, "symbols": table}

    def venues(self) -> dict[str, Any]:
        """Health per venue, symbol and stream."""
        return {
            "ts": self._clock.now_ms(),
            "source": self._source,
            "venues": {name: self._venue(name) for name in self._venues},
            "sources": {name: health.plain() for name, health in self._asked().items()},
            "naming_conflicts": {
                sample.symbol: code.partition(":")[2].split(",")
                for sample in self._engine.samples
                for code in sample.trouble
                if code.startswith(f"{NAMING_CONFLICT}:")
            },
        }

    def weights(self) -> dict[str, Any]:
        """The weights in force and what has been learned."""
        return {"ts": self._clock.now_ms(), "source": self._source, **self._engine.learner.report()}

    def status(self) -> dict[str, Any]:
        """The body of the status channel."""
        return status_body(self._clock.now_ms(), {name: self._summary(name) for name in self._venues})

    def scoreboard(self) -> dict[str, Any]:
        """Each horizon over all symbols, as of the last sample."""
        return {"source": self._source, **self._engine.scoreboard.document(self._engine.sampled_ms)}

    def scoreboard_of(self, symbol: str) -> dict[str, Any]:
        return self._engine.scoreboard.of_symbol(symbol)

    def coverage(self) -> dict[str, Any]:
        """The list that the known shares rest on, how old it is, and which sides it takes of our venues."""
        now_ms, listed = self._clock.now_ms(), self._known.listed
        simulated = self._source == "simulated"
        return {
            "ts": now_ms,
            "source": self._source,
            "list": {
                "name": LIST.name,
                "title": "simulated list" if simulated else LIST.title,
                "licence": "none (simulated)" if simulated else LIST.licence,
                "wanted": self._known.wanted,
                "as_of": None if listed is None else listed.as_of,
                "age_s": None if listed is None else (now_ms - listed.as_of) / 1000,
                "stale": self._known.stale(now_ms),
                "stale_after_s": STALE_MS // 1000,
                "rows": None if listed is None else listed.rows,
                "markets": None if listed is None else listed.markets,
                "unreadable": {} if listed is None else listed.left_out.get("", {}),
            },
            "sides_measured": self._known.measured_sides(self._engine.samples, now_ms),
        }

    def coverage_of(self, symbol: str) -> dict[str, Any] | None:
        """The known share of one symbol; None before its first sample."""
        now_ms = self._clock.now_ms()
        return next((self._known.of(item, now_ms) for item in self._engine.samples if item.symbol == symbol), None)

    def scrape(self) -> ScrapeState:
        now_ms, listed = self._clock.now_ms(), self._known.listed
        return ScrapeState(
            now_ms=now_ms,
            symbols=self._config.service.symbols,
            venues=tuple((name, self._up(name)) for name in self._venues),
            samples=tuple(self._engine.samples),
            reconnects=tuple(
                (name, reason, count)
                for name, health in self._health.items()
                for reason, count in (_NO_RECONNECTS | health.reconnects).items()
            ),
            max_venue_symbols=self._config.metrics.max_venue_symbols,
            sides=tuple(
                (name, rule.figure.name, rule.evidence, rule.sides, rule.doubted) for name, rule in self._sides()
            ),
            bases=tuple((name, health.as_of_ms) for name, health in self._sources.items()),
            known_shares=tuple((item.symbol, *self._known.shares(item, now_ms)) for item in self._engine.samples),
            known_share_as_of_ms=None if listed is None else listed.as_of,
            evaluations=self._engine.scoreboard.numbers(),
            falls=self._engine.scoreboard.falls.summary,
            weights=self._engine.learner.numbers(),
            ledger=None if self._ledger is None else _written(self._ledger),
            audits=() if self._audits is None else self._audits.numbers(),
        )

    def _asked(self) -> dict[str, SourceHealth]:
        """Every slow source that is asked."""
        listing = self._list_health
        return {**self._sources, **({} if listing is None or not self._known.wanted else {listing.name: listing})}

    def _venue(self, name: str) -> dict[str, Any]:
        health = self._health.get(name)
        endpoints = self._endpoints.get(name)
        return {
            **self._summary(name),
            "changes": shown(name, day_of(self._clock.now_ms())),
            "rest": None if endpoints is None else _without_login(endpoints.rest),
            "audit": None if self._audits is None else described(self._audits.latest.get(name)),
            "last_bad_payload": self._intake.last_bad.get(name),
            "links": None if health is None else health.plain(),
            "oi_sides": self._engine.market.sides[name].described(),
            **self._source_of(name),
            "refused": {code: count for (venue, code), count in self._engine.refused.items() if venue == name},
            "symbols": {
                sample.symbol: {**_streams(view), "instruments": self._instruments(name, sample.symbol)}
                for sample, view in self._seen(name)
            },
        }

    def _source_of(self, name: str) -> dict[str, Any]:
        """Which of its sources counts, of a venue that has two."""
        agreement = self._engine.market.agreements.get(name)
        return {} if agreement is None else {"counted_source": agreement.described(self._engine.sampled_ms)}

    def _instruments(self, venue: str, symbol: str) -> dict[str, Any]:
        """What counts now, by instrument; None where it does not, and why under ``missing``."""
        return {
            name: {
                "mark": own.mark, "funding_8h": own.funding, "oi_coins": own.oi, "missing": dict(own.missing),
            }
            for name, own in ours(self._engine, venue, symbol).items()
        }  # fmt: skip

    def _summary(self, name: str) -> dict[str, Any]:
        live = stale = 0
        for _, view in self._seen(name):
            for _, state in view.states:
                live += state == "LIVE"
                stale += state != "LIVE"
        health = self._health.get(name)
        return {
            "up": self._up(name),
            "streams": {"live": live, "stale": stale},
            "reconnects": 0 if health is None else sum(health.reconnects.values()),  # integers
            "last_error": None if health is None else health.last_error,
        }

    def _sides(self) -> list[tuple[str, SideRule]]:
        return [(name, self._engine.market.sides[name]) for name in self._venues]

    def _up(self, name: str) -> bool:
        """A venue is up when something of it is fresh, whatever its sockets say."""
        return any(view.fresh for _, view in self._seen(name))

    def _seen(self, name: str) -> list[tuple[Consensus, VenueView]]:
        return [(sample, view) for sample in self._engine.samples for view in sample.venues if view.venue == name]


def _without_login(address: str) -> str:
    """An address for everybody to see."""
    scheme, slashes, rest = address.rpartition("://")
    host, slash, path = rest.partition("/")
    return scheme + slashes + host.rpartition("@")[2] + slash + path


def _written(ledger: LedgerFile) -> LedgerNumbers:
    return LedgerNumbers(ledger.waiting_bytes, ledger.failures, ledger.failed)


def _streams(view: VenueView) -> dict[str, Any]:
    ages = {"mark": view.age_mark_ms, "funding": view.age_funding_ms, "oi": view.age_oi_ms}
    return {
        "instrument": view.instrument,
        "fresh": view.fresh,
        "streams": {stream: {"state": state, "age_ms": ages[stream]} for stream, state in view.states},
    }
