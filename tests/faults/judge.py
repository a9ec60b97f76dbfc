"""The independent judge: what must hold of a run, whatever the service says (rules W1 to W7; docs/faults.md).

It shares no code with the service. It is given plain data: what the simulated venues really sent and what their
values really were, what the service published, and what the core said in runs that never saw the faulty venue.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

TICK_S = 10.0
EQUAL = 1e-9
WIRE_LAG_S = 16.0  # an honest value can be this old when it is received: polls of cached figures
ARRIVAL_S = 0.05
STREAMS = ("mark", "funding", "oi")
NEEDED = ("mark", "oi")  # without which a venue does not count
TOLERANCE = {"mark": 2e-6, "funding": 1e-6, "oi": 0.01}  # of wire rounding; funding: absolute; oi: also price moves

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Violation:
    rule: str
    at_s: float
    symbol: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule} at {self.at_s:.1f} s {self.symbol}: {self.text}"


@dataclass(frozen=True)
class Accepted:
    """One value that the service took as a credible observation of a venue's stream."""

    at_s: float
    venue: str
    instrument: str
    symbol: str
    stream: str
    value: float


@dataclass(frozen=True)
class View:
    """One venue's part of a symbol in one sample, as the service shows it."""

    instrument: str
    fresh: bool
    mark: float | None
    rate_8h: float | None
    states: Mapping[str, str]


@dataclass(frozen=True)
class Sample:
    """One symbol in one second."""

    at_s: float
    symbol: str
    quorum: bool
    price: float | None
    funding_8h: float | None
    views: Mapping[str, View]


@dataclass(frozen=True)
class Tick:
    """One published tick: when, for which time, how many before it were announced as missed, in which epoch."""

    at_s: float
    ts: int
    missed: int
    epoch: str
    bodies: tuple[Body, ...]


@dataclass
class Evidence:
    """Everything a case is judged by. Times are seconds of the run, whatever the service's clock says."""

    target: str
    symbols: tuple[str, ...]
    start_s: float
    end_s: float
    total_s: float
    min_venues: int
    max_age_s: Mapping[tuple[str, str], float]  # (venue, stream)
    truth: Mapping[tuple[str, str, str], Sequence[float]]  # (venue, instrument, stream): true value per second
    symbol_of: Mapping[tuple[str, str], str]
    sent: Mapping[tuple[str, str, str], Sequence[float]]  # (venue, instrument, stream): when the venue really sent
    accepted: Sequence[Accepted]
    samples: Sequence[Sample]
    ticks: Sequence[Tick]
    messages: Sequence[Mapping[str, Any]]
    honest: Mapping[tuple[str, int], Body]  # (symbol, tick number): the run without the fault
    removed: Mapping[tuple[str, int], Body]  # without the venue's observations from start to end
    purged: Mapping[tuple[str, int], Body]  # without its dishonest observations
    masked: Mapping[
        tuple[str, int], Body
    ]  # the same, the venue counting only where it counted in the run that is judged
    unlisted: Mapping[str, float]  # symbol: from when on the venue itself does not list it
    scrapes: Sequence[tuple[float, str]]
    may: str = "ab"
    within_s: float = 60.0
    wall_steps: bool = False  # our own clock stepped: ticks may be relabelled


@dataclass
class Verdict:
    violations: list[Violation] = field(default_factory=list)
    healthy_s: float | None = None  # seconds from the fault's end; None: never
    outcomes: dict[str, int] = field(default_factory=dict)  # W3: how often each of a, b, c, d
    lost_s: float | None = None  # seconds from the fault's start until the venue was out; None: never

    @property
    def passed(self) -> bool:
        return not self.violations


def judge(evidence: Evidence) -> Verdict:
    verdict = Verdict()
    verdict.violations += w1(evidence)
    false = w2(evidence)
    verdict.violations += [violation for violation in false if "d" not in evidence.may]
    verdict.violations += w2_span(evidence)
    verdict.violations += w3(evidence, verdict)
    verdict.violations += w4(evidence)
    verdict.violations += w5(evidence)
    verdict.violations += w6(evidence)
    verdict.violations += w7(evidence)
    verdict.violations += recovery(evidence, verdict)
    return verdict


