"""The audit: each venue's own figures over HTTP beside ours, read without the decoders (docs/first-live-day.md)."""

from __future__ import annotations

from service.audit.compare import FIGURES, Audit, Difference, compare
from service.audit.figures import SOURCES, Figures, Source, read

__all__ = ["FIGURES", "SOURCES", "Audit", "Difference", "Figures", "Source", "compare", "read"]
