"""What operators run: alert rules by promtool, container files checked statically (no container engine needed)."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from service.learning.learner import STATIC, ZERO
from service.scoreboard import HORIZONS
from service.scoreboard.measures import BLOCK, LEAST_BLOCKS, dependence
from service.scoring import COMPONENT_IDS
from tests.operations.dashboards import dashboards, queries, variables

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian package prometheus)"
)


def promtool(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(["promtool", *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.needs_prometheus
@needs_promtool
def test_alert_rules_are_valid(repository: Path) -> None:
    assert "14 rules found" in promtool("check", "rules", "config/alerts.yml", cwd=repository)


@pytest.mark.needs_prometheus
@needs_promtool
def test_the_configuration_of_prometheus_is_valid(repository: Path) -> None:
    promtool("check", "config", "--syntax-only", "config/prometheus.yml", cwd=repository)


@pytest.mark.needs_prometheus
@needs_promtool
def test_alert_rules_fire_and_do_not_fire(repository: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", "tests/operations/alert_rules_test.yml", cwd=repository)


def rules(repository: Path) -> list[dict[str, Any]]:
    document = yaml.safe_load((repository / "config" / "alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_every_alert_has_its_runbook_and_its_test(repository: Path) -> None:
    headings = {
        line[3:].strip().lower()
        for line in (repository / "docs" / "alerts.md").read_text().splitlines()
        if line.startswith("## ")
    }
    tested = (repository / "tests" / "operations" / "alert_rules_test.yml").read_text()
    for rule in rules(repository):
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"
        assert rule["alert"].lower() in headings
        assert tested.count(f"alertname: {rule['alert']}") >= 2


def bound_of(repository: Path) -> tuple[float, float]:
    """The two constants of ElrDirectionsWrong's bound: what is mixed over, and it times the squared error rate."""
    (expr,) = [rule["expr"] for rule in rules(repository) if rule["alert"] == "ElrDirectionsWrong"]
    found = re.search(r"/ 4 \+ (\d+)\) \* ln\(.* / 4 \+ (\d+)\) / ([\d.]+)\) \)", expr)
    assert found is not None
    assert found[1] == found[2]
    return float(found[1]), float(found[3])


def test_the_rule_for_wrong_directions_may_be_asked_as_often_as_one_likes(repository: Path) -> None:
    """Cause: an interval made for one look, looked at every ten seconds, misses 0.5 sooner or later with any coin."""
    mixed, level = bound_of(repository)
    assert 2 * (level / mixed) ** 0.5 * 4 / 2 == pytest.approx(0.02)  # two sides, four horizons: 0.01 below
    rng = np.random.default_rng(1)
    n = np.arange(1, 10_001)
    ever = {"rule": 0, "wilson": 0}
    found = 0
    for _ in range(20):
        coins, wrong = (np.cumsum(rng.random((50, len(n))) < chance, axis=1) / n for chance in (0.5, 0.45))
        bound = np.sqrt((n / 4 + mixed) * np.log((n / 4 + mixed) / level)) / n
        wilson = 1.96 * np.sqrt((coins * (1 - coins) + 0.9604 / n) / n)
        upper = (coins + 1.9208 / n + wilson) / (1 + 3.8416 / n)
        ever["rule"] += int((coins + bound < 0.5).any(axis=1).sum())
        ever["wilson"] += int((upper[:, 29:] < 0.5).any(axis=1).sum())
        found += int((wrong + bound < 0.5).any(axis=1).sum())
    assert ever["rule"] <= 5  # of 1,000: at most 0.0025 ever, these are its first 10,000 outcomes
    assert ever["wilson"] > 200
    assert found == 1_000


def trending(rng: np.random.Generator, records: int, count: int) -> Any:
    """Hits of scores that stay (0.95) and returns that trend (0.5) and know nothing of each other; a row a record."""
    hits = np.empty((records, count), dtype=np.int64)
    score, ret = rng.standard_normal((2, records))
    noise = rng.standard_normal((count, 2, records))
    for number in range(count):
        score = 0.95 * score + (1 - 0.95**2) ** 0.5 * noise[number, 0]
        ret = 0.5 * ret + 0.75**0.5 * noise[number, 1]
        hits[:, number] = (score > 0) == (ret > 0)
    return hits


def worth(hits: Any) -> Any:
    """`elr_eval_trials` after every outcome of every record."""
    records, count = hits.shape
    n = np.arange(1, count + 1)
    upto = np.cumsum(hits, axis=1)
    before = np.concatenate([np.zeros((records, BLOCK), dtype=np.int64), upto[:, :-BLOCK]], axis=1)
    sums = np.where(n >= BLOCK, upto - before, 0)  # of the last hits
    blocks, total, squares = np.maximum(n - BLOCK + 1, 1), np.cumsum(sums, axis=1), np.cumsum(sums**2, axis=1)
    mean = BLOCK * upto / n
    inside = (upto > 0) & (upto < n) & (n >= LEAST_BLOCKS * BLOCK)
    variance = np.where(inside, mean * (1 - upto / n), 1.0)
    spread = np.where(inside, np.maximum(1.0, ((squares - 2 * mean * total) / blocks + mean**2) / variance), 1.0)
    for at in (50, 118, 119, 500, count - 1):  # as the service has it
        said = dependence(int(blocks[at]), int(total[0, at]), int(squares[0, at]), float(upto[0, at] / n[at]))
        assert spread[0, at] == pytest.approx(said, rel=1e-9)
    return n / spread


