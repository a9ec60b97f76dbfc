"""The configuration file, table by table: its settings, their defaults, and what is refused.

What is known of a venue (its name, place in the order, title, sockets, settings) is read from the venue itself.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from service import deleveraging
from service.model import EXTRA_STREAMS, MARKET, ExtraStream
from service.statistics import fold
from service.venues import VENUES
from service.venues.symbols import (
    ASSETS,
    Asset,
    aliases,
    assets_at,
    canonical_symbol,
    never_listed,
    symbol_problem,
)

DEFAULT_SYMBOLS = (
    "BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "AVAX", "LINK", "DOT", "LTC",
    "BCH", "TRX", "SUI", "APT", "ARB", "OP", "NEAR", "GRAM", "HYPE", "1000PEPE",
)  # fmt: skip
SHARES_WITHIN = 1e-6
# Settings that are taken, as older files and tapes have them, but do nothing: path, and why.
WITHOUT_EFFECT = {
    f"venues.{name}.oi_poll_s": "the open interest of this venue is streamed"
    for name, venue in VENUES.items()
    if not venue.polls_oi
}


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


def _from_home(value: str, info: ValidationInfo) -> str:
    """Absolute, from the file's folder: it means the same wherever we start. What a tape holds is left as it is."""
    home: Path | None = None if info.context is None else info.context["home"]
    return value if home is None else str(home / value)


def _symbol(value: str, info: ValidationInfo) -> str:
    """Normalised. Of a file also: one that some instrument can be of. A tape has what it was recorded with."""
    value = unicodedata.normalize("NFC", value)
    problem = symbol_problem(value) or (never_listed(value) if _from_file(info) else None)
    if problem is not None:
        raise PydanticCustomError("judgement", "{text}", {"text": problem})
    return value


def _venue(value: str) -> str:
    if value not in VENUES:
        close = difflib.get_close_matches(value.lower(), VENUES, n=1)
        raise ValueError("is no venue" + "".join(f"; did you mean {name}?" for name in close))
    return value


Symbol = Annotated[str, AfterValidator(_symbol)]
VenueName = Annotated[str, AfterValidator(_venue)]
CoinId = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,100}$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Number = Annotated[float, Field(strict=False)]
Share = Annotated[Number, Field(ge=0.0, le=1.0)]
HttpAddress = Annotated[str, AfterValidator(_http_address)]
LocalPath = Annotated[str, Field(min_length=1), AfterValidator(_from_home)]  # a file or a folder
WindowName = Literal["1m", "5m", "1h"]


