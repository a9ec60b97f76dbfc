"""One Hedge a window over all symbols (or one a window and symbol): rounds, labels, and which weights are in force."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar

import orjson

from service.config import WeightsSection
from service.errors import ConfigError
from service.learning.hedge import Hedge, label, rates
from service.metrics import WeightNumbers
from service.state import Plain, Stateful

log = logging.getLogger(__name__)

WINDOWS = (("1m", 60_000), ("5m", 300_000), ("1h", 3_600_000))
ROUND_MS = 60_000  # every window's rounds begin and end on it
ZERO = "zero"  # says 0 always, never sleeps: that nothing works
STATIC = "static"  # says what the fixed formula says
ZERO_PRIOR = 0.5  # that nothing works is the null hypothesis: even odds against all the others together
POOLED = "all"
STATIC_VERSION = "static-1"
# The span the rates are made for: long enough for an edge of a few percent to show, with a change of mind a month.
SPAN_MS = 90 * 86_400_000
SPAN_SWITCHES = 3

ScoreboardOutput = Mapping[str, Mapping[str, float | None]]  # window -> expert -> score, None asleep


@dataclass(frozen=True, slots=True)
class InForce:
    """Learned shares of the windows that use them, by expert; a window that is not named uses the fixed formula."""

    version: str
    windows: Mapping[str, Mapping[str, float]]


class Learner(Stateful):
    """Learns always; what is in force depends on the mode (``[weights]`` of the configuration).

    ``static``: nothing. ``learn``: the shares of each window with at least ``min_outcomes`` rounds, which replace the
    fixed formula bit by bit over as many rounds again: no score jumps. ``frozen``: the shares given.
    At a tick: :meth:`mature` with the returns, then score with :meth:`in_force`, then :meth:`take`.

    ``experts``: component ids by window. Rounds begin at UTC multiples of the window and do not overlap; the label of
    the one begun at T is the return of the window that ends at T plus its length: known at just that tick, or never.
    """

    STATE = ("_hedges", "_pending")
    CONFIGURED: ClassVar = frozenset({"_hedges"})

    def __init__(
        self, symbols: Sequence[str], experts: Mapping[str, Sequence[str]], settings: WeightsSection | None = None
    ) -> None:
        self._settings = WeightsSection() if settings is None else settings
        self._symbols = tuple(symbols)
        self._groups = self._symbols if self._settings.per_symbol else (POOLED,)
        self._experts = {name: (*experts[name], STATIC, ZERO) for name, _ in WINDOWS}
        self._hedges = {f"{group}:{name}": self._fresh(name) for group in self._groups for name, _ in WINDOWS}
        # Window -> the round that waits for its labels: {"ts", "said": {symbol: scores in the experts' order}}.
        self._pending: dict[str, Any] = {}
        self._frozen = self._given()
        self._in_force: dict[str, InForce | None] = {}
        self.unread: dict[str, str] = {}  # groups and windows whose stored shares did not load, and why
        self._settle()

    # -- at a tick ---------------------------------------------------------------------------------------------

    def mature(self, ts: int, returns: Mapping[str, Mapping[str, float | None]]) -> None:
        """Close the rounds that end at ``ts``: ``returns`` are z_return by symbol and window, None where unknown."""
        learned = False
        for name, ms in WINDOWS:
            waiting = self._pending.get(name)
            if waiting is None or ts < waiting["ts"] + ms:
                continue
            del self._pending[name]
            if ts > waiting["ts"] + ms:
                continue  # its tick was skipped: a later return is not its outcome
            outcomes: dict[str, list[tuple[list[float | None], float]]] = {group: [] for group in self._groups}
            for symbol in self._symbols:
                z = returns.get(symbol, {}).get(name)
                if z is not None and symbol in waiting["said"]:
                    outcomes[self._group(symbol)].append((waiting["said"][symbol], label(z)))
            for group, pairs in outcomes.items():
                self._hedges[f"{group}:{name}"].update(pairs)
            learned = True
        if learned:
            self._settle()

    def take(self, ts: int, scores: Mapping[str, ScoreboardOutput]) -> None:
        """Begin the rounds due at ``ts`` with what each symbol's components and the fixed formula say."""
        for name, ms in WINDOWS:
            if ts % ms != 0:
                continue
            said = {}
            for symbol in self._symbols:
                spoken = scores.get(symbol, {}).get(name, {})
                of = [0.0 if expert == ZERO else spoken.get(expert) for expert in self._experts[name]]
                if any(score is not None for score in of[:-1]):
                    said[symbol] = of
            if said:
                self._pending[name] = {"ts": ts, "said": said}

    def in_force(self, symbol: str) -> InForce | None:
        """What to score ``symbol`` with at the tick being taken; None: the fixed formula."""
        return self._in_force[self._group(symbol)]

    def reanchor(self) -> None:
        """The clock's anchor moved: rounds under way are given up, a window must be as long as it says."""
        self._pending.clear()

    # -- which weights -----------------------------------------------------------------------------------------

    def _group(self, symbol: str) -> str:
        return symbol if self._settings.per_symbol else POOLED

    def _given(self) -> InForce | None:
        given = self._settings.frozen
        if self._settings.mode != "frozen":
            return None
        if given is None:
            raise ConfigError(["weights.file: mode frozen needs the file of the weights"])
        file = self._settings.file
        where = "weights.frozen.windows" if file is None else f"weights.file: {file}: windows"
        problems = []
        for window, shares in given.windows.items():
            known = self._experts.get(window, ())
            unknown = [expert for expert in shares if expert not in known]
            if unknown:
                problems.append(f"{where}.{window}: unknown {', '.join(unknown)}; it has {' '.join(known)}")
        if problems:
            raise ConfigError(problems)
        return _in_force(given.rounds, {str(window): shares for window, shares in given.windows.items()})

    def _settle(self) -> None:
        for group in self._groups:
            if self._settings.mode == "learn":
                self._in_force[group] = self._learned(group, self._settings.min_outcomes)
            else:
                self._in_force[group] = self._frozen

    def _learned(self, group: str, least: int) -> InForce | None:
        hedges = {name: self._hedges[f"{group}:{name}"] for name, _ in WINDOWS}
        ripe = {name: hedge for name, hedge in hedges.items() if hedge.rounds >= least}
        if not ripe:
            return None
        rounds = sum([hedge.rounds for hedge in ripe.values()])  # integers
        return _in_force(
            rounds,
            {
                name: _eased(hedge.named(hedge.shares), (hedge.rounds - least + 1) / least)
                for name, hedge in ripe.items()
            },
        )

    # -- state and view ----------------------------------------------------------------------------------------

    def parts(self) -> list[tuple[str, Any]]:
        return [("about", self._about()), *super().parts()]

    def _about(self) -> dict[str, Plain]:
        about = {"per_symbol": self._settings.per_symbol, "symbols": self._symbols, "experts": self._experts}
        found: dict[str, Plain] = orjson.loads(orjson.dumps(about))
        return found

    def load(self, plain: Plain) -> None:
        """Go on from a :meth:`dump`. What was learned with other components or pooling does not fit: begins anew.

        Of other symbols it does: pooled it is of all symbols anyway, and a symbol's own stays its own. The rounds under
        way go on with the symbols that stay.
        """
        self.unread = {}
        about, before = self._about(), dict(plain["about"])
        symbols = before.pop("symbols")
        if before == {name: value for name, value in about.items() if name != "symbols"}:
            rest = {name: value for name, value in plain.items() if name != "about"}
            if symbols != about["symbols"]:
                rest["_pending"] = self._staying(rest["_pending"])
            super().load(rest)
        else:
            log.warning("what the weights had learned is of other components or pooling: learning begins anew")
        self._settle()

    def _staying(self, pending: Mapping[str, Any]) -> dict[str, Any]:
        """Rounds under way, without symbols that are not configured."""
        staying = {}
        for name, waiting in pending.items():
            said = {symbol: waiting["said"][symbol] for symbol in self._symbols if symbol in waiting["said"]}
            if said:
                staying[name] = {**waiting, "said": said}
        return staying

    def make(self, name: str, key: str) -> Stateful | None:
        return self._fresh(key.rpartition(":")[2]) if name == "_hedges" else None

    def damaged(self, name: str, key: str, error: Exception) -> None:
        self.unread[key] = f"{type(error).__name__}: {error}"

    def _fresh(self, window: str) -> Hedge:
        experts = self._experts[window]
        others = (1.0 - ZERO_PRIOR) / (len(experts) - 1)
        learning_rate, share_rate = rates(1.0 / others, SPAN_MS // dict(WINDOWS)[window], SPAN_SWITCHES)
        return Hedge(experts, learning_rate, share_rate, [others] * (len(experts) - 1) + [ZERO_PRIOR])

    @classmethod
    def saved(cls, plain: Plain) -> Learner:
        """As it was dumped, for looking at: in mode ``static``, whatever it was used for. Raises ValueError where not
        all of it can be read: what begins anew was not learned."""
        about = plain["about"]
        experts = {name: known[:-2] for name, known in about["experts"].items()}
        made = cls(about["symbols"], experts, WeightsSection(mode="static", per_symbol=about["per_symbol"]))
        made.load(plain)
        if made.unread:
            raise ValueError("; ".join(f"{name}: {why}" for name, why in made.unread.items()))
        return made

    def report(self) -> dict[str, Any]:
        """``/v1/weights`` (docs/weights.md): what is in force and what has been learned, by group and window."""
        groups = {}
        for group in self._groups:
            force, learned = self._in_force[group], self._learned(group, 1)
            groups[group] = {
                "version": STATIC_VERSION if force is None else force.version,
                "shadow_version": STATIC_VERSION if learned is None else learned.version,
                "windows": {
                    name: {
                        "in_force": None if force is None else force.windows.get(name),
                        **self._hedges[f"{group}:{name}"].report(),
                    }
                    for name, _ in WINDOWS
                },
            }
        return {
            "mode": self._settings.mode,
            "min_outcomes": self._settings.min_outcomes,
            "per_symbol": self._settings.per_symbol,
            "groups": groups,
        }

    def numbers(self) -> tuple[WeightNumbers, ...]:
        """What is learned over all symbols, by window, for the metrics; nothing with weights of each symbol's own."""
        if self._settings.per_symbol:
            return ()
        force = self._in_force[POOLED]
        hedges = [(name, self._hedges[f"{POOLED}:{name}"]) for name, _ in WINDOWS]
        return tuple(
            WeightNumbers(
                window=name,
                rounds=hedge.rounds,
                in_force=force is not None and name in force.windows,
                shares=tuple(zip(hedge.experts, hedge.shares, strict=True)),
            )
            for name, hedge in hedges
        )


def _eased(shares: Mapping[str, float], part: float) -> Mapping[str, float]:
    """``part`` of what was learned, the rest on the fixed formula."""
    if part >= 1.0:
        return shares
    return {expert: part * share + (1.0 - part) * (expert == STATIC) for expert, share in shares.items()}


def _in_force(rounds: int, windows: Mapping[str, Mapping[str, float]]) -> InForce:
    digest = sha256(orjson.dumps(windows, option=orjson.OPT_SORT_KEYS)).hexdigest()[:8]
    return InForce(f"hedge-{rounds}-{digest}", {name: dict(shares) for name, shares in windows.items()})
