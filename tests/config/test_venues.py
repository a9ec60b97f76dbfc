"""What the configuration knows of a venue it reads from the venue; old files and tapes stay valid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.cli.main import run as elr
from service.config import Config, load, notes, parse, shareable
from service.config.render import render
from service.core.replay import Run
from service.tapes import Header
from service.venues import VENUES

POLLED = ["binance_usdm", "binance_coinm", "aster"]
STREAMED = [name for name in VENUES if name not in POLLED]


def test_only_venues_that_poll_open_interest_offer_its_cadence() -> None:
    tables = dict(table.split("]", 1) for table in render().split("[venues.")[1:])
    assert list(tables) == list(VENUES)
    assert [name for name, table in tables.items() if "oi_poll_s" in table] == POLLED


@pytest.mark.parametrize("name", VENUES)
def test_a_cadence_has_an_effect_just_where_it_is_offered(name: str) -> None:
    venue = VENUES[name]
    assert (venue.rules_for(10.0) != venue.rules_for(600.0)) == venue.polls_oi


def test_a_cadence_without_effect_is_taken_and_told(tmp_path: Path) -> None:
    path = tmp_path / "elr.toml"
    path.write_text("".join(f"[venues.{name}]\noi_poll_s = 20\n" for name in VENUES))
    config = load(path)
    assert config.venues.of("okx").oi_poll_s == 20.0
    assert notes(config) == [
        f"venues.{name}.oi_poll_s: has no effect: the open interest of this venue is streamed" for name in STREAMED
    ]
    assert notes(load(None)) == []


def test_check_says_what_has_no_effect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "elr.toml"
    path.write_text("[venues.binance_usdm]\noi_poll_s = 20\n[venues.gate]\noi_poll_s = 20\n")
    assert elr(["check", str(path)]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "no effect" in line]
    assert said == ["venues.gate.oi_poll_s: has no effect: the open interest of this venue is streamed"]


SOURCE = {"enabled": True, "rest": None, "every_s": 3600.0}
OLD_HEADER: dict[str, Any] = {
    "service": {"symbols": ["BTC", "ETH"], "log_level": "info"},
    "feed": {
        "host": "127.0.0.1", "port": 8080, "max_clients": 1000, "max_clients_per_address": 100,
        "client_buffer_bytes": 262144, "max_message_bytes": 4096, "history_per_channel": 60, "idle_s": 30.0,
        "ping_s": 20.0,
    },
    "market": {
        "min_venues": 2, "quarantine_mark": 0.02, "quarantine_oi_step": 0.2, "implausible_oi_factor": 5.0,
        "quarantine_observations": 3, "quarantine_s": 60, "frozen_s": 60, "frozen_move": 0.001,
    },
    "venues": {
        "binance_usdm": {"enabled": True, "ws": {"market": "ws://127.0.0.1:9/m"}, "rest": None, "oi_poll_s": 5.0},
        "binance_coinm": {"enabled": True, "ws": {}, "rest": None, "oi_poll_s": 10.0},
        "bybit": {"enabled": True, "ws": {}, "rest": "http://127.0.0.1:9", "oi_poll_s": 10.0},
        "okx": {"enabled": True, "ws": {}, "rest": None, "oi_poll_s": 30.0},
        "bitget": {"enabled": True, "ws": {}, "rest": None, "oi_poll_s": 10.0},
        "gate": {"enabled": False, "ws": {}, "rest": None, "oi_poll_s": 10.0},
        "deribit": {"enabled": True, "ws": {}, "rest": None, "oi_poll_s": 10.0},
        "kraken_futures": {"enabled": True, "ws": {}, "rest": None, "oi_poll_s": 10.0},
        "bitmex": {"enabled": True, "ws": {}, "rest": None, "oi_poll_s": 10.0},
        "hyperliquid": {"enabled": True, "ws": {}, "rest": None, "oi_poll_s": 10.0},
        "dydx": {"enabled": True, "ws": {}, "rest": None, "oi_poll_s": 10.0},
        "lighter": {"enabled": True, "ws": {}, "rest": None, "oi_poll_s": 10.0},
    },
    "network": {
        "proxy": None, "open_timeout_s": 10.0, "backoff_cap_s": 30.0, "healthy_s": 60.0, "listing_refresh_s": 3600.0,
    },
    "streams": {"liquidation": True, "flow": True, "positions": True, "long_short": True},
    "start": {"history": True, "history_h": 26, "deadline_s": 45.0},
    "state": {"keep": True, "folder": "/var/lib/elr", "every_s": 60.0},
    "denominators": {
        "file": "/etc/elr/coins.toml",
        "defillama": SOURCE,
        "coinmetrics": {"enabled": False, "rest": None, "every_s": 3600.0},
        "coingecko": {"enabled": True, "rest": None, "every_s": 3600.0},
        "coingecko_ids": {},
    },
    "scoreboard": {"folder": None, "rotate_mb": 64, "keep_files": None},
    "metrics": {"max_venue_symbols": 50},
    "weights": {"mode": "learn", "min_outcomes": 720, "per_symbol": False, "file": "w.json", "frozen": None},
}  # fmt: skip


OLD_VENUES: dict[str, dict[str, Any]] = OLD_HEADER["venues"]


def test_a_tape_recorded_when_every_venue_had_a_cadence_replays() -> None:
    """The header's configuration as the version before wrote it: every table, each of the eleven with `oi_poll_s`."""
    header = Header(1_763_683_200_000, "live", "0.1.0", True, json.loads(json.dumps(OLD_HEADER)), [], None)
    run = Run(header, "old.tape")
    plain = shareable(run.config)
    assert {name: plain["venues"].pop(name)["enabled"] for name in VENUES if name not in OLD_VENUES} == dict.fromkeys(
        (name for name in VENUES if name not in OLD_VENUES), False
    )
    later = {"assets": [], "alerts": [], "coverage": SOURCE} | {
        name: shareable(Config())[name] for name in ("audit", "deleveraging")
    }
    later["start"] = OLD_HEADER["start"] | {"month_days": 30}
    assert plain == {**OLD_HEADER, **later}
    assert run.config.venues.enabled() == tuple(name for name in OLD_VENUES if name != "gate")
    assert {*OLD_HEADER, *later} == set(Config.model_fields)


@pytest.mark.parametrize("without", ["binance_usdm", "gate", "dydx"])
def test_a_venue_that_a_tape_has_no_table_for_did_not_exist_when_it_was_recorded(without: str) -> None:
    """Cause: never heard in the tape, it would count as listing every symbol. In a file absent still means default."""
    venues = {name: table for name, table in OLD_VENUES.items() if name != without}
    plain = {**OLD_HEADER, "venues": venues}
    run = Run(Header(1_763_683_200_000, "live", "0.1.0", True, plain, [], None), "old.tape")
    expected = tuple(name for name in venues if name != "gate")
    assert run.config.venues.enabled() == expected == tuple(run.engine.market.heard)
    assert without in parse(plain).venues.enabled()