class Section(BaseModel):
    """A table of the file: unknown keys are refused, values are not coerced, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False)


class AssetSection(Section):
    """A ticker that names another asset (docs/venues.md)."""

    ticker: Symbol = Field(description="The ticker, as the venues have it; 1000X as X.")
    canonical: Symbol = Field(description="The symbol its asset is counted under.")
    factor: Number = Field(1.0, gt=0, le=1e9, description="Units of canonical in one unit of ticker.")
    venue: VenueName | None = Field(None, description="Only at this venue.")
    since: date | None = Field(
        None, strict=False, description="UTC date from which the ticker means this; before, it keeps its name."
    )

    def asset(self) -> Asset:
        return Asset(self.ticker, self.canonical, self.factor, self.venue, self.since)


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
        if MARKET in value:
            raise ValueError(f"{MARKET} is the market as a whole, no symbol: leave it out, it is published anyway")
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
    idle_s: Number = Field(
        30.0, gt=0, description="A client that subscribed to nothing for this long is closed (4002)."
    )
    ping_s: Number = Field(20.0, gt=0, description="Ping interval and pong deadline of a client, seconds.")

    @field_validator("host")
    @classmethod
    def _some_host(cls, value: str) -> str:
        if value == "" or any(letter.isspace() for letter in value):
            raise ValueError("an address or host name is needed; 127.0.0.1 for this machine only")
        return value


class MarketSection(Section):
    """When an input counts."""

    min_venues: int = Field(
        2, ge=1, le=len(VENUES), description="Quorum of fresh venues; 1 where a single venue lists the symbol."
    )
    quarantine_mark: Number = Field(
        0.02, gt=0, le=1, description="Mark further than this fraction from the median of others."
    )
    quarantine_oi_step: Number = Field(0.20, gt=0, le=10, description="OI step beyond this fraction.")
    implausible_oi_factor: Number = Field(
        5.0, gt=1, le=1000, description="OI step beyond this factor is never released by persistence (unit error)."
    )
    quarantine_observations: int = Field(3, ge=1, le=100, description="Agreeing observations that end a quarantine.")
    quarantine_s: int = Field(60, ge=0, le=3600, description="Seconds those observations must span.")
    frozen_s: int = Field(60, ge=1, le=3600, description="A mark unchanged this long is frozen if others moved.")
    frozen_move: Number = Field(0.001, gt=0, le=1, description="How far others must have moved, as a fraction.")


class VenueSection(Section):
    """One venue."""

    enabled: bool = Field(True, description="Whether this venue is read.")
    ws: dict[str, str] = Field(
        default_factory=dict, description="WebSocket base addresses that replace the venue's own, by socket kind."
    )
    rest: HttpAddress | None = Field(None, description="HTTP base address that replaces the venue's own.")
    oi_poll_s: Number = Field(
        10.0, ge=1, le=600, description="Cadence of open interest where only HTTP offers it, if the budget allows."
    )


class _AnyVenues(Section):
    """What holds whichever venues there are. :class:`VenuesSection` adds a table for each."""

    @field_validator("*")
    @classmethod
    def _sockets(cls, value: VenueSection, info: ValidationInfo) -> VenueSection:
        """A misspelt kind would be ignored, and its data would come from the venue's own address instead."""
        assert info.field_name is not None
        kinds = VENUES[info.field_name].endpoints.ws
        unknown = f"no socket of this venue; it has {', '.join(kinds)}"
        problems = []
        for kind, url in value.ws.items():
            if url == "" and kind in kinds and kind in (VENUES[info.field_name].rules.sources or ()):
                continue  # a source that is not proven can be switched off
            text = _address_problem(url, "ws", "wss") if kind in kinds else unknown
            if text is not None:
                error = PydanticCustomError("judgement", "{text}", {"text": text})
                problems.append(InitErrorDetails(type=error, loc=("ws", kind), input=url))
        if problems:
            raise ValidationError.from_exception_data(cls.__name__, problems)
        return value

    def enabled(self) -> tuple[str, ...]:
        return tuple(name for name in VENUES if self.of(name).enabled)

    def of(self, name: str) -> VenueSection:
        section = getattr(self, name)
        assert isinstance(section, VenueSection)
        return section


if TYPE_CHECKING:
    VenuesSection = _AnyVenues
else:
    VenuesSection = create_model(
        "VenuesSection",
        __base__=_AnyVenues,
        __doc__="The venues, in the fixed order in which they are summed.",
        **{
            name: (VenueSection, Field(default_factory=VenueSection, description=f"{venue.title}."))
            for name, venue in VENUES.items()
        },
    )


