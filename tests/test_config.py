"""The configuration: every problem at once, with its path; the file in config/ is the defaults."""

from __future__ import annotations

import tomllib
from math import inf, nan
from pathlib import Path

import pytest

from service.config import SOCKET_KINDS, VENUE_NAMES, Config, load, parse
from service.config.render import render
from service.errors import ConfigError
from service.venues import VENUES


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
        "venues.okx.ws.public",
        "venues.kraken",
        "extra",
    ]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"service": {"symbols": ["BTC", "BTC"]}}, "listed more than once: BTC"),
        ({"service": {"symbols": []}}, "at least one symbol"),
        (
            {"venues": {name: {"enabled": False} for name in VENUE_NAMES}},
            "at least one venue must be enabled",
        ),
        ({"venues": {"okx": {"rest": "ftp://x"}}}, "venues.okx.rest: is no http"),
        ({"venues": {"okx": {"rest": "https://"}}}, "venues.okx.rest: has no host"),
        ({"venues": {"okx": {"rest": "https://a b/"}}}, "venues.okx.rest: is no http"),
        ({"venues": {"okx": {"ws": {"public": "wss:///ws/v5"}}}}, "venues.okx.ws.public: has no host"),
        ({"venues": {"okx": {"ws": {"public": "wss://h:70000/"}}}}, "venues.okx.ws.public: is no ws"),
        ({"network": {"proxy": "proxy:3128"}}, "network.proxy: is no http"),
        ({"network": {"proxy": "http://:3128"}}, "network.proxy: has no host"),
        ({"feed": {"host": ""}}, "feed.host: an address or host name is needed"),
        ({"feed": {"host": "a b"}}, "feed.host: an address or host name is needed"),
        ({"feed": {"ping_s": inf}}, "feed.ping_s: .*finite"),
        ({"feed": {"idle_s": inf}}, "feed.idle_s: .*finite"),
        ({"feed": {"idle_s": nan}}, "feed.idle_s: .*finite"),
        ({"denominators": {"file": ""}}, "denominators.file: "),
    ],
)
def test_judgement(document: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(document)


def test_every_float_is_finite() -> None:
    for value in (inf, nan):
        for name, section in Config():
            for key, default in section:
                if isinstance(default, float):
                    with pytest.raises(ConfigError, match=rf"^{name}\.{key}: [^;]*$"):
                        parse({name: {key: value}})
    with pytest.raises(ConfigError, match=r"^venues\.okx\.oi_poll_s: "):
        parse({"venues": {"okx": {"oi_poll_s": nan}}})


def test_addresses_with_a_host_are_taken() -> None:
    config = parse(
        {
            "network": {"proxy": "http://user:word@proxy.example:3128"},
            "venues": {
                "okx": {"rest": "http://127.0.0.1:9", "ws": {"public": "ws://[::1]:8443/ws/v5/public"}},
                "bybit": {"ws": {"linear": "wss://l.example/x", "inverse": "wss://i.example/x"}},
            },
        }
    )
    assert config.venues.okx.ws == {"public": "ws://[::1]:8443/ws/v5/public"}


def test_a_password_is_not_repeated_in_a_problem() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"network": {"proxy": "user:word@proxy:3128"}})
    assert caught.value.problems == ["network.proxy: is no http:// or https:// address (got 'proxy:3128')"]


def test_a_socket_kind_that_the_venue_does_not_have_is_a_problem_beside_the_others() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"venues": {"bybit": {"ws": {"lineal": "wss://x", "inverse": "x", "public": "wss://x"}}}})
    assert caught.value.problems == [
        "venues.bybit.ws.lineal: no socket of this venue; it has linear, inverse (got 'wss://x')",
        "venues.bybit.ws.inverse: is no ws:// or wss:// address (got 'x')",
        "venues.bybit.ws.public: no socket of this venue; it has linear, inverse (got 'wss://x')",
    ]


def test_the_known_socket_kinds_are_those_of_the_venues() -> None:
    assert {name: tuple(VENUES[name].endpoints.ws) for name in VENUE_NAMES} == SOCKET_KINDS
    assert tuple(VENUES) == VENUE_NAMES


def without(*names: str) -> dict[str, object]:
    """The table of venues with these switched off."""
    return {name: {"enabled": False} for name in names}


def test_a_quorum_that_the_enabled_venues_cannot_reach_is_a_problem_with_its_path() -> None:
    four = without(*VENUE_NAMES[4:])
    text = "market.min_venues: more than the 4 enabled venues: no symbol would ever have data (got 5)"
    with pytest.raises(ConfigError) as caught:
        parse({"venues": four, "market": {"min_venues": 5}})
    assert caught.value.problems == [text]
    with pytest.raises(ConfigError) as caught:  # it is said although another section is wrong
        parse({"venues": four, "market": {"min_venues": 5}, "feed": {"port": -1}})
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["feed.port", "market.min_venues"]
    off = without(*VENUE_NAMES[1:])
    with pytest.raises(ConfigError, match=r"^market\.min_venues: more than the 1 enabled venue: .*\(got 2\)$"):
        parse({"venues": off})  # the default quorum is 2
    assert parse({"venues": off, "market": {"min_venues": 1}}).venues.enabled() == ("binance_usdm",)
    assert parse({"venues": four, "market": {"min_venues": 4}}).market.min_venues == 4
    assert parse({"market": {"min_venues": 11}}).market.min_venues == len(VENUE_NAMES)


def test_a_relative_denominators_file_starts_at_the_folder_of_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc" / "elr.toml"
    path.write_text('[denominators]\nfile = "data/coins.toml"\n')
    expected = str(tmp_path / "etc" / "data" / "coins.toml")
    assert load(path).denominators.file == expected
    monkeypatch.chdir(tmp_path)
    config = load("etc/elr.toml")
    assert config.denominators.file == expected
    assert parse(config.model_dump(mode="json")) == config  # what a tape's header keeps
    path.write_text('[denominators]\nfile = "/srv/coins.toml"\n')
    assert load(path).denominators.file == "/srv/coins.toml"
    assert load(None).denominators.file is None


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
    assert config.venues.enabled() == (
        "binance_usdm", "binance_coinm", "okx", "bitget", "gate", "deribit", "kraken_futures", "bitmex", "hyperliquid",
        "dydx",
    )  # fmt: skip
