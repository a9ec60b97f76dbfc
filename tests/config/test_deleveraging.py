"""The table ``[deleveraging]``: a file of one's own, what is refused, and that a tape carries what is in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from service.config import Config, load, parse, shareable
from service.deleveraging import digest, packaged, packaged_parameters
from service.errors import ConfigError


def other() -> dict[str, Any]:
    plain = packaged_parameters() | {"base_rates": {"oi_5": 0.31, "oi_10": 0.11}}
    return plain | {"hash": digest(plain)}


def test_a_file_is_read_from_the_configurations_folder_and_survives_a_tape_header(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_bytes(orjson.dumps(other()))
    (tmp_path / "c.toml").write_text('[deleveraging]\nfile = "d.json"\n')
    config = load(tmp_path / "c.toml")
    assert config.deleveraging.model().base_rates == (0.31, 0.11)
    (tmp_path / "d.json").unlink()
    assert parse(orjson.loads(orjson.dumps(shareable(config)))).deleveraging.model() == config.deleveraging.model()


def test_a_tape_carries_the_parameters_that_came_with_the_service() -> None:
    """Cause guarded against: a later version comes with others, and an old tape replays to other numbers."""
    assert shareable(Config())["deleveraging"]["parameters"] == packaged_parameters()
    assert Config().deleveraging.model() == packaged()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "deleveraging.file: .*cannot be read"),
        ("{", "not JSON"),
        ("[]", "not a file of `elr fit`"),
        (orjson.dumps(packaged_parameters() | {"least_rank_h": 1}).decode(), "hash does not fit"),
    ],
)
def test_a_file_that_cannot_be_used(content: str | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "d.json").write_text(content)
    (tmp_path / "c.toml").write_text('[deleveraging]\nfile = "d.json"\n')
    with pytest.raises(ConfigError, match=said):
        load(tmp_path / "c.toml")


def test_parameters_written_into_the_file_are_judged_too() -> None:
    with pytest.raises(ConfigError, match=r"deleveraging.parameters: .*not a file of"):
        parse({"deleveraging": {"parameters": {"form": "other"}}})
