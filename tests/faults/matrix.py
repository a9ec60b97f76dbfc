"""The matrix: every fault on every simulated venue, run, judged, and put in a table (``make faults``)."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from service.core.build import rules_of
from service.model import Confirm, Funding, Listing, Mark, OiSides, OpenInterest
from tests.faults import judge
from tests.faults.catalogue import FAULTS, FaultType, Script, Upkeep
from tests.faults.field import FULL, SYMBOLS, Run, Spans, again, configuration, play, simulated, trio

SHORT = Spans(20, 120, 80, past_h=3, extras=False)  # every rule is still judged, in less time


@dataclass(frozen=True)
class Cell:
    fault: FaultType
    venue: str

    def may(self, unstamped: bool) -> str:
        """The outcomes of W3 that this venue may have."""
        return self.fault.unstamped if unstamped and self.fault.unstamped else self.fault.may

    def __str__(self) -> str:
        return f"{self.fault.number:02d}-{self.fault.name.replace(' ', '-')}-{self.venue}"


def all_cells() -> list[Cell]:
    return [Cell(fault, venue) for venue in simulated() for fault in FAULTS]


@cache
def honest_run(venues: tuple[str, ...], spans: Spans) -> dict[tuple[str, int], dict[str, Any]]:
    """The twin: the same world, nothing goes wrong."""
    run = play(venues, {venues[0]: Script(venues[0], 1.0)}, spans)
    return {(body["symbol"], judge.number(item.at_s)): body for item in run.published for body in item.tick.signals}


def run_cell(cell: Cell, spans: Spans) -> judge.Evidence:
    venues = trio(cell.venue)
    twin = honest_run(venues, spans)
    run = play(venues, {cell.venue: cell.fault.make(cell.venue, float(spans.fault))}, spans)
    return evidence_of(cell, run, twin)


def evidence_of(cell: Cell, run: Run, twin: dict[tuple[str, int], dict[str, Any]]) -> judge.Evidence:
    spans = run.spans
    start_s, end_s = spans.healthy + 0.25, spans.healthy + spans.fault + 0.25
    config = configuration(run.venues)
    rules = {rule.venue: rule for rule in rules_of(config)}
    unstamped = rules[cell.venue].mark.stamp != "send"
    evidence = judge.Evidence(
        target=cell.venue,
        symbols=SYMBOLS,
        start_s=start_s,
        end_s=end_s,
        total_s=float(spans.total),
        min_venues=config.market.min_venues,
        max_age_s={
            (venue, stream): getattr(rule, stream).max_age_ms / 1000
            for venue, rule in rules.items()
            for stream in judge.STREAMS
        },
        truth={
            (venue, name, stream): values
            for stream, table in (("mark", run.truth.mark), ("funding", run.truth.rate_8h), ("oi", run.truth.coins))
            for (venue, name), values in table.items()
        },
        symbol_of=run.truth.symbol,
        sent=run.sends,
        accepted=_accepted(run),
        samples=_samples(run),
        ticks=[judge.Tick(i.at_s, i.tick.ts, i.missed, i.epoch, i.tick.signals) for i in run.published],
        messages=run.messages,
        honest=twin,
        removed={},
        purged={},
        masked={},
        unlisted={SYMBOLS[0]: start_s + spans.fault / 4} if cell.fault.make is Upkeep else {},
        scrapes=run.scrapes,
        may=cell.may(unstamped),
        within_s=cell.fault.within_s,
        wall_steps=cell.fault.name == "own clock steps",
    )
    at = {id(item.event): item.at_s for item in run.observations}

    def numbered(bodies: dict[tuple[str, int], dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
        number_of = {item.tick.ts: judge.number(item.at_s) for item in run.published}
        return {(symbol, number_of[ts]): body for (symbol, ts), body in bodies.items() if ts in number_of}

    def outside(event: Any) -> bool:
        observed = not isinstance(event, Listing) and event.venue == cell.venue
        return not (observed and start_s < at.get(id(event), 0.0) <= end_s)

    dishonest = _dishonest(evidence, run, cell.venue)
    evidence.removed = numbered(again(run, outside))
    evidence.purged = numbered(again(run, lambda event: id(event) not in dishonest))

    def relisted(event: Any) -> bool:
        return isinstance(event, Listing) and event.venue == cell.venue

    evidence.masked = numbered(
        again(run, lambda event: id(event) not in dishonest and not relisted(event), masked=cell.venue)
    )
    return evidence


def _dishonest(evidence: judge.Evidence, run: Run, venue: str) -> dict[int, None]:
    """The venue's events that were not true, and what vouched for an instrument after one of them."""
    found: dict[int, None] = {}
    doubtful: dict[str, bool] = {}
    for item in run.observations:
        event = item.event
        if event.venue != venue or isinstance(event, OiSides):
            continue
        said = _said(run, item)
        if said:
            doubtful[event.instrument] = not all(judge.honest(evidence, one) for one in said)
        if doubtful.get(event.instrument, False) and isinstance(event, Mark | Funding | OpenInterest | Confirm):
            found[id(event)] = None
    return found


