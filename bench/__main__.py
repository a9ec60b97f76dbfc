"""Decode per message kind against bare ``orjson.loads``, the cost of a tick at 21 and 500 symbols, `costs`, `path`."""

from __future__ import annotations

import argparse
import statistics
import time

import orjson
from rich.console import Console
from rich.table import Table

from bench import costs, path
from bench.frames import BEFORE, FRAMES
from bench.market import events, warm_engine
from bench.timing import interleaved, median_us, ratio
from service.config import Config
from service.publishing import body_bytes
from service.venues import VENUES
from service.venues.contract import Catalog

RECV_MS = 1_763_720_519_400


def decode_table(console: Console, repeat: int) -> None:
    table = Table(
        "venue", "message", "bytes", "orjson us", "decode us", "ratio to orjson",
        title="decode + normalise, floor: orjson.loads of the same frame",
    )  # fmt: skip
    for (venue, kind), text in FRAMES.items():
        decoder = VENUES[venue].decoder(Catalog())
        if venue in BEFORE:
            decoder.decode(BEFORE[venue], RECV_MS)
        if kind == "ticker delta":  # a delta with an older cross sequence would be dropped unread: number them
            head, tail = text.split('"cs":818232113624')
            numbers = iter(range(818232113624, 818232113624 + 10_000_000))

            def decode(decoder=decoder, head=head, tail=tail, numbers=numbers) -> object:  # type: ignore[no-untyped-def]
                return decoder.decode(f'{head}"cs":{next(numbers)}{tail}', RECV_MS)
        else:

            def decode(decoder=decoder, text=text) -> object:  # type: ignore[no-untyped-def]
                return decoder.decode(text, RECV_MS)

        assert decode(), (venue, kind)
        times = interleaved({"floor": lambda text=text: orjson.loads(text), "ours": decode}, repeat)
        table.add_row(
            venue, kind, str(len(text)), f"{median_us(times['floor']):.2f}", f"{median_us(times['ours']):.2f}",
            f"x{ratio(times['floor'], times['ours']):.2f}",
        )  # fmt: skip
    console.print(table)


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
    parser.add_argument("what", nargs="?", choices=("costs", "path"), help="only that")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: to see that it runs")
    parser.add_argument("--verbose", action="store_true", help="with path: the functions, too")
    options = parser.parse_args()
    if options.what == "costs":
        costs.main(options.quick)
        return
    if options.what == "path":
        path.main(options.verbose)
        return
    console = Console(width=140)
    decode_table(console, 300 if options.quick else 5000)
    tick_table(console, [21] if options.quick else [21, 500], 3 if options.quick else 12)
    costs.main(options.quick)


if __name__ == "__main__":
    main()
