"""An endpoint of open interest that is in no document, and vanishes: what stays of the venue, and what does not."""

from __future__ import annotations

import pytest
from aiohttp import web

from service.model import Mark, OpenInterest
from tests.faults.catalogue import Script
from tests.faults.chaos import ChaosServer
from tests.faults.field import Spans, play, trio

VENUE = "aster"
SPANS = Spans(20, 120, 60, past_h=1, extras=False)


class Gone(Script):
    """Open interest is refused with ``status``, everything else is answered."""

    def __init__(self, status: int) -> None:
        super().__init__(VENUE, float(SPANS.fault))
        self.status = status

    async def request(self, server: ChaosServer, request: web.Request) -> web.StreamResponse | None:
        if request.path.endswith("/openInterest"):
            return web.json_response({"code": -5000, "msg": "Path is invalid"}, status=self.status)
        return None


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_open_interest_leaves_the_sums_and_the_marks_go_on(status: int) -> None:
    run = play(trio(VENUE), {VENUE: Gone(status)}, SPANS)
    begin_s, end_s = SPANS.healthy + 40, SPANS.healthy + SPANS.fault  # its figure is fresh for 30 s
    accepted = [item for item in run.observations if item.event.venue == VENUE and item.code is None]
    marks = [item.at_s for item in accepted if isinstance(item.event, Mark) and begin_s < item.at_s < end_s]
    assert len(marks) >= 2 * (end_s - begin_s - 1)  # of two instruments, each second
    figures = [(item.at_s, item.event.coins) for item in accepted if isinstance(item.event, OpenInterest)]
    assert [at_s for at_s, _ in figures if SPANS.healthy + 1 < at_s < end_s] == []
    assert all(coins > 0.0 for _, coins in figures)
    told = [(item.at_s, body) for item in run.published for body in item.tick.signals]
    without = [body["excluded"] for at_s, body in told if begin_s < at_s < end_s]
    assert without == [[VENUE]] * len(without)
    assert len(without) >= 2 * (end_s - begin_s) // 10 - 2
    assert [body["excluded"] for at_s, body in told if at_s > SPANS.total - 15][-2:] == [[], []]
    assert run.reconnects[VENUE] == {}
