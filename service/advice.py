"""What traders make of a band, a regime or an alert: descriptions with their source, never instructions.

``kind``: ``practice``, what guides to the ratio tell traders to do, or what is usual; ``measured``, what history showed
(docs/evidence.md). Answered at ``/v1/advice``, told by the page and at the end of an alert's text; docs/advice.md
repeats the table. It is in no signal: it does not change from tick to tick.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

GUIDES = "common in guides to leverage and open interest; no single text is quoted"
NO_GUIDE = "no guide: what follows from the thing itself"


class Advice(NamedTuple):
    """``text``: one sentence. ``source``: where it is from."""

    text: str
    kind: Literal["practice", "measured"]
    source: str


BANDS = {
    "low": Advice("leverage is thin: traders size as usual and enter gradually", "practice", GUIDES),
    "moderate": Advice("traders size as usual, with stops in place", "practice", GUIDES),
    "high": Advice("traders use stops and reduce their leverage", "practice", GUIDES),
    "extreme": Advice("traders avoid new risk and wait for a reset", "practice", GUIDES),
}
REGIMES = {
    "flush": Advice(
        "traders neither chase nor catch it; over half of the fall is usually done when it shows",
        "measured",
        "docs/flush.md",
    ),
    "reset": Advice(
        "guides call it a cleaner entry; history did not show that it is one",
        "measured",
        "docs/evidence.md, Is a reset a cleaner entry?",
    ),
    "crowded_longs": Advice(
        "traders with longs tighten stops; deep falls of open interest followed 1.5 times as often as at the same "
        "volatility, of the price either way",
        "measured",
        "docs/evidence.md, What followed alerts and regimes",
    ),
    "crowded_shorts": Advice(
        "traders with shorts tighten stops; deep falls of open interest followed 1.5 times as often as at the same "
        "volatility, of the price either way",
        "measured",
        "docs/evidence.md, What followed alerts and regimes",
    ),
    "loaded": Advice(
        "traders reduce leverage; deep falls of open interest followed 1.4 times as often as at the same volatility",
        "measured",
        "docs/evidence.md, What followed alerts and regimes",
    ),
    "building": Advice("traders watch whether funding follows, and enter gradually", "practice", NO_GUIDE),
    "calm": Advice("traders size as usual", "practice", GUIDES),
}
ALERTS = {
    "elr_spike": Advice(
        "traders reduce leverage and avoid new risk until it is over",
        "practice",
        GUIDES,
    ),
    "flush": REGIMES["flush"],
    "reset": REGIMES["reset"],
    "crowding": Advice("traders on the crowded side tighten stops", "practice", NO_GUIDE),
    "conflict": Advice("traders stand aside or halve their size while windows disagree", "practice", NO_GUIDE),
    "transition": Advice(
        "traders who follow the score turn with it; history showed no direction in it",
        "measured",
        "docs/evidence.md, Direction",
    ),
    "fading": Advice(
        "traders who follow the score take part of their profit; history showed no direction in it",
        "measured",
        "docs/evidence.md, Direction",
    ),
    "venue_divergence": Advice("traders check which venue stands apart before they trust a rate", "practice", NO_GUIDE),
    "no_data": Advice("traders without data do not trade", "practice", NO_GUIDE),
    "market_loaded": Advice("traders reduce leverage in all symbols, as they fall together", "practice", GUIDES),
    "market_flush": REGIMES["flush"],
}


def told() -> dict[str, dict[str, dict[str, str]]]:
    """The body of ``/v1/advice``."""
    parts = {"bands": BANDS, "regimes": REGIMES, "alerts": ALERTS}
    return {part: {name: item._asdict() for name, item in table.items()} for part, table in parts.items()}


def with_advice(alert: str, text: str) -> str:
    """An alert's text with what traders make of it at its end, and whether that is practice or measured."""
    advice = ALERTS[alert]
    return f"{text}. {advice.text[0].upper()}{advice.text[1:]} ({advice.kind})"
