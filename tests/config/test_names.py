"""Names in a configuration: of any script, under other names, impossible ones, misspelt ones."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from service.cli.main import run
from service.config import Config, load, parse, renamed, shareable
from service.core.replay import Run
from service.errors import ConfigError
from service.tapes import Header
from service.venues import VENUES
from service.venues.symbols import ASSETS, Asset


def written(folder: Path, text: str) -> Path:
    path = folder / "elr.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(written(folder, text))
    return caught.value.problems


# -- symbols ---------------------------------------------------------------------------------------------------------


def test_names_of_any_script_are_taken_and_normalised(tmp_path: Path) -> None:
    path = written(tmp_path, '[service]\nsymbols = ["BTC", "币安人生", "CAFE\u0301"]\n')
    assert load(path).service.symbols == ("BTC", "币安人生", "CAFÉ")


def test_every_name_that_can_never_have_data_is_told_with_the_one_that_is_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '[service]\nsymbols = ["BTC", "PEPE", "XBT", "BTCUSDT", "btc", "1000MOG", "SOL-PERP", "TON"]\n'
    wanted = [
        "service.symbols.1: is counted as 1000PEPE; did you mean 1000PEPE? (got 'PEPE')",
        "service.symbols.2: is counted as BTC; did you mean BTC? (got 'XBT')",
        "service.symbols.3: is no base asset; did you mean BTC? (got 'BTCUSDT')",
        "service.symbols.4: is not in upper case; did you mean BTC? (got 'btc')",
        "service.symbols.5: is counted as MOG; did you mean MOG? (got '1000MOG')",
        "service.symbols.6: is no base asset; did you mean SOL? (got 'SOL-PERP')",
    ]
    assert problems(tmp_path, text) == wanted
    assert run(["check", str(tmp_path / "elr.toml")]) == 2
    assert capsys.readouterr().err.splitlines() == [f"elr: config: {line}" for line in wanted]


def test_ids_of_a_symbol_that_can_never_have_data_are_refused(tmp_path: Path) -> None:
    [told] = problems(tmp_path, '[denominators.coingecko_ids]\nPEPE = "pepe"\n')
    assert told.startswith("denominators.coingecko_ids.PEPE")
    assert "did you mean 1000PEPE?" in told


def test_a_tape_whose_header_has_a_symbol_that_can_never_have_data_replays() -> None:
    """Cause: a rule for files refuses what was recorded before there was one."""
    header = Header(
        1_763_683_200_000, "live", "0.1.0", True, {"service": {"symbols": ["BTC", "PEPE", "XBT"]}}, [], None
    )
    assert Run(header, "old.tape").config.service.symbols == ("BTC", "PEPE", "XBT")


# -- other names -----------------------------------------------------------------------------------------------------


def test_another_name_means_the_symbol_and_check_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(
        tmp_path,
        '[service]\nsymbols = ["BTC", "TON", "MATIC"]\n[denominators.coingecko_ids]\nTON = "the-open-network"\n',
    )
    config = load(path)
    assert config.service.symbols == ("BTC", "GRAM", "POL")
    assert config.denominators.coingecko_ids == {"GRAM": "the-open-network"}
    assert renamed(path, config) == [
        "service.symbols: TON is counted as GRAM",
        "service.symbols: MATIC is counted as POL",
    ]
    assert run(["check", str(path)]) == 0
    assert "service.symbols: TON is counted as GRAM\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[service]\nsymbols = ["AGIX"]\n', "service.symbols: AGIX is counted as FET; did you mean FET?"),
        ('[service]\nsymbols = ["TON", "BTC", "GRAM"]\n', "service.symbols: listed more than once: GRAM (TON, GRAM)"),
        (
            '[denominators.coingecko_ids]\nTON = "a"\nGRAM = "b"\n',
            "denominators.coingecko_ids: listed more than once: GRAM (TON, GRAM)",
        ),
    ],
)
def test_a_symbol_under_two_of_its_names_is_listed_more_than_once(text: str, problem: str, tmp_path: Path) -> None:
    assert problems(tmp_path, text) == [problem]


def test_a_ticker_that_will_mean_another_asset_is_taken_until_then(tmp_path: Path) -> None:
    rows = '[[assets]]\nticker = "OLD"\ncanonical = "NEW"\nsince = 2999-01-31\n[service]\nsymbols = ["OLD"]\n'
    assert load(written(tmp_path, rows)).service.symbols == ("OLD",)


def test_a_tape_that_has_a_symbol_under_two_of_its_names_replays_with_both() -> None:
    header = Header(1_763_683_200_000, "live", "0.1.0", True, {"service": {"symbols": ["TON", "GRAM"]}}, [], None)
    assert Run(header, "old.tape").config.service.symbols == ("TON", "GRAM")


def test_rows_of_the_file_come_before_ours_and_reach_the_symbols(tmp_path: Path) -> None:
    config = load(
        written(
            tmp_path,
            '[[assets]]\nticker = "OLD"\ncanonical = "NEW"\n'
            '[[assets]]\nticker = "TON"\ncanonical = "TON"\n'
            '[[assets]]\nticker = "X"\ncanonical = "Y"\nvenue = "gate"\nfactor = 60\nsince = 2026-01-31\n'
            '[service]\nsymbols = ["OLD", "TON", "X"]\n',
        )
    )
    assert config.service.symbols == ("NEW", "TON", "X")
    assert config.all_assets() == (
        *ASSETS,
        Asset("OLD", "NEW"),
        Asset("TON", "TON"),
        Asset("X", "Y", 60.0, "gate", date(2026, 1, 31)),
    )
    again = parse(shareable(config))  # what a tape's header keeps
    assert again == config.model_copy(update={"deleveraging": again.deleveraging})
    assert again.deleveraging.model() == config.deleveraging.model()
    assert again.assets[2].since == date(2026, 1, 31)


def test_rows_are_judged_with_their_paths(tmp_path: Path) -> None:
    told = problems(
        tmp_path,
        '[[assets]]\nticker = "pepe"\ncanonical = "PEPE"\nfactor = 0\nvenue = "kraken"\n'
        '[[assets]]\nticker = "A"\ncanonicl = "B"\nsince = "soon"\n',
    )
    assert [line.partition(": ")[0] for line in told] == [
        "assets.0.ticker",
        "assets.0.canonical",
        "assets.0.factor",
        "assets.0.venue",
        "assets.1.canonical",
        "assets.1.since",
        "assets.1.canonicl",
    ]
    assert "did you mean 1000PEPE?" in told[0]
    assert "is no venue; did you mean kraken_futures?" in told[3]
    assert "did you mean canonical?" in told[6]


def row(ticker: str, canonical: str, more: str = "") -> str:
    return f'[[assets]]\nticker = "{ticker}"\ncanonical = "{canonical}"\n{more}'


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            row("GRAM", "GRM"),
            ["0: TON is counted as GRAM, and GRAM as GRM: give TON a row, too (canonical = \"GRM\") (got 'GRM')"],
        ),
        (
            row("GRAM", "GRM", "since = 2999-01-01\n"),
            ["0: TON is counted as GRAM, and GRAM as GRM: give TON a row, too (canonical = \"GRM\") (got 'GRM')"],
        ),
        (
            row("X", "Y") + row("OLD", "TON", "factor = 60.0\n"),
            ["1: OLD is counted as TON, and TON as GRAM: did you mean GRAM? (got 'TON')"],
        ),
        (
            row("OLD", "TON", 'venue = "bybit"\n'),
            ["0: OLD is counted as TON, and TON as GRAM at bybit: did you mean GRAM? (got 'TON')"],
        ),
        (
            row("GRAM", "TON", 'venue = "gate"\n'),
            [
                '0: TON is counted as GRAM, and GRAM as TON at gate: give TON a row, too (canonical = "TON")'
                " (got 'TON')"
            ],
        ),
        (row("A", "B") + row("B", "A"), ["0: A is counted as B, and B as A: leave one of them out (got 'B')"]),
        (
            row("A", "B") + row("B", "C") + row("C", "D"),
            [
                "0: A is counted as B, and B as C, and C as D: did you mean D? (got 'B')",
                "1: B is counted as C, and C as D: did you mean D? (got 'C')",
            ],
        ),
        (row("TON", "TON") + row("GRAM", "TON"), []),
        (row("TON", "GRM") + row("GRAM", "GRM"), []),
        (row("A", "B", 'venue = "gate"\n') + row("B", "C", 'venue = "okx"\n'), []),  # nowhere both
    ],
)
def test_a_name_counted_under_one_that_is_counted_under_another_is_refused(
    rows: str, told: list[str], tmp_path: Path
) -> None:
    """Cause: only rows without factor, venue and day were looked at, and a name is looked up once: the chain's first
    ticker and its second were two symbols, neither of them with all venues."""
    if told:
        assert problems(tmp_path, rows) == [f"assets.{line}".replace(":", ".canonical:", 1) for line in told]
    else:
        load(written(tmp_path, rows))


def test_both_ends_of_a_renaming_may_have_a_row() -> None:
    rows = [{"ticker": "GRAM", "canonical": "GRM"}, {"ticker": "TON", "canonical": "GRM"}]
    assert parse({"assets": rows, "service": {"symbols": ["TON"]}}).service.symbols == ("GRM",)


# -- misspelt settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"sevice": {}}, "sevice: no such setting; did you mean service?"),
        ({"Service": {}}, "Service: no such setting; did you mean service?"),
        ({"asets": []}, "asets: no such setting; did you mean assets?"),
        ({"service": {"symbls": ["BTC"]}}, "service.symbls: no such setting; did you mean symbols?"),
        ({"service": {"log-level": 1}}, "service.log-level: no such setting; did you mean log_level? (got 1)"),
        ({"venues": {"hyperliqid": {}}}, "venues.hyperliqid: no such setting; did you mean hyperliquid?"),
        ({"venues": {"OKX": {}}}, "venues.OKX: no such setting; did you mean okx?"),
        ({"venues": {"gate": {"enable": 1}}}, "venues.gate.enable: no such setting; did you mean enabled? (got 1)"),
        ({"streams": {"liquidations": 1}}, "streams.liquidations: no such setting; did you mean liquidation? (got 1)"),
        ({"streams": {"long-short": 1}}, "streams.long-short: no such setting; did you mean long_short? (got 1)"),
        ({"denominators": {"coingeko": {}}}, "denominators.coingeko: no such setting; did you mean coingecko?"),
        (
            {"denominators": {"defillama": {"evry_s": 60}}},
            "denominators.defillama.evry_s: no such setting; did you mean every_s? (got 60)",
        ),
        (
            {"weights": {"frozen": {"rounds": 1, "window": {}, "windows": {"1m": {"zero": 1}}}}},
            "weights.frozen.window: no such setting; did you mean windows?",
        ),
        ({"symbols": ["BTC"]}, "symbols: no such setting; did you mean service.symbols?"),
        ({"symbls": ["BTC"]}, "symbls: no such setting; did you mean service.symbols?"),
        (
            {"service": {"min_venues": 2}},
            "service.min_venues: no such setting; did you mean market.min_venues? (got 2)",
        ),
    ],
)
def test_a_misspelt_name_at_every_level_is_told_with_the_one_of_its_table(
    document: dict[str, object], problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(document)
    assert caught.value.problems == [problem]


@pytest.mark.parametrize("venue", VENUES)
def test_every_setting_of_every_venue_less_a_letter_is_told_with_itself(venue: str) -> None:
    for setting in ("enabled", "rest", "oi_poll_s"):
        with pytest.raises(ConfigError, match=rf"^venues\.{venue}\.{setting[:-1]}: .*did you mean {setting}\?"):
            parse({"venues": {venue: {setting[:-1]: 1}}})


def test_the_defaults_have_no_name_that_the_file_may_not_have(tmp_path: Path) -> None:
    names = ", ".join(f'"{name}"' for name in Config().service.symbols)
    assert load(written(tmp_path, f"[service]\nsymbols = [{names}]\n")).service == Config().service
    assert "GRAM" in Config().service.symbols
