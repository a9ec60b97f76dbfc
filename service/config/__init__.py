"""The configuration: its tables with their defaults (``sections``), a file read and judged (``reading``), the defaults
as text (``render``)."""

from __future__ import annotations

from service.config.reading import load, notes, parse, problems_of, read_toml, renamed, shareable
from service.config.sections import (
    DEFAULT_SYMBOLS,
    AlertSection,
    AuditSection,
    Config,
    FeedSection,
    FrozenWeights,
    MarketSection,
    NetworkSection,
    ScoreboardSection,
    ServiceSection,
    SourceSection,
    WeightsSection,
)

__all__ = [
    "DEFAULT_SYMBOLS",
    "AlertSection",
    "AuditSection",
    "Config",
    "FeedSection",
    "FrozenWeights",
    "MarketSection",
    "NetworkSection",
    "ScoreboardSection",
    "ServiceSection",
    "SourceSection",
    "WeightsSection",
    "load",
    "notes",
    "parse",
    "problems_of",
    "read_toml",
    "renamed",
    "shareable",
]
