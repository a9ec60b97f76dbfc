"""A seeded market, its past as events, and the venues that show it over the real wire protocols on loopback."""

from __future__ import annotations

from service.simulation.backfill import history
from service.simulation.denominators import denominators
from service.simulation.market import MarketModel
from service.simulation.servers import SimulatedList, SimulatedVenues

__all__ = ["MarketModel", "SimulatedList", "SimulatedVenues", "denominators", "history"]
