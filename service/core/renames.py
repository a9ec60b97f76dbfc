"""A saved state under the canonical names of today: that of a coin which has been renamed is gone on from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.state import Plain
from service.venues.symbols import canonical_symbol


def renamed_state(saved: Mapping[str, Any], known: Mapping[str, str]) -> Mapping[str, Any]:
    """An :meth:`service.core.engine.Engine.save` with every symbol under its canonical name; the same object where
    nothing is to be renamed, or where two symbols would become one. ``known``: of
    :func:`service.venues.symbols.aliases`. Raises KeyError, TypeError or AttributeError for another shape."""
    symbols = saved.get("symbols")
    if not isinstance(symbols, list) or not all(isinstance(name, str) for name in symbols):
        return saved
    new = [canonical_symbol(name, known) for name in symbols]
    if new == symbols or len(set(new)) < len(new):
        return saved

    def keyed(members: Mapping[str, Plain]) -> dict[str, Plain]:
        return {canonical_symbol(name, known): member for name, member in members.items()}

    engine = dict(saved["engine"])
    engine["market"] = {**engine["market"], "books": keyed(engine["market"]["books"])}
    engine["scoreboard"] = {**engine["scoreboard"], "_boards": keyed(engine["scoreboard"]["_boards"])}
    for part in ("indicators", "scorers"):
        engine[part] = {name: _inside(member, known) for name, member in keyed(engine[part]).items()}
    if "market_wide" in engine:
        whole = engine["market_wide"]
        aggregate = {**whole["aggregate"], "_last": keyed(whole["aggregate"]["_last"])}
        engine["market_wide"] = {**whole, "aggregate": aggregate}
    if "learner" in engine:
        learner = dict(engine["learner"])
        about = learner["about"]
        learner["about"] = {**about, "symbols": [canonical_symbol(name, known) for name in about["symbols"]]}
        learner["_hedges"] = {_group(name, known): hedge for name, hedge in learner["_hedges"].items()}
        learner["_pending"] = {
            window: {**waiting, "said": keyed(waiting["said"])} for window, waiting in learner["_pending"].items()
        }
        engine["learner"] = learner
    return {**saved, "symbols": new, "engine": engine}


def _group(name: str, known: Mapping[str, str]) -> str:
    """``GRAM:1m`` of a symbol's own weights; those of all symbols are ``all:1m``."""
    symbol, colon, window = name.rpartition(":")
    return canonical_symbol(symbol, known) + colon + window


def _inside(value: Plain, known: Mapping[str, str]) -> Plain:
    """``value`` with the symbol that a stored sample says it is of."""
    if isinstance(value, dict):
        return {
            name: canonical_symbol(item, known) if name == "symbol" and isinstance(item, str) else _inside(item, known)
            for name, item in value.items()
        }
    return [_inside(item, known) for item in value] if isinstance(value, list) else value
