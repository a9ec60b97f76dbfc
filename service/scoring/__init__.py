"""Scoring: readings of a symbol in, its signal body and alerts out (docs/signal.md sections 5 to 7)."""

from service.scoring.components import OF_WINDOW
from service.scoring.composite import Weights
from service.scoring.scorer import Scorer

COMPONENT_IDS = {name: tuple(part.id for part in parts) for name, parts in OF_WINDOW.items()}  # by window

__all__ = ["COMPONENT_IDS", "Scorer", "Weights"]
