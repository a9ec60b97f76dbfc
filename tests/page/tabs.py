"""Tabs of a browser that must have nothing to complain about when they are closed."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page

from tests.page.factories import Service

LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(event.violatedDirective + " " + event.blockedURI);
});
"""


class Tab:
    """A page with what went wrong on it. ``expected``: a part of the complaints that the test causes on purpose."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.expected: tuple[str, ...] = ()
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", lambda message: message.type in ("error", "warning") and self._note(message.text))
        page.on("pageerror", lambda error: self._note(str(error)))
        page.on("request", lambda request: self.hosts.add(str(urlsplit(request.url).hostname)))
        page.on("websocket", lambda socket: self.hosts.add(str(urlsplit(socket.url).hostname)))

    def _note(self, text: str) -> None:
        self.complaints.append(text)

    async def leave(self) -> None:
        """Close, and fail if there was anything to complain about."""
        if self.page.is_closed():
            return
        left = [text for text in self.complaints if not any(part in text for part in self.expected)]
        assert left == []
        assert self.hosts == {"127.0.0.1"}
        assert await self.page.evaluate("window.violations") == []
        await self.page.context.close()


class Tabs:
    """Opens a service's page, with a clock that the test may wind on."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.opened: list[Tab] = []

    async def open(
        self,
        service: Service,
        width: int = 1280,
        scheme: Any = "light",
        routes: dict[str, Any] | None = None,
        name: str = "scoreboard",
    ) -> Tab:
        context = await self._browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        context.set_default_timeout(8_000)
        await context.add_init_script(LISTEN)
        page = await context.new_page()
        await page.clock.install()
        for path, answer in (routes or {}).items():
            await page.route(path, answer)
        tab = Tab(page)
        self.opened.append(tab)
        service.guests.append(tab)
        await page.goto(f"{service.url}/{name}")
        return tab
