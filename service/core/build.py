"""From a configuration to the objects a run is built of."""

from __future__ import annotations

from service.config import Config
from service.denominators.operator_file import load
from service.model import Denominator, Endpoints, VenueRules
from service.venues import VENUES
from service.venues.contract import Venue


def venues_of(config: Config) -> dict[str, Venue]:
    """The enabled venues, in the fixed order in which they are summed."""
    return {name: VENUES[name] for name in config.venues.enabled()}


def rules_of(config: Config) -> list[VenueRules]:
    """Their freshness rules, with the configured polling cadence."""
    return [
        VENUES[name].rules_for(config.venues.of(name).oi_poll_s, 3 * len(config.service.symbols))
        for name in config.venues.enabled()
    ]


def endpoints_of(config: Config) -> dict[str, Endpoints]:
    """The venues' own addresses with the configured replacements."""
    result = {}
    for name, venue in venues_of(config).items():
        section = config.venues.of(name)
        own = venue.endpoints
        result[name] = Endpoints(ws={**own.ws, **section.ws}, rest=section.rest or own.rest)
    return result


def denominators_of(config: Config, now_ms: int) -> list[Denominator]:
    """The operator's file, or none. ``now_ms``: UTC epoch ms; figures from the future are refused."""
    if config.denominators.file is None:
        return []
    return load(config.denominators.file, config.service.symbols, now_ms, config.aliases())
