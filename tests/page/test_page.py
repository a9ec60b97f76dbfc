"""The page in a real browser, on a real feed over real sockets. What it must show is computed from the same board."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, Route, expect

from service.config import WeightsSection
from service.publishing import http as routes
from service.scoreboard import HORIZONS, Scoreboard
from service.scoreboard.measures import wilson
from tests.page.factories import PLAN, SYMBOLS, Service, enter, filled, no_falls, taught
from tests.page.tabs import Tab, Tabs
from tests.publishing.factories import TS

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="module")]

NONE = "\u2013"
MINUS = "\u2212"
SIMULATED = "SIMULATED"


# -- what must be shown, in Python -------------------------------------------------------------------------------


def percent(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:.1f} %"


def interval(record: dict[str, Any]) -> str:
    if record["hit_low"] is None:
        return NONE
    return f"{100 * record['hit_low']:.1f} to {100 * record['hit_high']:.1f} %"


def signed(value: float, decimals: int) -> str:
    text = f"{value:+.{decimals}f}"
    return (text[1:] if float(text) == 0 else text).replace("-", MINUS)


def correlation(record: dict[str, Any], early: str = "too few to say") -> str:
    if record["ic"] is None:
        return NONE
    if 1.96 * record["ic_se"] > 0.5:  # two pairs of a symbol give 1 or -1: shown in bold, it was nonsense
        return early
    return f"{signed(record['ic'], 3)} ± {1.96 * record['ic_se']:.3f}"


def verdict(record: dict[str, Any]) -> str:
    if record["hit_low"] is None or record["n_effective"] < 100:
        return "… too few to say"
    if record["hit_low"] > 0.5:
        return "▲ right more often than a coin"
    return "▼ wrong more often than a coin" if record["hit_high"] < 0.5 else "◇ nothing told from a coin"


def utc(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def trials(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


async def fields(page: Page, within: str) -> dict[str, str]:
    """The texts of the marked places inside an element."""
    found: dict[str, str] = await page.eval_on_selector_all(
        f"{within} [data-field]",
        "nodes => Object.fromEntries(nodes.map(node => [node.dataset.field, node.textContent]))",
    )
    return found


async def settled(tab: Tab, symbols: int = len(SYMBOLS)) -> Page:
    """Connected, and the lists are there."""
    page = tab.page
    await expect(page.locator("#symbols-body tr")).to_have_count(4 * symbols)
    await expect(page.locator("#weights article")).to_have_count(3)
    await expect(page.locator("#age")).not_to_be_empty()
    return page


async def is_old(page: Page) -> bool:
    return bool(await page.evaluate("document.body.classList.contains('old')"))


# -- numbers -----------------------------------------------------------------------------------------------------


async def test_every_number_of_a_horizon_is_shown(tabs: Tabs) -> None:
    async with Service() as service:
        page = await settled(await tabs.open(service))
        horizons = service.board.document(TS)["horizons"]
        assert {verdict(record) for record in horizons.values()} == {"… too few to say", "◇ nothing told from a coin"}
        for name, record in horizons.items():
            shown = await fields(page, f'[id="horizon-{name}"]')
            assert shown["hit"] == percent(record["hit"])
            assert shown["hit-interval"] == ("95 %: " if record["n"] > 0 else "") + interval(record)
            assert (shown["n"], shown["n_effective"]) == (f"{record['n']:,}", trials(record["n_effective"]))
            assert (shown["ic"], shown["ic_n"]) == (correlation(record), f"{record['ic_n']:,}")
            assert shown["brier"] == (NONE if record["brier"] is None else f"{record['brier']:.4f}")
            climatology = record["brier_climatology"]
            assert shown["climatology"] == (NONE if climatology is None else f"{climatology:.4f}")
            assert (shown["matured"], shown["lost"]) == (f"{record['matured']:,}", f"{record['lost']:,}")
            assert shown["verdict"] == verdict(record)
            bins = page.locator(f'[id="horizon-{name}"] .bins tbody tr')
            told = [
                [f"{one['low']:.2f} to {one['high']:.2f}", f"{one['n']:,}", percent(one["p_hit"]), percent(one["hit"])]
                for one in record["bins"]
            ]
            assert [await row.locator("td").all_text_contents() for row in await bins.all()] == told
        assert await page.text_content("#summary") == "1m, 5m: nothing told from a coin. 1h, composite: too few to say."
        assert await page.text_content("#ledger-seq") == f"{service.board.chain.seq:,}"
        assert await page.text_content("#ledger-hash") == service.board.chain.hash
        assert str(await page.text_content("#ledger-kept")).startswith("No ledger is written here")
        assert await page.text_content("#since") == f"{utc(TS - 3 * 86_400_000)}, 3 d of record"


async def test_a_ledger_that_is_kept_says_what_a_hash_is_good_for(tabs: Tabs) -> None:
    board = filled()
    board.keep_lines()
    async with Service(board=board) as service:
        page = await settled(await tabs.open(service))
        assert "elr scoreboard --hash NUMBER:HASH" in str(await page.text_content("#ledger-kept"))


async def test_the_whiskers_lie_where_the_numbers_do(tabs: Tabs) -> None:
    """30 to 70 % of hits span 4 to 96 % of the track; where an interval is wider, the track is."""
    async with Service(board=filled({("BTC", "1m"): (400, 260), ("BTC", "5m"): (30, 20)})) as service:
        page = await settled(await tabs.open(service))
        records = service.board.document(TS)["horizons"]
        assert records["5m"]["hit_high"] > 0.7
        for name in ("1m", "5m"):
            drawing = page.locator(f'[id="horizon-{name}"] svg.interval').first
            low, high = records[name]["hit_low"], records[name]["hit_high"]
            ends = [await drawing.locator("line.whisker").first.get_attribute(end) for end in ("x1", "x2")]
            assert [float(str(end)[:-1]) for end in ends] == pytest.approx(
                [4 + 92 * (end - 0.5 + 0.4) / 0.8 for end in (low, high)]
            )
            assert await drawing.locator("text").all_text_contents() == ["10 %", "coin", "90 %"]
            label = f"{name}: {percent(records[name]['hit'])} right, 95 % interval {interval(records[name])}"
            assert str(await drawing.get_attribute("aria-label")).startswith(label)


async def test_every_symbol_and_horizon_has_its_row(tabs: Tabs) -> None:
    async with Service() as service:
        page = await settled(await tabs.open(service))
        seen = set()
        for symbol in SYMBOLS:
            for name, record in service.board.of_symbol(symbol)["horizons"].items():
                shown = await fields(page, f'tr[data-symbol="{symbol}"][data-horizon="{name}"]')
                gain = NONE if record["brier"] is None else signed(record["brier"] - record["brier_climatology"], 4)
                assert shown == {
                    "n": f"{record['n']:,}", "n_effective": trials(record["n_effective"]),
                    "hit": percent(record["hit"]), "hit-interval": interval(record),
                    "verdict": verdict(record), "ic": correlation(record, "…"), "p_hit": percent(record["p_hit"]),
                    "brier": gain, "lost": f"{record['lost']:,}",
                }  # fmt: skip
                seen.add(shown["verdict"][0])
        assert seen == {"…", "◇", "▲", "▼"}
        enough = sum(count >= 100 for count, _ in PLAN.values())
        assert await page.text_content("#multiplicity") == (
            f"12 records, {enough} with enough outcomes. Intervals that leave out the coin: 2; by luck alone, 5 %: "
            f"about {0.05 * enough:.1f}, and in bunches, since symbols move together."
        )


async def test_a_record_without_outcomes_says_so_and_shows_no_zero_share(tabs: Tabs) -> None:
    async with Service(board=Scoreboard(SYMBOLS)) as service:
        page = await settled(await tabs.open(service))
        assert await page.text_content("#summary") == "1m, 5m, 1h, composite: too few to say."
        for name, _ in HORIZONS:
            shown = await fields(page, f'[id="horizon-{name}"]')
            assert shown["verdict"] == "… too few to say"
            assert {shown[key] for key in ("hit", "hit-interval", "ic", "brier", "climatology")} == {NONE}
            assert (shown["n"], shown["lost"]) == ("0", "0")
        assert await page.text_content("#multiplicity") == "12 records: none has enough outcomes to say anything."
        assert await page.text_content("#ledger-hash") == NONE
        assert await page.text_content("#since") == "no published signal yet"
        assert "Nothing has been learned yet" in str(await page.text_content("#weights-zero"))
        text = await page.inner_text("body")
        assert re.findall(r"NaN|undefined|null(?! hypothesis)|Infinity|\[object", text) == []


async def test_a_scoreboard_message_renews_everything(tabs: Tabs) -> None:
    async with Service() as service:
        page = await settled(await tabs.open(service))
        before = await fields(page, "#horizon-1m")
        await page.locator("#horizon-1m summary").click()
        enter(service.board, {("BTC", "1m"): (77, 40)})
        service.later()
        service.publish()
        record = service.board.document(service.clock.now)["horizons"]["1m"]
        assert before["n"] != f"{record['n']:,}"
        await expect(page.locator('#horizon-1m [data-field="n"]')).to_have_text(f"{record['n']:,}")
        await expect(page.locator('#horizon-1m [data-field="hit"]')).to_have_text(percent(record["hit"]))
        await expect(page.locator("#as-of")).to_have_text(f"as of {utc(TS + 60_000)}")
        await expect(page.locator("#ledger-hash")).to_have_text(service.board.chain.hash)
        await page.clock.fast_forward(3_000)
        row = service.board.of_symbol("BTC")["horizons"]["1m"]
        await expect(page.locator('tr[data-symbol="BTC"][data-horizon="1m"] [data-field="n"]')).to_have_text(
            f"{row['n']}"
        )
        await expect(page.locator("#weights-as-of")).to_have_text(f"as of {utc(TS + 60_000)}")
        assert await page.locator("#horizon-1m details").get_attribute("open") is not None  # what was open stays open


async def test_a_record_of_a_service_from_before_the_falls_is_drawn_without_them(tabs: Tabs) -> None:
    """Cause: a service rolled back under an open page: a record without `deleveraging` stopped all drawing."""
    async with Service() as service:
        page = await settled(await tabs.open(service))
        enter(service.board, {("BTC", "1m"): (77, 40)})
        service.later()
        body = {**service.board.body(service.clock.now)}
        del body["deleveraging"], body["events"]
        service.feed.hub.publish([("scoreboard", "scoreboard", body)])
        n = f"{body['horizons']['1m']['n']:,}"
        await expect(page.locator('#horizon-1m [data-field="n"]')).to_have_text(n)


async def test_lists_in_pages_are_read_to_the_end(tabs: Tabs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy may strip Accept-Encoding; then 500 symbols come in several pages."""
    monkeypatch.setattr(routes, "PAGE_BYTES", 1)
    monkeypatch.setattr(routes, "accepts_gzip", lambda header: False)
    async with Service() as service:
        tab = await tabs.open(service)
        asked: list[str] = []
        tab.page.on("request", lambda request: asked.append(request.url))
        page = await settled(tab)
        service.later()
        service.publish()
        await page.clock.fast_forward(3_000)
        await expect(page.locator("#symbols-as-of")).to_have_text(f"as of {utc(TS + 60_000)}")
        queries = [url.partition("?")[2] for url in asked if "v1/scoreboard" in url]
        assert queries[-3:] == ["", "after=BTC", "after=ETH"]
        await expect(page.locator("#symbols-body tr")).to_have_count(12)


