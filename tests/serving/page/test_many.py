"""Twenty thousand photos: scrolled to the end, walked through with keys, chosen and saved."""

from __future__ import annotations

import importlib.util
import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

ROWS = 20_000


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    file = Path(__file__).parents[3] / "benchmarks" / "many_photos.py"
    spec = importlib.util.spec_from_file_location("many_photos", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.many_photos(tmp_path_factory.mktemp("many"), ROWS, places=2, views=2)


@pytest.fixture
def served(many, serving, tmp_path):
    with serving(many, tmp_path) as server:
        yield server


def test_scrolled_to_the_end_and_searched(served, visit):
    visitor = visit(served.url)
    page = visitor.go()
    expect(page.locator("#count")).to_have_text("20,000")
    expect(page.locator(".browse a.photo").first).to_be_visible()
    for _ in range(8):
        page.mouse.wheel(0, 4000)
        page.wait_for_timeout(30)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    last = served.get("photos", params={"offset": ROWS - 1, "limit": 1}).json()["photos"][0]
    expect(page.get_by_role("link", name=f"Search with {last['name']}")).to_be_visible()
    expect(page.locator(f"[aria-posinset='{ROWS}'][aria-setsize='{ROWS}']")).to_be_visible()
    # What is out of sight is no element.
    assert page.locator(".browse .tile").count() < 200
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator("[aria-posinset='1']")).to_be_visible()

    # Keys: from photo to photo, to the row below, to the end.
    page.locator("[aria-posinset='1'] a.photo").focus()
    for key, place in (("ArrowRight", 2), ("Home", 1), ("ArrowDown", None), ("End", ROWS)):
        page.keyboard.press(key)
        focused = page.locator(".tile:focus-within")
        if place:
            expect(page.locator(f"[aria-posinset='{place}'] a.photo")).to_be_focused()
        else:
            assert 2 < int(focused.get_attribute("aria-posinset")) < 15
    page.keyboard.press("Enter")
    expect(page.locator(".results h1")).to_be_visible()
    visitor.settle()
    before = page.locator(".results [aria-setsize]").last.get_attribute("aria-setsize")
    for _ in range(10):
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_timeout(50)
        after = page.locator(".results [aria-setsize]").last.get_attribute("aria-setsize")
        if int(after) > int(before):
            break
    expect(page.locator(".results [aria-setsize]").last).not_to_have_attribute("aria-setsize", before)


def test_photos_are_chosen_named_and_saved(served, visit, tmp_path):
    visitor = visit(served.url)
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visitor.go()
    page.locator("[aria-posinset='1'] a.photo").focus()
    page.keyboard.press(" ")
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    bar = page.get_by_role("region", name="Chosen photos")
    expect(bar).to_contain_text("2 chosen")
    bar.get_by_role("button", name="Copy paths").click()
    expect(page.locator("#notices")).to_contain_text("2 paths copied")
    paths = page.evaluate("navigator.clipboard.readText()").split("\n")
    listed = served.get("photos", params={"limit": 2}).json()["photos"]
    assert paths == [photo["path"] for photo in listed]
    with page.expect_download() as saved:
        bar.get_by_role("button", name="Download").click()
    saved.value.save_as(tmp_path / saved.value.suggested_filename)
    with zipfile.ZipFile(tmp_path / "photos.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [photo["name"] for photo in listed]
        assert archive.read(listed[1]["name"]) == Path(listed[1]["path"]).read_bytes()
    page.get_by_role("button", name="Choose none").click()
    expect(bar).to_be_hidden()
    page.locator("[aria-posinset='3']").hover()
    page.locator("[aria-posinset='3'] input").check()
    with page.expect_download() as saved:
        bar.get_by_role("button", name="Download").click()
    assert re.fullmatch(r"place_\d+.*\.jpg", saved.value.suggested_filename)
