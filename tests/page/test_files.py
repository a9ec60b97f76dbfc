"""The page's files and how they are served; no browser."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

from service.publishing import page
from service.publishing.http import Ask
from tests.page.factories import Service
from tests.publishing.factories import http

FILES = page.load()
TEXTS = {path: file.body.decode() for path, file in FILES.items()}
SCRIPTS = {path: text for path, text in TEXTS.items() if path.endswith(".js")}
PAGES = {path: text for path, text in TEXTS.items() if not path.startswith("/assets/")}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def named(page_text: str) -> list[str]:
    return [f"/{name}" for name in re.findall(r'(?:src|href)="(assets/[^"]+)"', page_text)]


def needed(path: str) -> set[str]:
    """A script with all that it imports, and what those do."""
    found = {path}
    for name in re.findall(r'from "\./([^"]+)"', TEXTS[path]):
        found |= needed(f"/assets/{name}")
    return found


def test_every_reference_leads_to_a_file() -> None:
    for text in PAGES.values():
        assert set(named(text)) <= set(FILES)
        assert set(re.findall(r'href="(\w+)"', text)) <= {"metrics", *(path[1:] for path in PAGES)}
    for path, text in SCRIPTS.items():
        for name in re.findall(r'from "\./([^"]+)"', text):
            assert f"/assets/{name}" in FILES, f"{path}: {name}"


def test_every_file_is_asked_for_at_once() -> None:
    """A module that is found only inside another one costs a round trip each: all are named in the page."""
    for path, text in PAGES.items():
        wanted = {"/assets/icon.svg", "/assets/page.css"} | needed(f"/assets{path}.js")
        assert sorted(named(text)) == sorted(wanted), path
    used = {name for text in PAGES.values() for name in named(text)}
    assert used == {path for path in FILES if path.startswith("/assets/")}


def test_nothing_comes_from_elsewhere_and_nothing_is_inline() -> None:
    for path, text in TEXTS.items():
        assert set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", text)) <= {"http://www.w3.org/2000/svg"}, path
    for text in PAGES.values():
        assert "<style" not in text
        assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
        assert re.findall(r"\s(?:style|on\w+)=", text) == []


def test_no_script_makes_markup_or_code_from_text() -> None:
    for path, text in SCRIPTS.items():
        found = re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|Function\(", text
        )
        assert found == [], path


async def test_each_file_is_served_with_its_type_and_the_policy() -> None:
    async with Service() as service:
        for path, file in FILES.items():
            status, headers, body = await http(service.port, f"GET {path}")
            assert (status, body) == (200, file.body), path
            assert headers["content-type"] == file.content_type
            assert headers["content-security-policy"] == POLICY
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cache-control"] == "no-store"
            status, without, nothing = await http(service.port, f"HEAD {path}")
            assert (status, nothing, without["content-length"]) == (200, b"", headers["content-length"])


def test_types() -> None:
    types = {path.rpartition(".")[2]: file.content_type for path, file in FILES.items()}
    assert types == {
        "/scoreboard": "text/html; charset=utf-8",
        "/signals": "text/html; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
    }


async def test_the_root_leads_to_the_signals() -> None:
    async with Service() as service:
        status, headers, body = await http(service.port, "GET /")
        assert (status, headers["location"], body) == (302, "signals", b"")
        assert (await http(service.port, "HEAD /"))[0] == 302


async def test_other_names_are_not_found_and_other_methods_refused() -> None:
    async with Service() as service:
        for path in ("/assets/", "/assets/nope.js", "/assets/../__init__.py", "/scoreboard.html", "/scoreboard/"):
            assert (await http(service.port, f"GET {path}"))[0] == 404, path
        assert (await http(service.port, "POST /scoreboard"))[0] == 405
        reply = service.feed._routes.answer(Ask("OPTIONS", "/assets/page.css", {}), False)
        assert (reply.status, reply.headers) == (405, (("Allow", "GET, HEAD"),))


def test_the_wheel_carries_every_file(repository: Path, tmp_path: Path) -> None:
    """The image installs a wheel: what is not in it is a page that is not there."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("service/publishing/page/static/")}
    folder = repository / "service" / "publishing" / "page" / "static"
    assert inside == {f"service/publishing/page/static/{file.name}" for file in folder.iterdir()}
    assert len(inside) == len(FILES)