async def test_a_name_is_text_whatever_is_in_it(tabs: Tabs) -> None:
    name = "<img/src=x/onerror=alert(1)>"
    async with Service(board=Scoreboard([name])) as service:
        page = await settled(await tabs.open(service), 1)
        assert await page.locator("#symbols-body th").first.text_content() == name
        assert await page.locator("#symbols-body img").count() == 0


# -- falls of open interest, and events --------------------------------------------------------------------------


async def test_every_number_of_the_record_of_falls_is_shown(tabs: Tabs) -> None:
    async with Service() as service:
        page = await settled(await tabs.open(service))
        assert await page.text_content("#evidence") == (
            "The chance of a fall by 5 %, by the service's own record: no better than volatility alone."
        )
        assert str(await page.text_content("#falls-weeks")).startswith("Outcomes of 9 calendar weeks; 412 chances are")
        assert await fields(page, "#fall-oi_5") == {
            "n": "1,180,214", "happened": "17.1 %", "evidence": "no better than volatility alone",
            "brier": "0.1331", "brier-interval": "95 %: 0.1182 to 0.1495",
            "skill_base_rate": "+0.051", "skill_base_rate-interval": "95 %: +0.021 to +0.080",
            "skill_base_rate-verdict": "▲ better",
            "skill_volatility": "+0.018", "skill_volatility-interval": f"95 %: {MINUS}0.004 to +0.032",
            "skill_volatility-verdict": "◇ no difference told",
            "auc": "0.641", "auc-interval": "95 %: 0.612 to 0.669",
        }  # fmt: skip
        bins = page.locator("#fall-oi_5 .bins tbody tr")
        assert [await row.locator("td").all_text_contents() for row in await bins.all()] == [
            ["400,000", "8.1 %", "7.5 %"], ["780,214", "22.1 %", "22.0 %"]
        ]  # fmt: skip
        shown = await fields(page, "#fall-oi_10")
        assert shown["evidence"] == "not judged yet, which takes eight weeks of outcomes"
        assert {shown[name] for name in shown if name.endswith("-interval")} == {"no interval yet"}
        assert shown["skill_volatility-verdict"] == "… too few to say"
        assert await page.locator("#fall-oi_10 line.whisker").count() == 0


