"""Every metric: name, type, labels, help. :data:`FAMILIES` is the table that docs/metrics.md repeats.

Counters and histograms are objects on :class:`Metrics`, on a registry passed in. What describes the market is not kept
in gauges, which would freeze at their last value: it is read at each scrape from a :class:`ScrapeState`, immutable
tuples copied on the event loop, so that a series without a fresh value is absent from the very next scrape.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from service.model import Consensus, SignalBody


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. ``scraped``: rendered from a :class:`ScrapeState`, else an object of :class:`Metrics`."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    help: str
    scraped: bool = True


def _with_interval(name: str, labels: tuple[str, ...], says: str) -> tuple[Family, ...]:
    """A number of the scoreboard, and the ends of its interval by weeks."""
    return (
        Family(name, "gauge", labels, f"{says}."),
        Family(f"{name}_low", "gauge", labels, f"Lower end of the 95 % interval of `{name}`, from 8 weeks on."),
        Family(f"{name}_high", "gauge", labels, f"Upper end of the 95 % interval of `{name}`, from 8 weeks on."),
    )


_ALL = (
    Family("elr_ratio", "gauge", ("symbol", "variant", "unit"), "Estimated leverage ratio, by variant."),
    Family("elr_zscore", "gauge", ("symbol", "variant", "unit"), "Robust z-score of the ratio over its trailing 24 h."),
    Family("elr_percentile", "gauge", ("symbol", "variant", "unit"), "Share of earlier values below, 0 to 1."),
    Family(
        "elr_deleveraging_probability",
        "gauge",
        ("symbol", "fall"),
        "Chance that open interest falls by 5 or 10 % within 24 h, 0 to 1.",
    ),
    Family(
        "elr_deleveraging_base_rate",
        "gauge",
        ("symbol", "fall"),
        "How often it falls by as much within 24 h, whatever the leverage, 0 to 1.",
    ),
    Family("elr_volatility_24h", "gauge", ("symbol",), "Volatility of the last 24 hourly closes, a fraction a day."),
    Family("elr_score", "gauge", ("symbol", "window"), "Direction of the crowd, -1 (short) to 1 (long)."),
    Family("elr_strength", "gauge", ("symbol", "window"), "Rank of the score's size in its last 24 h, 0 to 1."),
    Family("elr_confidence", "gauge", ("symbol", "window"), "Product of the confidence factors, 0 to 1."),
    Family("elr_conflict", "gauge", ("symbol",), "1 while the windows disagree."),
    Family(
        "elr_fragility", "gauge", ("symbol",), "Ranks the chance of a deep fall of open interest within a day, 0 to 1."
    ),
    Family("elr_fragility_2", "gauge", ("symbol",), "The same without the rank of funding, 0 to 1."),
    Family("elr_abstain", "gauge", ("symbol",), "1 while the signal says that it does not know."),
    Family("elr_regime", "gauge", ("symbol", "regime"), "1 for the current regime; the others have no series."),
    Family("elr_flush_falling", "gauge", ("symbol",), "1 while open interest falls at this moment, in a flush."),
    Family("elr_flushed_1h", "gauge", ("symbol",), "1 if it did so within the last hour."),
    Family("elr_status", "gauge", ("symbol", "status"), "1 for the current status; the others have no series."),
    Family("elr_tradeable", "gauge", ("symbol",), "1 while the signal is tradeable; 0 without data, too."),
    Family("elr_price_usd", "gauge", ("symbol",), "Median mark price of the fresh venues in USD per canonical unit."),
    Family("elr_oi_usd", "gauge", ("symbol",), "Open interest of the fresh venues in USD, one-sided."),
    Family("elr_oi_coins", "gauge", ("symbol",), "The same in canonical units."),
    Family(
        "elr_oi_change",
        "gauge",
        ("symbol", "window"),
        "Change of the chain-linked open interest over 1h, 4h, 24h, 7d; 0.05 is 5 % more.",
    ),
    Family("elr_funding_8h", "gauge", ("symbol",), "Funding rate over the venues, weighted by open interest, per 8 h."),
    Family(
        "elr_liquidated_coins", "gauge", ("symbol", "side"), "Reported liquidations of the last hour: a lower bound."
    ),
    Family(
        "elr_taker_imbalance",
        "gauge",
        ("symbol", "window"),
        "Taker buys less sells over their sum, 1m and 5m, -1 to 1.",
    ),
    Family("elr_mode_score", "gauge", ("symbol", "mode"), "Score of scalp, day and swing as last renewed, -1 to 1."),
    Family("elr_momentum", "gauge", ("symbol",), "1 while the score accelerates, -1 while it decelerates, else 0."),
    Family("elr_risk_multiplier", "gauge", ("symbol",), "What to multiply a size of your own by, 0 to 1."),
    Family("elr_spiking", "gauge", ("symbol",), "1 while an elr_spike stands."),
    Family("elr_provisional", "gauge", ("symbol",), "1 while regime and spike are judged against less than a week."),
    Family("elr_provisional_symbols", "gauge", (), "Symbols of which that is so."),
    Family("elr_mark_price_usd", "gauge", ("symbol", "venue"), "Fresh mark price in USD per canonical unit."),
    Family("elr_funding_rate_8h", "gauge", ("symbol", "venue"), "Fresh funding rate, a fraction per 8 hours."),
    Family(
        "elr_open_interest_coins", "gauge", ("symbol", "venue"), "Fresh one-sided open interest in canonical units."
    ),
    Family(
        "elr_input_timestamp_seconds",
        "gauge",
        ("venue", "symbol", "stream"),
        "Unix time of the last receipt that vouches for the input.",
    ),
    Family("elr_venue_up", "gauge", ("venue",), "1 while the venue delivers."),
    Family(
        "elr_venue_reconnects_total",
        "counter",
        ("venue", "reason"),
        "Connections to the venue that ended, and attempts that failed.",
    ),
    Family(
        "elr_oi_sides",
        "gauge",
        ("venue", "figure", "evidence"),
        "Sides that the venue's figure of open interest counts, 1 or 2; what we show of it is one side.",
    ),
    Family("elr_oi_sides_doubt", "gauge", ("venue",), "1 while it is in doubt: its open interest does not count."),
    Family(
        "elr_audit_oi_ratio",
        "gauge",
        ("venue", "symbol"),
        "Our open interest over the venue's own over HTTP, of the instrument furthest off.",
    ),
    Family(
        "elr_audit_mark_ratio",
        "gauge",
        ("venue", "symbol"),
        "Our mark price over the venue's own over HTTP, of the instrument furthest off.",
    ),
    Family(
        "elr_audit_funding_difference_8h",
        "gauge",
        ("venue", "symbol"),
        "Our funding rate per 8 hours minus the venue's own over HTTP, of the instrument furthest off.",
    ),
    Family("elr_audit_compared", "gauge", ("venue",), "Figures that the last audit found on both sides."),
    Family("elr_audit_beyond", "gauge", ("venue",), "Of these, figures further off than `[audit]` allows."),
    Family("elr_audit_timestamp_seconds", "gauge", ("venue",), "Unix time of the venue's last audit."),
    Family(
        "elr_base_as_of_seconds",
        "gauge",
        ("source",),
        "Unix time of the oldest figure in use of a source of reserves or supply.",
    ),
    Family(
        "elr_oi_known_share",
        "gauge",
        ("symbol",),
        "Share of the open interest known of all venues that ours hold and that is fresh, 0 to 1.",
    ),
    Family(
        "elr_oi_known_share_most",
        "gauge",
        ("symbol",),
        "The same without doubtful figures of others, and half of those that may count both sides.",
    ),
    Family(
        "elr_oi_known_share_as_of_seconds",
        "gauge",
        (),
        "Unix time of the list of other venues' open interest behind the known shares.",
    ),
    Family(
        "elr_eval_hit_ratio",
        "gauge",
        ("symbol", "horizon"),
        "Share of published directions that the price followed, non-overlapping outcomes.",
    ),
    Family("elr_eval_ic", "gauge", ("symbol", "horizon"), "Rank correlation of score and return after it, -1 to 1."),
    Family("elr_eval_ic_se", "gauge", ("symbol", "horizon"), "Standard error of the rank correlation."),
    Family("elr_eval_brier", "gauge", ("symbol", "horizon"), "Mean squared error of the hit probability, a coin 0.25."),
    Family("elr_eval_outcomes", "gauge", ("symbol", "horizon"), "Non-overlapping outcomes behind the hit ratio."),
    Family("elr_eval_trials", "gauge", ("symbol", "horizon"), "Independent outcomes that these are worth."),
    Family(
        "elr_eval_ic_pairs",
        "gauge",
        ("symbol", "horizon"),
        "Non-overlapping pairs behind the rank correlation, to 2,000.",
    ),
    Family(
        "elr_eval_matured",
        "gauge",
        ("symbol", "horizon"),
        "Published scores that have an outcome, overlapping ones too.",
    ),
    Family(
        "elr_eval_lost", "gauge", ("symbol", "horizon"), "Published scores whose outcome is lost, overlapping ones too."
    ),
    Family(
        "elr_eval_deleveraging_outcomes",
        "gauge",
        ("fall",),
        "Published probabilities of a fall of open interest that have an outcome, all symbols.",
    ),
    Family("elr_eval_deleveraging_lost", "gauge", (), "Published probabilities whose outcome is lost."),
    Family(
        "elr_eval_deleveraging_clusters",
        "gauge",
        (),
        "Calendar weeks that they are of, the clusters of the intervals.",
    ),
    Family("elr_eval_deleveraging_happened", "gauge", ("fall",), "Share of them in which it fell so far within 24 h."),
    *_with_interval("elr_eval_deleveraging_brier", ("fall",), "Mean squared error of the probability"),
    *_with_interval(
        "elr_eval_deleveraging_skill",
        ("fall", "against"),
        "By which part that is smaller than the error of the base rate, or of the volatility alone",
    ),
    *_with_interval("elr_eval_deleveraging_auc", ("fall",), "Area under the curve of the probability, 0.5 of a coin"),
    Family("elr_eval_event_outcomes", "gauge", ("event",), "Events that have an outcome, all symbols."),
    Family("elr_eval_event_lost", "gauge", ("event",), "Events whose outcome is lost."),
    *_with_interval(
        "elr_eval_event_share", ("event", "fall"), "Share of events that such a fall of open interest followed in 24 h"
    ),
    *_with_interval("elr_eval_event_matched", ("event", "fall"), "The same of all moments of the same volatility"),
    *_with_interval("elr_eval_event_lift", ("event", "fall"), "The one over the other"),
    Family("elr_ledger_waiting_bytes", "gauge", (), "Lines of the ledger that the disk has not taken yet."),
    Family("elr_ledger_write_failures_total", "counter", (), "Attempts to write the ledger that failed."),
    Family("elr_ledger_stopped", "gauge", (), "1 once too many lines waited: nothing is written until the next start."),
    Family("elr_weight_share", "gauge", ("window", "expert"), "Learned share of an expert over all symbols, 0 to 1."),
    Family("elr_weight_rounds", "gauge", ("window",), "Rounds that the shares were learned from."),
    Family(
        "elr_weight_in_force", "gauge", ("window",), "1 while learned or frozen shares score the window, 0 the formula."
    ),
    Family("elr_market_oi_usd", "gauge", (), "Open interest of all symbols together, USD."),
    Family(
        "elr_market_oi_change",
        "gauge",
        ("window",),
        "Its change, prices apart, a fraction.",
    ),
    Family("elr_market_coverage", "gauge", (), "Share of it that symbols with a quorum hold, 0 to 1."),
    Family("elr_market_percentile", "gauge", (), "Its rank in its own past, 0 to 1."),
    Family("elr_market_leverage_rank", "gauge", (), "Mean of the symbols' ranks by open interest, 0 to 1."),
    Family("elr_market_dispersion", "gauge", (), "Standard deviation of these ranks."),
    Family("elr_market_fragility", "gauge", (), "Mean of the symbols' fragility by open interest, 0 to 1."),
    Family("elr_market_fragility_2", "gauge", (), "The same of fragility_2."),
    Family("elr_market_volatility_24h", "gauge", (), "Volatility of the market, a fraction a day."),
    Family(
        "elr_market_deleveraging_probability",
        "gauge",
        ("fall",),
        "Chance that it falls by 5 or 10 % within 24 h.",
    ),
    Family("elr_market_deleveraging_base_rate", "gauge", ("fall",), "How often a symbol's falls by as much, 0 to 1."),
    Family("elr_market_share", "gauge", ("state", "by"), "Share of symbols, or of open interest, in a state."),
    Family("elr_market_flushing", "gauge", (), "1 while the aggregate flushes, or half of it does."),
    Family("elr_market_provisional", "gauge", (), "1 while its rank is judged against less than a week."),
    Family("elr_venue_messages_total", "counter", ("venue",), "Frames and HTTP bodies received.", False),
    Family("elr_bad_payload_total", "counter", ("venue", "reason"), "Frames or rows that cannot be trusted.", False),
    Family(
        "elr_skipped_total",
        "counter",
        ("venue", "reason"),
        "Rows left out on purpose (other products, say).",
        False,
    ),
    Family("elr_tick_duration_seconds", "histogram", (), "Time to compute a tick, all symbols.", False),
    Family("elr_tick_lag_seconds", "histogram", (), "How late a tick was taken, after its time on the grid.", False),
    Family("elr_ticks_missed_total", "counter", (), "Ticks computed too late to be published.", False),
    Family("elr_state_saves_total", "counter", ("result",), "Writes of the saved state: ok or failed.", False),
    Family(
        "elr_month_requests_total",
        "counter",
        ("venue", "result"),
        "Requests for the month of history that is filled in beside the live service: ok or failed.",
        False,
    ),
    Family("elr_month_filled_symbols", "gauge", (), "Symbols whose month of history was filled in.", False),
    Family("elr_feed_clients", "gauge", (), "Connected feed clients.", False),
    Family("elr_feed_messages_total", "counter", (), "Channel messages handed to clients' sockets.", False),
    Family("elr_feed_closed_total", "counter", ("code",), "Feed connections ended, by close code.", False),
    Family("elr_feed_refused_total", "counter", ("status",), "HTTP requests and upgrades refused, by status.", False),
    Family("elr_feed_delivery_seconds", "histogram", (), "Time to hand one tick to the sockets of all clients.", False),
    Family("elr_build_info", "gauge", ("version", "source"), "1; source is live, replay or simulated.", False),
)
FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}

OTHER = "other"  # any label value outside its closed list
BAD_PAYLOAD_REASONS = (
    "bad_json", "wrong_type", "missing_field", "bad_number", "out_of_bounds", "bad_name", "too_deep",
    "unknown_shape", "size_mismatch", "oversized", "bad_utf8", "binary", OTHER,
)  # fmt: skip
SKIPPED_REASONS = (
    "dated", "option", "xperp", "builder_dex", "quanto", "not_crypto", "unknown_kind", "foreign", "unknown_side",
    "unknown_sides", "unknown_contract_size", "no_mark", "suspended", "not_trading", "unknown_universe",
    "unknown_instrument", "unknown_interval", OTHER,
)  # fmt: skip
CLOSE_CODES = (
    1000, 1001, 1002, 1003, 1005, 1006, 1007, 1009, 1011, 4001, 4002, 4003, 4004, 4005, 4006, 4008,
)  # fmt: skip
REFUSALS = ("400", "401", "403", "404", "405", "426", "503", "bad_http")
_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LAG = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Messages(Collector):
    """Shows the counts of :attr:`Metrics.messages`."""

    def __init__(self, counts: dict[str, int]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        family = FAMILIES["elr_venue_messages_total"]
        shown = CounterMetricFamily(family.name, family.help, labels=family.labels)
        for venue, count in self._counts.items():
            shown.add_metric([venue], count)
        yield shown


class Metrics:
    """What is counted as it happens. Label values outside the closed lists above count as ``other``.

    ``messages``: frames and HTTP bodies by configured venue; whoever receives one adds it there.
    """

    def __init__(
        self, venues: Sequence[str], source: str, version: str, registry: CollectorRegistry | None = None
    ) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self._venues = tuple(venues)
        self.messages = dict.fromkeys(venues, 0)  # by venue: counted per frame, so without a look-up of labels
        self.registry.register(_Messages(self.messages))
        self._bad = self._counter("elr_bad_payload_total")
        for venue in self._venues:  # a counter that starts at 0 shows its first increase
            for reason in BAD_PAYLOAD_REASONS:
                self._bad.labels(venue, reason)
        self._skipped = self._counter("elr_skipped_total")
        for venue in self._venues:
            for reason in SKIPPED_REASONS:
                self._skipped.labels(venue, reason)
        self._duration = self._histogram("elr_tick_duration_seconds", _FAST)
        self._lag = self._histogram("elr_tick_lag_seconds", _LAG)
        self._missed = self._counter("elr_ticks_missed_total")
        self._saves = self._counter("elr_state_saves_total")
        for result in ("ok", "failed"):
            self._saves.labels(result)
        self._month = self._counter("elr_month_requests_total")
        for venue in self._venues:
            for result in ("ok", "failed"):
                self._month.labels(venue, result)
        self._filled = self._gauge("elr_month_filled_symbols")
        self._clients = self._gauge("elr_feed_clients")
        self._sent = self._counter("elr_feed_messages_total")
        self._closed = self._counter("elr_feed_closed_total")
        for code in (*CLOSE_CODES, OTHER):
            self._closed.labels(str(code))
        self._refused = self._counter("elr_feed_refused_total")
        for status in (*REFUSALS, OTHER):
            self._refused.labels(status)
        self._delivery = self._histogram("elr_feed_delivery_seconds", _FAST)
        self._gauge("elr_build_info").labels(version, source).set(1)

    def tick(self, duration_s: float, lag_s: float) -> None:
        """A tick was computed in ``duration_s``, ``lag_s`` after its time."""
        self._duration.observe(duration_s)
        self._lag.observe(lag_s)

    def ticks_missed(self, count: int) -> None:
        self._missed.inc(count)

    def bad_payload(self, venue: str, reason: str) -> None:
        if venue in self._venues:
            self._bad.labels(venue, reason if reason in BAD_PAYLOAD_REASONS else OTHER).inc()

    def skipped(self, venue: str, reason: str) -> None:
        if venue in self._venues:
            self._skipped.labels(venue, reason if reason in SKIPPED_REASONS else OTHER).inc()

    def state_saved(self, ok: bool) -> None:
        self._saves.labels("ok" if ok else "failed").inc()

    def month_request(self, venue: str, ok: bool) -> None:
        self._month.labels(venue, "ok" if ok else "failed").inc()

    def month_filled(self, symbols: int) -> None:
        self._filled.set(symbols)

    def feed_clients(self, count: int) -> None:
        self._clients.set(count)

    def feed_sent(self, count: int) -> None:
        """So many channel messages were handed to a client's socket."""
        self._sent.inc(count)

    def feed_closed(self, code: int) -> None:
        self._closed.labels(str(code) if code in CLOSE_CODES else OTHER).inc()

    def feed_refused(self, status: str) -> None:
        self._refused.labels(status if status in REFUSALS else OTHER).inc()

    def feed_delivery(self, seconds: float) -> None:
        self._delivery.observe(seconds)

    def _counter(self, name: str) -> Counter:
        family = FAMILIES[name]
        return Counter(name.removesuffix("_total"), family.help, family.labels, registry=self.registry)

    def _gauge(self, name: str) -> Gauge:
        family = FAMILIES[name]
        return Gauge(name, family.help, family.labels, registry=self.registry)

    def _histogram(self, name: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, FAMILIES[name].help, registry=self.registry, buckets=buckets)


