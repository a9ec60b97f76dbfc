"""``make fuzz``: a million mutated frames over all venues. No exception escapes, nothing but sane items comes out,
memory stays flat, and slow frames are named.

A chunk is a thousand frames for two fresh connections of one venue, made from a seed, the venue and the chunk's number
alone. Finished chunks are noted, so that a run that was stopped goes on where it was: ``make fuzz`` again.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from service.model import Decoded, ExtraStream, Flow, Funding, HistoryPoint, Liquidation, Mark, OpenInterest, Positions
from service.venues import VENUES
from service.venues.contract import Catalog
from service.venues.numbers import COINS_MAX, PRICE_MAX, RATE_MAX
from tests.venues.committed import all_steps
from tests.venues.frames import GARBAGE, T0, check_sane, fixtures, fresh, mutate

CHUNK = 1000
SLOW_MS = 10.0  # in `make fuzz`: no frame of these sizes has cause to take longer
GROWTH_MB = 48.0  # what the heap may grow after the first tenth of the run; of a leak, a million frames make more
EXTRAS: tuple[ExtraStream, ...] = ("liquidation", "flow", "positions", "long_short")
MULTIPLIER = 1e6  # the most by which a price changes with its unit, see service/venues/symbols.py
BYTES = '{}[],:"\\ \n\x00\x7fé0123456789.-+eE'


@dataclass
class Found:
    """What a run has seen."""

    frames: int = 0
    items: int = 0
    refused: int = 0
    slowest: list[tuple[float, str]] = field(default_factory=list)  # milliseconds, and which frame

    def take(self, ms: float, what: str) -> None:
        heapq.heappush(self.slowest, (ms, what))
        if len(self.slowest) > 10:
            heapq.heappop(self.slowest)


@cache
def corpus(venue: str) -> tuple[list[Any], list[str]]:
    """The committed documents of a venue, and every context its answers may be read under."""
    documents = fixtures(venue) + [step.frame for step in all_steps(venue) if step.frame is not None]
    facts, catalog = VENUES[venue], Catalog()
    contexts = [request.context for request in facts.metadata(facts.endpoints)]
    for context in list(contexts):
        for document in documents:
            fresh(venue, catalog).decode(json.dumps(document), T0, context)
    listings = sorted(catalog.listings.values(), key=lambda item: item.instrument)[:40]
    contexts += [poll.request.context for poll in facts.polls(facts.endpoints, listings, 10.0, EXTRAS)]
    for listing in listings:
        contexts += [request.context for request in facts.history(facts.endpoints, listing, T0 - 10**8, T0)]
        contexts += [request.context for request in facts.month(facts.endpoints, listing, T0 - 10**9, T0)]
    return documents, sorted(set(contexts))


def chunk(seed: int, venue: str, number: int, found: Found, clock: Callable[[], float] = lambda: 0.0) -> None:
    """One chunk. Raises, with the frame, for anything that must not happen. ``clock``: seconds, to tell slow frames."""
    rng = random.Random(f"{seed}/{venue}/{number}")
    documents, contexts = corpus(venue)
    catalog = Catalog()
    decoders = [fresh(venue, catalog) for _ in range(2)]
    for position in range(CHUNK):
        raw = frame(rng, documents)
        context = rng.choice(contexts) if contexts and rng.random() < 0.3 else ""
        recv_ts = rng.choice((0, T0, T0 + position))
        begun = clock()
        try:
            items = decoders[position % 2].decode(raw, recv_ts, context)
            found.take((clock() - begun) * 1e3, f"{venue} chunk {number} frame {position}, {len(raw)} characters")
            check_sane(items, venue)
            check_bounds(items)
        except Exception as error:
            raise AssertionError(
                f"seed {seed}, {venue}, chunk {number}, frame {position}, context {context!r}: {raw[:2000]!r}"
            ) from error
        found.frames += 1
        found.items += len(items)
        found.refused += any(type(item).__name__ == "Bad" for item in items)


def frame(rng: random.Random, documents: list[Any]) -> str | bytes:
    """A document as it is, or with another structure, other values, other bytes; spaced or not, text or bytes."""
    document = rng.choice(documents)
    if rng.random() < 0.8:
        document = mutate(document, rng)
    if rng.random() < 0.05:
        document = [document] * rng.randrange(3) + [rng.choice(GARBAGE)]
    text = json.dumps(document, separators=rng.choice((None, (",", ":"))), ensure_ascii=rng.random() < 0.5)
    for _ in range(rng.choice((0, 0, 0, 0, 1, 2))):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(("", *BYTES)) + text[at + rng.randrange(2) :]
    if rng.random() < 0.02:
        text = text[: rng.randrange(len(text) + 1)]
    raw = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.02 and raw:
        at = rng.randrange(len(raw))
        return raw[:at] + bytes([rng.randrange(256)]) + raw[at + 1 :]
    return raw if rng.random() < 0.5 else text


def check_bounds(items: list[Decoded]) -> None:
    """Beyond what :func:`check_sane` asks: no observation out of the bounds of service/venues/numbers.py."""
    for item in items:
        match item:
            case Mark():
                assert all(value is None or value <= PRICE_MAX * MULTIPLIER for value in (item.mark, item.index))
            case Funding():
                assert abs(item.rate) <= RATE_MAX
            case OpenInterest():
                assert max(item.coins, item.contract_coins, item.contracts) <= COINS_MAX
            case Liquidation():
                assert item.coins <= COINS_MAX
            case Flow():
                assert max(item.taker_buy_coins, item.taker_sell_coins) <= COINS_MAX
            case Positions():
                assert max(item.long_coins, item.short_coins) <= COINS_MAX
            case HistoryPoint():
                assert abs(item.value) <= COINS_MAX * MULTIPLIER


def chunks(frames: int) -> Iterator[tuple[str, int]]:
    """So many frames in all, the venues in turn."""
    for number in range(frames // (CHUNK * len(VENUES)) + 1):
        for venue in VENUES:
            yield venue, number


def rss_mb() -> float:
    """Resident memory of this process now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.venues.fuzz", description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=10)
    parser.add_argument("--progress", type=Path, default=Path(".fuzz-progress"), help="where finished chunks are noted")
    options = parser.parse_args()
    noted = options.progress.read_text().split("\n") if options.progress.exists() else []
    done = {line for line in noted if line.startswith(f"{options.seed} ")}
    todo = [
        (venue, number) for venue, number in chunks(options.frames) if f"{options.seed} {venue} {number}" not in done
    ]
    print(f"{len(todo) * CHUNK} mutated frames to go, {len(done) * CHUNK} done before", flush=True)
    found, begun, settled_mb = Found(), time.perf_counter(), 0.0
    with options.progress.open("a") as progress:
        for position, (venue, number) in enumerate(todo):
            chunk(options.seed, venue, number, found, time.perf_counter)
            progress.write(f"{options.seed} {venue} {number}\n")
            progress.flush()
            if position == len(todo) // 10:
                settled_mb = rss_mb()
            if position % 50 == 49:
                print(f"{found.frames} frames, {found.items} items, {rss_mb():.0f} MB", flush=True)
    grown_mb = rss_mb() - settled_mb
    print(
        f"{found.frames} frames in {time.perf_counter() - begun:.0f} s: {found.items} items, something refused in "
        f"{found.refused} frames, no exception; memory {grown_mb:+.1f} MB after the first tenth"
    )
    print("slowest:", *(f"  {ms:.2f} ms  {what}" for ms, what in sorted(found.slowest, reverse=True)), sep="\n")
    options.progress.unlink()
    slow = [what for ms, what in found.slowest if ms > SLOW_MS]
    if slow:
        print(f"slower than {SLOW_MS:g} ms:", *slow, sep="\n  ")
    if grown_mb > GROWTH_MB:
        print(f"memory grew by more than {GROWTH_MB:g} MB")
    return 1 if slow or grown_mb > GROWTH_MB else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped; called again, it goes on with the next chunk")
