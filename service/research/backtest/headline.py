"""What a part of the report says, first and in words: each question, its number, and whether that shows anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from service.research.backtest.measures import LEVEL
from service.research.backtest.trials import NOTHING

SHOWN = "yes"
OPPOSITE = "no: the opposite is shown"
NOT_SHOWN = "not shown"
NOT_LEFT = "not shown: p below 0.05, but not left among so many tests"
NO_INTERVAL = "cannot be said: too little data for an interval"
UNDEFINED = "cannot be said: undefined, or nothing to judge it by"
LABELS = {
    "flush": "the service's own flush",
    "oi_fall_5": "a fall of open interest by 5 %",
    "oi_fall_10": "one by 10 %",
}


def headline(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of ``question``, ``number`` (an estimate), ``verdict``, ``note``; a no stands where a yes would."""
    return [*_direction(told), *_fragility(told)]


def _direction(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    direction = told["direction"]
    main, trades = direction["main_horizon"], direction["trades"]
    signal = direction["signals"].get("composite", {}).get(main, {})
    test = f"composite {main}"
    yield _row(told, f"Does the score rank the return of the next {main}?", signal.get("ic"), f"{test}: IC")
    yield _row(
        told, f"Is its sign right more often than not over {main}?", signal.get("hit_rate"), f"{test}: hit rate",
        nothing=0.5,
    )  # fmt: skip
    yield _row(
        told, "Does the published direction earn anything before costs (basis points a trade)?", trades["gross_bp"],
        "direction: gross return",
        note="" if trades["net_bp"] is None else f"{trades['n']} trades, after costs {trades['net_bp']:.3g}",
    )  # fmt: skip
    yield _row(
        told, f"Is a probability of a rise over {main} made of it better than the base rate (below 0)?",
        (direction["brier"].get("composite") or {}).get("difference"), f"{test}: Brier against climatology", sign=-1,
    )  # fmt: skip


def _fragility(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    fragile = told["fragility"]
    name, horizon = fragile["judged_by"], fragile["horizon"]
    for label, words in LABELS.items():
        yield _row(
            told, f"Does {name} rank the chance of {words} within {horizon} (area; 0.5 is nothing)?",
            fragile["auc"][label][name]["auc"], f"{name} {label}: AUC", nothing=0.5,
            note=f"episodes: {fragile['labels'][label]['episodes']}",
        )  # fmt: skip
        yield _row(
            told, "... and is a probability made of it better than the base rate (below 0)?",
            (fragile["forecast"][label] or {}).get("difference"), f"{name} {label}: Brier against climatology", sign=-1,
        )  # fmt: skip
    yield _row(
        told, f"Does {name} rank the volatility of the next {horizon} (not claimed)?",
        fragile["correlation"]["volatility"][name], f"{name} volatility: rank correlation",
    )  # fmt: skip


def _row(
    told: dict[str, Any],
    question: str,
    number: dict[str, Any] | None,
    test: str,
    nothing: float = 0.0,
    sign: int = 1,
    note: str = "",
) -> dict[str, Any]:
    """``nothing``: the value that says nothing; ``sign``: on which side of it the answer is yes."""
    corrected = next((row["p_corrected"] for row in told["multiplicity"]["rows"] if row["test"] == test), None)
    return {
        "question": question,
        "number": NOTHING if number is None else number,
        "verdict": verdict(number, corrected, nothing, sign),
        "note": note,
    }


def verdict(number: dict[str, Any] | None, corrected: float | None, nothing: float = 0.0, sign: int = 1) -> str:
    """In words. ``corrected``: the p-value after Benjamini-Hochberg over the part's tests."""
    if number is None or number["value"] is None:
        return UNDEFINED
    if number["p"] is None or corrected is None:
        return NO_INTERVAL
    if number["p"] >= LEVEL:
        return NOT_SHOWN
    if corrected >= LEVEL:
        return NOT_LEFT
    return SHOWN if (number["value"] - nothing) * sign > 0 else OPPOSITE
