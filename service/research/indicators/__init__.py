"""Indicators of perpetuals as streaming state machines under one contract; the table is docs/indicators.md."""

from service.research.indicators.contract import About, Indicator, Input
from service.research.indicators.registry import NOT_APPLICABLE, REGISTRY

__all__ = ["NOT_APPLICABLE", "REGISTRY", "About", "Indicator", "Input"]