MOMENTUM = {"accelerating": 1.0, "steady": 0.0, "decelerating": -1.0}


@dataclass(frozen=True, slots=True)
class WindowNumbers:
    """Score, strength and confidence of one window, or of the ``composite``."""

    window: str
    score: float | None
    strength: float | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class ElrNumbers:
    """One variant of the ratio. ``stale``: its base is too old to show ``value`` as current; the statistics, which
    follow open interest alone, still are."""

    variant: str
    unit: str
    value: float | None
    z: float | None
    percentile: float | None
    stale: bool


@dataclass(frozen=True, slots=True)
class SignalNumbers:
    """What the metrics show of a signal; it counts until ``ts + ttl_ms``. ``falls``: (per cent, chance, base rate).
    ``plain``: (family, labels after the symbol, value)."""

    symbol: str
    ts: int
    ttl_ms: int
    no_data: bool
    windows: tuple[WindowNumbers, ...]
    conflict: bool | None
    fragility: float | None
    fragility_2: float | None
    volatility_24h: float | None
    falls: tuple[tuple[str, float | None, float], ...]
    abstain: bool | None
    regime: str | None
    flush_falling: bool | None
    flushed_1h: bool | None
    elr: tuple[ElrNumbers, ...]
    status: str
    tradeable: bool
    provisional: bool
    plain: tuple[tuple[str, tuple[str, ...], float | None], ...]