async def test_the_record_that_the_page_is_tested_with_has_the_form_of_the_real_one() -> None:
    """Cause: the stand-in kept `evidence` where the service no longer had it, and the page said "undefined"."""
    real, ours = Scoreboard(["BTC"]).document(TS), no_falls()
    assert ours["deleveraging"] == real["deleveraging"]
    fell = set(real["events"]["elr_spike"]["falls"]["oi_5"])
    assert {frozenset(said["falls"]["oi_5"]) for said in ours["events"].values()} == {frozenset(fell)}
    assert set(ours["events"]) <= set(real["events"])


async def test_what_followed_events_stands_beside_the_same_volatility(tabs: Tabs) -> None:
    async with Service() as service:
        page = await settled(await tabs.open(service))
        assert await fields(page, 'tr[data-event="elr_spike"]') == {
            "n": "154", "share": "33.1 %", "share-interval": "25.1 to 42.2 %", "matched": "20.6 %",
            "lift": "1.60 (1.28 to 2.01)", "verdict": "▲ more often", "lost": "2",
        }  # fmt: skip
        verdicts = await page.locator('#events-body [data-field="verdict"]').all_text_contents()
        assert verdicts == ["▲ more often", "▼ less often", "◇ no difference told", "… too few to say"]
        assert await page.text_content('tr[data-event="crowded_longs"] [data-field="lift"]') == "1.30"


