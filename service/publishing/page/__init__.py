"""The service's page as bytes (docs/page.md): static files that come with the package, read once. No logic, no imports.

``static/*.html`` is a page at its name without ``.html``; every other file is ``/assets/<its name>``.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

HOME = "/signals"  # where `/` leads
ASSETS = "/assets/"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    body: bytes
    content_type: str


def load() -> dict[str, Asset]:
    """Path on the server to file, in the order of the names. Raises :exc:`KeyError` on a file of an unknown type."""
    found: dict[str, Asset] = {}
    for entry in sorted((files(__name__) / "static").iterdir(), key=lambda item: item.name):
        stem, dot, ending = entry.name.rpartition(".")
        path = f"/{stem}" if ending == "html" else ASSETS + entry.name
        found[path] = Asset(entry.read_bytes(), TYPES[dot + ending])
    return found
