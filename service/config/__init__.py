"""The configuration: its shape, defaults and judgement. ``config/default.toml`` is a tested copy of the defaults.

:func:`load` reports every problem at once, each with its path, as one :exc:`~service.errors.ConfigError`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from service.config.scoreboard import ScoreboardSection, absolute
from service.config.section import Section as Section
from service.config.weights import WeightsSection, with_file
from service.errors import ConfigError
from service.model import EXTRA_STREAMS, ExtraStream

DEFAULT_SYMBOLS = (
    "BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "AVAX", "LINK", "DOT", "LTC",
    "BCH", "TRX", "SUI", "APT", "ARB", "OP", "NEAR", "TON", "HYPE", "1000PEPE",
)  # fmt: skip
VENUE_NAMES = (
    "binance_usdm", "binance_coinm", "bybit", "okx", "bitget", "gate", "deribit", "kraken_futures", "bitmex",
    "hyperliquid", "dydx",
)  # fmt: skip
SOCKET_KINDS: dict[str, tuple[str, ...]] = {  # of each venue; a test compares them with the venues' own endpoints
    "binance_usdm": ("market",),
    "binance_coinm": ("market",),
    "bybit": ("linear", "inverse"),
    "okx": ("public",),
    "bitget": ("public",),
    "gate": ("usdt", "btc"),
    "deribit": ("public",),
    "kraken_futures": ("public",),
    "bitmex": ("realtime",),
    "hyperliquid": ("main",),
    "dydx": ("indexer",),
}

Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,20}$")]
CoinId = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,100}$")]
Port = Annotated[int, Field(ge=0, le=65535)]


def _address_problem(value: str, *schemes: str) -> str | None:
    """Why ``value`` is no address of one of the schemes with a host, or None."""
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port  # a port that is none raises
    except ValueError:
        return f"is no {wanted} address: its host or port is wrong"
    if parts.scheme not in schemes or any(letter.isspace() for letter in value):
        return f"is no {wanted} address"
    return None if host else f"has no host; expected a {wanted} address"


def _http_address(value: str) -> str:
    problem = _address_problem(value, "http", "https")
    if problem is not None:
        shown = value.rpartition("@")[2]  # a proxy's password stays out of logs
        raise PydanticCustomError("judgement", "{text}", {"text": problem, "shown": shown})
    return value


HttpAddress = Annotated[str, AfterValidator(_http_address)]


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

    @field_validator("host")
    @classmethod
    def _some_host(cls, value: str) -> str:
        if value == "" or any(letter.isspace() for letter in value):
            raise ValueError("an address or host name is needed; 127.0.0.1 for this machine only")
        return value


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


def _problem(where: tuple[str, ...], text: str, value: object) -> InitErrorDetails:
    """A problem at a place below the value that is judged."""
    return InitErrorDetails(type=PydanticCustomError("judgement", "{text}", {"text": text}), loc=where, input=value)


class VenueSection(Section):
    """One venue."""

    enabled: bool = Field(True, description="Whether this venue is read.")
    ws: dict[str, str] = Field(
        default_factory=dict,
        description="WebSocket base addresses that replace the venue's own, by socket kind.",
    )
    rest: HttpAddress | None = Field(None, description="HTTP base address that replaces the venue's own.")
    oi_poll_s: float = Field(
        10.0,
        ge=1,
        le=600,
        strict=False,
        description="Cadence of open interest where only HTTP offers it, if the budget allows.",
    )


class VenuesSection(Section):
    """The venues, in the fixed order in which they are summed."""

    binance_usdm: VenueSection = Field(default_factory=VenueSection, description="Binance USD-M futures.")
    binance_coinm: VenueSection = Field(default_factory=VenueSection, description="Binance COIN-M futures.")
    bybit: VenueSection = Field(default_factory=VenueSection, description="Bybit V5 linear and inverse perpetuals.")
    okx: VenueSection = Field(default_factory=VenueSection, description="OKX v5 perpetual swaps.")
    bitget: VenueSection = Field(default_factory=VenueSection, description="Bitget USDT, USDC and coin futures.")
    gate: VenueSection = Field(default_factory=VenueSection, description="Gate USDT and BTC settled futures.")
    deribit: VenueSection = Field(default_factory=VenueSection, description="Deribit perpetuals.")
    kraken_futures: VenueSection = Field(default_factory=VenueSection, description="Kraken Futures perpetuals.")
    bitmex: VenueSection = Field(default_factory=VenueSection, description="BitMEX perpetuals.")
    hyperliquid: VenueSection = Field(default_factory=VenueSection, description="Hyperliquid main dex.")
    dydx: VenueSection = Field(default_factory=VenueSection, description="dYdX v4 perpetuals.")

    @field_validator("*")
    @classmethod
    def _sockets(cls, value: VenueSection, info: ValidationInfo) -> VenueSection:
        """A misspelt kind would be ignored, and its data would come from the venue's own address instead."""
        assert info.field_name is not None
        kinds = SOCKET_KINDS[info.field_name]
        problems = []
        for kind, url in value.ws.items():
            if kind not in kinds:
                problems.append(_problem(("ws", kind), f"no socket of this venue; it has {', '.join(kinds)}", url))
            elif (problem := _address_problem(url, "ws", "wss")) is not None:
                problems.append(_problem(("ws", kind), problem, url))
        if problems:
            raise ValidationError.from_exception_data(cls.__name__, problems)
        return value

    def enabled(self) -> tuple[str, ...]:
        return tuple(name for name in VENUE_NAMES if self.of(name).enabled)

    def of(self, name: str) -> VenueSection:
        section = getattr(self, name)
        assert isinstance(section, VenueSection)
        return section


