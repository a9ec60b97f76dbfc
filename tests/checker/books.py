"""What is held of one instrument (sections 1 to 3 of docs/signal.md): last values, their states, OI in coins."""

from __future__ import annotations

from msgspec import structs

from service.model import Funding, Mark, OpenInterest, StreamRule, VenueRules

from .extras import Extras

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FUTURE_MS = 2000
STATES_BY_BADNESS = ("LIVE", "NEVER", "STALE", "FROZEN", "QUARANTINED")


class Line:
    """One (venue, instrument, stream): its last accepted value and what is needed to judge the next one."""

    def __init__(self) -> None:
        self.value: Mark | Funding | OpenInterest | None = None
        self.confirmed_at: int | None = None
        self.changed_at: int | None = None  # mark: since when the same is said, believed or not
        self.last_venue_ts: int | None = None
        self.refused: str | None = None  # why the latest observation was not taken
        self.quarantined = False
        self.distrusted = False  # oi: another contract size or other sides since; the next observation is a first value
        self.first_contracts = 0.0  # oi: the value the quarantined observations must agree with
        self.side = ""  # oi: whether they agree with the "old" level or with the "new"
        self.agreeing: list[int] = []  # receipts of the consecutive agreeing observations
        self.heard: float | None = None  # mark: the latest unrefused one, believed or not
        self.heard_at: int | None = None
        self.doubted: Funding | None = None  # funding: what was said last in quarantine

    def accept(self, value: Mark | Funding | OpenInterest) -> None:
        self.value = value
        self.confirmed_at = value.recv_ts
        self.quarantined = False
        self.distrusted = False
        self.agreeing = []
        self.doubted = None


class Book:
    """One instrument of one venue."""

    def __init__(self, rules: VenueRules, instrument: str) -> None:
        self.rules = rules
        self.venue = rules.venue
        self.instrument = instrument
        self.lines: dict[str, Line] = {"mark": Line(), "funding": Line(), "oi": Line()}
        self.listed = False  # metadata said so
        self.sent_oi = False
        self.trading = True
        self.inverse = False
        self.contract_size: float | None = None
        self.priced: float | None = None  # contract_coins of the last sample at which it counted, if derived from it
        self.history_until: int | None = None  # the last back-filled sample, if what is held is from history
        self.resized = 0  # so often the oi was forgotten (another contract size, other sides): no link over it
        self.index: float | None = None
        self.index_at: int | None = None
        self.index_venue_ts: int | None = None
        self.index_with_mark = False  # it came in a frame of both
        self.frozen = False
        self.frozen_reference: float | None = None  # others' median at the first sample after that
        self.extras = Extras()

    def rule(self, stream: str) -> StreamRule:
        return {"mark": self.rules.mark, "funding": self.rules.funding, "oi": self.rules.oi}[stream]

    def state(self, stream: str, at: int) -> str:
        line = self.lines[stream]
        if line.quarantined:
            return "QUARANTINED"
        if line.value is None or line.confirmed_at is None or line.distrusted:
            return "NEVER"
        if at - line.confirmed_at > self.rule(stream).max_age_ms:
            return "STALE"
        if stream == "mark" and self.frozen:
            return "FROZEN"
        return "LIVE"

    def forget_oi(self) -> None:
        """The next open interest is a first value, and not linked to the last one."""
        line = self.lines["oi"]
        line.distrusted, line.quarantined, line.agreeing = True, False, []
        self.resized += 1

    def counts(self, at: int) -> bool:
        """Whether the instrument is part of the consensus."""
        return self.trading and self.state("mark", at) == "LIVE" and self.state("oi", at) == "LIVE"

    def mark(self) -> float:
        value = self.lines["mark"].value
        assert isinstance(value, Mark)
        assert value.mark is not None
        return value.mark

    def oi(self) -> OpenInterest:
        value = self.lines["oi"].value
        assert isinstance(value, OpenInterest)
        return value

    def price_oi(self) -> None:
        """At a sample at which it counts: what a derived inverse open interest is at the accepted mark."""
        if self.inverse and self.contract_size is not None and self.oi().derived:
            self.priced = self.contract_size / self.mark()

    def contract_coins(self) -> float:
        return self.oi().contract_coins if self.priced is None else self.priced

    def coins(self) -> float:
        """The last accepted open interest; of a derived inverse one at its last price."""
        return self.oi().coins if self.priced is None else self.oi().contracts * self.priced

    def funding_rate_8h(self, at: int) -> float | None:
        """The LIVE rate, None when not LIVE or of unknown interval."""
        value = self.lines["funding"].value
        if self.state("funding", at) != "LIVE":
            return None
        assert isinstance(value, Funding)
        return value.rate_8h

    def said_rate_8h(self, at: int) -> float | None:
        """The rate it says, believed or in quarantine; None if none within max_age, or an impossible one."""
        doubted = self.lines["funding"].doubted
        if doubted is None:
            return self.funding_rate_8h(at)
        if at - doubted.recv_ts > self.rules.funding.max_age_ms or doubted.rate_8h is None:
            return None
        return doubted.rate_8h if abs(doubted.rate_8h) <= self.rules.funding_cap_8h else None

    def live_index(self, at: int) -> float | None:
        if self.index is None or self.index_at is None or at - self.index_at > self.rules.index_max_age_ms:
            return None
        return self.index

    def age_share(self, stream: str, at: int) -> float:
        """min(age / max_age, 1); a stream that is not LIVE counts 1."""
        confirmed_at = self.lines[stream].confirmed_at
        if self.state(stream, at) != "LIVE" or confirmed_at is None:
            return 1.0
        return min((at - confirmed_at) / self.rule(stream).max_age_ms, 1.0)

    def shift(self, delta_ms: int) -> None:
        """All receipts are so much later; the venue's own times stay."""
        for line in self.lines.values():
            for name in ("confirmed_at", "changed_at", "heard_at"):
                setattr(line, name, moved(getattr(line, name), delta_ms))
            line.agreeing = [at + delta_ms for at in line.agreeing]
            if line.value is not None:
                line.value = structs.replace(line.value, recv_ts=line.value.recv_ts + delta_ms)
            if line.doubted is not None:
                line.doubted = structs.replace(line.doubted, recv_ts=line.doubted.recv_ts + delta_ms)
        self.index_at = moved(self.index_at, delta_ms)
        self.history_until = moved(self.history_until, delta_ms)
        self.extras.shift(delta_ms)

    def seen(self, at: int) -> bool:
        """Its oi was confirmed within 24 h and it is not delisted."""
        line = self.lines["oi"]
        if not self.trading or line.value is None or line.confirmed_at is None:
            return False
        return at - line.confirmed_at <= DAY_MS


def moved(at: int | None, delta_ms: int) -> int | None:
    return None if at is None else at + delta_ms


def refusal(venue_ts: int | None, recv_ts: int, rule: StreamRule, last_venue_ts: int | None) -> str | None:
    """Why an observation is not taken at all, or None."""
    if venue_ts is None:
        return None
    if venue_ts > recv_ts + FUTURE_MS:
        return "future"
    if rule.stamp == "send" and recv_ts - venue_ts > rule.max_age_ms:
        return "too_old"
    if last_venue_ts is not None and venue_ts < last_venue_ts:
        return "out_of_order"
    return None
