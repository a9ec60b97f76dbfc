"""The configuration: every problem at once, with its path; the file in config/ is the defaults."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from service.config import Config, load, parse, render
from service.errors import ConfigError


def test_the_default_file_is_the_tested_copy_of_the_defaults(repository: Path) -> None:
    text = (repository / "config" / "default.toml").read_text()
    assert text.endswith(render())
    assert parse(tomllib.loads(text)) == Config()


def test_the_container_file_is_valid(repository: Path) -> None:
    assert load(repository / "config" / "container.toml").feed.host == "0.0.0.0"


def test_every_setting_has_its_line_of_meaning() -> None:
    for _, section in Config():
        for name, field in type(section).model_fields.items():
            assert field.description, f"{type(section).__name__}.{name}"


def test_all_problems_are_listed_with_their_paths() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(
            {
                "feed": {"port": 99999, "hots": "x"},
                "service": {"symbols": ["BTC", "eth", "BTC"]},
                "market": {"min_venues": "2"},
                "venues": {"okx": {"ws": {"public": "http://x"}}, "kraken": {}},
                "extra": 1,
            }
        )
    paths = [problem.split(":")[0] for problem in caught.value.problems]
    assert paths == [
        "service.symbols.1",
        "feed.port",
        "feed.hots",
        "market.min_venues",
        "venues.okx",
        "venues.kraken",
        "extra",
    ]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"service": {"symbols": ["BTC", "BTC"]}}, "listed more than once: BTC"),
        ({"service": {"symbols": []}}, "at least one symbol"),
        (
            {"venues": {name: {"enabled": False} for name in ("binance_usdm", "bybit", "okx", "hyperliquid")}},
            "at least one venue",
        ),
        ({"venues": {"okx": {"rest": "ftp://x"}}}, "is not an http"),
    ],
)
def test_judgement(document: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(document)


def test_a_file_that_cannot_be_read_or_is_not_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("[feed\nport = 1")
    with pytest.raises(ConfigError, match="not TOML"):
        load(bad)
    bad.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(bad)


def test_venue_order_is_fixed_whatever_the_file_says() -> None:
    config = parse({"venues": {"okx": {}, "binance_usdm": {}, "bybit": {"enabled": False}}})
    assert config.venues.enabled() == ("binance_usdm", "okx", "hyperliquid")
