"""The service's own state on disk: what a restart goes on from. One file, replaced as a whole or not at all.

It is loaded by name: a change of symbols or venues costs the others nothing. What is no longer configured is left out
and not kept for later: at its return it would be old, and the venues' history fills in a day of it in a minute.
"""

from __future__ import annotations

import gzip
import logging
import os
import sys
import zlib
from collections.abc import Callable, Iterable
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import orjson

from service import __version__
from service.config import Config
from service.core.engine import LOADED_VERSIONS, STATE_VERSION, CarriedOver, Engine
from service.core.renames import renamed_state
from service.core.snapshot import Slices
from service.errors import ConfigError
from service.state import DAMAGE

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

FORMAT = "elr-state"
VERSION = 1
MAX_AGE_MS = 72 * 3_600_000  # older state says nothing about today's scales
AHEAD_MS = 5_000  # a state this far from the future is this machine's clock being set, not an error
NAME = "state.json.gz"


def default_folder() -> Path:
    """The XDG base directory for state that persists between restarts."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "state") / "elr-signal-service"


def document(engine: Engine, config: Config, created_ms: int) -> dict[str, Any]:
    """What is written: the engine and what it is of. Plain values that share nothing with the engine."""
    return {**_about(config, created_ms), "engine": engine.save()}


def document_in_slices(engine: Engine, config: Config, created_ms: int) -> Slices:
    """Its JSON text, as :meth:`Engine.snapshot` gives the engine's."""
    slices = engine.snapshot()
    yield [orjson.dumps(_about(config, created_ms))[:-1], b',"engine":', *next(slices)]
    yield from slices
    yield [b"}"]


def _about(config: Config, created_ms: int) -> dict[str, Any]:
    """``symbols``, ``venues`` and ``market`` are for a person who looks at it: none of them decides what is loaded."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "created_ms": created_ms,
        "service_version": __version__,
        "symbols": list(config.service.symbols),
        "venues": list(config.venues.enabled()),
        "market": config.market.model_dump(mode="json"),
    }


def misfit(plain: dict[str, Any], now_ms: int) -> str | None:
    """Why this state cannot be gone on from, in words; None if it can."""
    if plain.get("format") != FORMAT or plain.get("version") != VERSION:
        return f"it is of another format ({plain.get('format')!r} version {plain.get('version')!r})"
    created_ms = plain.get("created_ms")
    engine = plain.get("engine")
    if type(created_ms) is not int or not isinstance(engine, dict):
        return "it is incomplete"
    if created_ms > now_ms + AHEAD_MS:
        return f"it is {(created_ms - now_ms) / 1000:.0f} s from the future"
    if now_ms - created_ms > MAX_AGE_MS:
        return f"it is {(now_ms - created_ms) / 3_600_000:.0f} h old, at most {MAX_AGE_MS // 3_600_000} h are used"
    if engine.get("version") not in LOADED_VERSIONS:
        return f"its engine is of version {engine.get('version')!r}, this one of {STATE_VERSION}"
    return None


class StateFile:
    """``state.json.gz`` in a folder of its own, locked by the process that uses it. Raises :exc:`ConfigError` if the
    folder cannot be made or is in use."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._lock: TextIOWrapper | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = open(folder / "lock", "w")  # noqa: SIM115 - held until close()
            if sys.platform != "win32":
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            text = f"state.folder: {folder} is in use by another process; give each its own, or set state.keep = false"
            raise ConfigError([text]) from None
        except OSError as error:
            self.close()
            text = f"state.folder: {folder} cannot be written ({error.strerror}); set it, or state.keep = false"
            raise ConfigError([text]) from None

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def read(self) -> dict[str, Any] | None:
        """The document, or None: there is none, or it is damaged and was set aside."""
        try:
            plain = orjson.loads(gzip.decompress(self.path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, EOFError, zlib.error, ValueError) as error:
            self.set_aside(str(error))
            return None
        if not isinstance(plain, dict):
            self.set_aside("not an object")
            return None
        return plain

    def set_aside(self, why: str) -> None:
        """Rename what cannot be used, so that a person can look at it."""
        bad = self.path.with_name(NAME + ".bad")
        try:
            os.replace(self.path, bad)
            log.error("saved state is damaged (%s): set aside as %s", why, bad)
        except OSError as error:
            log.error("saved state is damaged (%s) and cannot be set aside: %s", why, error)

    def write(self, text: Iterable[bytes]) -> None:
        """Replace the file by this JSON text, atomically and durably. Slow: call it in a thread. Raises OSError."""
        draft = self.path.with_name(NAME + ".tmp")
        with open(draft, "wb") as file:
            with gzip.GzipFile("", "wb", compresslevel=3, fileobj=file, mtime=0) as packed:
                for piece in text:
                    packed.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, self.path)
        if sys.platform != "win32":
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def restored(file: StateFile, config: Config, make: Callable[[], Engine], now_ms: int) -> tuple[Engine, str | None]:
    """A fresh engine of ``make``, with the saved state where it fits; and in words what was found, None if nothing.

    The engine stays cold: the gap since its last sample may be back-filled before it goes on.
    """
    plain = file.read()
    if plain is None:
        return make(), None
    plain = _under_todays_names(plain, config)
    why = misfit(plain, now_ms)
    if why is not None:
        return _with_record(make, plain), f"saved state is not used: {why}"
    engine = make()
    try:
        carried = engine.carry_over(plain["engine"]["engine"])
        _judge(engine, carried, plain["created_ms"])
    except DAMAGE as error:
        file.set_aside(f"{type(error).__name__}: {error}")
        return make(), "saved state is not used: it is damaged"
    if not carried.kept:
        return _with_record(make, plain), "saved state is not used: it is of other symbols"
    covered_h = engine.covered_minutes / 60
    if config.start.history and covered_h < config.start.history_h / 2:
        return _with_record(make, plain), (
            f"saved state is not used: it knows only {covered_h:.1f} h, history is worth more"
        )
    for what, text in {**carried.unread, **carried.unread_records}.items():
        log.warning("of the saved state %s is damaged (%s): it begins anew", what, text)
    return engine, f"restored the state saved {_ago(now_ms - plain['created_ms'])} ago{_changes(carried)}"


