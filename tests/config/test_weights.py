"""The table ``[weights]``: what is refused, and that a tape carries frozen weights themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.config import load, parse
from service.errors import ConfigError

WEIGHTS = '{"format":"elr-weights","rounds":7,"version":"hedge-7-x","windows":{"1h":{"funding":0.25,"zero":0.75}}}'


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"mode": "best"}, "weights.mode"),
        ({"mode": "frozen"}, "weights: mode frozen needs file"),
        ({"min_outcomes": 0}, "weights.min_outcomes"),
        ({"frozen": {"rounds": 1, "windows": {"1m": {"zero": 0.5}}}}, "weights.frozen.windows: 1m: the shares add up"),
        ({"frozen": {"rounds": 1, "windows": {"2m": {"zero": 1.0}}}}, "weights.frozen.windows.2m"),
        ({"frozen": {"rounds": 1, "windows": {"1m": {"zero": 2.0, "a": -1.0}}}}, "weights.frozen.windows.1m.zero"),
        ({"frozen": {"rounds": 1, "windows": {}}}, "no window at all"),
    ],
)
def test_what_is_refused(section: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse({"weights": section})
    assert said in "; ".join(refused.value.problems)


def test_a_file_is_read_from_the_configurations_folder_and_survives_a_tape_header(tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text(WEIGHTS)
    (tmp_path / "c.toml").write_text('[weights]\nmode = "frozen"\nfile = "w.json"\n')
    config = load(tmp_path / "c.toml")
    assert config.weights.frozen is not None
    assert config.weights.frozen.windows == {"1h": {"funding": 0.25, "zero": 0.75}}
    (tmp_path / "w.json").unlink()  # another machine
    assert parse(config.model_dump(mode="json")).weights == config.weights


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("{", "not JSON"),
        ("{}", "not a file of `elr weights --save`"),
        (WEIGHTS.replace("0.75", "0.5"), "the shares add up to 0.75"),
        (WEIGHTS.replace("7,", "-7,", 1), "rounds"),
    ],
)
def test_a_file_that_cannot_be_used(content: str | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "w.json").write_text(content)
    (tmp_path / "c.toml").write_text('[weights]\nmode = "frozen"\nfile = "w.json"\n')
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "c.toml")
    assert said in refused.value.problems[0]


def test_a_file_is_left_alone_unless_frozen(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[weights]\nfile = "none.json"\n')
    assert load(tmp_path / "c.toml").weights.frozen is None
