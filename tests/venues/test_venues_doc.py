"""docs/venues.md against the code: what it names is subscribed to and polled, nothing else is; ages are the rules'."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple, get_args

import pytest

from service.audit import SOURCES
from service.market.reported import FRESH_MS
from service.model import EXTRA_STREAMS, ExtraStream
from service.venues import VENUES
from service.venues.contract import ConnectionPlan, Poll, Request
from service.venues.transport.session import REASONS
from tests.venues.extras import DAY_AND_TWO, NOW, synthetic, topics

ROOT = Path(__file__).resolve().parent.parent.parent
ROWS = ("mark", "index", "funding", "oi", "liquidation", "flow", "long_short", "positions")
FEW = 20
LIVENESS = ("heartbeat", "v4_block_height")  # topics that carry no stream
FOLDERS = {"binance_usdm": "binance", "binance_coinm": "binance", "aster": "binance"}


class Row(NamedTuple):
    source: str
    native: str
    cadence: str
    max_age: str
    history: str


class Section(NamedTuple):
    rows: dict[str, Row]
    metadata: str
    uncertain: list[str]
    text: str


@cache
def page() -> tuple[str, dict[str, Section]]:
    """What stands before the venues, and each venue's section."""
    head, *parts = re.split(r"^## (?=`)", (ROOT / "docs" / "venues.md").read_text(), flags=re.MULTILINE)
    sections = {}
    for part in parts:
        name = part.split("`")[1]
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[:1] == "|"]
        assert cells[0] == ["stream", "source", "native, to canonical", "cadence", "max age", "history"]
        (metadata,) = re.findall(r"^Metadata: (.+)\.$", part, re.MULTILINE)
        uncertain = part.partition("\nUncertain:\n")[2].strip().splitlines()
        sections[name] = Section({row[0]: Row(*row[1:]) for row in cells[2:]}, metadata, uncertain, part)
    return head, sections


def names(cell: str) -> list[str]:
    """What a cell has in code font."""
    return re.findall(r"`([^`]+)`", cell)


def within(name: str, text: str) -> bool:
    """Whether a topic, path or field is in a text as a whole word; <...> stands for any instrument."""
    parts = [re.escape(part) for part in re.split(r"<\w+>", name)]
    begins = "" if name.startswith("/") else r"(?<![\w-])"
    return re.search(begins + r'[^"/&?]+'.join(parts) + r"(?![\w-])", text) is not None


def plans(venue: str, extras: tuple[ExtraStream, ...]) -> list[ConnectionPlan]:
    return VENUES[venue].connections(VENUES[venue].endpoints, synthetic(venue, FEW), extras)


def polls(venue: str, extras: tuple[ExtraStream, ...], count: int = FEW, inverse_too: bool = True) -> list[Poll]:
    place = VENUES[venue]
    return place.polls(place.endpoints, synthetic(venue, count, inverse_too), 10.0, extras)


def text_of(*requests: Request) -> str:
    return "\n".join(f"{request.url} {request.body}" for request in requests)


def asked_for(venue: str, stream: str) -> list[str]:
    """The topics and HTTP requests that bring a stream, each as text."""
    if stream in get_args(ExtraStream):
        extra: tuple[ExtraStream, ...] = tuple(item for item in EXTRA_STREAMS if item == stream)
        chosen = [plan for plan in plans(venue, extra) if plan not in plans(venue, ())]
        requests = [poll.request for poll in polls(venue, extra) if poll not in polls(venue, ())]
    else:
        main = "mark" if stream == "index" else stream
        chosen = [plan for plan in plans(venue, ()) if main in {kind for _, kind in plan.expects}]
        requests = [poll.request for poll in polls(venue, ()) if main in {kind for _, kind in poll.expects}]
    found = [topic for plan in chosen for frame in plan.frames for topic in topics(frame)]
    return found + [text_of(request) for request in requests]


def history_of(venue: str) -> dict[str, list[Request]]:
    """The history requests of some instruments by what they are of."""
    found: dict[str, list[Request]] = {}
    for listing in synthetic(venue, FEW):
        for request in VENUES[venue].history(VENUES[venue].endpoints, listing, NOW - DAY_AND_TWO, NOW):
            found.setdefault(request.context.split(":")[1], []).append(request)
    return found


def test_every_venue_has_every_stream_in_order() -> None:
    _, sections = page()
    assert list(sections) == list(VENUES)
    for section in sections.values():
        assert tuple(section.rows) == ROWS


@pytest.mark.parametrize("stream", ROWS)
@pytest.mark.parametrize("venue", VENUES)
def test_sources(venue: str, stream: str) -> None:
    """Each source named is asked for, and what is not named is not; ``none`` means that nothing is."""
    row, found = page()[1][venue].rows[stream], asked_for(venue, stream)
    if row.source == "none":
        assert found == []
        assert row == Row("none", "", "", "", "")
        return
    assert names(row.source)
    for name in names(row.source):
        assert any(within(name, text) for text in found), f"{name} is not asked for"
    if stream not in ("mark", "index", "funding", "oi"):  # main sockets carry several streams
        for text in found:
            assert any(within(name, text) for name in [*names(row.source), *LIVENESS]), f"{text} is not on the page"


@pytest.mark.parametrize("venue", VENUES)
def test_every_topic_is_on_the_page(venue: str) -> None:
    section = page()[1][venue]
    known = [name for row in section.rows.values() for name in names(row.source)]
    for plan in plans(venue, EXTRA_STREAMS):
        for frame in plan.frames:
            for topic in topics(frame):
                if plan.apart:  # of a source that is not proven: described below the table
                    assert f"`{topic.split()[0]}`" in section.text, f"{topic} is not on the page"
                    continue
                assert any(within(name, topic) for name in known) or (
                    any(word in topic and f"`{word}`" in "".join(section.uncertain) for word in LIVENESS)
                ), f"{topic} is not on the page"