class EvalNumbers(NamedTuple):
    """The record of one symbol and horizon (docs/scoreboard.md). A tuple: a scrape copies thousands on the loop.

    ``n``: outcomes behind ``hit`` and ``brier``, worth ``trials`` independent ones, None for none. ``ic_se``: standard
    error of ``ic``. ``matured``, ``lost``: of every published score.
    """

    symbol: str
    horizon: str
    hit: float | None
    ic: float | None
    ic_se: float | None
    brier: float | None
    n: int
    trials: float | None
    ic_pairs: int
    matured: int
    lost: int


@dataclass(frozen=True, slots=True)
class LedgerNumbers:
    """How the ledger of outcomes is written: bytes that wait, attempts that failed, and whether it has given up."""

    waiting_bytes: int
    failures: int
    stopped: bool


class AuditNumbers(NamedTuple):
    """A venue's last audit, at ``ts_ms``. ``figures``: (oi, mark or funding; symbol; ratio, of funding the difference)
    of the instrument furthest off. ``stale``: too old to show anything but its time."""

    venue: str
    ts_ms: int
    compared: int
    beyond: int
    figures: tuple[tuple[str, str, float], ...]
    stale: bool


@dataclass(frozen=True, slots=True)
class WeightNumbers:
    """What one window's experts have earned (docs/weights.md): ``shares`` by expert, whether in use or not."""

    window: str
    rounds: int
    in_force: bool
    shares: tuple[tuple[str, float], ...]


