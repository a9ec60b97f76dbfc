"""Indicators of perpetuals as streaming state machines under one contract; the table is docs/indicators.md."""

from service.indicators.library.contract import About, Indicator, Input
from service.indicators.library.registry import NOT_APPLICABLE, REGISTRY

__all__ = ["NOT_APPLICABLE", "REGISTRY", "About", "Indicator", "Input"]
