"""What every indicator of the library promises.

``update(t_ms, x)`` enters an observation at UTC epoch ms ``t_ms``; ``x`` is a number, or one per input in the order of
``inputs``. ``value`` is the indicator as of the newest update, ``ready`` whether it has the past that it asks for; not
ready: ``value`` is None. A value may be None all the same: an input is missing now, or a divisor is 0.

* 0 is a value. None is "not observed": time goes on, nothing is entered.
* Times do not fall; an update earlier than the newest changes nothing. Of levels at equal times the last one stands,
  flows at equal times add up.
* A number that is not finite, too large for any market, or negative where nothing is raises ValueError and changes
  nothing; so does a time that is too large, and one that is not whole raises TypeError.
* ``reanchor(delta_ms)``: the clock that gives the times was set. Fed with times ``delta_ms`` later from then on, it
  says what it would have said had the clock been left alone. Slots stay cut as they were.
* Windows are of time, cut into slots of ``step_ms`` (see :mod:`~service.research.indicators.slots`).
* ``batch(rows)`` is a loop over ``update`` and ``value``: a second, faster formula of each would be a second truth.
* ``dump()`` and ``load()`` keep all of it exactly, at any point. Memory is bounded by the window, not by the updates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import index
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from service.state import Stateful

V = TypeVar("V")
X: TypeAlias = float | Sequence[float | None] | None

LARGEST = 1e18  # of any input: squares and sums of such stay finite
LATEST_MS = 10**14  # in three thousand years: no market's time


@dataclass(frozen=True, slots=True)
class Input:
    """One number of an update. ``signed``: it may be negative."""

    name: str
    unit: str
    signed: bool = False


@dataclass(frozen=True, slots=True)
class About:
    """A row of docs/indicators.md, and what makes one. ``wickra``: the class that measures the same there, if any.
    ``settings``: in the registry the usual ones, in an indicator those it was made with."""

    id: str
    inputs: tuple[Input, ...]
    unit: str
    formula: str
    window: str
    null: str
    wickra: str | None
    differences: str
    make: Callable[..., Indicator[Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, **settings: Any) -> Indicator[Any]:
        """A new one, without a past; ``settings`` instead of the usual ones."""
        about = replace(self, settings={**self.settings, **settings}) if settings else self
        return self.make(about, **about.settings)


class Indicator(Stateful, Generic[V]):
    """Base of the library. A subclass takes checked observations in ``_take``."""

    STATE: ClassVar[tuple[str, ...]] = ("_newest_ms", "_set_ms")
    __slots__ = ("_newest_ms", "_set_ms", "about", "inputs")

    def __init__(self, about: About) -> None:
        self.about = about
        self.inputs = about.inputs
        self._newest_ms: int | None = None  # by the clock as it was first
        self._set_ms = 0  # how much that clock has been set since

    @property
    def value(self) -> V | None:
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        raise NotImplementedError

    def update(self, t_ms: int, x: X) -> None:
        values: tuple[float | None, ...] = tuple(x) if isinstance(x, Sequence) else (x,)
        if len(values) != len(self.inputs):
            raise ValueError(f"{self.about.id}: {len(values)} inputs, expected {len(self.inputs)}")
        for item, number in zip(self.inputs, values, strict=True):
            # Not the other way round: of NaN no comparison is true.
            if number is not None and not (0.0 if not item.signed else -LARGEST) <= number <= LARGEST:
                raise ValueError(f"{self.about.id}: {item.name} is {number}")
        t_ms = index(t_ms)
        if abs(t_ms) > LATEST_MS:
            raise ValueError(f"{self.about.id}: {t_ms} is no UTC epoch ms")
        t_ms -= self._set_ms
        if self._newest_ms is not None and t_ms < self._newest_ms:
            return
        self._newest_ms = t_ms
        self._take(t_ms, tuple([None if number is None else float(number) for number in values]))

    def batch(self, rows: Iterable[tuple[int, X]]) -> list[V | None]:
        """The value after each row (``t_ms``, ``x``), as a new indicator with the settings of this one gives it row by
        row. What this one has seen plays no part, and it is left as it is. A row that :meth:`update` refuses raises
        the same error."""
        fresh: Indicator[V] = self.about()
        values = []
        for t_ms, x in rows:
            fresh.update(t_ms, x)
            values.append(fresh.value)
        return values

    def reanchor(self, delta_ms: int) -> None:
        """The clock was set by ``delta_ms`` (+ ahead); the next times come from it as it is now."""
        self._set_ms += index(delta_ms)

    def _take(self, t_ms: int, x: tuple[float | None, ...]) -> None:
        raise NotImplementedError


class Pointwise(Indicator[V]):
    """Without a past: a function of the newest update alone, where that is complete."""

    STATE: ClassVar[tuple[str, ...]] = (*Indicator.STATE, "_value")
    __slots__ = ("_of", "_value")

    def __init__(self, about: About, of: Callable[..., V | None]) -> None:
        super().__init__(about)
        self._of = of
        self._value: V | None = None

    @property
    def value(self) -> V | None:
        return self._value

    @property
    def ready(self) -> bool:
        return self._newest_ms is not None

    def _take(self, t_ms: int, x: tuple[float | None, ...]) -> None:
        complete = whole(x)
        self._value = None if complete is None else self._of(*complete)


def whole(x: tuple[float | None, ...]) -> tuple[float, ...] | None:
    """``x`` if nothing of it is missing."""
    found = tuple(number for number in x if number is not None)
    return found if len(found) == len(x) else None