def _changes(carried: CarriedOver) -> str:
    """What is not as it was, in words; empty where all is."""
    begun = len(carried.new) + len(carried.unread)
    parts = [
        ("new", carried.new),
        ("damaged, so they begin anew", tuple(carried.unread)),
        ("no longer configured", carried.gone),
        ("new venues", carried.new_venues),
        ("venues no longer configured", carried.gone_venues),
    ]
    told = [f"{what}: {', '.join(names)}" for what, names in parts if names]
    if begun:
        told.insert(0, f"{len(carried.kept)} of {len(carried.kept) + begun} symbols")
    return f": {'; '.join(told)}" if told else ""


def _under_todays_names(plain: dict[str, Any], config: Config) -> dict[str, Any]:
    try:
        engine = renamed_state(plain["engine"], config.aliases())
    except (KeyError, TypeError, AttributeError):  # of another shape, which is judged by who loads it
        return plain
    if engine is plain["engine"]:
        return plain
    log.info("of the saved state %s go on as %s", *(" ".join(item["symbols"]) for item in (plain["engine"], engine)))
    return {**plain, "symbols": engine["symbols"], "engine": engine}


def _with_record(make: Callable[[], Engine], plain: dict[str, Any]) -> Engine:
    """A fresh engine that keeps the record of outcomes and what was learned: neither of them ages as a market does."""
    engine = make()
    try:
        engine.salvage(plain["engine"]["engine"])
    except DAMAGE:  # of another shape: they begin anew
        return make()
    log.info("of the saved state the record of %d outcomes is kept", engine.scoreboard.chain.seq)
    return engine


def _judge(engine: Engine, carried: CarriedOver, created_ms: int) -> None:
    """Raises ValueError for what loads and yet cannot be gone on from."""
    if type(engine.sampled_ms) is not int or not 0 < engine.sampled_ms <= created_ms + AHEAD_MS:
        raise ValueError(f"last sample {engine.sampled_ms!r}")
    if carried.unread and not carried.kept:
        raise ValueError("; ".join(f"{symbol}: {why}" for symbol, why in carried.unread.items()))


def _ago(age_ms: int) -> str:
    seconds = max(age_ms, 0) / 1000
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
