"""How often an alert comes, over two weeks of live ticks with gaps: the service's alerts alone and the checker's."""

from __future__ import annotations

import json
import random

from service.scoring.alerts import Alerts as Theirs
from service.scoring.alerts import Situation
from service.scoring.body import Status
from tests.scoring.factory import level, no_data, readings

from .alerts import Alerts
from .history import DAY, HOUR, Level
from .making import T0, S
from .numbers import compare
from .test_against_engine import by_name, stripped

MIDNIGHT = T0 - T0 % DAY
# Day: the hour from which it has ticks, and how many; some end before midnight, one begins with it, some have none.
DAYS = {0: (20, 1_440), 1: (0, 4_000), 2: (12, 3_000), 3: (23, 360), 4: (0, 1), 5: (6, 2_500), 7: (8, 2_000)}
DAYS |= {8: (0, 1_500), 9: (21, 1_080), 10: (0, 1_200), 12: (5, 2_000), 20: (0, 600)}
OURS = {"elr": Level(0.0, 0.0, 0.9, 7_000, 200), "spread": Level(None, None, None, 0, 0)}
THEIRS = level(z=0.0, percentile=0.9, n=7_000, horizon_h=200)
TURN = {"from": "neutral", "to": "long"}


def test_the_raises_of_eight_days_over_their_live_ticks() -> None:
    rng = random.Random(41)
    theirs, ours = Theirs("BTC"), Alerts("BTC")
    seen: list[bool] = []
    for day, (hour, count) in DAYS.items():
        for tick in range(count):
            ts = MIDNIGHT + day * DAY + hour * HOUR + tick * 10 * S
            status: Status = "ok" if rng.random() < 0.97 else "no_data"
            regime = rng.choices(("calm", "reset", "crowded_longs", "crowded_shorts"), (970, 8, 2, 2))[0]
            turn = TURN if rng.random() < 0.004 else None
            now = readings(ts, no_data(ts) if status == "no_data" else None, elr=THEIRS)
            situation = Situation(now, status, False, None, regime, (), None, turn, 0.2, 0.8)
            made = [stripped(alert) for alert in theirs.update(situation)]
            expected = ours.of(ts, status, OURS, False, regime, False, turn, emit=True)
            assert compare(by_name(expected), by_name(made)) == []
            seen += [alert["per_day"] is not None for alert in expected if alert["state"] == "raised"]
        stored = json.loads(json.dumps(theirs.dump()))
        theirs = Theirs("BTC")
        theirs.load(stored)
    changes = [now for now, before in zip(seen[1:], seen, strict=False) if now != before]
    assert changes[:2] == [True, False]  # not known at first, and no more once too few ticks are left in eight days