def number(at_s: float) -> int:
    """Which tick of the grid a time belongs to."""
    return round(at_s / TICK_S)


# -- W1: nothing stale counts --------------------------------------------------------------------------------------


def w1(evidence: Evidence) -> list[Violation]:
    """Each value of a venue that counts was really sent within its max_age."""
    found = []
    for sample in evidence.samples:
        for venue, view in sample.views.items():
            if not view.fresh:
                continue
            used = [*NEEDED, *(["funding"] if view.rate_8h is not None else [])]
            for stream in used:
                age = _sent_age(evidence, venue, view.instrument, stream, sample.at_s)
                if age is not None and age > evidence.max_age_s[venue, stream] + ARRIVAL_S:
                    text = f"{venue} {view.instrument} {stream} counts and was last sent {age:.1f} s ago"
                    found.append(Violation("W1", sample.at_s, sample.symbol, text))
    return found


def _sent_age(evidence: Evidence, venue: str, instrument: str, stream: str, at_s: float) -> float | None:
    """None before the run's first: the warm past sent until its beginning."""
    times = evidence.sent.get((venue, instrument, stream), ())
    before = bisect_right(times, at_s + 0.002)
    return at_s - times[before - 1] if before > 0 else at_s


# -- W2: nothing false counts --------------------------------------------------------------------------------------


def near(a: float, b: float, stream: str) -> bool:
    if stream == "funding":
        return abs(a - b) <= TOLERANCE["funding"]
    return abs(a - b) <= TOLERANCE[stream] * abs(b)


def honest(evidence: Evidence, item: Accepted) -> bool:
    """The instrument really had this value when it was received, or less than max_age before."""
    from_s = item.at_s - max(WIRE_LAG_S, evidence.max_age_s[item.venue, item.stream] + ARRIVAL_S)
    return _held(evidence, item.venue, item.instrument, item.stream, item.value, from_s, item.at_s)


def _held(
    evidence: Evidence, venue: str, instrument: str, stream: str, value: float, from_s: float, to_s: float
) -> bool:
    truth = evidence.truth.get((venue, instrument, stream), ())
    first, last = max(0, int(from_s)), min(len(truth), int(to_s) + 2)
    if first == 0 and from_s < 0 and truth and stream != "mark":
        return True  # of the warm past
    return any(near(value, truth[second], stream) for second in range(first, last))


def w2(evidence: Evidence) -> list[Violation]:
    """Every observation that was believed was true when it was received."""
    return [
        Violation("W2", item.at_s, item.symbol, f"believed {item.venue} {item.instrument} {item.stream} {item.value!r}")
        for item in evidence.accepted
        if not honest(evidence, item)
    ]


def w2_span(evidence: Evidence) -> list[Violation]:
    """Where a venue's mark or rate is not its true one, the result still lies among the honest values."""
    found = []
    for sample in evidence.samples:
        fresh = {venue: view for venue, view in sample.views.items() if view.fresh}
        marks = {venue: view.mark for venue, view in fresh.items() if view.mark is not None}
        rates = {venue: view.rate_8h for venue, view in fresh.items() if view.rate_8h is not None}
        for stream, values, result in (("mark", marks, sample.price), ("funding", rates, sample.funding_8h)):
            view = fresh.get(evidence.target)
            value = values.get(evidence.target)
            if result is None or view is None or value is None:
                continue
            at = sample.at_s
            if _held(evidence, evidence.target, view.instrument, stream, value, at - _fresh_s(evidence, stream), at):
                continue
            others = [value for venue, value in values.items() if venue != evidence.target]
            truth = evidence.truth[evidence.target, view.instrument, stream]
            span = [*others, truth[min(int(at), len(truth) - 1)]]
            slack = abs(result) * 1e-9 if stream == "mark" else 1e-9
            if not min(span) - slack <= result <= max(span) + slack:
                honest_span = f"{min(span)!r} to {max(span)!r}"
                text = f"{stream} {result!r} outside the honest {honest_span} ({view.instrument} {value!r})"
                found.append(Violation("W2", at, sample.symbol, text))
    return found


