"""No sum of floats depends on the Python that runs: the builtin is for whole numbers only.

Cause: from Python 3.12 on ``sum`` carries the rounding errors of floats along (gh-100425), so one tape gave other bytes
there. Floats are added by ``service.statistics.fold``.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SERVICE = Path(__file__).resolve().parent.parent / "service"
MARK = "# integers"
NOT_EVERYWHERE = ("sumprod",)  # of math: from 3.12 on


def refused(source: str) -> list[int]:
    """The lines that use the builtin ``sum`` on what might be floats.

    It may add comparisons and lengths, which are whole numbers by themselves; anything else says so on its line, with
    the mark.
    """
    lines = source.splitlines()
    allowed = set()
    found = []
    for node in ast.walk(ast.parse(source)):  # a call comes before the name in it
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sum":
            if _whole(node.args[0]) or MARK in lines[node.lineno - 1]:
                allowed.add(node.func)
        elif isinstance(node, ast.Name) and node.id == "sum" and node not in allowed:
            found.append(node.lineno)
        elif isinstance(node, ast.Attribute | ast.alias):
            name = node.attr if isinstance(node, ast.Attribute) else node.name
            if name in NOT_EVERYWHERE:
                found.append(node.lineno)
    return sorted(found)


def _whole(values: ast.expr) -> bool:
    if isinstance(values, ast.GeneratorExp | ast.ListComp):
        each = values.elt
        return isinstance(each, ast.Compare) or _is_call(each, "len")
    if _is_call(values, "map"):
        assert isinstance(values, ast.Call)
        return isinstance(values.args[0], ast.Name) and values.args[0].id == "len"
    return False


def _is_call(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


@pytest.mark.parametrize(
    "line",
    [
        "total = sum(values)",
        "total = sum([a * b for a, b in pairs])",
        "total = sum(item.coins for item in items)",
        "total = sum(map(mul, a, b))",
        "totals = map(sum, rows)",
        "total = sum(values, 0.0)",
        "add = sum",
        "from math import sumprod",
        "total = math.sumprod(a, b)",
    ],
)
def test_a_sum_of_what_may_be_floats_is_refused(line: str) -> None:
    assert refused(f"x = 1\n{line}\n") == [2]


@pytest.mark.parametrize(
    "line",
    [
        "n = sum(item.n for item in items)  # integers",
        "n = sum(x is not None for x in values)",
        "n = sum([x > 0 for x in values])",
        "n = sum(len(part) for part in parts)",
        "n = sum(map(len, parts))",
        "n = inside.sum()",  # numpy's own
        "total = fsum(values)",  # exactly rounded in every Python
    ],
)
def test_whole_numbers_may_be_summed(line: str) -> None:
    assert refused(line) == []


def test_the_service_adds_floats_up_in_one_way() -> None:
    files = sorted(SERVICE.rglob("*.py"))
    assert len(files) > 200
    found = [f"{path.relative_to(SERVICE.parent)}:{line}" for path in files for line in refused(path.read_text())]
    assert found == [], f"floats: service.statistics.fold; whole numbers: say so on the line with `{MARK}`"
