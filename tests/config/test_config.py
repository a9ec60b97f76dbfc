"""The configuration: every problem at once, with its path; the file in config/ is the defaults.

`python -m tests.config.test_config` writes config/default.toml anew.
"""

from __future__ import annotations

import tomllib
from math import inf, nan
from pathlib import Path

import pytest
from pydantic import BaseModel

from service.config import Config, load, parse
from service.config.render import render
from service.config.sections import AssetSection
from service.core.build import endpoints_of
from service.errors import ConfigError
from service.venues import VENUES

ROOT = Path(__file__).resolve().parents[2]
HEAD = """\
# Every setting with its default. The defaults live in service/config/sections.py; a test keeps this copy equal.

"""


def sections() -> list[BaseModel]:
    return [section for _, section in Config() if isinstance(section, BaseModel)]


def test_the_default_file_is_the_tested_copy_of_the_defaults() -> None:
    text = (ROOT / "config" / "default.toml").read_text()
    assert text == HEAD + render()
    assert parse(tomllib.loads(text)) == Config()


def test_the_container_file_is_valid() -> None:
    assert load(ROOT / "config" / "container.toml").feed.host == "0.0.0.0"


def test_every_setting_has_its_line_of_meaning() -> None:
    assert Config.model_fields["assets"].description
    for section in (*sections(), AssetSection):
        table = section if isinstance(section, type) else type(section)
        for name, field in table.model_fields.items():
            assert field.description, f"{table.__name__}.{name}"


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
            {"venues": {name: {"enabled": False} for name in VENUES}},
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
            for key, default in section if isinstance(section, BaseModel) else ():
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


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"feed": {"hots": "x"}}, "feed.hots: no such setting; did you mean host? (got 'x')"),
        ({"service": {"symbls": ["BTC"]}}, "service.symbls: no such setting; did you mean symbols?"),
        ({"scorebord": {}}, "scorebord: no such setting; did you mean scoreboard?"),
        ({"venues": {"kraken": {}}}, "venues.kraken: no such setting; did you mean kraken_futures?"),
        ({"venues": {"okx": {"res": "x"}}}, "venues.okx.res: no such setting; did you mean rest? (got 'x')"),
        (
            {"denominators": {"coingecko": {"enable": 1}}},
            "denominators.coingecko.enable: no such setting; did you mean",
        ),
        ({"extra": 1}, "extra: no such setting (got 1)"),
        (
            {"weights": {"frozen": {"rounds": 1, "windows": {"1m": {"zero": 1}}, "mod": 1}}},
            "weights.frozen.mod: no such",
        ),
    ],
)
def test_an_unknown_setting_is_told_with_the_one_that_was_meant(document: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(document)
    [told] = caught.value.problems
    assert told.startswith(problem)


def without(*names: str) -> dict[str, object]:
    """The table of venues with these switched off."""
    return {name: {"enabled": False} for name in names}


def test_a_quorum_that_the_enabled_venues_cannot_reach_is_a_problem_with_its_path() -> None:
    names = tuple(VENUES)
    four = without(*names[4:])
    text = "market.min_venues: more than the 4 enabled venues: no symbol would ever have data (got 5)"
    with pytest.raises(ConfigError) as caught:
        parse({"venues": four, "market": {"min_venues": 5}})
    assert caught.value.problems == [text]
    with pytest.raises(ConfigError) as caught:  # it is said although another section is wrong
        parse({"venues": four, "market": {"min_venues": 5}, "feed": {"port": -1}})
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["feed.port", "market.min_venues"]
    off = without(*names[1:])
    with pytest.raises(ConfigError, match=r"^market\.min_venues: more than the 1 enabled venue: .*\(got 2\)$"):
        parse({"venues": off})  # the default quorum is 2
    assert parse({"venues": off, "market": {"min_venues": 1}}).venues.enabled() == ("binance_usdm",)
    assert parse({"venues": four, "market": {"min_venues": 4}}).market.min_venues == 4
    assert parse({"market": {"min_venues": len(names)}}).market.min_venues == len(names)


@pytest.mark.parametrize("setting", ["denominators.file", "state.folder", "scoreboard.folder", "weights.file"])
def test_a_relative_path_starts_at_the_folder_of_the_file(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, name = setting.split(".")

    def said(file: str | Path) -> str | None:
        return getattr(getattr(load(file), table), name)  # type: ignore[no-any-return]

    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc" / "elr.toml"
    path.write_text(f'[{table}]\n{name} = "data/coins"\n')
    assert said(path) == str(tmp_path / "etc" / "data" / "coins")
    monkeypatch.chdir(tmp_path)
    assert said("etc/elr.toml") == str(tmp_path / "etc" / "data" / "coins")
    config = load(path)
    assert parse(config.model_dump(mode="json")) == config  # what a tape's header keeps
    path.write_text(f'[{table}]\n{name} = "/srv/coins"\n')
    assert said(path) == "/srv/coins"
    path.write_text(f'[{table}]\n{name} = ""\n')
    with pytest.raises(ConfigError, match=rf"^{table}\.{name}: "):
        load(path)


def test_a_path_that_is_not_read_from_a_file_stays_as_it_is() -> None:
    assert parse({"state": {"folder": "kept"}}).state.folder == "kept"
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
        "dydx", "aster", "lighter",
    )  # fmt: skip


if __name__ == "__main__":
    (ROOT / "config" / "default.toml").write_text(HEAD + render())


def test_a_source_that_is_not_proven_can_be_switched_off() -> None:
    config = parse({"venues": {"kraken_futures": {"ws": {"unified": ""}}}})
    assert endpoints_of(config)["kraken_futures"].ws["unified"] == ""
    with pytest.raises(ConfigError) as refused:
        parse({"venues": {"kraken_futures": {"ws": {"public": ""}}}})
    assert "venues.kraken_futures.ws.public" in str(refused.value)