def _fresh_s(evidence: Evidence, stream: str) -> float:
    return evidence.max_age_s[evidence.target, stream] + WIRE_LAG_S


# -- W3: equal to the run without the venue, or degraded and less confident ------------------------------------------


def w3(evidence: Evidence, verdict: Verdict) -> list[Violation]:
    """At each tick from the start to the end of the fault one of the outcomes that the case may have; if every one
    of them was ``a``, then ``a`` to the end of the run."""
    found = []
    only_a = True
    for tick in evidence.ticks:
        if tick.at_s <= evidence.start_s + 0.5:
            continue
        within = tick.at_s <= evidence.end_s + 0.5
        for body in tick.bodies:
            outcome = _outcome(evidence, body, number(tick.at_s), tick.at_s)
            if within:
                verdict.outcomes[outcome] = verdict.outcomes.get(outcome, 0) + 1
                only_a = only_a and outcome == "a"
                if outcome not in evidence.may:
                    found.append(Violation("W3", tick.at_s, body["symbol"], _why(evidence, body, number(tick.at_s))))
            elif only_a and outcome != "a" and not (outcome == "c" and "c" in evidence.may):
                text = "after its end the fault shows: " + _why(evidence, body, number(tick.at_s))
                found.append(Violation("W3", tick.at_s, body["symbol"], text))
    return found


def _outcome(evidence: Evidence, body: Body, tick: int, at_s: float) -> str:
    key = body["symbol"], tick
    if not differences(body, evidence.removed.get(key)):
        return "a"
    reference = evidence.honest.get(key)
    if body["status"] != "ok" and reference is not None and fcw(body) < fcw(reference):
        return "b"
    if not differences(body, evidence.purged.get(key)):
        return "c"
    masked = evidence.masked.get(key)
    if masked is not None and not differences(core(body), core(masked)):
        return "c"
    return "d"


def core(body: Body) -> dict[str, Any]:
    """What is said of the market and its direction: all but how sure it is and how far back it goes."""
    market = {name: body["market"][name] for name in ("price", "funding_8h", "oi_coins")}
    windows = {
        name: {key: window[key] for key in ("ready", "score", "return", "oi_change", "trend", "contrarian")}
        for name, window in body["windows"].items()
    }
    return {"score": body["score"], "gate": body["gate"], "market": market, "windows": windows}


def _why(evidence: Evidence, body: Body, tick: int) -> str:
    key = body["symbol"], tick
    reference = evidence.honest.get(key)
    lower = "?" if reference is None else f"{fcw(body)!r} against {fcw(reference)!r}"
    parts = [f"status {body['status']}, freshness*coverage*warmup {lower}"]
    parts.append("without the venue: " + ", ".join(differences(body, evidence.removed.get(key))[:2]))
    parts.append("honest part alone: " + (", ".join(differences(body, evidence.purged.get(key))[:2]) or "equal"))
    masked = evidence.masked.get(key)
    if masked is not None:
        parts.append("with the same absences: " + (", ".join(differences(core(body), core(masked))[:2]) or "equal"))
    return "; ".join(parts)


def fcw(body: Body) -> float:
    factors = body["confidence_factors"]
    product: float = factors["freshness"] * factors["coverage"] * factors["warmup"]
    return product


def differences(body: Body, other: Body | None) -> list[str]:
    """Paths at which two bodies differ beyond rounding."""
    if other is None:
        return ["no such tick"]
    return list(_differ("", body, other))


def _differ(path: str, a: Any, b: Any) -> Iterable[str]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in [*a, *(key for key in b if key not in a)]:
            yield from _differ(f"{path}.{key}", a.get(key), b.get(key))
    elif isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _differ(f"{path}[{index}]", x, y)
    elif isinstance(a, float | int) and isinstance(b, float | int) and not isinstance(a, bool):
        if abs(a - b) > max(EQUAL * max(abs(a), abs(b)), 1e-12):
            yield f"{path} {a!r} != {b!r}"
    elif a != b:
        yield f"{path} {a!r} != {b!r}"


