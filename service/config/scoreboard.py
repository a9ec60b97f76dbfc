"""The table ``[scoreboard]`` of the configuration (docs/scoreboard.md)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from service.config.section import Section


class ScoreboardSection(Section):
    """The record of outcomes (docs/scoreboard.md)."""

    folder: str | None = Field(
        None,
        min_length=1,
        description="Where `elr serve` keeps the ledger of outcomes; without it none is kept. "
        "A relative path starts at this file's folder.",
    )
    rotate_mb: int = Field(64, ge=1, le=4096, description="Size of a ledger file beyond which the next one begins, MB.")
    keep_files: int | None = Field(
        None,
        ge=2,
        description="How many ledger files stay; the oldest is deleted when a new one begins. Without it all stay.",
    )


def absolute(section: ScoreboardSection, home: Path) -> ScoreboardSection:
    """The section with its folder meant from ``home``, wherever we start."""
    return section if section.folder is None else section.model_copy(update={"folder": str(home / section.folder)})