async def test_a_record_of_falls_without_outcomes_says_so(tabs: Tabs) -> None:
    """What a first day sees."""
    async with Service() as service:
        service.views.falls = no_falls()
        service.publish()
        page = await settled(await tabs.open(service))
        assert await page.text_content("#evidence") == (
            "The chance of a fall by 5 %, by the service's own record: "
            "not judged yet, which takes eight weeks of outcomes."
        )
        for name in ("oi_5", "oi_10"):
            shown = await fields(page, f"#fall-{name}")
            assert shown["n"] == "0"
            assert {shown[key] for key in ("happened", "brier", "skill_base_rate", "skill_volatility", "auc")} == {NONE}
        assert set(await page.locator('#events-body [data-field="verdict"]').all_text_contents()) == {
            "… too few to say"
        }
        text = await page.inner_text("body")
        assert re.findall(r"NaN|undefined|null(?! hypothesis)|Infinity|\[object", text) == []


# -- weights -----------------------------------------------------------------------------------------------------


async def test_learned_weights_are_shown_as_they_are(tabs: Tabs) -> None:
    learner = taught(40, WeightsSection(mode="static"))
    async with Service(learner=learner) as service:
        page = await settled(await tabs.open(service))
        report = learner.report()
        one = report["groups"]["all"]["windows"]["1m"]
        assert await page.text_content("#weights-mode") == "static"
        assert await page.text_content("#weights-version") == "static-1"
        assert await page.text_content("#weights-learned") == report["groups"]["all"]["shadow_version"]
        assert await page.text_content("#weights-title-1m small") == "40 rounds · not in force: the mode is static"
        for expert, share in one["shares"].items():
            row = page.locator(f'#weights-1m tr[data-expert="{expert}"]')
            assert await row.locator('[data-field="share"]').text_content() == percent(share)
            assert await row.locator("rect.share").get_attribute("width") == f"{100 * share!r}%"
        assert list(one["shares"])[-2:] == ["static", "zero"]
        regret = one["regret"][0]
        told = f"{regret['measured']:.1f} of at most {regret['bound']:.1f}".replace("-", MINUS)
        assert await page.text_content('#weights-1m [data-field="regret"]') == told
        best = max(one["shares"], key=one["shares"].__getitem__)
        leads = str(await page.text_content("#weights-zero"))
        assert leads.startswith("zero, which always says 0, leads " + ("at 1m" if best == "zero" else "nowhere"))