_BY = ("symbols", "oi")


class MarketNumbers(NamedTuple):
    """Of the market as a whole: until when they are of use (epoch ms), and (metric, labels, value)."""

    until_ms: int
    plain: tuple[tuple[str, tuple[str, ...], float | None], ...]


@dataclass(frozen=True, slots=True)
class ScrapeState:
    """Everything a scrape shows, as of ``now_ms`` by the service clock. Immutable: read by a thread.

    ``symbols`` and ``venues`` (name, up) as configured: other label values are not rendered. ``reconnects``:
    (venue, reason, count). ``sides``: (venue, figure of open interest, evidence, sides, in doubt). ``bases``:
    (source, as_of ms of its oldest figure in use). ``known_shares``: (symbol, share of the known open interest, the
    most that it may be). ``audits``: of venues that were audited. ``weights``: empty where each symbol has its own.
    ``ledger``: None where none is kept. ``falls``: the scoreboard's ``deleveraging`` and ``events`` as last summed up,
    never changed afterwards. ``signals``, ``market``: filled by the feed with what it published last.
    """

    now_ms: int
    symbols: tuple[str, ...]
    venues: tuple[tuple[str, bool], ...]
    samples: tuple[Consensus, ...]
    reconnects: tuple[tuple[str, str, int], ...] = ()
    max_venue_symbols: int = 50
    sides: tuple[tuple[str, str, str, int, bool], ...] = ()
    bases: tuple[tuple[str, int | None], ...] = ()
    known_shares: tuple[tuple[str, float | None, float | None], ...] = ()
    known_share_as_of_ms: int | None = None
    signals: tuple[SignalNumbers, ...] = ()
    evaluations: tuple[EvalNumbers, ...] = ()
    falls: Mapping[str, Any] | None = None
    weights: tuple[WeightNumbers, ...] = ()
    ledger: LedgerNumbers | None = None
    audits: tuple[AuditNumbers, ...] = ()
    market: MarketNumbers | None = None