def _said(run: Run, item: Any) -> list[judge.Accepted]:
    """What an event says. Of an inverse contract the venue says dollars; their coins are what the core makes of them
    with the mark that it believes, so they are compared at the market's true price, not at the decoder's."""
    event = item.event
    if isinstance(event, OiSides):
        return []  # of the venue as a whole
    names = event.venue, event.instrument, event.symbol
    if isinstance(event, Mark) and event.mark is not None:
        return [judge.Accepted(item.at_s, *names, "mark", event.mark)]
    if isinstance(event, Funding) and event.rate_8h is not None and not event.settled:
        return [judge.Accepted(item.at_s, *names, "funding", event.rate_8h)]
    if isinstance(event, OpenInterest):
        coins = event.coins
        each = run.truth.contract_coins.get((event.venue, event.instrument), ())
        if event.derived and 0 <= int(item.at_s) < len(each):
            coins = event.contracts * each[int(item.at_s)]
        return [judge.Accepted(item.at_s, *names, "oi", coins)]
    return []


def _accepted(run: Run) -> list[judge.Accepted]:
    return [said for item in run.observations if item.code is None for said in _said(run, item)]


def _samples(run: Run) -> list[judge.Sample]:
    return [
        judge.Sample(
            second.at_s,
            sample.symbol,
            sample.quorum,
            sample.price,
            sample.funding_8h,
            {
                view.venue: judge.View(view.instrument, view.fresh, view.mark, view.rate_8h, dict(view.states))
                for view in sample.venues
            },
        )
        for second in run.seconds
        for sample in second.samples
    ]


# -- the table -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    cell: Cell
    verdict: judge.Verdict
    wall_s: float


def judged(cell: Cell, spans: Spans = FULL) -> Result:
    began = time.perf_counter()
    verdict = judge.judge(run_cell(cell, spans))
    return Result(cell, verdict, time.perf_counter() - began)


def _numbered(task: tuple[int, str, Spans]) -> tuple[int, str, judge.Verdict, float]:
    number, venue, spans = task
    logging.disable(logging.CRITICAL)
    result = judged(Cell(FAULTS[number - 1], venue), spans)
    return number, venue, result.verdict, result.wall_s


def table(verdicts: dict[tuple[int, str], judge.Verdict], venues: Sequence[str]) -> str:
    """Venue by fault: seconds until it was whole again, or FAIL; how W3 was met."""
    width = max(len(fault.name) for fault in FAULTS) + 4
    lines = [" " * width + "  ".join(f"{venue[:12]:>12}" for venue in venues)]
    for fault in FAULTS:
        cells = []
        for venue in venues:
            verdict = verdicts.get((fault.number, venue))
            if verdict is None:
                cells.append(f"{'-':>12}")
                continue
            how = "".join(sorted(verdict.outcomes))
            healthy = "never" if verdict.healthy_s is None else f"{verdict.healthy_s:.0f}s"
            cells.append(f"{'' if verdict.passed else 'FAIL ':}{healthy} {how:<4}".rjust(12))
        lines.append(f"{fault.number:>2} {fault.name:<{width - 3}}" + "  ".join(cells))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The fault matrix, judged; exit status 1 if any cell fails.")
    parser.add_argument("--venue", action="append", help="only these")
    parser.add_argument("--fault", action="append", type=int, help="only these numbers")
    parser.add_argument("--short", action="store_true", help="the shorter spans of the test suite")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    venues = options.venue or list(simulated())
    numbers = options.fault or [fault.number for fault in FAULTS]
    spans = SHORT if options.short else FULL
    tasks = [(number, venue, spans) for venue in venues for number in numbers]
    verdicts: dict[tuple[int, str], judge.Verdict] = {}
    began = time.perf_counter()
    with ProcessPoolExecutor(options.workers) as pool:
        for number, venue, verdict, wall_s in pool.map(_numbered, tasks):
            verdicts[number, venue] = verdict
            word = "pass" if verdict.passed else "FAIL"
            print(f"{word} {FAULTS[number - 1].name} on {venue} {verdict.outcomes} {wall_s:.1f} s", flush=True)
            shown: dict[str, int] = {}
            for violation in verdict.violations:
                shown[violation.rule] = shown.get(violation.rule, 0) + 1
                if shown[violation.rule] <= 2:
                    print(f"     {violation}", flush=True)
            for rule, count in shown.items():
                if count > 2:
                    print(f"     {rule}: {count} in all", flush=True)
    failed = sum(not verdict.passed for verdict in verdicts.values())
    print(table(verdicts, venues))
    print(f"{len(verdicts) - failed}/{len(verdicts)} cells pass, {time.perf_counter() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