@pytest.mark.parametrize(
    ("rounds", "right", "leads"), [(400, "premium", "leads nowhere"), (400, "nobody", "leads at 1m:")]
)
async def test_whether_zero_leads_is_told_in_a_sentence(tabs: Tabs, rounds: int, right: str, leads: str) -> None:
    async with Service(learner=taught(rounds, right=right)) as service:
        page = await settled(await tabs.open(service))
        assert leads in str(await page.text_content("#weights-zero"))


async def test_weights_in_force_and_those_that_wait(tabs: Tabs) -> None:
    settings = WeightsSection(min_outcomes=60)
    learner = taught(119, settings)
    async with Service(learner=learner) as service:
        page = await settled(await tabs.open(service))
        windows = learner.report()["groups"]["all"]["windows"]
        assert (windows["1m"]["in_force"] is None, windows["5m"]["in_force"] is None) == (False, True)
        assert await page.text_content("#weights-title-1m small") == "119 rounds · in force"
        assert await page.text_content("#weights-title-5m small") == "0 rounds · not in force: 0 of 60 rounds"
        used = await page.text_content('#weights-1m tr[data-expert="premium"] [data-field="in-force"]')
        assert used == percent(windows["1m"]["in_force"]["premium"])
        assert await page.locator("#weights-5m [data-field=in-force]").count() == 0
    async with Service(learner=taught(74, settings)) as service:
        page = await settled(await tabs.open(service))
        told = await page.text_content("#weights-title-1m small")
        assert told == "74 rounds · in force to 25 %, the rest is the fixed formula"


async def test_each_symbols_own_weights_can_be_chosen(tabs: Tabs) -> None:
    learner = taught(30, WeightsSection(per_symbol=True))
    async with Service(learner=learner) as service:
        page = await settled(await tabs.open(service))
        assert await page.locator("#group option").all_text_contents() == list(SYMBOLS)
        await page.select_option("#group", "ETH")
        version = learner.report()["groups"]["ETH"]["shadow_version"]
        assert await page.text_content("#weights-learned") == version


# -- the banner: what to believe ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "headline"),
    [("live", "LIVE"), ("simulated", SIMULATED), ("replay", "REPLAY"), ("paper", "UNKNOWN SOURCE")],
)
async def test_the_banner_says_where_the_numbers_come_from(tabs: Tabs, source: str, headline: str) -> None:
    async with Service(source) as service:
        page = await settled(await tabs.open(service))
        assert await page.text_content("#condition") == headline
        assert await page.title() == f"{headline} · elr scoreboard"
        assert not await is_old(page)
        assert await page.text_content("#as-of") == f"as of {utc(TS)}"
        await expect(page.locator("#venues")).to_have_text("1 of 2 venues fresh" if source != "paper" else "")


async def test_time_since_the_last_update_ticks_by_the_services_clock(tabs: Tabs) -> None:
    """The browser's own clock may be years off: ages are told from what the service sent."""
    async with Service() as service:
        tab = await tabs.open(service)
        page = await settled(tab)
        service.later(30_000)
        service.feed.publish_status({"ts": service.clock.now, "venues": {}})
        await expect(page.locator("#age")).to_have_text(re.compile(r"^3\d s ago$"))
        await page.clock.fast_forward(10_000)
        await expect(page.locator("#age")).to_have_text(re.compile(r"^4\d s ago$"))
        assert await page.text_content("#condition") == SIMULATED


