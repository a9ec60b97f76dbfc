"""The arithmetic of a consensus sample (docs/signal.md section 3). Pure functions of plain numbers.

Lists run over the venues of V (or the subset said) in configuration order; every sum is taken in that order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp

from service.formulas import log_change
from service.statistics import fold

CLIP_MADS = 5.0
MAD_FLOOR = 1e-5
CLIP_FROM = 3  # venues; under this many there is no majority to clip to
TROUBLE_SHARE = 0.10
TIE = 1e-9  # two rates are always equally far from their median; rounding must not say which is the outlier


def median(values: Iterable[float]) -> float:
    """The middle value; of an even count the mean of the middle two. ``values`` must not be empty.

    >>> median([3.0, 1.0, 2.0]), median([4.0, 1.0, 2.0, 3.0])
    (2.0, 2.5)
    """
    return _middle(sorted(values))


def _middle(ordered: Sequence[float]) -> float:
    upper = len(ordered) // 2
    if len(ordered) % 2 == 1:
        return ordered[upper]
    # Halved before the sum, so that no pair of finite numbers overflows.
    return ordered[upper - 1] / 2.0 + ordered[upper] / 2.0


def median_without(ordered: Sequence[float], left_out: Sequence[int]) -> float | None:
    """The median of an ascending sequence without the members at ``left_out`` (ascending); None if none remains.

    >>> median_without([1.0, 2.0, 5.0, 9.0], [1])
    5.0
    """
    count = len(ordered) - len(left_out)
    if count == 0:
        return None
    upper = count // 2
    lower = count - 1 - upper
    for position in left_out:
        upper += position <= upper
        lower += position <= lower
    if lower == upper:
        return ordered[upper]
    # Halved before the sum, so that no pair of finite numbers overflows.
    return ordered[lower] / 2.0 + ordered[upper] / 2.0


def needed_venues(listing: int, min_venues: int) -> int:
    """The quorum: 1 where exactly one configured venue lists the symbol, else the configured number."""
    return 1 if listing == 1 else min_venues


def weighted_mean(weights: Sequence[float], values: Sequence[float]) -> float | None:
    """None if the weights sum to 0 (or there are none): nothing to weigh by is not 0."""
    total = fold(weights)
    if total <= 0.0:
        return None
    return fold([weight * value for weight, value in zip(weights, values, strict=True)]) / total


def clip_to_median(rates: Sequence[float]) -> list[float]:
    """Each rate within 5 median absolute deviations (at least 5e-5) of the unweighted median, and none beyond what the
    others say.

    >>> clip_to_median([0.0001, 0.0001, 0.01]), clip_to_median([0.0001, 0.0001, 0.01, 0.02])
    ([0.0001, 0.0001, 0.0001], [0.0001, 0.0001, 0.01, 0.01])
    """
    if len(rates) < CLIP_FROM:
        return list(rates)
    return _clipped(rates, median(rates))


def _clipped(rates: Sequence[float], middle: float) -> list[float]:
    if len(rates) < CLIP_FROM:
        return list(rates)
    reach = CLIP_MADS * max(median([abs(rate - middle) for rate in rates]), MAD_FLOOR)
    # The second lowest and second highest of the clipped rates: what all venues but one say, whichever that one is.
    ordered = sorted(rates)
    low, high = max(ordered[1], middle - reach), min(ordered[-2], middle + reach)
    return [low if rate < low else high if rate > high else rate for rate in rates]


@dataclass(frozen=True, slots=True)
class FundingConsensus:
    """What the venues with a known rate say together; None where undefined."""

    mean_8h: float | None
    spend: float | None
    spread: float | None
    outlier_sign: int


def funding_consensus(coins: Sequence[float], rates_8h: Sequence[float]) -> FundingConsensus:
    """OI-weighted clipped mean, coins paid per 8 h at clipped rates, spread, and which side its outlier is on."""
    if not rates_8h:
        return FundingConsensus(None, None, None, 0)
    ordered = sorted(rates_8h)
    middle = _middle(ordered)
    clipped = _clipped(rates_8h, middle)
    spend = fold([amount * rate for amount, rate in zip(coins, clipped, strict=True)])
    mean = weighted_mean(coins, clipped)
    if len(rates_8h) == 1:
        return FundingConsensus(mean, spend, None, 0)
    distances = [abs(rate - middle) for rate in rates_8h]
    reach = max(distances) * (1.0 - TIE)
    # The first in venue order that is as far off as any.
    furthest = next(rate for rate, distance in zip(rates_8h, distances, strict=True) if distance >= reach)
    sign = (furthest > middle) - (furthest < middle)
    return FundingConsensus(mean, spend, ordered[-1] - ordered[0], sign)


def link(now: float, before: float, venues: int, needed: int) -> float:
    """Chain link: the log change of oi of the instruments that count at both samples, both at the earlier coins
    per contract; 0 where they belong to fewer venues than the quorum or a sum is 0."""
    change = log_change(now, before) if venues >= needed else None
    return 0.0 if change is None else change


def coverage(fresh_coins: float, last_coins: float) -> float:
    """Share of the oi seen in 24 h that is in the sums; 0 where none was seen."""
    return min(fresh_coins / last_coins, 1.0) if last_coins > 0.0 else 0.0


def freshness(coins: Sequence[float], worn: Sequence[Sequence[float]]) -> float:
    """min over streams of exp(-a), a the OI-weighted mean of ``worn`` (age / max_age in [0, 1]).

    Without any oi to weigh by, the plain mean (coverage is 0 then).
    """
    total = fold(coins)
    weights = [amount / total for amount in coins] if total > 0.0 else [1.0 / len(coins)] * len(coins)
    return exp(-max([fold([w * x for w, x in zip(weights, stream, strict=True)]) for stream in worn]))


def troubling(last_coins: float, all_last_coins: float) -> bool:
    """Whether an absent venue holds enough of the oi to be named."""
    return last_coins > TROUBLE_SHARE * all_last_coins
