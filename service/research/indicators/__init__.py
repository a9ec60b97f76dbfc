"""Indicators of perpetuals as streaming state machines under one contract; the table is docs/indicators.md.

A new one is an entry in the file of its subject, and a case in tests/research/library_cases.py.
"""

from service.research.indicators.contract import About, Indicator, Input
from service.research.indicators.funding import FUNDING
from service.research.indicators.leverage import LEVERAGE
from service.research.indicators.open_interest import OPEN_INTEREST
from service.research.indicators.positioning import POSITIONING
from service.research.indicators.statistics import STATISTICS

__all__ = ["NOT_APPLICABLE", "REGISTRY", "About", "Indicator", "Input"]

REGISTRY: dict[str, About] = {
    about.id: about for about in (*FUNDING, *OPEN_INTEREST, *POSITIONING, *LEVERAGE, *STATISTICS)
}

NOT_APPLICABLE = {
    "TermStructureBasis": "basis of a dated future over the index: a perpetual has no term",
    "CalendarSpread": "dated future less perpetual: the service follows no dated futures",
}
