"""Expected values that carry a documented tolerance, and the comparison of two message bodies."""

from __future__ import annotations

from typing import Any

RELATIVE = 1e-9
ABSOLUTE = 1e-12
# A small change is the difference of two sums of logs, good to 1e-16, over a scale that may be 1e-6: what is made of
# z (dimensionless, of order 1) is compared to 1e-10.
ABSOLUTE_OF_Z = 1e-10
MADE_OF_Z = (".z", "score", "trend", "contrarian", "gate", "agreement", "confidence")


class Loose(float):
    """A number that the service may approximate: ``slack`` is the greatest allowed absolute difference."""

    slack: float

    def __new__(cls, value: float, slack: float) -> Loose:
        made = super().__new__(cls, value)
        made.slack = slack
        return made

    def __getnewargs__(self) -> tuple[float, float]:  # type: ignore[override]
        return float(self), self.slack


class Either(str):
    """A word that follows from a loose number near a threshold: any of ``allowed`` will do."""

    __slots__ = ("allowed",)
    allowed: tuple[str, ...]

    def __new__(cls, value: str, allowed: tuple[str, ...]) -> Either:
        made = super().__new__(cls, value)
        made.allowed = allowed
        return made


class OneOf(float):
    """A number that is chosen by a loose one near a threshold: any of ``allowed`` will do, nothing between them."""

    allowed: tuple[float, ...]

    def __new__(cls, value: float, allowed: tuple[float, ...]) -> OneOf:
        made = super().__new__(cls, value)
        made.allowed = allowed
        return made

    def __getnewargs__(self) -> tuple[float, tuple[float, ...]]:  # type: ignore[override]
        return float(self), self.allowed


def slack_of(value: float | None) -> float:
    return value.slack if isinstance(value, Loose) else 0.0


def compare(expected: Any, actual: Any, path: str = "") -> list[str]:
    """Every path at which ``actual`` differs from ``expected``, one line each; empty when they agree.

    Numbers: relative 1e-9, absolute 1e-12 (1e-10 for z and what is made of z); :class:`Loose`, :class:`Either` and
    :class:`OneOf` as they say. Everything else, the order of keys included, must be equal; True is not 1,
    None is not 0.
    """
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            return [f"{path}: expected an object, got {actual!r}"]
        lines = [f"{path}.{key}: missing" for key in expected if key not in actual]
        lines += [f"{path}.{key}: not expected, got {actual[key]!r}" for key in actual if key not in expected]
        if not lines and list(expected) != list(actual):
            lines.append(f"{path}: key order {list(actual)}, expected {list(expected)}")
        for key in expected:
            if key in actual:
                lines += compare(expected[key], actual[key], f"{path}.{key}")
        return lines
    if isinstance(expected, list) and path.endswith(".reasons") and isinstance(actual, list | tuple):
        agrees = sorted(expected) == sorted(actual)  # the contract lists the codes, not their order
    elif isinstance(expected, list | tuple):
        if not isinstance(actual, list | tuple) or len(expected) != len(actual):
            return [f"{path}: expected {expected!r}, got {actual!r}"]
        pairs = zip(expected, actual, strict=True)
        return [line for i, (e, a) in enumerate(pairs) for line in compare(e, a, f"{path}[{i}]")]
    elif isinstance(expected, Either | OneOf):
        agrees = actual in expected.allowed
    elif _is_number(expected) and _is_number(actual):
        absolute = ABSOLUTE_OF_Z if any(word in path for word in MADE_OF_Z) else ABSOLUTE
        near = max(RELATIVE * max(abs(expected), abs(actual)), absolute)
        agrees = abs(expected - actual) <= near + slack_of(expected)
    else:
        agrees = type(expected) is type(actual) and expected == actual
    if agrees:
        return []
    slack = f" (slack {slack_of(expected)!r})" if isinstance(expected, Loose) else ""
    return [f"{path}: expected {expected!r}{slack}, got {actual!r}"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
