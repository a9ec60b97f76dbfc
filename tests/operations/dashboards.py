"""The provisioned dashboards as Grafana reads them, and how it fills in their variables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path("config") / "grafana" / "dashboards"


class Query(NamedTuple):
    """One target of a panel: ``place`` names it in a failure."""

    place: str
    legend: str
    expr: str
    instant: bool


def dashboards(repository: Path) -> dict[str, dict[str, Any]]:
    """By file name."""
    return {file.stem: json.loads(file.read_text()) for file in sorted((repository / FOLDER).glob("*.json"))}


def queries(name: str, dashboard: Mapping[str, Any]) -> Iterator[Query]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            place = f"{name}: {panel['title']}: {target['refId']}"
            yield Query(place, target["legendFormat"], target["expr"], target.get("instant", False))


def variables(dashboard: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Name of each variable: (metric, label) of its ``label_values``."""
    found = {}
    for variable in dashboard["templating"]["list"]:
        said = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
        assert said is not None, variable["query"]
        found[variable["name"]] = (said[1], said[2])
    return found


def filled(text: str, values: Mapping[str, list[str]]) -> Iterator[str]:
    """``text`` for every combination of the values of the variables that it names."""
    named = sorted(set(re.findall(r"\$(\w+)", text)))
    for chosen in product(*(values[name] for name in named)):
        made = text
        for name, value in zip(named, chosen, strict=True):
            made = made.replace(f"${name}", value)
        assert "$" not in made, made
        yield made