@pytest.mark.parametrize("venue", VENUES)
def test_max_ages(venue: str) -> None:
    rows, rules = page()[1][venue].rows, VENUES[venue].rules_for(10.0, FEW)
    ages = {
        "mark": rules.mark.max_age_ms,
        "index": rules.index_max_age_ms,
        "funding": rules.funding.max_age_ms,
        "oi": rules.oi.max_age_ms,
        "long_short": FRESH_MS,
        "positions": FRESH_MS,
    }
    for stream, row in rows.items():
        if row.source != "none":
            assert row.max_age == (f"{ages[stream] / 1000:g} s" if stream in ages else "-"), stream


@pytest.mark.parametrize("venue", VENUES)
def test_history(venue: str) -> None:
    """History is asked for exactly where a source of it is named, and of that source."""
    rows, found = page()[1][venue].rows, history_of(venue)
    sources = {stream: names(row.history) for stream, row in rows.items() if not row.history.startswith("not used")}
    assert {stream for stream, named in sources.items() if named} == set(found)
    for stream, named in sources.items():
        if not named:
            assert rows[stream].history in ("", "-", "none published")
        texts = [text_of(request) for request in found.get(stream, [])]
        assert all(any(within(name, text) for name in named) for text in texts), stream
        assert all(any(within(name, text) for text in texts) for name in named), stream


@pytest.mark.parametrize("venue", VENUES)
def test_metadata(venue: str) -> None:
    named = names(page()[1][venue].metadata)
    requests = VENUES[venue].metadata(VENUES[venue].endpoints)
    assert all(any(within(name, request.url) for name in named) for request in requests)
    assert all(any(within(name, request.url) for request in requests) for name in named)


@pytest.mark.parametrize("venue", VENUES)
def test_cadence_of_polls(venue: str) -> None:
    """`10 s; 25 s at 500 symbols`: of what is polled."""
    for stream, row in page()[1][venue].rows.items():
        extras: tuple[ExtraStream, ...] = tuple(item for item in EXTRA_STREAMS if item == stream)
        if stream == "oi" or extras:
            few = [poll for poll in polls(venue, extras) if bool(poll.expects) is not bool(extras)]
            if not few:
                continue
            assert row.cadence.startswith(f"{few[0].every_s:g} s"), stream
            stretched = re.search(r"(\d+) s at (\d+) symbols", row.cadence)
            if stretched is not None:
                many = polls(venue, extras, int(stretched[2]), inverse_too=False)
                cadences = {poll.every_s for poll in many if bool(poll.expects) is not bool(extras)}
                assert cadences == {float(stretched[1])}, stream


@pytest.mark.parametrize("venue", VENUES)
def test_fields_are_those_the_decoder_reads(venue: str) -> None:
    files = sorted((ROOT / "service" / "venues" / FOLDERS.get(venue, venue)).glob("*.py"))
    code = "\n".join(path.read_text() for path in files)
    for stream, row in page()[1][venue].rows.items():
        for name in names(row.native):
            assert within(name, code), f"{stream}: {name}"


def test_sides_of_open_interest() -> None:
    """The table of `One side or two` is the venues' own rule, and says of those that are measured that they are."""
    head, _ = page()
    part = head.partition("## One side or two")[2]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[:1] == "|"][2:]
    figures = {name: venue.rules.oi_figure for name, venue in VENUES.items()}
    assert {row[0].strip("`"): (row[1].strip("`"), int(row[2])) for row in cells} == {
        name: (figure.name, figure.sides) for name, figure in figures.items()
    }
    compared = [
        name for name, venue in VENUES.items() if any("sides" in r.context for r in venue.metadata(venue.endpoints))
    ]
    assert [row[0].strip("`") for row in cells if row[4].startswith("measured")] == compared
    assumed = [name for name, figure in figures.items() if figure.evidence == "assumed"]
    assert [row[0].strip("`") for row in cells if row[3].startswith("assumed")] == assumed


def test_where_to_look_exists() -> None:
    """Metrics, reasons and fields that the page and the one of the first live day send their reader to."""
    head, sections = page()
    first_day = (ROOT / "docs" / "first-live-day.md").read_text()
    texts = [head, first_day, *("\n".join(section.uncertain) for section in sections.values())]
    source = "\n".join(path.read_text() for path in sorted((ROOT / "service").rglob("*.py")))
    metrics = (ROOT / "docs" / "metrics.md").read_text()
    for text in texts:
        for name in names(text):
            if name.startswith("elr_"):
                assert f"`{name}`" in metrics, name
            elif re.fullmatch(r"[a-z_]+", name) and name not in REASONS:
                assert within(name, source), name
    for section in sections.values():
        assert section.uncertain
        assert all(line.startswith(("- ", "  ")) for line in section.uncertain)
    assert all(reason in REASONS for reason in re.findall(r"reason `(\w+)`", "".join(texts)))


def test_the_first_live_day_knows_every_venue() -> None:
    """Where the audit reads each one's open interest, as the code has it, and what stays unknown of it."""
    text = (ROOT / "docs" / "first-live-day.md").read_text()
    read = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", text, re.MULTILINE))
    assert {name: words for name, words in read.items() if name in VENUES} == {
        name: SOURCES[name].oi_read for name in VENUES
    }
    assert re.findall(r"\[list\]\(venues\.md#(\w+)\)", text) == list(VENUES)
