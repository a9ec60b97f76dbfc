"""The table ``[weights]`` of the configuration (docs/weights.md)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, ValidationError, field_validator, model_validator

from service.config_section import Section
from service.errors import ConfigError
from service.statistics import fold

WindowName = Literal["1m", "5m", "1h"]
Share = Annotated[float, Field(ge=0.0, le=1.0, strict=False)]
SUM_WITHIN = 1e-6


class FrozenWeights(Section):
    """Weights that stay as they are."""

    rounds: int = Field(ge=0, description="How many rounds they were learned from.")
    windows: dict[WindowName, dict[str, Share]] = Field(
        description="Share of each expert (component ids, static, zero) by window; a window left out is static."
    )

    @field_validator("windows")
    @classmethod
    def _whole(cls, value: dict[WindowName, dict[str, float]]) -> dict[WindowName, dict[str, float]]:
        for window, shares in value.items():
            if abs(fold(shares.values()) - 1.0) > SUM_WITHIN:
                raise ValueError(f"{window}: the shares add up to {fold(shares.values()):g}, not to 1")
        if not value:
            raise ValueError("no window at all")
        return value


class WeightsSection(Section):
    """The weights of the components (docs/weights.md)."""

    mode: Literal["static", "learn", "frozen"] = Field(
        "learn",
        description="learn: the fixed formula until a window has min_outcomes rounds, then little by little what is "
        "learned; static: the fixed formula for good, learning in the background; frozen: the weights of file.",
    )
    min_outcomes: int = Field(
        720, ge=1, le=10_000_000, description="Rounds a window must have before what it learned is used."
    )
    per_symbol: bool = Field(False, description="Weights of each symbol's own instead of one set for all.")
    file: str | None = Field(
        None,
        min_length=1,
        description="Weights to freeze, as `elr weights --save FILE` writes them; a relative path starts at this "
        "file's folder.",
    )
    frozen: FrozenWeights | None = Field(None, description="The same written here, instead of file.")

    @model_validator(mode="after")
    def _something_to_freeze(self) -> WeightsSection:
        if self.mode == "frozen" and self.file is None and self.frozen is None:
            raise ValueError("mode frozen needs file: the weights to use")
        return self


def with_file(section: WeightsSection, home: Path) -> WeightsSection:
    """The section with its file read (from ``home`` if relative), so that a tape carries the weights themselves.

    Raises :exc:`ConfigError`. Nothing is read unless the mode is ``frozen``.
    """
    if section.mode != "frozen" or section.file is None:
        return section
    path = home / section.file
    try:
        frozen = FrozenWeights.model_validate(_document(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError([f"weights.file: {path}: {where}: {first['msg']}"]) from None
    return section.model_copy(update={"file": str(path), "frozen": frozen})


def _document(path: Path) -> Mapping[str, Any]:
    try:
        plain = orjson.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError([f"weights.file: {path}: cannot be read: {error.strerror}"]) from None
    except ValueError:
        raise ConfigError([f"weights.file: {path}: not JSON"]) from None
    if not isinstance(plain, dict) or plain.get("format") != "elr-weights":
        raise ConfigError([f"weights.file: {path}: not a file of `elr weights --save`"])
    return {name: plain.get(name) for name in ("rounds", "windows")}
