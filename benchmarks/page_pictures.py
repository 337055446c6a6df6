"""Takes the pictures of the page: ``python benchmarks/page_pictures.py COLLECTION QUERY OUT [--docs DIR]``.

Every view at 360, 800 and 1600 pixels, by day and by night, as PNG files in OUT; and with --docs those
of the docs as JPEG. COLLECTION is that of `resight demo`, with `resight groups` and `resight calibrate`
computed.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from resight.collection import Collection
from resight.serving import Service, serve

SIZES = {360: 740, 800: 1000, 1600: 1000}
IN_DOCS = {
    "answers-1600-light": "page-answers.jpg",
    "joined-1600-light": "page-joined.jpg",
    "over-1600-dark": "page-over.jpg",
    "collection-1600-light": "page-collection.jpg",
}
PHONE = ("home-360-light", "answers-360-light", "joined-360-dark")
WIDTH, QUALITY = 1200, 80
SEEN = """() => [...document.images].every(
  (image) => image.complete || !image.offsetParent || image.getBoundingClientRect().top > innerHeight)"""
"""All photos in sight have come."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collection", type=Path)
    parser.add_argument("query", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--docs", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with served(options.collection) as url, sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width, height in SIZES.items():
            for scheme in ("light", "dark"):
                with visited(browser, url, width, height, scheme) as page:
                    views(page, url, options.query, options.out, f"{width}-{scheme}")
        browser.close()
    if options.docs:
        for name, picture in IN_DOCS.items():
            shown = Image.open(options.out / f"{name}.png").convert("RGB")
            size = (WIDTH, round(shown.height * WIDTH / shown.width))
            shown.resize(size, Image.Resampling.LANCZOS).save(options.docs / picture, quality=QUALITY)
        phones(options.out).save(options.docs / "page-phone.jpg", quality=QUALITY)


@contextmanager
def served(collection: Path) -> Iterator[str]:
    """A server of a collection for the time of the block."""
    ready, address = threading.Event(), []

    def on_ready(url: str) -> None:
        address.append(url)
        ready.set()

    with tempfile.TemporaryDirectory() as cache:
        service = Service.of(Collection.open(collection), cache=Path(cache))
        thread = threading.Thread(target=serve, args=(service, 0), kwargs={"on_ready": on_ready})
        thread.start()
        ready.wait()
        try:
            yield address[0]
        finally:
            service.stopping.set()
            thread.join()


@contextmanager
def visited(browser: Browser, url: str, width: int, height: int, scheme: str) -> Iterator[Page]:
    """The page in a window of that size; a narrow one is a phone's."""
    is_phone = width < 500
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        has_touch=is_phone,
        is_mobile=is_phone,
        device_scale_factor=2 if is_phone else 1,
    )
    page = context.new_page()
    page.goto(url)
    yield page
    context.close()


def views(page: Page, url: str, query: Path, out: Path, tag: str) -> None:
    """Takes a picture of each view."""

    def shot(name: str) -> None:
        page.wait_for_timeout(300)
        page.wait_for_function(SEEN)
        page.wait_for_timeout(300)
        page.screenshot(path=out / f"{name}-{tag}.png")

    page.wait_for_selector(".browse a.photo img")
    shot("home")
    page.locator(".greeting input[type=file]").first.set_input_files(query)
    page.wait_for_selector(".results:not(.busy) a.photo img")
    shot("answers")
    page.locator(".results section:not([hidden]) a.photo").nth(2).click()
    page.wait_for_selector(".compare .lines line", state="attached")
    shot("joined")
    page.get_by_role("radio", name="Laid over").check()
    shot("over")
    page.keyboard.press("Escape")
    page.goto(f"{url}?view=collection")
    page.wait_for_selector(".folders")
    shot("collection")


def phones(out: Path) -> Image.Image:
    """Returns the views of a phone beside each other."""
    shown = [Image.open(out / f"{name}.png").convert("RGB") for name in PHONE]
    gap, height = 40, shown[0].height
    strip = Image.new("RGB", (sum(each.width for each in shown) + gap * (len(shown) - 1), height), "#d9d6cf")
    x = 0
    for each in shown:
        strip.paste(each, (x, 0))
        x += each.width + gap
    return strip.resize((WIDTH, round(strip.height * WIDTH / strip.width)), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