def test_that_rule_may_be_asked_so_also_where_hits_resemble_those_before_them(repository: Path) -> None:
    """Cause: it took each outcome for new evidence, and in a market that trends fired at one record in twenty."""
    mixed, level = bound_of(repository)
    rng = np.random.default_rng(2)
    share_of = 1 / np.arange(1, 5_001)
    ever = {"n": 0, "trials": 0}
    for _ in range(10):
        hits = trending(rng, 100, 5_000)
        shares = np.cumsum(hits, axis=1) * share_of
        for name, trials in (("n", 1 / share_of), ("trials", worth(hits))):
            bound = np.sqrt((trials / 4 + mixed) * np.log((trials / 4 + mixed) / level)) / trials
            ever[name] += int((shares + bound < 0.5).any(axis=1).sum())
    assert ever["trials"] <= 7  # of 1,000; a longer simulation finds 3
    assert ever["n"] > 20


def test_rules_and_dashboards_use_only_metrics_that_exist(repository: Path) -> None:
    documented = set(re.findall(r"elr_[a-z0-9_]+", (repository / "docs" / "metrics.md").read_text()))
    used = [rule["expr"] for rule in rules(repository)]
    for name, dashboard in dashboards(repository).items():
        used += [query.expr for query in queries(name, dashboard)]
        used += [metric for metric, _ in variables(dashboard).values()]
    found = set(re.findall(r"elr_[a-z0-9_]+", " ".join(used)))
    assert len(found) > 30
    for metric in found:
        assert metric in documented or metric.removesuffix("_bucket") in documented, metric


