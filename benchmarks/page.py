"""How long the page makes people wait: the first answer from a cold start and warm, and each interaction.

    python benchmarks/page.py FOLDER [--rows 20000] [--json FILE]

A server of its own serves so many photos (`many_photos.py`) to a Chromium without a window. "Paint" is
the time from an input to the next frame on the screen, as the browser itself measures it (Event Timing,
the measure behind Interaction to Next Paint); the median and the longest of each kind of interaction are
given. An answer is there when its photos are.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from many_photos import many_photos
from playwright.sync_api import Page, sync_playwright

OBSERVE = """
window.seen = [];
new PerformanceObserver((list) => {
  for (const each of list.getEntries())
    window.seen.push(each.duration);
}).observe({type: 'event', durationThreshold: 16});
"""
REPEATED = 7
REST_MS = 700
"""Between two interactions, as with people."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    collection = options.folder / "many.resight"
    if not collection.exists():
        many_photos(options.folder, options.rows)
    query = options.folder / "photos" / "place_001_view_1.jpg"
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        started = time.perf_counter()
        server, url = served(collection, options.folder / "thumbnails")
        try:
            result = {
                "rows": options.rows,
                "seconds": seconds(page, url, query, started),
                "paint_ms": paints(page, url),
                "load_average": os.getloadavg()[0],
                "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
                "browser": browser.version,
            }
        finally:
            server.terminate()
            server.wait()
            browser.close()
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def served(collection: Path, cache: Path) -> tuple[subprocess.Popen[str], str]:
    """Returns a server in a process of its own, and where it is."""
    command = [sys.executable, "-m", "resight", "serve", str(collection), "--port", "0"]
    server = subprocess.Popen(
        [*command, "--cache", str(cache)], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    url = server.stdout.readline().split()[-1]
    return server, url


def seconds(page: Page, url: str, query: Path, started: float) -> dict[str, float]:
    """Returns how long somebody waits: from the command to the page, and from a photo to its answers."""
    taken = {"from the command to a server that answers": time.perf_counter() - started}
    page.goto(url)
    page.wait_for_selector(".browse a.photo img")
    taken["from the command to the page with photos"] = time.perf_counter() - started
    for kind in ("first", "warm"):
        page.goto(url)
        page.wait_for_selector(".browse a.photo")
        begun = time.perf_counter()
        page.locator(".greeting input[type=file]").first.set_input_files(query)
        page.wait_for_selector(".results a.photo img")
        taken[f"from a photo to its answers, {kind}"] = time.perf_counter() - begun
    return {name: round(value, 2) for name, value in taken.items()}


def paints(page: Page, url: str) -> dict[str, dict[str, float]]:
    """Returns the time to the next paint of each kind of interaction, milliseconds."""
    times: dict[str, dict[str, float]] = {}

    def measured(name: str, act: Callable[[int], object]) -> None:
        turns = []
        for turn in range(REPEATED):
            page.evaluate("window.seen = []")
            act(turn)
            page.wait_for_timeout(REST_MS)
            turns.append(max(page.evaluate("window.seen"), default=0))
        times[name] = {"median": statistics.median(turns), "longest": max(turns)}

    page.add_init_script(OBSERVE)
    page.goto(url)
    page.wait_for_selector(".browse a.photo")
    page.locator(".browse a.photo").first.focus()
    measured("key to the next photo", lambda _: page.keyboard.press("ArrowRight"))
    measured("key to the next row", lambda _: page.keyboard.press("ArrowDown"))
    measured("key to the end and back", lambda turn: page.keyboard.press("Home" if turn % 2 else "End"))
    page.keyboard.press("Home")
    measured("photo chosen", lambda turn: page.locator(".browse .choose").nth(turn).click())
    page.keyboard.press("Escape")
    measured("filter opened", lambda _: page.locator(".filters summary").click())
    measured("letter in a filter", lambda _: page.get_by_label("Name or folder").press("p"))
    page.get_by_role("button", name="Clear", exact=True).click()
    page.locator(".browse a.photo").nth(3).click()
    page.wait_for_selector(".results a.photo")
    measured("switch flipped", lambda _: page.get_by_role("switch").first.click())
    page.wait_for_selector(".results:not(.busy) a.photo")

    def compared(_: int) -> None:
        page.locator(".results section:not([hidden]) a.photo").first.click()
        page.wait_for_timeout(1500)
        page.keyboard.press("Escape")

    measured("answer opened and closed", compared)
    return times


if __name__ == "__main__":
    main()
