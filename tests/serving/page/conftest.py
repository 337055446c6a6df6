"""A browser that looks at the page of a running server, and what it complains of."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("playwright")

from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)
AXE = Path(AXE_FILE_PATH).read_text("utf-8")
expect.set_options(timeout=20_000)


# A module's and not the session's: while Playwright is open its event loop runs, and asyncio.run is refused.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no browser here: apt-get install chromium")
    with sync_playwright() as playwright:
        # A sandbox is refused to root, whom containers run as.
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


@dataclass
class Visitor:
    """Somebody at a browser: what is seen, and what the browser complains of."""

    context: BrowserContext
    page: Page
    url: str
    expected: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def go(self, address: str = "/") -> Page:
        self.page.goto(self.url.rstrip("/") + address)
        return self.page

    def expect_complaint(self, pattern: str) -> None:
        """Takes complaints that a test provokes."""
        self.expected.append(pattern)

    def unexpected(self) -> list[str]:
        return [each for each in self.complaints if not any(re.search(one, each) for one in self.expected)]

    def drop(self, *paths: Path, at: tuple[float, float] = (400, 300)) -> None:
        """Drops files and folders as a file manager does."""
        session = self.context.new_cdp_session(self.page)
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            event = {"type": kind, "x": at[0], "y": at[1], "data": data}
            session.send("Input.dispatchDragEvent", event)
        session.detach()

    def search_with(self, path: Path) -> Page:
        """Picks a photo and waits for the answers."""
        self.page.locator(".greeting input[type=file]").first.set_input_files(path)
        expect(self.page.locator(".results h1")).to_be_visible()
        self.settle()
        return self.page

    def settle(self) -> None:
        """Waits for a search that is under way."""
        self.page.wait_for_timeout(60)
        expect(self.page.locator(".results")).not_to_have_attribute("aria-busy", "true")

    def broken_rules(self) -> list[str]:
        """Rules of axe-core that do not hold for what is shown now, each with its elements."""
        # The page's own policy forbids scripts of others, so the browser itself runs it.
        self.page.evaluate(AXE)
        # A colour halfway through a transition is nobody's.
        still = "document.getAnimations().every((each) => each.playState !== 'running')"
        self.page.wait_for_function(still)
        found = self.page.evaluate("axe.run({resultTypes: ['violations']})")
        return [
            f"{rule['id']}: {[node['target'] for node in rule['nodes']][:3]}" for rule in found["violations"]
        ]


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(browser) -> Iterator[Visit]:
    """Opens the page of a server; at the end the browser must not have complained of anything."""
    visitors: list[Visitor] = []

    def opened(url: str, **options) -> Visitor:
        sizes = {"viewport": {"width": 1280, "height": 860}, "reduced_motion": "reduce"}
        context = browser.new_context(**(sizes | options))
        visitor = Visitor(context, context.new_page(), url)
        visitors.append(visitor)
        _listen(visitor)
        return visitor

    yield opened
    for visitor in visitors:
        visitor.context.close()
    for visitor in visitors:
        assert visitor.unexpected() == []


def _listen(visitor: Visitor) -> None:
    own = (visitor.url, "blob:", "data:")

    def asked(request) -> None:
        if not request.url.startswith(own):
            visitor.complaints.append(f"request outside: {request.url}")

    def said(message) -> None:
        if message.type in ("error", "warning"):
            visitor.complaints.append(f"console: {message.text} {message.location.get('url', '')}")

    visitor.context.on("request", asked)
    visitor.context.on("console", said)
    visitor.context.on("weberror", lambda error: visitor.complaints.append(f"error: {error.error}"))


@pytest.fixture
def visitor(live, visit) -> Visitor:
    """Somebody at the page of the collection that is not to be changed."""
    return visit(live.url)


@pytest.fixture
def photos(made) -> Path:
    return made / "photos"
