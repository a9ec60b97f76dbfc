"""``/metrics``: the counters of :class:`~service.metrics.Metrics` and a :class:`~service.metrics.ScrapeState` as text.

Pure and safe in a thread: the state is immutable, and the counters have their own locks. What is None, expired or of an
unconfigured symbol or venue emits no series.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from service.metrics import FAMILIES, ScrapeState
from service.model import Consensus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SAMPLE_TTL_MS = 30_000  # samples come each second; older ones mean that the service is held up, and vanish


class _Page:
    """One scrape's state as lines of text, by family in the order of :data:`~service.metrics.FAMILIES`.

    What the library would write, without its objects: tens of thousands of them at once make the garbage collector
    walk everything the engine holds, which stopped the event loop for 0.1 s a scrape at 500 symbols.
    """

    def __init__(self, state: ScrapeState) -> None:
        self._symbols = frozenset(state.symbols)
        self._state = state
        families = [family for family in FAMILIES.values() if family.scraped]
        self._lines = {
            item.name: [f"# HELP {item.name} {_escaped(item.help)}\n# TYPE {item.name} {item.kind}\n"]
            for item in families
        }
        # Labels stand in alphabetical order, the callers give them in that of the table.
        self._order = {item.name: sorted(range(len(item.labels)), key=item.labels.__getitem__) for item in families}
        self._begins = {
            item.name: [f'{"," if place else ""}{label}="' for place, label in enumerate(sorted(item.labels))]
            for item in families
        }

    def text(self) -> bytes:
        self._signals()
        self._market()
        self._samples()
        self._venues()
        self._known_shares()
        self._audits()
        self._evaluations()
        self._falls()
        self._ledger()
        self._weights()
        return "".join([line for lines in self._lines.values() for line in lines]).encode()

    def _add(self, name: str, labels: Sequence[str], value: float | None) -> None:
        if value is not None and isfinite(value):
            pairs = zip(self._begins[name], self._order[name], strict=True)
            inner = "".join([f'{begin}{_escaped(labels[place], True)}"' for begin, place in pairs])
            shown = f"{name}{{{inner}}}" if labels else name
            self._lines[name].append(f"{shown} {floatToGoString(value)}\n")  # type: ignore[no-untyped-call]

    def _signals(self) -> None:
        young = 0
        fresh = [
            signal
            for signal in self._state.signals
            if signal.symbol in self._symbols and self._state.now_ms <= signal.ts + signal.ttl_ms
        ]
        for signal in fresh:
            symbol = signal.symbol
            self._add("elr_status", (symbol, signal.status), 1)
            self._add("elr_tradeable", (symbol,), signal.tradeable)
            if signal.no_data:
                continue
            young += signal.provisional
            self._add("elr_provisional", (symbol,), signal.provisional)
            for name, labels, value in signal.plain:
                self._add(name, (symbol, *labels), value)
            for item in signal.elr:
                labels = (symbol, item.variant, item.unit)
                self._add("elr_ratio", labels, None if item.stale else item.value)
                self._add("elr_zscore", labels, item.z)
                self._add("elr_percentile", labels, item.percentile)
            for fall, chance, base_rate in signal.falls:
                self._add("elr_deleveraging_probability", (symbol, fall), chance)
                self._add("elr_deleveraging_base_rate", (symbol, fall), base_rate)
            self._add("elr_volatility_24h", (symbol,), signal.volatility_24h)
            for window in signal.windows:
                self._add("elr_score", (symbol, window.window), window.score)
                self._add("elr_strength", (symbol, window.window), window.strength)
                self._add("elr_confidence", (symbol, window.window), window.confidence)
            self._add("elr_conflict", (symbol,), signal.conflict)
            self._add("elr_fragility", (symbol,), signal.fragility)
            self._add("elr_fragility_2", (symbol,), signal.fragility_2)
            self._add("elr_abstain", (symbol,), signal.abstain)
            self._add("elr_flush_falling", (symbol,), signal.flush_falling)
            self._add("elr_flushed_1h", (symbol,), signal.flushed_1h)
            if signal.regime is not None:
                self._add("elr_regime", (symbol, signal.regime), 1)
        if any(not signal.no_data for signal in fresh):
            self._add("elr_provisional_symbols", (), young)

    def _market(self) -> None:
        market = self._state.market
        if market is not None and self._state.now_ms <= market.until_ms:
            for name, labels, value in market.plain:
                self._add(name, labels, value)

    def _samples(self) -> None:
        shown = frozenset(self._state.symbols[: self._state.max_venue_symbols])
        for sample in self._state.samples:
            if sample.symbol in shown and self._state.now_ms - sample.ts <= SAMPLE_TTL_MS:
                self._inputs(sample)

    def _inputs(self, sample: Consensus) -> None:
        configured = frozenset(name for name, _ in self._state.venues)
        for view in sample.venues:
            if view.venue not in configured:
                continue
            labels = (sample.symbol, view.venue)
            self._add("elr_mark_price_usd", labels, view.mark)
            self._add("elr_funding_rate_8h", labels, view.rate_8h)
            self._add("elr_open_interest_coins", labels, view.oi_coins)
            for stream, age_ms in (
                ("mark", view.age_mark_ms),
                ("funding", view.age_funding_ms),
                ("oi", view.age_oi_ms),
            ):
                if age_ms is not None:
                    self._add(
                        "elr_input_timestamp_seconds", (view.venue, sample.symbol, stream), (sample.ts - age_ms) / 1000
                    )

    def _venues(self) -> None:
        for venue, up in self._state.venues:
            self._add("elr_venue_up", (venue,), 1 if up else 0)
        for venue, reason, count in self._state.reconnects:
            self._add("elr_venue_reconnects_total", (venue, reason), count)
        for venue, figure, evidence, sides, doubted in self._state.sides:
            self._add("elr_oi_sides", (venue, figure, evidence), sides)
            self._add("elr_oi_sides_doubt", (venue,), doubted)
        for source, as_of_ms in self._state.bases:
            self._add("elr_base_as_of_seconds", (source,), None if as_of_ms is None else as_of_ms / 1000)

    def _audits(self) -> None:
        names = {
            "oi": "elr_audit_oi_ratio", "mark": "elr_audit_mark_ratio", "funding": "elr_audit_funding_difference_8h",
        }  # fmt: skip
        shown = frozenset(self._state.symbols[: self._state.max_venue_symbols])
        for audit in self._state.audits:
            self._add("elr_audit_timestamp_seconds", (audit.venue,), audit.ts_ms / 1000)
            if not audit.stale:
                self._add("elr_audit_compared", (audit.venue,), audit.compared)
                # Where nothing could be compared, 0 would say that all is well.
                self._add("elr_audit_beyond", (audit.venue,), audit.beyond if audit.compared > 0 else None)
                for figure, symbol, value in audit.figures:
                    if symbol in shown:
                        self._add(names[figure], (audit.venue, symbol), value)

    def _known_shares(self) -> None:
        state = self._state
        recent = {sample.symbol for sample in state.samples if state.now_ms - sample.ts <= SAMPLE_TTL_MS}
        for symbol, share, most in state.known_shares:
            if symbol in self._symbols and symbol in recent:
                self._add("elr_oi_known_share", (symbol,), share)
                self._add("elr_oi_known_share_most", (symbol,), most)
        as_of_ms = state.known_share_as_of_ms
        self._add("elr_oi_known_share_as_of_seconds", (), None if as_of_ms is None else as_of_ms / 1000)

    def _evaluations(self) -> None:
        for symbol, horizon, hit, ic, ic_se, brier, n, trials, ic_pairs, matured, lost in self._state.evaluations:
            if symbol in self._symbols:
                labels = (symbol, horizon)
                self._add("elr_eval_hit_ratio", labels, hit)
                self._add("elr_eval_ic", labels, ic)
                self._add("elr_eval_ic_se", labels, ic_se)
                self._add("elr_eval_brier", labels, brier)
                self._add("elr_eval_outcomes", labels, n)
                self._add("elr_eval_trials", labels, trials)
                self._add("elr_eval_ic_pairs", labels, ic_pairs)
                self._add("elr_eval_matured", labels, matured)
                self._add("elr_eval_lost", labels, lost)

    def _falls(self) -> None:
        if self._state.falls is None:
            return
        said, events = self._state.falls["deleveraging"], self._state.falls["events"]
        self._add("elr_eval_deleveraging_lost", (), said["lost"])
        self._add("elr_eval_deleveraging_clusters", (), said["weeks"])
        for fall, own in said["falls"].items():
            self._add("elr_eval_deleveraging_outcomes", (fall,), own["n"])
            self._add("elr_eval_deleveraging_happened", (fall,), own["happened"])
            self._add_with_interval("elr_eval_deleveraging_brier", (fall,), own, "brier")
            self._add_with_interval("elr_eval_deleveraging_auc", (fall,), own, "auc")
            for against in ("base_rate", "volatility"):
                self._add_with_interval("elr_eval_deleveraging_skill", (fall, against), own, f"skill_{against}")
        for event, found in events.items():
            self._add("elr_eval_event_outcomes", (event,), found["n"])
            self._add("elr_eval_event_lost", (event,), found["lost"])
            for fall, own in found["falls"].items():
                for name in ("share", "matched", "lift"):
                    self._add_with_interval(f"elr_eval_event_{name}", (event, fall), own, name)

    def _add_with_interval(self, name: str, labels: Sequence[str], said: Mapping[str, Any], key: str) -> None:
        for end in ("", "_low", "_high"):
            self._add(name + end, labels, said[key + end])

    def _ledger(self) -> None:
        ledger = self._state.ledger
        if ledger is not None:
            self._add("elr_ledger_waiting_bytes", (), ledger.waiting_bytes)
            self._add("elr_ledger_write_failures_total", (), ledger.failures)
            self._add("elr_ledger_stopped", (), ledger.stopped)

    def _weights(self) -> None:
        for item in self._state.weights:
            for expert, share in item.shares:
                self._add("elr_weight_share", (item.window, expert), share)
            self._add("elr_weight_rounds", (item.window,), item.rounds)
            self._add("elr_weight_in_force", (item.window,), item.in_force)


def _escaped(text: str, quoted: bool = False) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quoted else text


class _WithoutCreated(Collector):
    """A registry without the ``_created`` series of counters and histograms: three more lines each, read by nobody."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


def render(registry: CollectorRegistry, state: ScrapeState) -> bytes:
    """The Prometheus text format, version 0.0.4."""
    return _Page(state).text() + generate_latest(_WithoutCreated(registry))
