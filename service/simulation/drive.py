"""The demo: a simulated market's past through the pure core, then its venues over loopback, without a seam."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from service.clock import Clock
from service.core.engine import MINUTE_MS, Engine
from service.model import Event
from service.simulation import MarketModel, history

log = logging.getLogger(__name__)

HOUR_MS = 3_600_000
PAST_MS = 26 * HOUR_MS  # 24 h for the trailing statistics, plus what the lagged scales of the flush need to be ready
# The last minutes at 1 Hz, so that the window of 1m is whole. Those of 5m and 1h begin between minutes, as they do
# after a warm start from the venues' history, and say so (`backfilled`).
FINE_MS = 2 * MINUTE_MS
CAUGHT_UP_MS = 1_500


def start_of_past(now_ms: int) -> int:
    """The UTC minute at which the simulated past begins."""
    return (now_ms - PAST_MS) // MINUTE_MS * MINUTE_MS


def drive_past(engine: Engine, model: MarketModel, begin: int, clock: Clock, progress: Callable[[float], None]) -> None:
    """Fill the engine from minute ``begin``, the model's start, to now: minutes, then the last two at 1 Hz.

    This is the path that a warm start from venue history takes. ``progress`` is told the share done, 0 to 1.
    """
    now = clock.now_ms()
    coarse_end = (now - FINE_MS) // MINUTE_MS * MINUTE_MS
    share_of_coarse = 0.9
    end = now // 1000 * 1000
    log.info("simulated past begin_ms=%d coarse_end_ms=%d end_ms=%d", begin, coarse_end, end)
    for ts, step_s, events in history(model, begin, coarse_end, end):
        _take(engine, ts, step_s, events)
        if ts % MINUTE_MS == 0:
            if step_s == 60:
                progress(share_of_coarse * (ts - begin) / (coarse_end - begin))
            else:
                progress(share_of_coarse + (1 - share_of_coarse) * (ts - coarse_end) / (end - coarse_end))
    # Driving took a while: catch up at 1 Hz until less than a second and a half is missing.
    while (now := clock.now_ms()) - end > CAUGHT_UP_MS:
        target = now // 1000 * 1000
        log.info("catching up to_ms=%d", target)
        for ts, step_s, events in history(model, end, end, target):
            _take(engine, ts, step_s, events)
        end = target
    progress(1.0)


def _take(engine: Engine, ts: int, step_s: int, events: Iterable[Event]) -> None:
    if step_s == 60:
        engine.backfill(ts, silent=True, events=events)
    else:
        for event in events:
            engine.apply(event)
        engine.advance(ts, live=False, silent=True)
