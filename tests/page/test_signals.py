"""The page of the signals in a real browser: it shows what the messages say, and says in words what they do not."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from service import advice
from service.deleveraging import packaged
from tests.page.factories import Service
from tests.page.tabs import Tab, Tabs
from tests.page.test_page import MINUS, NONE, SIMULATED, fields, is_old
from tests.publishing.factories import TS, alert_body, market_body_whole, signal_body

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="module")]

USUAL = "(usual\u00a019\u00a0%)"  # a narrow cell wraps before the bracket


def chance(symbol: str = "BTC", ts: int = TS, **changes: Any) -> dict[str, Any]:
    """A body whose ``p_deleveraging`` is changed."""
    body = signal_body(symbol, ts)
    return body | {"p_deleveraging": body["p_deleveraging"] | changes}


def no_chance(reason: str, symbol: str = "BTC") -> dict[str, Any]:
    return chance(symbol, oi_5=None, oi_10=None, as_of=None, reason=reason)


async def opened(tabs: Tabs, service: Service, **options: Any) -> tuple[Tab, Page]:
    """The page once it has the signal of BTC."""
    tab = await tabs.open(service, name="signals", **options)
    await expect(tab.page.locator('tr[data-symbol="BTC"] [data-field="status"]')).not_to_have_text("no signal yet")
    return tab, tab.page


async def row(page: Page, symbol: str = "BTC") -> dict[str, str]:
    return await fields(page, f'tr[data-symbol="{symbol}"]')


async def test_the_row_says_what_the_message_says_and_what_informs_stands_in_front(tabs: Tabs) -> None:
    async with Service() as service:
        service.say(signal_body())
        _, page = await opened(tabs, service)
        shown = await row(page)
        assert shown == {
            "rank": "0.950", "fall": f"27 % {USUAL}", "volatility": "3.1 %", "z": "+1.8", "fragility": "0.81",
            "regime": "crowded longs (provisional), spike, fell within the hour", "risk": "0.62", "status": "ok",
            "score": f"{MINUS}0.31", "direction": "short", "size": "0.000",
        }  # fmt: skip
        assert list(shown)[:2] == ["rank", "fall"]
        assert list(shown)[-3:] == ["score", "direction", "size"]
        assert (await row(page, "ETH"))["status"] == "no signal yet"
        assert await page.text_content("#condition") == SIMULATED
        assert await page.title() == f"{SIMULATED} · elr signals"
        assert not await is_old(page)


async def test_the_detail_has_both_falls_the_record_and_the_model(tabs: Tabs) -> None:
    async with Service() as service:
        service.say(signal_body(), chance("ETH", oi_5=0.034, oi_10=0.0041, evidence="better_than_volatility"))
        _, page = await opened(tabs, service)
        shown = await fields(page, "#detail")
        assert (shown["fall-5"], shown["fall-10"]) == (
            f"27 % {USUAL}by its record: not judged yet, which takes eight weeks of outcomes",
            "5.3 % (usual\u00a03.6\u00a0%)by its record: no better than volatility alone",
        )
        assert shown["model"] == "deleveraging-1:1a2b3c4dmade at 2025-11-21 10:21:40 UTC"
        assert shown["fragility"] == "0.81without funding 0.77"
        assert shown["rank"].startswith("0.950of 1 d of its own past")  # and then what traders make of it
        await page.locator('tr[data-symbol="ETH"] button').click()
        assert await page.text_content("#detail-title") == "ETH"
        shown = await fields(page, "#detail")
        assert (shown["fall-5"], shown["fall-10"]) == (
            f"3.4 % {USUAL}by its record: better than volatility alone",
            "0.4 % (usual\u00a03.6\u00a0%)by its record: no better than volatility alone",
        )


async def test_a_chance_is_0_or_100_per_cent_only_where_it_is_that(tabs: Tabs) -> None:
    """Cause: a chance of 0.0000003 was told as 0.0 %, one of 0.9996 as 100 %: what is certain."""
    async with Service() as service:
        service.say(
            chance(oi_5=3e-7, base_rate=0.0), chance("ETH", oi_5=0.9996, base_rate=1.0),
            chance("1000PEPE", oi_5=0.0005, base_rate=0.994),
        )  # fmt: skip
        _, page = await opened(tabs, service)
        shown = [(await row(page, symbol))["fall"].replace("\u00a0", " ") for symbol in ("BTC", "ETH", "1000PEPE")]
        assert shown == ["< 0.1 % (usual 0.0 %)", "> 99 % (usual 100 %)", "0.1 % (usual 99 %)"]


async def test_a_flush_says_whether_it_falls_at_this_moment(tabs: Tabs) -> None:
    firm = {"provisional": True, "spike": None}  # neither flush nor reset rests on the rank of leverage
    async with Service() as service:
        service.say(
            signal_body(regime="flush", flush_falling=True, flushed_1h=True, **firm),
            signal_body("ETH", regime="reset", flush_falling=False, flushed_1h=True, **firm),
            signal_body("1000PEPE", regime="flush", flush_falling=None, flushed_1h=None, **firm),
        )
        _, page = await opened(tabs, service)
        shown = [(await row(page, symbol))["regime"] for symbol in ("BTC", "ETH", "1000PEPE")]
        assert shown == ["flush, falling now", "reset, fell within the hour", "flush"]


async def test_what_was_judged_against_less_than_a_week_says_so_and_why_a_size_is_small(tabs: Tabs) -> None:
    async with Service() as service:
        service.say(
            signal_body(),
            signal_body("ETH", provisional=False, spike=None, sizing=signal_body()["sizing"] | {
                "risk_multiplier": 1.0, "risk_factors": {"data": 1.0, "deleveraging": 1.0, "spike": 1.0}}),
        )  # fmt: skip
        _, page = await opened(tabs, service)
        young = await fields(page, "#detail")
        assert "provisional: judged against" in young["regime"]
        assert young["risk-factors"] == "quality of the data 0.90, chance of a fall above the usual 0.69"
        assert young["oi-change"] == f"1h 0.4 %, 4h 0.7 %, 24h {MINUS}1.2 %, 7d {NONE}"
        await page.click('tr[data-symbol="ETH"] button')
        firm = await fields(page, "#detail")
        assert "provisional" not in firm["regime"]
        assert firm["risk-factors"] == "nothing known against"
        assert (await row(page, "ETH"))["risk"] == "1.00"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("short_rank", "needs 7 days of history"),
        ("no_quorum", "too few fresh venues"),
        ("no_volatility", "no volatility of the last 24 hours"),
        ("something_new", "something new"),
    ],
)
async def test_where_no_chance_is_said_its_reason_is(tabs: Tabs, reason: str, words: str) -> None:
    """Cause: on the first day there is none, and neither a blank nor a dash says that it will come."""
    assert packaged().least_rank_h == 7 * 24
    async with Service() as service:
        service.say(no_chance(reason))
        _, page = await opened(tabs, service)
        assert (await row(page))["fall"] == words
        shown = await fields(page, "#detail")
        assert shown["fall-5"].startswith(f"{words}usual 19 %")
        assert ("history so far: 1 d" in shown["fall-5"]) == (reason == "short_rank")
        assert shown["fall-10"].startswith(f"{words}usual 3.6 %")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("none_yet", "not judged yet, which takes eight weeks of outcomes"),
        ("worse_than_base_rate", "worse than always saying the usual share"),
        ("no_better_than_volatility", "no better than volatility alone"),
        ("no_better_than_base_rate", "no better than always saying the usual share"),
        ("better_than_volatility", "better than volatility alone"),
        ("something_new", "something new"),
    ],
)
async def test_what_the_record_says_of_the_chance_stands_above_all(tabs: Tabs, code: str, words: str) -> None:
    async with Service() as service:
        service.say(chance(evidence=code))
        _, page = await opened(tabs, service)
        await expect(page.locator("#evidence")).to_have_text(
            f"The chance of a fall by 5 %, by the service's own record: {words}."
        )


async def test_without_data_nothing_is_claimed(tabs: Tabs) -> None:
    nothing = no_chance("no_quorum") | {
        "status": "no_data", "reasons": ["quorum"], "score": None, "strength": None, "confidence": 0.0,
        "direction": None, "regime": None, "fragility": None, "fragility_2": None, "volatility_24h": None,
        "flush_falling": None, "flushed_1h": None, "tradeable": False,
        "elr": [signal_body()["elr"][1] | {"percentile": None, "z": None, "horizon_h": 0}],
        "market": dict.fromkeys(signal_body()["market"]) | {"venues_fresh": 1, "venues_total": 3},
    }  # fmt: skip
    async with Service() as service:
        service.say(nothing)
        _, page = await opened(tabs, service)
        shown = await row(page)
        assert shown["status"] == "no data: quorum"
        assert {shown[name] for name in ("rank", "volatility", "z", "fragility", "regime", "score", "direction")} == {
            NONE
        }
        text = await page.inner_text("body")
        assert re.findall(r"NaN|undefined|null|Infinity|\[object", text) == []


async def test_a_signal_past_its_time_shows_no_number(tabs: Tabs) -> None:
    """Heartbeats may go on without ticks: what was said half a minute ago is not to be used any more."""
    async with Service() as service:
        service.say(signal_body())
        _, page = await opened(tabs, service)
        service.later(30_001)
        service.feed.publish_status({"ts": service.clock.now, "venues": {}})
        await expect(page.locator('tr[data-symbol="BTC"] [data-field="status"]')).to_have_text("too old to be used")
        shown = await row(page)
        assert {value for name, value in shown.items() if name != "status"} == {NONE}
        await expect(page.locator("#detail")).to_have_text("too old to be used")
        await expect(page.locator("#condition")).to_have_text("STALE")
        assert await page.text_content("#meaning") == "simulated numbers, the feed goes on, but no new signals come"
        assert await is_old(page)
        service.say(signal_body(ts=service.clock.now))
        await expect(page.locator("#condition")).to_have_text(SIMULATED)
        await expect(page.locator('tr[data-symbol="BTC"] [data-field="rank"]')).to_have_text("0.950")


async def test_a_signal_of_another_form_leaves_no_old_number_anywhere(tabs: Tabs) -> None:
    """Cause: one without `p_deleveraging`, of an earlier version, stopped all drawing: old numbers stayed, as LIVE."""
    async with Service() as service:
        service.say(signal_body(), signal_body("ETH"))
        _, page = await opened(tabs, service)
        service.later(10_000)
        older = {name: value for name, value in signal_body(ts=service.clock.now).items() if name != "p_deleveraging"}
        service.feed.hub.publish([("signal.BTC", "signal", older)])
        said = "of another version: reload the page"
        await expect(page.locator('tr[data-symbol="BTC"] [data-field="status"]')).to_have_text(said)
        assert {value for name, value in (await row(page)).items() if name != "status"} == {NONE}
        await expect(page.locator("#detail")).to_have_text(said)
        service.later(30_000)
        service.feed.publish_status({"ts": service.clock.now, "venues": {}})
        await expect(page.locator('tr[data-symbol="ETH"] [data-field="status"]')).to_have_text("too old to be used")


async def test_alerts_are_listed_the_newest_first_and_are_text(tabs: Tabs) -> None:
    spike = alert_body() | {"text": "BTC: leverage is unusually high; <b>not shown yet</b>"}
    async with Service() as service:
        service.say(signal_body(), alerts=[spike])
        _, page = await opened(tabs, service)
        lines = page.locator("#alerts li")
        await expect(lines).to_have_text(
            ["2025-11-21 10:22:00 UTC elr spike raised BTC: leverage is unusually high; <b>not shown yet</b>"]
        )
        service.later(10_000)
        service.say(signal_body(ts=service.clock.now), alerts=[alert_body(ts=service.clock.now, alert="flush")])
        await expect(lines).to_have_count(2)
        assert str(await lines.first.text_content()).startswith("2025-11-21 10:22:10 UTC flush raised")
        assert await page.locator("#alerts b").count() == 0


async def test_signals_of_an_earlier_start_do_not_outlive_it(tabs: Tabs) -> None:
    async with Service() as service:
        service.say(signal_body(), alerts=[alert_body()])
        tab, page = await opened(tabs, service)
        tab.expected = ("WebSocket connection to",)
        service.guests.clear()
    await expect(page.locator("#condition")).to_have_text("DISCONNECTED")
    async with Service(port=service.port, epoch="01JCZX5Q8M3V7K2N4P6R8T0W1Z", quiet=True) as anew:
        anew.guests.append(tab)
        await page.clock.fast_forward(5_000)
        await expect(page.locator("#condition")).to_have_text(SIMULATED)
        await expect(page.locator('tr[data-symbol="BTC"] [data-field="status"]')).to_have_text("no signal yet")
        await expect(page.locator("#alerts")).to_have_text("none heard")
        assert await page.text_content("#as-of") == "no numbers yet"
        assert await is_old(page)


async def test_a_tick_takes_neither_focus_nor_selection(tabs: Tabs) -> None:
    async with Service() as service:
        service.say(signal_body())
        _, page = await opened(tabs, service)
        await page.focus('tr[data-symbol="BTC"] button')
        service.later(10_000)
        service.say(signal_body(ts=service.clock.now, fragility=0.5))
        await expect(page.locator('tr[data-symbol="BTC"] [data-field="fragility"]')).to_have_text("0.50")
        assert await page.evaluate("document.activeElement.textContent") == "BTC"


async def test_the_filter_narrows_the_table(tabs: Tabs) -> None:
    async with Service() as service:
        service.say(signal_body())
        _, page = await opened(tabs, service)
        await page.fill("#filter", "pepe")
        await expect(page.locator("#signals-body tr:visible")).to_have_count(1)
        await expect(page.locator("#signals-body tr:visible th")).to_have_text("1000PEPE")


async def test_a_narrow_screen_does_not_scroll_sideways(tabs: Tabs) -> None:
    async with Service() as service:
        service.say(no_chance("short_rank"), signal_body("ETH"), alerts=[alert_body()])
        _, page = await opened(tabs, service, width=390)
        assert await page.evaluate("document.scrollingElement.scrollWidth") == 390
        for field in ("rank", "fall"):  # what informs is seen without scrolling the table
            box = await page.locator(f'tr[data-symbol="ETH"] [data-field="{field}"]').bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_serious_finding_of_axe(tabs: Tabs, scheme: str) -> None:
    async with Service() as service:
        service.say(signal_body(), no_chance("short_rank", "ETH"), alerts=[alert_body()])
        _, page = await opened(tabs, service, scheme=scheme)
        service.hush()
        for condition in (SIMULATED, "STALE"):
            await expect(page.locator("#condition")).to_have_text(condition)
            found = (await Axe().run(page)).response
            assert [rule["id"] for rule in found["violations"] if rule["impact"] in ("serious", "critical")] == []
            await page.clock.fast_forward(16_000)


async def test_the_market_as_a_whole_stands_above_the_symbols(tabs: Tabs) -> None:
    async with Service() as service:
        service.say(signal_body())
        _, page = await opened(tabs, service)
        line = page.locator("#market")
        await expect(line).to_have_text("The market as a whole: no reading yet.")
        service.whole(market_body_whole())
        await expect(line).to_contain_text("rank 0.410 of its own past (provisional: of 1 d 2 h)")
        await expect(line).to_contain_text("ranks of symbols 0.41 ± 0.00")
        await expect(line).to_contain_text("(2 of 2 symbols)")
        assert await page.locator('tr[data-symbol="MARKET"]').count() == 0
        whole = market_body_whole()
        service.whole(whole | {"oi_change": whole["oi_change"] | {"24h": 0.0123}})
        await expect(line).to_contain_text("open interest +1.2 % in 24 h")
        service.whole(whole | {"oi_change": whole["oi_change"] | {"24h": None}})
        await expect(line).to_contain_text("open interest \u2013 in 24 h")  # not 0: nobody knows
        service.whole(market_body_whole() | {"status": "no_data", "reasons": ["quorum"]})
        await expect(line).to_have_text("The market as a whole: no data (quorum).")
        service.whole(market_body_whole() | {"shares": None})
        await expect(line).to_have_text("The market as a whole: of another version, reload the page.")
        service.whole(market_body_whole(TS - 60_000))
        await expect(line).to_have_text("The market as a whole: too old to be used.")


async def test_regime_and_band_say_what_traders_make_of_them(tabs: Tabs) -> None:
    async with Service() as service:
        service.say(signal_body())
        _, page = await opened(tabs, service)
        detail = page.locator("#detail")
        await expect(detail).to_contain_text(f"{advice.REGIMES['crowded_longs'].text} (measured)")
        await expect(detail).to_contain_text(f"{advice.BANDS['high'].text} (practice)")
        cell = page.locator('tr[data-symbol="BTC"] [data-field="regime"]')
        await expect(cell).to_have_attribute("title", f"{advice.REGIMES['crowded_longs'].text} (measured)")
