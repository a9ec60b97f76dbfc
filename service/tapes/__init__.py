"""Tapes: raw frames with receive times, enough to replay a run byte for byte. Format: docs/tapes.md."""

from service.tapes.format import Header, Record
from service.tapes.reader import read
from service.tapes.writer import TapeWriter

__all__ = ["Header", "Record", "TapeWriter", "read"]
