"""Market state in, readings out: what each symbol's samples say against their own past (docs/signal.md section 4)."""

from service.indicators.symbol import SymbolIndicators

__all__ = ["SymbolIndicators"]