class NetworkSection(Section):
    """How links behave towards every venue."""

    proxy: HttpAddress | None = Field(None, description="HTTP proxy for all venue traffic, e.g. http://proxy:3128.")
    open_timeout_s: float = Field(10.0, gt=0, le=120, strict=False, description="Deadline of a connection attempt.")
    backoff_cap_s: float = Field(30.0, ge=1, le=600, strict=False, description="Longest pause between attempts.")
    healthy_s: float = Field(
        60.0, ge=1, le=3600, strict=False, description="Healthy time after which backoff starts anew."
    )
    listing_refresh_s: float = Field(
        3600.0, ge=60, le=86_400, strict=False, description="Cadence of the venues' instrument lists, seconds."
    )


class StreamsSection(Section):
    """Extra streams, beside mark, funding and open interest; each can be switched off."""

    liquidation: bool = Field(True, description="Liquidations: the component of that name, and forced flushes.")
    flow: bool = Field(True, description="Taker buys and sells: the component taker_flow. The largest traffic.")
    positions: bool = Field(True, description="Reported position sizes: the ELR variant position_base.")
    long_short: bool = Field(True, description="Long/short ratios, as context in the message.")

    def wanted(self) -> tuple[ExtraStream, ...]:
        return tuple(name for name in EXTRA_STREAMS if getattr(self, name))


class StartSection(Section):
    """How a start fills windows, scales and statistics."""

    history: bool = Field(True, description="Fetch the venues' published history at the start (warm start).")
    history_h: int = Field(26, ge=2, le=72, description="Hours of it; 26 warm everything but what needs 30 days.")
    deadline_s: float = Field(
        45.0, ge=1, le=600, strict=False, description="Longest time for it; what is missing then stays missing."
    )


class StateSection(Section):
    """The service's own state, kept over restarts."""

    keep: bool = Field(True, description="Save at shutdown and regularly, restore at the start.")
    folder: str | None = Field(
        None,
        min_length=1,
        description="Where; by default elr-signal-service in $XDG_STATE_HOME or ~/.local/state. "
        "A relative path starts at this file's folder.",
    )
    every_s: float = Field(60.0, ge=5, le=3600, strict=False, description="Seconds between saves.")