async def test_silence_is_stale_then_disconnected_then_mended(tabs: Tabs) -> None:
    """A heartbeat is promised every 10 s: 15 s are late, 25 s are a dead connection, and the page makes a new one."""
    async with Service() as service:
        page = await settled(await tabs.open(service))
        service.hush()
        await page.clock.fast_forward(8_000)
        assert (await page.text_content("#condition"), await is_old(page)) == (SIMULATED, False)
        await page.clock.fast_forward(8_000)
        await expect(page.locator("#condition")).to_have_text("STALE")
        await expect(page.locator("#meaning")).to_have_text(
            "simulated numbers, nothing heard for longer than the feed promises"
        )
        await expect(page.locator("#retry")).to_have_text(re.compile(r"^silent for \d+ s$"))
        assert await page.locator("[role=status] #retry, [role=status] #age").count() == 0  # would be read every second
        assert await is_old(page)
        assert await page.text_content("#as-of") == f"as of {utc(TS)}"  # the numbers stay, with their time
        assert await page.text_content('#horizon-1m [data-field="n"]') == "1,200"
        service.feed.publish_status({"ts": TS, "venues": {}})
        await expect(page.locator("#condition")).to_have_text(SIMULATED)
        assert not await is_old(page)
        clients = set(service.feed.hub.clients)
        await page.evaluate(
            "new MutationObserver(() => (window.seen ??= []).push(document.getElementById('condition').textContent))"
            ".observe(document.getElementById('condition'), {childList: true, characterData: true, subtree: true})"
        )
        await page.clock.fast_forward(26_000)
        await expect(page.locator("#condition")).to_have_text(SIMULATED)
        assert (await page.evaluate("window.seen"))[-2:] == ["DISCONNECTED", SIMULATED]
        assert set(service.feed.hub.clients).isdisjoint(clients)


async def test_a_feed_that_lives_without_a_scoreboard_is_stale(tabs: Tabs) -> None:
    """Ticks may stop while heartbeats go on: numbers of 100 s ago are not now."""
    async with Service() as service:
        page = await settled(await tabs.open(service))
        service.later(100_000)
        service.feed.publish_status({"ts": service.clock.now, "venues": {}})
        await expect(page.locator("#condition")).to_have_text("STALE")
        await expect(page.locator("#meaning")).to_have_text(
            "simulated numbers, the feed goes on, but no new scoreboard comes"
        )
        assert str(await page.text_content("#age")).startswith("1 min 4")
        assert await is_old(page)
        service.publish()
        await expect(page.locator("#condition")).to_have_text(SIMULATED)


async def test_a_restart_is_announced_and_mended_without_old_numbers(tabs: Tabs) -> None:
    async with Service() as service:
        tab = await tabs.open(service)
        tab.expected = ("WebSocket connection to",)
        page = await settled(tab)
        service.guests.clear()  # it stays when the service goes
    await expect(page.locator("#condition")).to_have_text("DISCONNECTED")
    await expect(page.locator("#meaning")).to_have_text("simulated numbers, no longer renewed: the service restarts")
    assert await is_old(page)
    assert await page.text_content("#as-of") == f"as of {utc(TS)}"
    assert await page.text_content('#horizon-1m [data-field="n"]') == "1,200"
    assert (await page.title()).startswith("DISCONNECTED")
    other = filled({("BTC", "1m"): (333, 170)})
    assert await page.locator("#reload").is_hidden()
    async with Service(board=other, port=service.port, epoch="01JCZX5Q8M3V7K2N4P6R8T0W1Z", server="elr/0.2.0") as anew:
        anew.guests.append(tab)
        await page.clock.fast_forward(5_000)
        await expect(page.locator("#condition")).to_have_text(SIMULATED)
        await page.clock.fast_forward(3_000)
        await expect(page.locator('#horizon-1m [data-field="n"]')).to_have_text("333")
        await expect(page.locator("#ledger-hash")).to_have_text(other.chain.hash)
        assert await page.locator("#reload").is_visible()  # its page may be another one, too
        await expect(page.locator('tr[data-symbol="ETH"][data-horizon="1m"] [data-field="n"]')).to_have_text("0")
        assert not await is_old(page)


async def test_numbers_of_an_earlier_start_do_not_outlive_it(tabs: Tabs) -> None:
    """A new epoch that has nothing to show yet must not stand above the numbers of the old one."""

    async def busy(route: Route) -> None:
        await route.fulfill(status=503, json={})

    async with Service() as service:
        tab = await tabs.open(service)
        tab.expected = ("WebSocket connection to", "503")
        page = await settled(tab)
        service.guests.clear()
    await expect(page.locator("#condition")).to_have_text("DISCONNECTED")
    await page.route("**/v1/*", busy)
    async with Service(port=service.port, epoch="01JCZX5Q8M3V7K2N4P6R8T0W1Z", quiet=True) as anew:
        anew.guests.append(tab)
        await page.clock.fast_forward(5_000)
        await expect(page.locator("#condition")).to_have_text(SIMULATED)
        await expect(page.locator("#horizons")).to_have_text("no numbers yet")
        await expect(page.locator("#weights")).to_have_text("no numbers yet")
        assert await page.locator("#symbols-body tr").count() == 0
        for place in ("#evidence", "#summary", "#ledger-seq", "#ledger-hash", "#since", "#weights-version"):
            assert await page.text_content(place) == NONE
        assert await page.text_content("#as-of") == "no numbers yet"
        assert await is_old(page)


