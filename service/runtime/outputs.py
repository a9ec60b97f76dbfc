"""Where else a run goes: a tape of raw frames, and one signal body a line. Opened before anything long begins."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from service.config import ScoreboardSection
from service.errors import ConfigError
from service.model import SignalBody
from service.publishing import body_bytes
from service.runtime.ledger_file import LedgerFile
from service.tapes import TapeWriter

log = logging.getLogger(__name__)


class SignalsFile:
    """Appends signal bodies, one JSON line each: what a replay is compared with. A full disk costs only the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failed = False
        try:
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - owned until close()
        except OSError as error:
            raise ConfigError([f"{path}: cannot be written: {error.strerror}"]) from None

    def write(self, signals: Sequence[SignalBody]) -> None:
        if self.failed:
            return
        try:
            write_signals(self._file, signals)
        except OSError as error:
            self.failed = True
            log.error("signals file stopped path=%s reason=%r: the service goes on without it", self.path, str(error))

    def close(self) -> None:
        self._file.close()


def write_signals(file: IO[bytes], signals: Sequence[SignalBody]) -> None:
    """One signal body a line."""
    file.write(b"".join(body_bytes(body) + b"\n" for body in signals))


@dataclass(frozen=True, slots=True)
class Outputs:
    """The open files of a run; None where not asked for."""

    tape: TapeWriter | None = None
    signals: SignalsFile | None = None
    ledger: LedgerFile | None = None

    def close(self) -> None:
        if self.tape is not None:
            self.tape.close()
        if self.signals is not None:
            self.signals.close()
        if self.ledger is not None:
            self.ledger.close()


def open_outputs(tape: Path | None, signals: Path | None, ledger: ScoreboardSection | None = None) -> Outputs:
    """Open all for appending. Raises :exc:`ConfigError` naming the path that cannot be written."""
    opened = Outputs()
    try:
        if tape is not None:
            opened = replace(opened, tape=TapeWriter(tape))
        if signals is not None:
            opened = replace(opened, signals=SignalsFile(signals))
        if ledger is not None and ledger.folder is not None:
            opened = replace(opened, ledger=LedgerFile(Path(ledger.folder), ledger.rotate_mb << 20, ledger.keep_files))
    except ConfigError:
        opened.close()
        raise
    return opened