class SourceSection(Section):
    """A network source of denominators."""

    enabled: bool = Field(True, description="Whether it is asked.")
    rest: HttpAddress | None = Field(None, description="HTTP base address that replaces the source's own.")
    every_s: float = Field(3600.0, ge=60, le=86_400, strict=False, description="Seconds between polls.")


def _source_off() -> SourceSection:
    return SourceSection(enabled=False)


class DenominatorsSection(Section):
    """What ELR divides by: the operator's file first, then the sources in this order."""

    file: str | None = Field(
        None,
        min_length=1,
        description="Operator file with circulating supply and exchange reserves (docs/denominators.md); "
        "a relative path starts at this file's folder.",
    )
    defillama: SourceSection = Field(
        default_factory=SourceSection, description="DefiLlama: coins in the known wallets of each exchange."
    )
    coinmetrics: SourceSection = Field(
        default_factory=_source_off,
        description="Coin Metrics community: all-exchange supply. Licence CC BY-NC 4.0: non-commercial use only.",
    )
    coingecko: SourceSection = Field(default_factory=SourceSection, description="CoinGecko: circulating supply.")
    coingecko_ids: dict[Symbol, CoinId] = Field(
        default_factory=dict,
        description='CoinGecko ids of symbols, where ours is missing or wrong: {XYZ = "xyz-network"}.',
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
    streams: StreamsSection = Field(default_factory=StreamsSection)
    start: StartSection = Field(default_factory=StartSection)
    state: StateSection = Field(default_factory=StateSection)
    denominators: DenominatorsSection = Field(default_factory=DenominatorsSection)
    scoreboard: ScoreboardSection = Field(default_factory=ScoreboardSection)
    metrics: MetricsSection = Field(default_factory=MetricsSection)
    weights: WeightsSection = Field(default_factory=WeightsSection)

    @field_validator("venues")
    @classmethod
    def _enough_venues(cls, venues: VenuesSection, info: ValidationInfo) -> VenuesSection:
        """A field's validator, not the model's: that would say nothing as long as another section has a problem."""
        count = len(venues.enabled())
        if count == 0:
            raise ValueError("at least one venue must be enabled")
        market = info.data.get("market")  # absent when it has problems of its own
        if market is not None and market.min_venues > count:
            text = f"more than the {count} enabled venue{'s' if count > 1 else ''}: no symbol would ever have data"
            context = {"text": text, "path": "market.min_venues", "shown": market.min_venues}
            raise PydanticCustomError("judgement", "{text}", context)
        return venues


def problems_of(error: ValidationError) -> list[str]:
    """One ``path: what is wrong (value)`` line per problem."""
    lines = []
    for item in error.errors(include_url=False):
        context = item.get("ctx", {})
        path = context.get("path") or ".".join(str(part) for part in item["loc"]) or "(file)"
        message = item["msg"].removeprefix("Value error, ")
        shown = context.get("shown", item.get("input"))
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
    """The configuration from a file, or the defaults when ``path`` is None.

    Relative paths (``denominators.file``, ``state.folder``) become absolute, from the file's folder: they mean the same
    wherever we start.
    """
    if path is None:
        return Config()
    config = parse(read_toml(path))
    home = Path(path).absolute().parent
    if (file := config.denominators.file) is not None:
        section = config.denominators.model_copy(update={"file": str(home / file)})
        config = config.model_copy(update={"denominators": section})
    if (folder := config.state.folder) is not None:
        config = config.model_copy(update={"state": config.state.model_copy(update={"folder": str(home / folder)})})
    resolved = {"weights": with_file(config.weights, home), "scoreboard": absolute(config.scoreboard, home)}
    return config.model_copy(update=resolved)


def shareable(config: Config) -> dict[str, Any]:
    """Plain values for a tape, without the proxy: it may hold a password, and tapes are handed on."""
    plain = config.model_dump(mode="json")
    plain["network"]["proxy"] = None
    return plain