async def test_a_refusal_for_good_is_final(tabs: Tabs) -> None:
    async with Service() as service:
        page = await settled(await tabs.open(service))
        for client in list(service.feed.hub.clients):
            client.outbox.close(4006, "bad requests")
        await expect(page.locator("#meaning")).to_have_text(
            "simulated numbers, for good: it closed with 4006 bad requests. Reload the page."
        )
        assert await page.text_content("#condition") == "DISCONNECTED"
        assert await page.locator("#hurry").is_hidden()
        await page.clock.fast_forward(120_000)
        assert list(service.feed.hub.clients) == []


async def test_a_reader_need_not_wait_for_the_next_attempt(tabs: Tabs) -> None:
    async with Service() as service:
        page = await settled(await tabs.open(service))
        for client in list(service.feed.hub.clients):
            client.outbox.close(4008, "rate")  # a minute at least
        await expect(page.locator("#retry")).to_have_text(re.compile(r"^next attempt in 1 min"))
        await page.locator("#hurry").click()
        await expect(page.locator("#condition")).to_have_text(SIMULATED)
        assert await page.locator("#hurry").is_hidden()


async def test_a_list_that_cannot_be_had_is_said_where_it_is_missing(tabs: Tabs) -> None:
    async def busy(route: Route) -> None:
        await route.fulfill(status=503, json={})

    async with Service() as service:
        tab = await tabs.open(service, routes={"**/v1/weights": busy})
        tab.expected = ("503",)
        page = tab.page
        await expect(page.locator("#weights-as-of")).to_have_text(
            "not there yet; could not be renewed: v1/weights answers 503"
        )
        await expect(page.locator('#horizon-1m [data-field="n"]')).to_have_text("1,200")
        assert await page.text_content("#weights-mode") == NONE
        assert await page.locator("#weights-part").get_attribute("class") == "old"
        assert await page.locator("#symbols-part").get_attribute("class") in (None, "")
        await page.unroute("**/v1/weights")
        service.later()
        service.publish()
        await page.clock.fast_forward(3_000)
        await expect(page.locator("#weights-as-of")).to_have_text(f"as of {utc(TS + 60_000)}")


# -- using it ----------------------------------------------------------------------------------------------------


async def test_the_table_sorts_by_keyboard_with_undefined_last(tabs: Tabs) -> None:
    async with Service() as service:
        page = await settled(await tabs.open(service))
        records = [
            (symbol, name, record["hit"])
            for symbol in SYMBOLS
            for name, record in service.board.of_symbol(symbol)["horizons"].items()
        ]
        known = [item for item in records if item[2] is not None]
        unknown = [item[:2] for item in records if item[2] is None]
        read = "rows => rows.map(row => [row.dataset.symbol, row.dataset.horizon])"

        async def rows() -> list[tuple[str, ...]]:
            return [tuple(row) for row in await page.eval_on_selector_all("#symbols-body tr", read)]

        assert await rows() == [item[:2] for item in records]
        await page.focus("#horizon")
        for _ in range(6):  # over the scrolling region and four heads to "Right"
            await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Right"
        await page.keyboard.press("Enter")
        head = page.locator("#symbols-head th", has_text="Right")
        assert await head.get_attribute("aria-sort") == "descending"
        assert await rows() == [item[:2] for item in sorted(known, key=lambda item: -item[2])] + unknown
        await page.keyboard.press("Space")
        assert await head.get_attribute("aria-sort") == "ascending"
        assert await rows() == [item[:2] for item in sorted(known, key=lambda item: item[2])] + unknown
        await page.locator("#symbols-head button", has_text="Symbol").click()
        assert await head.get_attribute("aria-sort") is None
        assert [row[0] for row in await rows()] == sorted(item[0] for item in records)


