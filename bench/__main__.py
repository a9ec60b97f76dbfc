"""Decoding and intake beside the peers and bare ``orjson.loads``, a tick at 21 and 500 symbols, `costs`, `path`."""

from __future__ import annotations

import argparse
import statistics
import time

import orjson
from rich.console import Console
from rich.table import Table

from bench import costs, decode, path
from bench.market import events, warm_engine
from bench.timing import ratio
from service.config import Config
from service.publishing import body_bytes


def decoding(console: Console | None, repeat: int) -> None:
    """One JSON line a measure as it comes, or one table."""
    found = []
    for item in decode.measures(repeat):
        found.append(item)
        if console is None:
            print(orjson.dumps(item._asdict()).decode(), flush=True)
    if console is not None:
        console.print(decode.table(found))
        if all(item.goal is None for item in found):
            console.print("No peer is installed to compare with: make peers")


def tick_table(console: Console, sizes: list[int], ticks: int) -> None:
    venues = Config().venues.enabled()
    table = Table(
        "symbols", "sample ms", "score ms", "encode ms", "tick in all ms", "us a symbol", "events us each",
        "orjson floor ms", "ratio to floor",
        title=f"one tick x {len(venues)} venues x 3 windows; floor: orjson.dumps of the finished bodies",
    )  # fmt: skip
    for size in sizes:
        engine, ts, rng = warm_engine(size)
        sample, score, encode, apply_each, floor = [], [], [], [], []
        for _ in range(ticks):
            ts += 10_000
            batch = list(events(engine.symbols, venues, ts, rng))
            engine.advance(ts - 1000)
            begin = time.perf_counter()
            for event in batch:
                engine.apply(event)
            apply_each.append((time.perf_counter() - begin) / len(batch))
            begin = time.perf_counter()
            engine._sample(ts, 1)  # the two halves of advance(), timed apart
            sample.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            tick = engine._score(ts, backfill=False)
            score.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            frames = [body_bytes(body) for body in tick.signals]
            encode.append(time.perf_counter() - begin)
            bodies = [orjson.loads(frame) for frame in frames]
            begin = time.perf_counter()
            for body in bodies:
                orjson.dumps(body)
            floor.append(time.perf_counter() - begin)
        total = [a + b + c for a, b, c in zip(sample, score, encode, strict=True)]
        middle = statistics.median
        table.add_row(
            str(size), f"{middle(sample) * 1e3:.2f}", f"{middle(score) * 1e3:.2f}", f"{middle(encode) * 1e3:.2f}",
            f"{middle(total) * 1e3:.2f}", f"{middle(total) / size * 1e6:.0f}", f"{middle(apply_each) * 1e6:.2f}",
            f"{middle(floor) * 1e3:.3f}", f"x{ratio(floor, total):.3f}",
        )  # fmt: skip
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("decode", "costs", "path"), help="only that")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: to see that it runs")
    parser.add_argument("--json", action="store_true", help="decode alone, one JSON line a measure, for machines")
    parser.add_argument("--verbose", action="store_true", help="with path: the functions, too")
    options = parser.parse_args()
    if options.what == "costs":
        costs.main(options.quick)
        return
    if options.what == "path":
        path.main(options.verbose)
        return
    repeat = 300 if options.quick else 5000
    if options.json:
        decoding(None, repeat)
        return
    console = Console(width=140)
    decoding(console, repeat)
    if options.what == "decode":
        return
    tick_table(console, [21] if options.quick else [21, 500], 3 if options.quick else 12)
    costs.main(options.quick)


if __name__ == "__main__":
    main()
