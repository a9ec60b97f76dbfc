"""Documents that repeat the code are compared with it. `python -m tests.test_docs` writes docs/states.md, and the
table of changes in docs/venues.md, anew."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from service.cli.main import _parser
from service.market import freshness
from service.venues.changes import CHANGES
from service.venues.transport import session

ROOT = Path(__file__).resolve().parent.parent


def states_page() -> str:
    """docs/states.md: the two state tables, row by row, as the code has them."""
    lines = [
        "# State tables",
        "",
        "Written from the code (`python -m tests.test_docs`). A pair without an entry is a defect and raises `OurBug`.",
        "",
        "## A stream of an instrument (service/market/freshness.py)",
        "",
        "| state | " + " | ".join(freshness.EVENTS) + " |",
        "|---" * (len(freshness.EVENTS) + 1) + "|",
    ]
    for state in freshness.STATES:
        row = [freshness.TABLE[state].get(event, "") for event in freshness.EVENTS]
        lines.append(f"| {state} | " + " | ".join(row) + " |")
    happenings = list(session.Happening)
    lines += [
        "",
        "## A venue connection (service/venues/transport/session.py)",
        "",
        "| state | " + " | ".join(item.value for item in happenings) + " |",
        "|---" * (len(happenings) + 1) + "|",
    ]
    for link_state in session.State:
        following = [session.TABLE.get((link_state, item)) for item in happenings]
        lines.append(f"| {link_state.value} | " + " | ".join(item.value if item else "" for item in following) + " |")
    lines += ["", "Reasons a connection ends with: " + ", ".join(f"`{reason}`" for reason in session.REASONS) + ".", ""]
    return "\n".join(lines)


def test_the_state_tables_are_those_of_the_code() -> None:
    assert (ROOT / "docs" / "states.md").read_text() == states_page()


BEGIN, END = "<!-- changes: begin -->\n", "<!-- changes: end -->\n"


def with_changes(page: str) -> str:
    """docs/venues.md with the table of the venues' changes as the code has it."""
    rows = [
        [
            change.day.isoformat(),
            ", ".join(f"`{venue}`" for venue in change.venues) or "all",
            change.what,
            f"{change.evidence}: {change.source}",
            change.handled or f"**open**: {change.then}",
        ]
        for change in CHANGES
    ]
    lines = ["| from | venue | what | evidence | handled |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + "\n".join(lines) + "\n" + END + rest.partition(END)[2]


def test_the_table_of_changes_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "venues.md").read_text()
    assert page == with_changes(page)


def test_paths_named_in_the_documents_exist() -> None:
    for document in [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for path in re.findall(r"`((?:service|tests|config|docs|bench)/[\w./-]+)`", document.read_text()):
            assert (ROOT / path).exists(), f"{document.name}: {path}"


def test_commands_named_in_the_readme_exist() -> None:
    known = set(_parser()._subparsers._group_actions[0].choices)  # type: ignore[union-attr,arg-type]
    used = set(re.findall(r"(?:^|`)elr ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert used, "the README shows no command"
    assert used <= known


def test_make_targets_named_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]:
        used = set(re.findall(r"`make ([a-z]+)`", document.read_text()))
        assert used <= targets, f"{document.name}: {used - targets}"


VENUE_FOLDERS = [
    path.parent
    for path in sorted((ROOT / "service" / "venues").glob("*/__init__.py"))
    if path.parent.name != "transport"
]


def test_every_file_of_a_venue_is_held_to_be_pure() -> None:
    """Cause guarded against: a file whose name the contract of purity does not know could read the clock."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (pure,) = (set(item["source_modules"]) for item in contracts if item["name"].startswith("The core and what"))
    files = [file for folder in VENUE_FOLDERS for file in folder.glob("*.py") if file.name != "__init__.py"]
    assert len(files) >= 5 * len(VENUE_FOLDERS)
    assert {f"service.venues.*.{file.stem}" for file in files} <= pure


def test_a_venue_is_read_without_any_other() -> None:
    """Cause guarded against: decoders that built on each other could not be changed, or understood, one at a time."""
    for folder in VENUE_FOLDERS:
        text = "".join(file.read_text() for file in folder.glob("*.py"))
        imported = set(re.findall(r"from service\.venues\.(\w+)[. ]", text))
        assert folder.name in imported
        assert not imported & {other.name for other in VENUE_FOLDERS} - {folder.name}, folder.name


if __name__ == "__main__":
    (ROOT / "docs" / "states.md").write_text(states_page())
    VENUES_PAGE = ROOT / "docs" / "venues.md"
    VENUES_PAGE.write_text(with_changes(VENUES_PAGE.read_text()))