async def test_filters_narrow_the_table_and_the_warning_counts_what_is_shown(tabs: Tabs) -> None:
    async with Service() as service:
        page = await settled(await tabs.open(service))
        await page.fill("#filter", "pepe")
        await expect(page.locator("#symbols-body tr")).to_have_count(4)
        await page.select_option("#horizon", "5m")
        await expect(page.locator("#symbols-body tr")).to_have_count(1)
        assert str(await page.text_content("#multiplicity")).startswith(
            "1 of 12 records shown, 1 with enough outcomes."
        )
        await page.fill("#filter", "")
        await expect(page.locator("#symbols-body tr")).to_have_count(3)


async def test_many_rows_are_drawn_when_asked_for(tabs: Tabs) -> None:
    names = [f"COIN{number}" for number in range(50)]
    async with Service(board=Scoreboard(names)) as service:
        tab = await tabs.open(service)
        await expect(tab.page.locator("#symbols-body tr")).to_have_count(120)
        await tab.page.locator("#all-rows", has_text="show all 200 rows").click()
        await expect(tab.page.locator("#symbols-body tr")).to_have_count(200)
        assert await tab.page.locator("#all-rows").is_hidden()


async def test_a_narrow_screen_does_not_scroll_sideways(tabs: Tabs) -> None:
    async with Service(learner=taught(30)) as service:
        page = await settled(await tabs.open(service, width=360))
        assert await page.evaluate("document.scrollingElement.scrollWidth") == 360
        for summary in await page.locator("main summary").all():
            await summary.click()
        assert await page.evaluate("document.scrollingElement.scrollWidth") == 360
        for target in ("#condition", "#as-of", "#summary"):
            box = await page.locator(target).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_serious_finding_of_axe(tabs: Tabs, scheme: str) -> None:
    async with Service(learner=taught(30)) as service:
        page = await settled(await tabs.open(service, scheme=scheme))
        assert await page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is (scheme == "dark")
        service.hush()
        for condition in (SIMULATED, "STALE"):
            await expect(page.locator("#condition")).to_have_text(condition)
            found = (await Axe().run(page)).response
            assert [rule["id"] for rule in found["violations"] if rule["impact"] in ("serious", "critical")] == []
            await page.clock.fast_forward(16_000)


# -- the modules -------------------------------------------------------------------------------------------------


async def test_wilson_is_that_of_the_scoreboard(tabs: Tabs) -> None:
    cases = [(hits / n, n * worth) for n in (1, 7, 100, 5000) for hits in (0, n // 2, n) for worth in (1.0, 0.05)]
    async with Service() as service:
        page = (await tabs.open(service)).page
        script = """async cases => {
            const {wilson} = await import('/assets/verdict.js');
            return cases.map(([share, n]) => wilson(share, n));
        }"""
        found = await page.evaluate(script, cases)
        for (share, n), ends in zip(cases, found, strict=True):
            assert ends == pytest.approx(wilson(share, n), abs=1e-12)


async def test_backoff_is_the_one_documented(tabs: Tabs) -> None:
    """docs/close-codes.md: a random time up to 1 s, doubled up to 60 s, anew after a minute of health."""
    async with Service() as service:
        page = (await tabs.open(service)).page
        script = """async () => {
            const {Backoff} = await import('/assets/backoff.js');
            const most = new Backoff(() => 1), half = new Backoff(() => 0.5);
            const lasted = [0, 0, 0, 0, 59999, 0, 0, 0, 60000, 0];
            return [lasted.map(ms => most.pause(ms)), [half.pause(0), half.pause(0)]];
        }"""
        most, half = await page.evaluate(script)
        assert most == [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 1000, 2000]
        assert half == [500, 1000]


async def test_numbers_and_spans_as_text(tabs: Tabs) -> None:
    async with Service() as service:
        page = (await tabs.open(service)).page
        script = """async () => {
            const f = await import('/assets/format.js');
            return [f.count(1234567), f.count(0), f.count(null), f.signed(-0.00001, 3),
                f.signed(0.0126, 3), f.fixed(-2, 1),
                f.percent(0), f.percent(undefined), f.percent(NaN), f.trials(99.94), f.trials(1900.2), f.utc(0),
                f.span(0), f.span(59999), f.span(60000), f.span(3725000), f.span(90061000), f.span(NaN)];
        }"""
        assert await page.evaluate(script) == [
            "1,234,567", "0", NONE, "0.000", "+0.013", f"{MINUS}2.0",
            "0.0 %", NONE, NONE, "99.9", "1,900", NONE,
            "0 s", "59 s", "1 min", "1 h 2 min", "1 d 1 h", NONE,
        ]  # fmt: skip
