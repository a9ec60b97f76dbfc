"""What traders make of each band, regime and alert: all of them have a line, with its source, and docs repeat it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service import advice
from service.scoring import alerts
from service.scoring.elr import PERCENTILE_BANDS, TOP_BAND

TABLES = {"bands": advice.BANDS, "regimes": advice.REGIMES, "alerts": advice.ALERTS}
REGIMES = ("flush", "reset", "crowded_longs", "crowded_shorts", "loaded", "building", "calm")


def test_every_band_regime_and_alert_has_a_line_and_nothing_else_has() -> None:
    assert list(advice.BANDS) == [*(name for _, name in PERCENTILE_BANDS), TOP_BAND]
    assert tuple(advice.REGIMES) == REGIMES
    assert set(advice.ALERTS) == set(alerts.SEVERITIES)


@pytest.mark.parametrize("part", TABLES)
def test_docs_repeat_it(part: str, repository: Path) -> None:
    text = (repository / "docs/advice.md").read_text(encoding="utf-8")
    number = list(TABLES).index(part)
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (\w+) \| (.*?) \|$", text.split("\n## ")[1 + number], re.MULTILINE)
    assert {name: advice.Advice(*rest) for name, *rest in rows} == TABLES[part]  # type: ignore[arg-type]


@pytest.mark.parametrize("part", TABLES)
def test_a_line_describes_and_commands_nobody(part: str, repository: Path) -> None:
    for name, item in TABLES[part].items():
        assert item.kind in ("practice", "measured")
        assert not re.match(r"(reduce|use|avoid|wait|buy|sell|close|take|stand|tighten)\b", item.text), name
        assert len(item.text) < 160
        for document in re.findall(r"docs/\w+\.md", item.source):
            assert (repository / document).exists()
        assert (item.kind == "measured") == ("docs/" in item.source), name


def test_the_answer_is_the_table() -> None:
    told = advice.told()
    assert list(told) == ["bands", "regimes", "alerts"]
    assert told["regimes"]["reset"] == {
        "text": "guides call it a cleaner entry; history did not show that it is one",
        "kind": "measured",
        "source": "docs/evidence.md, Is a reset a cleaner entry?",
    }
    assert advice.with_advice("reset", "BTC: over") == (
        "BTC: over. Guides call it a cleaner entry; history did not show that it is one (measured)"
    )