# -- W4: below the quorum nothing is said --------------------------------------------------------------------------


def w4(evidence: Evidence) -> list[Violation]:
    """Fewer venues with a mark and an open interest sent within max_age than the quorum: no data, and no numbers."""
    found = []
    for tick in evidence.ticks:
        for body in tick.bodies:
            symbol = body["symbol"]
            speaking = _speaking(evidence, symbol, tick.at_s)
            if speaking >= evidence.min_venues and body["status"] != "no_data":
                continue
            silent = (
                body["status"] == "no_data"
                and body["confidence"] == 0
                and all(body[name] is None for name in ("score", "strength", "direction"))
                and body["market"]["price"] is None
            )
            if not silent:
                text = f"{speaking} venues speak and it says {body['status']}, score {body['score']!r}"
                found.append(Violation("W4", tick.at_s, symbol, text))
            elif len([scrape for scrape in evidence.scrapes if 0 <= scrape[0] - tick.at_s < TICK_S]) > 0:
                for at_s, text in evidence.scrapes:
                    series = f'elr_score{{symbol="{symbol}"'
                    if 0 <= at_s - tick.at_s < TICK_S and series in text:
                        found.append(Violation("W4", at_s, symbol, "the metrics still show a score"))
    return found


def _speaking(evidence: Evidence, symbol: str, at_s: float) -> int:
    venues: dict[str, bool] = {}
    for (venue, instrument), of in evidence.symbol_of.items():
        if of == symbol:
            whole = all(
                (age := _sent_age(evidence, venue, instrument, stream, at_s)) is not None
                and age <= evidence.max_age_s[venue, stream] + ARRIVAL_S
                for stream in NEEDED
            )
            venues[venue] = venues.get(venue, False) or whole
    return sum(venues.values())


# -- W5 to W7 ------------------------------------------------------------------------------------------------------


def w5(evidence: Evidence) -> list[Violation]:
    """While the venue is lost, freshness*coverage*warmup is not above what it is with it."""
    out = {
        (sample.symbol, number(sample.at_s))
        for sample in evidence.samples
        if abs(sample.at_s - TICK_S * number(sample.at_s)) < 0.5
        and not (evidence.target in sample.views and sample.views[evidence.target].fresh)
    }
    found = []
    for tick in evidence.ticks:
        for body in tick.bodies:
            key = body["symbol"], number(tick.at_s)
            reference = evidence.honest.get(key)
            if tick.at_s > evidence.unlisted.get(body["symbol"], evidence.total_s):
                continue  # not lost: there is nothing to have
            if key in out and reference is not None and fcw(body) > fcw(reference) * (1 + EQUAL) + 1e-12:
                text = f"{fcw(body)!r} without the venue, {fcw(reference)!r} with it"
                found.append(Violation("W5", tick.at_s, body["symbol"], text))
    return found


RANGES = (("score", -1.0, 1.0), ("strength", 0.0, 1.0), ("confidence", 0.0, 1.0))


def w6(evidence: Evidence) -> list[Violation]:
    """Everything finite, scores in [-1, 1], strength and confidence in [0, 1]."""
    found = []
    for tick in evidence.ticks:
        for body in tick.bodies:
            for where, part in [("", body), *body["windows"].items()]:
                for name, low, high in RANGES:
                    value = part[name]
                    if value is not None and not low <= value <= high:
                        found.append(Violation("W6", tick.at_s, body["symbol"], f"{where} {name} {value!r}"))
            for path, value in _numbers("", body):
                if not isfinite(value):
                    found.append(Violation("W6", tick.at_s, body["symbol"], f"{path} {value!r}"))
    return found


