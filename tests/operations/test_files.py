"""What operators run: alert rules by promtool, container files checked statically (no container engine needed)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

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
    assert "6 rules found" in promtool("check", "rules", "config/alerts.yml", cwd=repository)


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
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"
        assert rule["alert"].lower() in headings
        assert tested.count(f"alertname: {rule['alert']}") >= 2


def test_rules_and_dashboards_use_only_metrics_that_exist(repository: Path) -> None:
    documented = set(re.findall(r"elr_[a-z0-9_]+", (repository / "docs" / "metrics.md").read_text()))
    used = " ".join(rule["expr"] for rule in rules(repository))
    dashboard = json.loads((repository / "config" / "grafana" / "dashboards" / "overview.json").read_text())
    used += " " + " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    for name in set(re.findall(r"elr_[a-z0-9_]+", used)):
        assert name in documented or name.removesuffix("_bucket") in documented, name


def test_panels_have_ids_titles_and_places_that_do_not_overlap(repository: Path) -> None:
    dashboard = json.loads((repository / "config" / "grafana" / "dashboards" / "overview.json").read_text())
    taken: dict[tuple[int, int], str] = {}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert panel["title"]
        assert panel["targets"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert x < 24
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]


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


def test_the_lock_files_agree(repository: Path) -> None:
    pins = [
        dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (repository / f"requirements{name}.lock").read_text(), re.MULTILINE))
        for name in ("", "-dev")
    ]
    assert {name: pins[1].get(name) for name in pins[0]} == pins[0]