def market_numbers(body: SignalBody | None) -> MarketNumbers | None:
    """What the metrics show of the market as a whole."""
    if body is None or body["status"] == "no_data":
        return None
    chance, level = body["p_deleveraging"], body["level"]
    shares = {state: share or {} for state, share in body["shares"].items()}
    return MarketNumbers(
        body["ts"] + body["ttl_ms"],
        (
            ("elr_market_oi_usd", (), body["oi_usd"]),
            *[("elr_market_oi_change", (name,), change) for name, change in body["oi_change"].items()],
            ("elr_market_coverage", (), body["coverage"]),
            ("elr_market_percentile", (), level["percentile"]),
            ("elr_market_leverage_rank", (), body["leverage_rank"]),
            ("elr_market_dispersion", (), body["dispersion"]),
            ("elr_market_fragility", (), body["fragility"]),
            ("elr_market_fragility_2", (), body["fragility_2"]),
            ("elr_market_volatility_24h", (), body["volatility_24h"]),
            ("elr_market_deleveraging_probability", ("oi_5",), chance["oi_5"]),
            ("elr_market_deleveraging_probability", ("oi_10",), chance["oi_10"]),
            ("elr_market_deleveraging_base_rate", ("oi_5",), chance["base_rate"]),
            ("elr_market_deleveraging_base_rate", ("oi_10",), chance["base_rate_10"]),
            *[
                ("elr_market_share", (state, by), share.get(by))
                for state, share in shares.items()
                for by in ("symbols", "oi")
            ],
            ("elr_market_flushing", (), float(body["flushing"])),
            ("elr_market_provisional", (), float(body["provisional"])),
        ),
    )