def _numbers(path: str, value: Any) -> Iterable[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(f"{path}.{key}", item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _numbers(f"{path}[{index}]", item)
    elif isinstance(value, float):
        yield path, value


def w7(evidence: Evidence) -> list[Violation]:
    """One signal per symbol and tick, each ten seconds, on the UTC grid; sequence numbers without a gap."""
    found = []
    expected = int(evidence.total_s // TICK_S)
    published = [number(tick.at_s) for tick in evidence.ticks]
    for tick_number in range(1, expected + 1):
        count = published.count(tick_number)
        if count != 1:
            found.append(Violation("W7", tick_number * TICK_S, "", f"{count} ticks"))
    for tick in evidence.ticks:
        if tick.ts % 10_000 != 0:
            found.append(Violation("W7", tick.at_s, "", f"{tick.ts} is not on the grid"))
        symbols = [body["symbol"] for body in tick.bodies]
        if tuple(symbols) != evidence.symbols or any(body["ts"] != tick.ts for body in tick.bodies):
            found.append(Violation("W7", tick.at_s, "", f"signals of {symbols}"))
    for before, after in zip(evidence.ticks, evidence.ticks[1:], strict=False):
        gap = (after.ts - before.ts) // 10_000 - 1
        if after.epoch == before.epoch and (after.ts <= before.ts or gap != after.missed):
            found.append(Violation("W7", after.at_s, "", f"{before.ts} then {after.ts}, {after.missed} announced"))
    return found + _sequence(evidence)


def _sequence(evidence: Evidence) -> list[Violation]:
    found = []
    last: dict[tuple[str, str], int] = {}
    for message in evidence.messages:
        if message.get("type") != "signal":
            continue
        key, seq = (message["epoch"], message["symbol"]), message["seq"]
        allowed = (last[key], last[key] + 1) if message.get("kind") == "snapshot" else (last.get(key, seq - 1) + 1,)
        if key in last and seq not in allowed:
            found.append(Violation("W7", 0.0, message["symbol"], f"seq {seq} after {last[key]}"))
        last[key] = seq
    count = sum(message.get("type") == "signal" and message.get("kind") == "update" for message in evidence.messages)
    wanted = sum(len(tick.bodies) for tick in evidence.ticks[1:-1])
    if evidence.messages and count < wanted:
        found.append(Violation("W7", 0.0, "", f"a client read {count} signals of at least {wanted}"))
    return found


# -- afterwards ----------------------------------------------------------------------------------------------------


def whole(sample: Sample, target: str, streams: Sequence[str] = STREAMS) -> bool:
    """The venue counts, with every stream."""
    view = sample.views.get(target)
    return view is not None and view.fresh and all(view.states.get(stream) == "LIVE" for stream in streams)


def recovery(evidence: Evidence, verdict: Verdict) -> list[Violation]:
    """The venue is whole again in time and stays so, and the market is again what the honest run says it is."""
    found = []
    for sample in evidence.samples:
        if sample.at_s > evidence.start_s and not whole(sample, evidence.target, NEEDED):
            verdict.lost_s = sample.at_s - evidence.start_s
            break
    since = evidence.end_s
    for sample in evidence.samples:
        if sample.at_s > evidence.end_s and not whole(sample, evidence.target):
            since = sample.at_s + 1.0
    text = ""
    for tick in evidence.ticks:
        for body in tick.bodies:
            reference = evidence.honest.get((body["symbol"], number(tick.at_s)))
            if tick.at_s > evidence.end_s and reference is not None and (text_now := _other_market(body, reference)):
                since = max(since, tick.at_s + 1.0)
                text = f"; {body['symbol']}: {text_now}"
    if since <= evidence.total_s - TICK_S:
        verdict.healthy_s = since - evidence.end_s
    if verdict.healthy_s is None or verdict.healthy_s > evidence.within_s:
        shown = "never" if verdict.healthy_s is None else f"after {verdict.healthy_s:.0f} s"
        found.append(Violation("recovery", since, "", f"whole again {shown}, {evidence.within_s:.0f} s allowed{text}"))
    return found


def _other_market(body: Body, reference: Body) -> str:
    """How the market differs from what the honest run says of it at the same time; empty: it does not."""
    for name, tolerance in (("price", 1e-3), ("oi_coins", 0.01)):  # a second more or less of moving prices
        now, then = body["market"][name], reference["market"][name]
        if now is None or then is None or abs(now / then - 1) > tolerance:
            return f"{name} {now!r}, honest {then!r}"
    if body["status"] != reference["status"]:
        return f"status {body['status']} {body['reasons']}, honest {reference['status']}"
    return ""
