"""The operator's denominators: read in canonical units, refused in words, kept exactly by a tape's header."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.config import load as load_config
from service.core.build import denominators_of
from service.denominators.operator_file import from_plain, load, to_plain
from service.errors import ConfigError
from service.venues.symbols import aliases

NOW_MS = 1_795_132_800_000  # 2026-11-20T00:00:00Z
DAY_MS = 86_400_000

GOOD = """
[BTC]
circulating_supply = 19_900_000
as_of = 2026-11-20T00:00:00Z
source = "operator"
licence = "own"
[BTC.reserves]
okx = 110_000.5
binance = 610_000
[ETH]
as_of = 2026-11-20T00:00:00
source = "operator"
licence = "own"
reserves = {all = 15_000_000.0}
"""


def test_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "d.toml"
    path.write_text(GOOD)
    bitcoin, ether = load(path, ["SOL", "BTC", "ETH"], NOW_MS)
    assert (bitcoin.symbol, bitcoin.supply) == ("BTC", 19_900_000.0)
    assert bitcoin.reserves == (("binance", 610_000.0), ("okx", 110_000.5))
    assert bitcoin.as_of == 1_795_132_800_000
    assert (ether.supply, ether.reserves, ether.as_of) == (None, (("all", 15_000_000.0),), 1_795_132_800_000)
    assert from_plain(to_plain([bitcoin, ether])) == [bitcoin, ether]


def test_every_problem_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "d.toml"
    path.write_text(
        '[BTC]\ncirculating_supply = 0\nsource = ""\nlicence = "x"\n'
        '[ETH]\nsource="a"\nlicence="b"\nas_of=2026-01-01T00:00:00Z\nreserves={all=1, okx=1}\n'
        "[BCT]\nas_of = 1\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(path, ["BTC", "ETH"], NOW_MS)
    text = "\n".join(caught.value.problems)
    for part in (
        "BTC.circulating_supply",
        "BTC.as_of",
        "BTC.source",
        "BCT: not a configured symbol",
        "either `all` or named",
    ):
        assert part in text


def test_figures_from_more_than_a_day_ahead_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.toml"
    path.write_text(GOOD)
    assert len(load(path, ["BTC", "ETH"], NOW_MS - DAY_MS)) == 2
    with pytest.raises(ConfigError) as caught:
        load(path, ["BTC", "ETH"], NOW_MS - DAY_MS - 1)
    assert caught.value.problems == [
        f"{path}: BTC.as_of: 2026-11-20T00:00:00+00:00 lies in the future",
        f"{path}: ETH.as_of: 2026-11-20T00:00:00 lies in the future",
    ]


def test_the_configured_file_is_judged_by_the_time_given(tmp_path: Path) -> None:
    (tmp_path / "d.toml").write_text(GOOD)
    (tmp_path / "elr.toml").write_text('[denominators]\nfile = "d.toml"\n')
    config = load_config(tmp_path / "elr.toml")
    assert [item.symbol for item in denominators_of(config, NOW_MS)] == ["BTC", "ETH"]
    with pytest.raises(ConfigError, match="lies in the future"):
        denominators_of(config, NOW_MS - 2 * DAY_MS)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.toml"
    for number in ("inf", "nan"):
        path.write_text(GOOD.replace("19_900_000", number))
        with pytest.raises(ConfigError, match=r"BTC\.circulating_supply"):
            load(path, ["BTC", "ETH"], NOW_MS)


def test_another_name_is_the_symbol_and_a_misspelt_one_is_told_with_what_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "d.toml"
    entry = 'circulating_supply = 5e9\nas_of = 2026-11-20\nsource = "a"\nlicence = "b"\n'.replace(
        "11-20", "11-20T00:00:00Z"
    )
    path.write_text(f"[TON]\n{entry}")
    [item] = load(path, ["BTC", "GRAM"], NOW_MS, aliases())
    assert (item.symbol, item.supply) == ("GRAM", 5e9)
    path.write_text(f"[TON]\n{entry}[GRAM]\n{entry}[BTCC]\n{entry}")
    with pytest.raises(ConfigError) as caught:
        load(path, ["BTC", "GRAM"], NOW_MS, aliases())
    assert caught.value.problems == [
        f"{path}: GRAM: GRAM is there twice",
        f"{path}: BTCC: not a configured symbol; did you mean BTC?",
    ]
    path.write_text(f"[GRAM]\n{entry}reservs = {{all = 1}}\n")
    with pytest.raises(ConfigError, match=r"GRAM\.reservs: no such setting; did you mean reserves\?"):
        load(path, ["GRAM"], NOW_MS)


def test_a_configured_file_under_another_name_is_read(tmp_path: Path) -> None:
    (tmp_path / "d.toml").write_text(
        '[TON]\ncirculating_supply = 5e9\nas_of = 2026-11-20T00:00:00Z\nsource = "a"\nlicence = "b"\n'
    )
    (tmp_path / "elr.toml").write_text('[denominators]\nfile = "d.toml"\n[service]\nsymbols = ["TON"]\n')
    [item] = denominators_of(load_config(tmp_path / "elr.toml"), NOW_MS)
    assert item.symbol == "GRAM"