DASHBOARDS = ("overview", "scoreboard")
PANELS = {"stat", "table", "text", "timeseries"}
# Okabe and Ito: told apart with any kind of colour blindness, and on a light or a dark page.
COLOURS = {"#0072B2", "#56B4E9", "#E69F00", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#999999"}


def test_the_dashboards_are_these_and_link_to_each_other(repository: Path) -> None:
    found = dashboards(repository)
    assert tuple(found) == DASHBOARDS
    uids = [dashboard["uid"] for dashboard in found.values()]
    assert len({*uids, *(dashboard["title"] for dashboard in found.values())}) == 2 * len(found)
    for dashboard in found.values():
        (link,) = dashboard["links"]
        assert link["type"] == "link"
        assert link["url"].removeprefix("/d/") in set(uids) - {dashboard["uid"]}


def test_where_grafana_looks_is_where_they_are(repository: Path) -> None:
    grafana = yaml.safe_load((repository / "docker-compose.yml").read_text())["services"]["grafana"]
    mounts = dict(volume.split(":")[1::-1] for volume in grafana["volumes"] if volume.startswith("./"))
    provider = yaml.safe_load((repository / "config/grafana/provisioning/dashboards/elr.yml").read_text())
    (folder,) = [item["options"]["path"] for item in provider["providers"]]
    assert (repository / mounts[folder]).samefile(repository / "config" / "grafana" / "dashboards")
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{folder}/overview.json"


def objects(plain: Any) -> Iterator[dict[str, Any]]:
    """Every object within, however deep."""
    if isinstance(plain, dict):
        yield plain
    for part in plain.values() if isinstance(plain, dict) else plain if isinstance(plain, list) else ():
        yield from objects(part)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_has_the_structure_that_grafana_expects(repository: Path, name: str) -> None:
    dashboard = dashboards(repository)[name]
    assert dashboard["schemaVersion"] == 41  # Grafana 12
    assert dashboard["editable"] is False
    assert "id" not in dashboard  # Grafana's own, by installation
    provisioned = yaml.safe_load((repository / "config/grafana/provisioning/datasources/prometheus.yml").read_text())
    sources = {source["uid"]: source["type"] for source in provisioned["datasources"]}
    named = [item["datasource"] for item in objects(dashboard) if "datasource" in item]
    assert len(named) > len(dashboard["panels"])
    for source in named:
        assert sources[source["uid"]] == source["type"]
    for panel in dashboard["panels"]:
        assert panel["type"] in PANELS, panel["title"]
        assert panel["description"], panel["title"]
        if panel["type"] == "text":
            assert panel["options"]["mode"] == "markdown"
            assert "targets" not in panel
            continue
        refs = [target["refId"] for target in panel["targets"]]
        assert refs == sorted(set(refs)), panel["title"]
        assert all(target["expr"] for target in panel["targets"])
        if panel["type"] == "table":
            assert all(target["instant"] and target["format"] == "table" for target in panel["targets"])
    used = {named for item in objects(dashboard["panels"]) for text in item.values() if isinstance(text, str)
            for named in re.findall(r"\$(\w+)", text)}  # fmt: skip
    assert used == set(variables(dashboard))


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_ids_titles_and_places_that_do_not_overlap(repository: Path, name: str) -> None:
    dashboard = dashboards(repository)[name]
    taken: dict[tuple[int, int], str] = {}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert x < 24
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_what_is_set_for_a_line_names_one_that_there_is(repository: Path, name: str) -> None:
    """Cause: a colour or band for a line that was renamed is silently not applied."""
    experts = {STATIC, ZERO, *(part for parts in COMPONENT_IDS.values() for part in parts)}
    lines = {"{{expert}}": experts, "{{horizon}}": {name for name, _ in HORIZONS}, "{{window}}": {"1m", "5m", "1h"}}
    for panel in dashboards(repository)[name]["panels"]:
        shown: set[str] = set()
        for target in panel.get("targets", []):
            shown |= lines.get(target["legendFormat"], {target["legendFormat"]})
        for step in panel.get("transformations", []):
            shown |= set(step["options"].get("renameByName", {}).values())
        overrides = panel.get("fieldConfig", {}).get("overrides", [])
        assert {item["matcher"]["options"] for item in overrides} <= shown, panel["title"]
        if "{{expert}}" in [target["legendFormat"] for target in panel.get("targets", [])]:
            assert {item["matcher"]["options"] for item in overrides} == experts
        for item in overrides:
            for one in item["properties"]:
                assert one["id"] != "custom.fillBelowTo" or one["value"] in shown


@pytest.mark.parametrize("name", DASHBOARDS)
def test_colours_can_be_told_apart_by_everybody(repository: Path, name: str) -> None:
    found = [
        text
        for item in objects(dashboards(repository)[name])
        for key, text in item.items()
        if key in ("color", "fixedColor") and isinstance(text, str)
    ]
    assert found
    assert set(found) <= COLOURS


def test_the_scoreboard_says_what_it_does_not_prove(repository: Path) -> None:
    """Whoever sees the numbers sees the warnings of the document."""
    document = (repository / "docs" / "scoreboard.md").read_text()
    section = document.split("## What it does not prove")[1].split("##")[0]
    (text,) = [panel for panel in dashboards(repository)["scoreboard"]["panels"] if panel["type"] == "text"]
    warnings = re.findall(r"^- \*\*(.+?)\*\*", section, re.M)
    assert len(warnings) >= 5
    for warning in warnings:
        assert warning.rstrip(".") in text["options"]["content"]


def test_fragility_is_called_what_the_evidence_says(repository: Path) -> None:
    """Cause: the dashboard said that it ranks flushes; on history it does not (docs/evidence.md)."""
    (table,) = [panel for panel in dashboards(repository)["overview"]["panels"] if panel["title"] == "Symbols now"]
    assert "ranks the chance of a deep fall of open interest within a day" in table["description"]
    assert "no forecast of the flush alert, of volatility" in table["description"]


def test_the_image_runs_as_a_numeric_user_with_an_exec_form_command(repository: Path) -> None:
    text = (repository / "Dockerfile").read_text()
    final = text[text.rindex("FROM ") :]
    assert text.count("FROM ") == 2
    assert re.search(r"^USER (?!0)\d+:\d+$", final, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["elr"\]$', final, re.MULTILINE)
    assert re.search(r'^CMD \["serve"', final, re.MULTILINE)
    assert "HEALTHCHECK" in final
    assert "curl" not in text
    assert "--require-hashes" in text


def test_compose_is_hardened(repository: Path) -> None:
    compose = yaml.safe_load((repository / "docker-compose.yml").read_text())
    assert set(compose["services"]) == {"elr", "prometheus", "grafana"}
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "mem_limit" in service, name
        assert "pids_limit" in service, name
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), (name, port)
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (repository / source).exists(), volume
                assert volume.endswith(":ro"), volume
    assert compose["services"]["elr"]["stop_grace_period"] == "10s"  # draining takes at most 5


RUNS = {"websockets", "orjson", "uvloop", "prometheus-client", "aiohttp", "pydantic", "ijson"}
TESTS = {"pytest-asyncio", "hypothesis", "looptime", "numpy", "scipy", "matplotlib", "wickra"}


@pytest.mark.parametrize(("name", "wanted", "unwanted"), [("", RUNS, TESTS), ("-dev", RUNS | TESTS, set())])
def test_the_lock_files_are_hashed_and_name_no_registry(
    repository: Path, name: str, wanted: set[str], unwanted: set[str]
) -> None:
    """What runs is locked apart from what tests: the image and `make demo` carry no test tools."""
    text = (repository / f"requirements{name}.lock").read_text()
    pins = set(re.findall(r"^([a-z0-9-]+)==\S+", text, re.MULTILINE))
    assert wanted <= pins
    assert not unwanted & pins
    assert "://" not in text
    for block in re.split(r"\n(?=[a-z])", text.strip()):
        assert "--hash=sha256:" in block, block[:40]