def numbers_of(body: SignalBody) -> SignalNumbers:
    """The numbers of a signal body that the metrics show."""
    windows = [WindowNumbers("composite", body["score"], body["strength"], body["confidence"])]
    for name, window in body["windows"].items():
        windows.append(WindowNumbers(name, window.get("score"), window.get("strength"), window.get("confidence")))
    chance = body["p_deleveraging"]
    return SignalNumbers(
        symbol=body["symbol"],
        ts=body["ts"],
        ttl_ms=body["ttl_ms"],
        no_data=body["status"] == "no_data",
        windows=tuple(windows),
        conflict=body["conflict"],
        fragility=body["fragility"],
        fragility_2=body["fragility_2"],
        volatility_24h=body["volatility_24h"],
        falls=(("oi_5", chance["oi_5"], chance["base_rate"]), ("oi_10", chance["oi_10"], chance["base_rate_10"])),
        abstain=body["abstain"],
        regime=body["regime"],
        flush_falling=body["flush_falling"],
        flushed_1h=body["flushed_1h"],
        elr=tuple(
            ElrNumbers(item["variant"], item["unit"], item["value"], item["z"], item["percentile"], bool(item["stale"]))
            for item in body["elr"]
        ),
        status=body["status"],
        tradeable=body["tradeable"],
        provisional=body["provisional"],
        plain=_plain(body),
    )


def _plain(body: SignalBody) -> tuple[tuple[str, tuple[str, ...], float | None], ...]:
    market, liquidated = body["market"], body["windows"]["1h"].get("liquidated") or {}
    takers = {name: body["windows"][name].get("taker") or {} for name in ("1m", "5m")}
    return (
        ("elr_price_usd", (), market["price"]),
        ("elr_oi_usd", (), market["oi_usd"]),
        ("elr_oi_coins", (), market["oi_coins"]),
        ("elr_funding_8h", (), market["funding_8h"]),
        *[("elr_oi_change", (name,), change) for name, change in body["oi_change"].items()],
        *[("elr_liquidated_coins", (side,), liquidated.get(f"{side}_coins")) for side in ("long", "short")],
        *[("elr_taker_imbalance", (name,), taker.get("imbalance")) for name, taker in takers.items()],
        *[("elr_mode_score", (name,), mode["score"]) for name, mode in body["modes"].items()],
        ("elr_momentum", (), MOMENTUM[body["momentum"]]),
        ("elr_risk_multiplier", (), body["sizing"]["risk_multiplier"]),
        ("elr_spiking", (), float(body["spike"] is not None)),
    )
