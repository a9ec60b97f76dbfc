"""The chance of a deep fall of open interest: the fitted form, and the file it is read from (docs/deleveraging.md).

Pure but for :func:`packaged`. Scoring publishes it, the scoreboard judges it beside volatility alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from math import exp, log
from typing import Any, TypeAlias

import orjson

FORM = "deleveraging-1"
HORIZON_H = 24
USUAL_VOLATILITY = 0.03  # a day's; where ln(volatility / this) is 0
MIDDLE_RANK = 0.5
FALLS = ("oi_5", "oi_10")
LOG_FALLS = (log(0.95), log(0.90))  # of these
BINS = 10  # of volatility
FURTHEST = 30.0  # log odds
LARGEST = 100.0  # of any parameter: with more every chance would be 0 or 1

Pair: TypeAlias = tuple[float, float]  # of oi_5 and oi_10


@dataclass(frozen=True, slots=True)
class Model:
    """``name``: form and the first digits of the file's hash. ``least_rank_h``: hours a rank must have behind it.

    ``volatility_edges``: nine rising values of ``volatility_24h`` that cut the fitted rows into ten equal parts.
    """

    name: str
    intercepts: Pair
    c_rank: float
    c_volatility: float
    alone_intercepts: Pair
    alone_c_volatility: float
    base_rates: Pair
    least_rank_h: int
    volatility_edges: tuple[float, ...]

    def probabilities(self, rank: float, volatility_24h: float) -> Pair:
        """(P(oi_5), P(oi_10)) at a rank of leverage in [0, 1] and a volatility of a day (a fraction above 0)."""
        x = self.c_rank * (rank - MIDDLE_RANK) + self.c_volatility * _log_ratio(volatility_24h)
        return _chance(self.intercepts[0] + x), _chance(self.intercepts[1] + x)

    def volatility_alone(self, volatility_24h: float) -> Pair:
        """The same of the form without the rank: what :meth:`probabilities` must beat."""
        x = self.alone_c_volatility * _log_ratio(volatility_24h)
        return _chance(self.alone_intercepts[0] + x), _chance(self.alone_intercepts[1] + x)

    def volatility_bin(self, volatility_24h: float) -> int:
        """0 to 9: the tenth of the fitted rows that a volatility lies in; an edge belongs to the bin above it."""
        return bisect_right(self.volatility_edges, volatility_24h)


def _log_ratio(volatility_24h: float) -> float:
    return log(volatility_24h / USUAL_VOLATILITY)


def _chance(log_odds: float) -> float:
    return 1.0 / (1.0 + exp(-max(-FURTHEST, min(log_odds, FURTHEST))))


@cache
def packaged_parameters() -> dict[str, Any]:
    """The content of the parameter file that comes with the service."""
    plain: dict[str, Any] = orjson.loads((files("service") / "deleveraging.json").read_bytes())
    return plain


@cache
def packaged() -> Model:
    """The model that comes with the service."""
    return parse(packaged_parameters())


def digest(plain: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of the JSON (keys sorted, no spaces) of everything but ``hash``."""
    rest = {name: value for name, value in plain.items() if name != "hash"}
    return sha256(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)).hexdigest()


def parse(plain: Any) -> Model:
    """The model of a parameter file that ``elr fit`` wrote. Raises ValueError saying what is wrong with it."""
    if not isinstance(plain, dict) or plain.get("form") != FORM:
        raise ValueError(f"not a file of `elr fit` (form {FORM})")
    try:
        whole = plain.get("hash") == digest(plain)
    except TypeError:  # TOML has what JSON has not, like an integer beyond 64 bits
        whole = False
    if not whole:
        raise ValueError("hash does not fit: the file was changed by hand, or is damaged; fit anew with `elr fit`")
    try:
        full, alone, rates = plain["parameters"], plain["volatility_alone"], plain["base_rates"]
        model = Model(
            name=f"{FORM}:{plain['hash'][:8]}",
            intercepts=(_number(full["a_5"]), _number(full["a_10"])),
            c_rank=_number(full["c_rank"]),
            c_volatility=_number(full["c_volatility"]),
            alone_intercepts=(_number(alone["a_5"]), _number(alone["a_10"])),
            alone_c_volatility=_number(alone["c_volatility"]),
            base_rates=(_number(rates["oi_5"]), _number(rates["oi_10"])),
            least_rank_h=plain["least_rank_h"],
            volatility_edges=tuple(_number(edge) for edge in plain["volatility_edges"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a file of `elr fit`: {type(error).__name__}: {error}") from None
    if type(model.least_rank_h) is not int or model.least_rank_h < 1:
        raise ValueError(f"least_rank_h: {model.least_rank_h!r} is not a number of whole hours")
    edges = model.volatility_edges
    if len(edges) != BINS - 1 or list(edges) != sorted(set(edges)):
        raise ValueError(f"volatility_edges: {BINS - 1} rising numbers expected")
    if not (
        model.intercepts[1] <= model.intercepts[0]
        and model.alone_intercepts[1] <= model.alone_intercepts[0]
        and 0 <= model.base_rates[1] <= model.base_rates[0] <= 1
    ):
        raise ValueError("a fall of 10 % cannot be likelier than one of 5 %")
    return model


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) <= LARGEST:
        raise ValueError(f"{value!r} is not a number of at most {LARGEST:g}")
    return float(value)