class NetworkSection(Section):
    """How links behave towards every venue."""

    proxy: HttpAddress | None = Field(None, description="HTTP proxy for all venue traffic, e.g. http://proxy:3128.")
    open_timeout_s: Number = Field(10.0, gt=0, le=120, description="Deadline of a connection attempt.")
    backoff_cap_s: Number = Field(30.0, ge=1, le=600, description="Longest pause between attempts.")
    healthy_s: Number = Field(60.0, ge=1, le=3600, description="Healthy time after which backoff starts anew.")
    listing_refresh_s: Number = Field(
        3600.0, ge=60, le=86_400, description="Cadence of the venues' instrument lists, seconds."
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
    deadline_s: Number = Field(
        45.0, ge=1, le=600, description="Longest time for it; what is missing then stays missing."
    )
    month_days: int = Field(
        30,
        ge=0,
        le=30,
        description="Days of it by the hour, fetched beside the live service after the first tick; 0: none. Without "
        "it, ranks are provisional for a week.",
    )


class StateSection(Section):
    """The service's own state, kept over restarts."""

    keep: bool = Field(True, description="Save at shutdown and regularly, restore at the start.")
    folder: LocalPath | None = Field(
        None,
        description="Where; by default elr-signal-service in $XDG_STATE_HOME or ~/.local/state. "
        "A relative path starts at this file's folder.",
    )
    every_s: Number = Field(60.0, ge=5, le=3600, description="Seconds between saves.")


class SourceSection(Section):
    """A slow network source."""

    enabled: bool = Field(True, description="Whether it is asked.")
    rest: HttpAddress | None = Field(None, description="HTTP base address that replaces the source's own.")
    every_s: Number = Field(3600.0, ge=60, le=86_400, description="Seconds between polls.")


class DenominatorsSection(Section):
    """What ELR divides by: the operator's file first, then the sources in this order."""

    file: LocalPath | None = Field(
        None,
        description="Operator file with circulating supply and exchange reserves (docs/denominators.md); "
        "a relative path starts at this file's folder.",
    )
    defillama: SourceSection = Field(
        default_factory=SourceSection, description="DefiLlama: coins in the known wallets of each exchange."
    )
    coinmetrics: SourceSection = Field(
        default_factory=lambda: SourceSection(enabled=False),
        description="Coin Metrics community: all-exchange supply. Licence CC BY-NC 4.0: non-commercial use only.",
    )
    coingecko: SourceSection = Field(default_factory=SourceSection, description="CoinGecko: circulating supply.")
    coingecko_ids: dict[Symbol, CoinId] = Field(
        default_factory=dict,
        description='CoinGecko ids of symbols, where ours is missing or wrong: {XYZ = "xyz-network"}.',
    )


class ScoreboardSection(Section):
    """The record of outcomes (docs/scoreboard.md)."""

    folder: LocalPath | None = Field(
        None,
        description="Where `elr serve` keeps the ledger of outcomes; without it none is kept. "
        "A relative path starts at this file's folder.",
    )
    rotate_mb: int = Field(64, ge=1, le=4096, description="Size of a ledger file beyond which the next one begins, MB.")
    keep_files: int | None = Field(
        None,
        ge=2,
        description="How many ledger files stay; the oldest is deleted when a new one begins. Without it all stay.",
    )


class MetricsSection(Section):
    """Prometheus metrics."""

    max_venue_symbols: int = Field(50, ge=0, le=5000, description="Symbols with per-venue series.")


class AuditSection(Section):
    """The venues' own figures over HTTP beside ours, from time to time (docs/first-live-day.md)."""

    enabled: bool = Field(True, description="Whether `elr serve` makes it. `elr audit` does at any time.")
    every_s: Number = Field(600.0, ge=60, le=86_400, description="Seconds between two of a venue.")
    oi: Number = Field(0.05, gt=0, le=10, description="Open interest further off than this fraction is beyond.")
    mark: Number = Field(0.01, gt=0, le=10, description="A mark further off than this fraction is beyond.")
    funding_share: Number = Field(
        0.25, gt=0, le=10, description="Funding further off than this share of the larger rate, and ..."
    )
    funding_8h: Number = Field(0.00002, gt=0, le=1, description="... than this per 8 h, is beyond.")


class FrozenWeights(Section):
    """Weights that stay as they are."""

    rounds: int = Field(ge=0, description="How many rounds they were learned from.")
    windows: dict[WindowName, dict[str, Share]] = Field(
        description="Share of each expert (component ids, static, zero) by window; a window left out is static."
    )

    @field_validator("windows")
    @classmethod
    def _whole(cls, value: dict[WindowName, dict[str, float]]) -> dict[WindowName, dict[str, float]]:
        for window, shares in value.items():
            if abs(fold(shares.values()) - 1.0) > SHARES_WITHIN:
                raise ValueError(f"{window}: the shares add up to {fold(shares.values()):g}, not to 1")
        if not value:
            raise ValueError("no window at all")
        return value


class WeightsSection(Section):
    """The weights of the components (docs/weights.md)."""

    mode: Literal["static", "learn", "frozen"] = Field(
        "learn",
        description="learn: the fixed formula until a window has min_outcomes rounds, then little by little what is "
        "learned; static: the fixed formula for good, learning in the background; frozen: the weights of file.",
    )
    min_outcomes: int = Field(
        720, ge=1, le=10_000_000, description="Rounds a window must have before what it learned is used."
    )
    per_symbol: bool = Field(False, description="Weights of each symbol's own instead of one set for all.")
    file: LocalPath | None = Field(
        None,
        description="Weights to freeze, as `elr weights --save FILE` writes them; a relative path starts at this "
        "file's folder.",
    )
    frozen: FrozenWeights | None = Field(None, description="The same written here, instead of file.")

    @model_validator(mode="after")
    def _something_to_freeze(self) -> WeightsSection:
        if self.mode == "frozen" and self.file is None and self.frozen is None:
            raise ValueError("mode frozen needs file: the weights to use")
        return self


class DeleveragingSection(Section):
    """The chance of a deep fall of open interest, ``p_deleveraging`` (docs/deleveraging.md)."""

    file: LocalPath | None = Field(
        None,
        description="Parameters of your own, as `elr fit --out FILE` writes them, instead of those that come with the "
        "service; a relative path starts at this file's folder.",
    )
    parameters: dict[str, Any] | None = Field(None, description="The content of such a file, written here instead.")

    @field_validator("parameters")
    @classmethod
    def _whole(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            deleveraging.parse(value)
        return value

    def model(self) -> deleveraging.Model:
        return deleveraging.packaged() if self.parameters is None else deleveraging.parse(self.parameters)


# What may be set of each alert beside `mute` and `hold_s`.
ALERT_SETTINGS: dict[str, tuple[str, ...]] = {
    "elr_spike": ("z", "clear_z", "percentile", "clear_percentile"),
    "flush": (),
    "reset": (),
    "crowding": (),
    "conflict": ("after_s",),
    "transition": (),
    "fading": ("share", "clear_share"),
    "venue_divergence": ("z", "clear_z"),
    "no_data": ("after_s",),
    "market_loaded": ("percentile", "clear_percentile"),
    "market_flush": (),
}


def _alert(value: str) -> str:
    if value not in ALERT_SETTINGS:
        close = difflib.get_close_matches(value.lower(), ALERT_SETTINGS, n=1)
        raise ValueError(f"is no alert{''.join(f'; did you mean {name}?' for name in close)} (docs/alerts.md)")
    return value


class AlertSection(Section):
    """How one alert of the feed differs from the rule of docs/signal.md, for some symbols or for all."""

    alert: Annotated[str, AfterValidator(_alert)] = Field(description="Which alert.")
    only: tuple[Symbol, ...] = Field((), strict=False, description="Of these symbols alone; none: of all.")
    mute: bool | None = Field(None, description="Neither raised nor cleared on the feed; messages stay as they are.")
    hold_s: Number | None = Field(None, ge=0, le=86_400, description="Raised once it has held so long without a break.")
    z: Number | None = Field(None, ge=0.5, le=50, description="Raised from here on.")
    clear_z: Number | None = Field(None, ge=0, le=50, description="Cleared below it.")
    percentile: Share | None = Field(None, description="Raised from here on.")
    clear_percentile: Share | None = Field(None, description="Cleared below it.")
    share: Share | None = Field(None, description="Raised at this share of the largest score, or less.")
    clear_share: Share | None = Field(None, description="Cleared from this share on.")
    after_s: Number | None = Field(None, ge=0, le=86_400, description="Raised after so long.")

    @model_validator(mode="after")
    def _fits(self) -> AlertSection:
        given = self.model_dump(exclude_none=True, exclude={"alert", "only", "mute", "hold_s"})
        known = ALERT_SETTINGS[self.alert]
        if strange := sorted(given.keys() - set(known)):
            may = ", ".join((*known, "mute", "hold_s"))
            raise ValueError(f"{self.alert} has no {', '.join(strange)}; of it may be set {may}")
        if self.hold_s and self.alert == "transition":
            raise ValueError("transition is of one tick and has no hold_s; of it may be set mute")
        for name, bound in (("z", self.z), ("percentile", self.percentile), ("share", self.share)):
            clear = given.get(f"clear_{name}")
            if clear is None:
                continue
            if bound is None:
                raise ValueError(f"clear_{name} stands beside {name}: give both")
            if clear < bound if name == "share" else clear > bound:
                side = "below" if name == "share" else "above"
                raise ValueError(f"clear_{name} {clear:g} is {side} {name} {bound:g}: cleared as soon as raised")
        if self.only and self.alert.startswith("market_"):
            raise ValueError(f"{self.alert} is of the market as a whole: leave only out")
        return self


class Config(Section):
    """The whole file."""

    assets: tuple[AssetSection, ...] = Field(
        (),
        strict=False,
        description="Tickers that are one asset, beside those of docs/venues.md: [[assets]] tables with ticker and "
        "canonical, and factor (1), venue (all), since (always).",
    )
    alerts: tuple[AlertSection, ...] = Field(
        (),
        strict=False,
        description="Alerts of the feed that differ from docs/signal.md: [[alerts]] tables with alert, only (symbols; "
        "all), mute, hold_s and thresholds (docs/alerts.md); of several for one symbol the later ones count.",
    )
    service: ServiceSection = Field(default_factory=ServiceSection)
    feed: FeedSection = Field(default_factory=FeedSection)
    market: MarketSection = Field(default_factory=MarketSection)
    venues: VenuesSection = Field(default_factory=VenuesSection)
    network: NetworkSection = Field(default_factory=NetworkSection)
    streams: StreamsSection = Field(default_factory=StreamsSection)
    start: StartSection = Field(default_factory=StartSection)
    state: StateSection = Field(default_factory=StateSection)
    denominators: DenominatorsSection = Field(default_factory=DenominatorsSection)
    coverage: SourceSection = Field(
        default_factory=SourceSection,
        description="CoinGecko's list of other venues' open interest, for the known share (docs/coverage.md).",
    )
    scoreboard: ScoreboardSection = Field(default_factory=ScoreboardSection)
    metrics: MetricsSection = Field(default_factory=MetricsSection)
    audit: AuditSection = Field(default_factory=AuditSection)
    weights: WeightsSection = Field(default_factory=WeightsSection)
    deleveraging: DeleveragingSection = Field(default_factory=DeleveragingSection)

    def all_assets(self) -> tuple[Asset, ...]:
        """Which tickers are one asset: ours, then those of the file, which come before them."""
        return _with_ours(self.assets)

    def aliases(self) -> dict[str, str]:
        """Other names of the symbols, for :func:`service.venues.symbols.canonical_symbol`."""
        return aliases(self.all_assets())

    @field_validator("assets")
    @classmethod
    def _no_chain(cls, value: tuple[AssetSection, ...]) -> tuple[AssetSection, ...]:
        """At no venue: a name is looked up once, so that a chain would be as many symbols as it has links."""
        problems = {text: row for venue in VENUES for row, text in _chains(value, assets_at(venue, _with_ours(value)))}
        if problems:
            details = [
                InitErrorDetails(
                    type=PydanticCustomError("judgement", "{text}", {"text": text}),
                    loc=(row, "canonical"),
                    input=value[row].canonical,
                )
                for text, row in problems.items()
            ]
            raise ValidationError.from_exception_data(cls.__name__, details)
        return value

    @field_validator("service")
    @classmethod
    def _known_symbols(cls, service: ServiceSection, info: ValidationInfo) -> ServiceSection:
        """Under their canonical names; a field's validator, as below."""
        symbols = _renamed("service.symbols", service.symbols, info)
        return service if symbols == service.symbols else service.model_copy(update={"symbols": symbols})

    @field_validator("service")
    @classmethod
    def _alerts_of_symbols(cls, service: ServiceSection, info: ValidationInfo) -> ServiceSection:
        """An alert that is set for a symbol nobody scores is a slip of the pen."""
        rows = info.data.get("alerts", ())  # absent when it has problems of its own
        for place, row in enumerate(rows):
            for symbol in row.only:
                if symbol not in service.symbols:
                    close = difflib.get_close_matches(symbol, service.symbols, n=1)
                    text = f"{symbol} is not in service.symbols{''.join(f'; did you mean {name}?' for name in close)}"
                    context = {"text": text, "path": f"alerts.{place}.only", "shown": {}}
                    raise PydanticCustomError("judgement", "{text}", context)
        return service

    @field_validator("denominators")
    @classmethod
    def _known_ids(cls, value: DenominatorsSection, info: ValidationInfo) -> DenominatorsSection:
        names = _renamed("denominators.coingecko_ids", value.coingecko_ids, info)
        ids = dict(zip(names, value.coingecko_ids.values(), strict=True))
        return value if ids == value.coingecko_ids else value.model_copy(update={"coingecko_ids": ids})

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


def _chains(rows: Sequence[AssetSection], known: Mapping[str, Asset]) -> list[tuple[int, str]]:
    """Tickers counted under a name that is itself counted under another: the row to change, and how. ``known``: what
    holds at a venue."""
    places = {row.asset(): place for place, row in enumerate(rows)}  # without ours
    found: list[tuple[int, str]] = []
    circles: list[set[Asset]] = []
    for ticker in known:
        links = _links(ticker, known)
        if len(links) < 2 or set(links) in circles:
            continue
        end = links[-1].canonical
        first, *others = links
        said = f"{ticker} is counted as {first.canonical}, and "
        said += ", and ".join([f"{link.ticker} as {link.canonical}" for link in others])
        said += next((f" at {link.venue}" for link in links if link.venue is not None), "")
        ours = next((link.ticker for link in links if link not in places), None)
        if any(link.ticker == end for link in links):
            circles.append(set(links))
            meant = "leave one of them out" if ours is None else f'give {ours} a row, too (canonical = "{ours}")'
        elif first in places:
            meant = f"did you mean {end}?"
        else:
            meant = f'give {ticker} a row, too (canonical = "{end}")'
        found.append((next(places[link] for link in links if link in places), f"{said}: {meant}"))
    return found


def _links(ticker: str, known: Mapping[str, Asset]) -> list[Asset]:
    """By which a ticker is counted under a name, that under another and so on; of a circle each once."""
    found: list[Asset] = []
    while (item := known.get(ticker)) is not None and item.canonical != ticker and item not in found:
        found.append(item)
        ticker = item.canonical
    return found


def _with_ours(rows: Iterable[AssetSection]) -> tuple[Asset, ...]:
    return (*ASSETS, *(row.asset() for row in rows))


def _renamed(path: str, names: Iterable[str], info: ValidationInfo) -> tuple[str, ...]:
    """The canonical symbols of ``names``, each once. A tape that has a symbol under two names keeps both."""
    assets = _with_ours(info.data.get("assets", ()))  # absent when it has problems of its own
    known, found = aliases(assets), tuple(names)
    symbols = tuple(canonical_symbol(name, known) for name in found)
    if not _from_file(info):
        return symbols if len(set(symbols)) == len(symbols) else found
    in_force = assets_at("", assets)
    problems = [
        f"{item.ticker} is counted as {item.canonical}; did you mean {item.canonical}?"
        for item in ASSETS  # long past; a row of the file may be of a day to come
        if item.ticker in found and item.ticker not in known and in_force[item.ticker] is item
    ]
    for symbol in dict.fromkeys(symbols):
        if symbols.count(symbol) > 1:
            meant = [name for name in found if canonical_symbol(name, known) == symbol]
            problems.append(f"listed more than once: {symbol} ({', '.join(meant)})")
    if problems:
        raise PydanticCustomError("judgement", "{text}", {"text": "; ".join(problems), "path": path, "shown": {}})
    return symbols


def _from_file(info: ValidationInfo) -> bool:
    """Whether it is a person's file that is judged, and not what a tape's header keeps."""
    return info.context is not None and info.context["home"] is not None
