"""How long a frame takes: decoding and the whole intake, beside bare ``orjson.loads`` and beside the peers.

Every row is measured interleaved in one run; ratios are taken within a round, their median counts. Metadata is loaded,
as it is in a running service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import orjson
from rich.table import Table

from bench import peers
from bench.frames import BEFORE, FRAMES, array_of_marks, catalog_of, decoding, texts_of
from bench.timing import interleaved, median_us, ratio
from service.clock import ServiceClock
from service.core.intake import Intake
from service.metrics import Metrics
from service.tapes import TapeWriter, writer
from service.venues import VENUES

FRAME_OF = {  # measures that have a peer: the frame, what the peer is, and how much faster we mean to be
    "binance_mark": ("binance_usdm", "markPrice", "cryptofeed", 1.7),
    "bybit_delta": ("bybit", "ticker delta", "cryptofeed", 1.2),
    "okx_open_interest": ("okx", "open-interest", "cryptofeed", 1.2),
    "okx_funding": ("okx", "funding-rate", "cryptofeed", 1.2),
    "deribit_ticker": ("deribit", "ticker", "cryptofeed", 1.5),
}
ARRAY, ARRAY_GOAL = "binance_array_500", 15.0
INTAKE_GOAL = 1.0  # decoding, counting and taping a frame: no slower than the peer's decoding alone
FLOOR = "orjson.loads"


class Measure(NamedTuple):
    """One line of the result. ``ratio``: how many times faster than the peer, above 1 is faster. ``goal``: the least
    that ratio is meant to be; None where it only informs, as beside the floor."""

    measure: str
    unit: str
    ours: float
    peer: str
    peer_value: float
    ratio: float
    goal: float | None


def measures(repeat: int) -> Iterator[Measure]:
    """All of them, those with a goal first. Peers that are not installed have no rows."""
    cryptofeed, ccxt = peers.cryptofeed_work(), peers.ccxt_work()
    for name, (venue, kind, package, goal) in FRAME_OF.items():
        if name in cryptofeed:
            text = FRAMES[venue, kind]
            with _sleeping_tape() as tape:
                works = {
                    "decode": decoding(venue, kind, text),
                    "intake": taking_in(venue, kind, text, tape),
                    "peer": cryptofeed[name],
                }
                times = interleaved(works, repeat)
            for what, least in (("decode", goal), ("intake", INTAKE_GOAL)):
                yield _against(f"{what}/{name}", times[what], peers.name_of(package), times["peer"], least)
    array = array_of_marks()
    if ccxt:
        times = interleaved(
            {"ours": decoding("binance_usdm", "array", array), "peer": ccxt[ARRAY]}, max(60, repeat // 50)
        )
        yield _against(f"decode/{ARRAY}", times["ours"], peers.name_of("ccxt"), times["peer"], ARRAY_GOAL)
    for (venue, kind), text in {**FRAMES, ("binance_usdm", "array of 500"): array}.items():
        often = max(60, repeat // 50) if len(text) > 10_000 else repeat
        works = {"floor": lambda text=text: orjson.loads(text), "ours": decoding(venue, kind, text)}
        times = interleaved(works, often)
        label = f"decode/{venue}/{kind.replace(' ', '_')}"
        yield _against(label, times["ours"], f"{FLOOR} {peers.name_of('orjson').split()[-1]}", times["floor"], None)


def _against(name: str, ours: list[float], peer: str, theirs: list[float], goal: float | None) -> Measure:
    return Measure(
        name,
        "us",
        round(median_us(ours), 3),
        peer,
        round(median_us(theirs), 3),
        round(ratio(theirs, ours), 3),
        goal,
    )


@contextmanager
def _sleeping_tape() -> Iterator[TapeWriter]:
    """A tape whose thread leaves the queue alone, so that it takes no time from what is measured beside it."""
    awake_s, writer.MEMBER_SECONDS = writer.MEMBER_SECONDS, 3600.0
    try:
        with TemporaryDirectory() as folder:
            tape = TapeWriter(Path(folder) / "bench.tape")
            yield tape
            assert tape.failed is None
            tape.close()
    finally:
        writer.MEMBER_SECONDS = awake_s


def taking_in(venue: str, kind: str, text: str, tape: TapeWriter) -> Callable[[], object]:
    """All that the event loop does with a frame, but that its observations are applied: stamped, taped, decoded,
    counted. The tape's thread sleeps meanwhile; its line costs about 2.5 us more there, compressing it 3 us."""
    metrics = Metrics((venue,), "live", "0")
    intake = Intake({venue: VENUES[venue]}, ServiceClock(), lambda event: None, lambda: 0, metrics, tape.record)
    intake.catalogs[venue].__dict__.update(catalog_of(venue).__dict__)
    intake.opened(venue, "main-1")
    if venue in BEFORE:
        intake.frame(venue, "main-1", BEFORE[venue])
    take, following = intake.frame, texts_of(kind, text).__next__
    assert take(venue, "main-1", text)
    return lambda: take(venue, "main-1", following())


def table(found: list[Measure]) -> Table:
    """For people: the measures with their goals, and whether they are met."""
    shown = Table("measure", "ours us", "peer", "its us", "times faster", "goal", title="a frame, metadata loaded")
    for item in found:
        goal = "" if item.goal is None else f"{item.goal:g} {'met' if item.ratio >= item.goal else 'MISSED'}"
        shown.add_row(item.measure, f"{item.ours:.2f}", item.peer, f"{item.peer_value:.2f}", f"x{item.ratio:.2f}", goal)
    return shown
