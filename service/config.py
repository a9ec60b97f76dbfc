"""The configuration: its shape, defaults and judgement. ``config/default.toml`` is a tested copy of the defaults.

:func:`load` reports every problem at once, each with its path, as one :exc:`~service.errors.ConfigError`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from service.errors import ConfigError

DEFAULT_SYMBOLS = (
    "BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "AVAX", "LINK", "DOT", "LTC",
    "BCH", "TRX", "SUI", "APT", "ARB", "OP", "NEAR", "TON", "HYPE", "1000PEPE",
)  # fmt: skip
VENUE_NAMES = ("binance_usdm", "bybit", "okx", "hyperliquid")

Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,20}$")]
Port = Annotated[int, Field(ge=0, le=65535)]


class Section(BaseModel):
    """A table of the file: unknown keys are refused, values are not coerced, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True)


class ServiceSection(Section):
    """What is scored."""

    symbols: tuple[Symbol, ...] = Field(DEFAULT_SYMBOLS, strict=False, description="Canonical symbols to score.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe log line shown.")

    @field_validator("symbols")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        repeated = sorted({s for s in value if value.count(s) > 1})
        if repeated:
            raise ValueError(f"listed more than once: {', '.join(repeated)}")
        if not value:
            raise ValueError("at least one symbol is needed")
        return value


class FeedSection(Section):
    """The WebSocket feed and HTTP, on one port."""

    host: str = Field("127.0.0.1", description="Address to listen on; loopback unless you mean otherwise.")
    port: Port = Field(8080, description="Port of feed, HTTP and metrics; 0 picks a free one.")
    max_clients: int = Field(1000, ge=1, le=100_000, description="Connections in all; beyond it 503.")
    max_clients_per_address: int = Field(
        100, ge=1, le=100_000, description="Connections from one address; beyond it 503."
    )
    client_buffer_bytes: int = Field(
        262_144, ge=4096, le=16_777_216, description="Unsent bytes per client before it counts as slow."
    )
    max_message_bytes: int = Field(4096, ge=256, le=65_536, description="Largest client message; beyond it 1009.")
    history_per_channel: int = Field(60, ge=0, le=3600, description="Messages kept per channel for resume.")
    idle_s: float = Field(
        30.0,
        gt=0,
        strict=False,
        description="A client that subscribed to nothing for this long is closed (4002).",
    )
    ping_s: float = Field(20.0, gt=0, strict=False, description="Ping interval and pong deadline of a client, seconds.")


class MarketSection(Section):
    """When an input counts."""

    min_venues: int = Field(
        2, ge=1, le=11, description="Quorum of fresh venues; 1 where a single venue lists the symbol."
    )
    quarantine_mark: float = Field(
        0.02,
        gt=0,
        le=1,
        strict=False,
        description="Mark further than this fraction from the median of others.",
    )
    quarantine_oi_step: float = Field(0.20, gt=0, le=10, strict=False, description="OI step beyond this fraction.")
    implausible_oi_factor: float = Field(
        5.0,
        gt=1,
        le=1000,
        strict=False,
        description="OI step beyond this factor is never released by persistence (unit error).",
    )
    quarantine_observations: int = Field(3, ge=1, le=100, description="Agreeing observations that end a quarantine.")
    quarantine_s: int = Field(60, ge=0, le=3600, description="Seconds those observations must span.")
    frozen_s: int = Field(60, ge=1, le=3600, description="A mark unchanged this long is frozen if others moved.")
    frozen_move: float = Field(
        0.001, gt=0, le=1, strict=False, description="How far others must have moved, as a fraction."
    )


class VenueSection(Section):
    """One venue."""

    enabled: bool = Field(True, description="Whether this venue is read.")
    ws: dict[str, str] = Field(
        default_factory=dict,
        description="WebSocket base addresses that replace the venue's own, by socket kind.",
    )
    rest: str | None = Field(None, description="HTTP base address that replaces the venue's own.")
    oi_poll_s: float = Field(
        10.0,
        ge=1,
        le=600,
        strict=False,
        description="Cadence of open interest where only HTTP offers it, if the budget allows.",
    )

    @model_validator(mode="after")
    def _addresses(self) -> VenueSection:
        for kind, url in self.ws.items():
            if not url.startswith(("ws://", "wss://")):
                raise ValueError(f"ws.{kind}: {url!r} is not a ws:// or wss:// address")
        if self.rest is not None and not self.rest.startswith(("http://", "https://")):
            raise ValueError(f"rest: {self.rest!r} is not an http:// or https:// address")
        return self


