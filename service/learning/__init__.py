"""Learning: what the components said and what then happened in, weights with a guarantee out (docs/weights.md)."""

from service.learning.hedge import Hedge
from service.learning.learner import WINDOWS, InForce, Learner

__all__ = ["WINDOWS", "Hedge", "InForce", "Learner"]
