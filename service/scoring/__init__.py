"""Scoring: readings of a symbol in, its signal body and alerts out (docs/signal.md sections 5 to 7)."""

from service.scoring.scorer import Scorer

__all__ = ["Scorer"]