class VenuesSection(Section):
    """The venues, in the fixed order in which they are summed."""

    binance_usdm: VenueSection = Field(default_factory=VenueSection, description="Binance USD-M futures.")
    bybit: VenueSection = Field(default_factory=VenueSection, description="Bybit V5 linear and inverse perpetuals.")
    okx: VenueSection = Field(default_factory=VenueSection, description="OKX v5 perpetual swaps.")
    hyperliquid: VenueSection = Field(default_factory=VenueSection, description="Hyperliquid main dex.")

    def enabled(self) -> tuple[str, ...]:
        return tuple(name for name in VENUE_NAMES if self.of(name).enabled)

    def of(self, name: str) -> VenueSection:
        section = getattr(self, name)
        assert isinstance(section, VenueSection)
        return section


class NetworkSection(Section):
    """How links behave towards every venue."""

    proxy: str | None = Field(None, description="HTTP proxy for all venue traffic, e.g. http://proxy:3128.")
    open_timeout_s: float = Field(10.0, gt=0, le=120, strict=False, description="Deadline of a connection attempt.")
    backoff_cap_s: float = Field(60.0, ge=1, le=600, strict=False, description="Longest pause between attempts.")
    healthy_s: float = Field(
        60.0, ge=1, le=3600, strict=False, description="Healthy time after which backoff starts anew."
    )


class DenominatorsSection(Section):
    """What ELR divides by."""

    file: str | None = Field(
        None,
        description="Operator file with circulating supply and exchange reserves (docs/denominators.md).",
    )


class MetricsSection(Section):
    """Prometheus metrics."""

    max_venue_symbols: int = Field(50, ge=0, le=5000, description="Symbols with per-venue series.")


class Config(Section):
    """The whole file."""

    service: ServiceSection = Field(default_factory=ServiceSection)
    feed: FeedSection = Field(default_factory=FeedSection)
    market: MarketSection = Field(default_factory=MarketSection)
    venues: VenuesSection = Field(default_factory=VenuesSection)
    network: NetworkSection = Field(default_factory=NetworkSection)
    denominators: DenominatorsSection = Field(default_factory=DenominatorsSection)
    metrics: MetricsSection = Field(default_factory=MetricsSection)

    @model_validator(mode="after")
    def _some_venue(self) -> Config:
        if not self.venues.enabled():
            raise ValueError("venues: at least one venue must be enabled")
        return self


def problems_of(error: ValidationError) -> list[str]:
    """One ``path: what is wrong (value)`` line per problem."""
    lines = []
    for item in error.errors(include_url=False):
        path = ".".join(str(part) for part in item["loc"]) or "(file)"
        message = item["msg"].removeprefix("Value error, ")
        shown = item.get("input")
        suffix = "" if isinstance(shown, dict | BaseModel | list | tuple) else f" (got {shown!r})"[:80]
        lines.append(f"{path}: {message}{suffix}")
    return lines


def parse(document: dict[str, Any]) -> Config:
    """Validate a parsed document. Raises :exc:`ConfigError` with every problem."""
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        raise ConfigError(problems_of(error)) from None


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file; an unreadable or malformed file is a :exc:`ConfigError` that names it."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: not TOML: {error}"]) from None


def load(path: str | Path | None) -> Config:
    """The configuration from a file, or the defaults when ``path`` is None."""
    return Config() if path is None else parse(read_toml(path))


def render(section: BaseModel | None = None, path: str = "") -> str:
    """The defaults as TOML, one line of meaning above each setting: the text of ``config/default.toml``."""
    if section is None:
        section = Config()
    lines: list[str] = []
    tables: list[str] = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        where = f"{path}.{name}" if path else name
        if isinstance(value, Section):
            meaning = field.description or (type(value).__doc__ or "").strip()
            tables.append(f"# {meaning}\n[{where}]\n{render(value, where)}")
        elif value is None or value == {}:
            lines.append(f"# {field.description}\n# {name} =\n")
        else:
            lines.append(f"# {field.description}\n{name} = {_toml(value)}\n")
    return "".join(lines) + ("\n" if lines and tables else "") + "\n".join(tables)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)
