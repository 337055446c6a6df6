"""The collection's side: first visit, adding, watching, removing with undo, and what goes wrong."""

from __future__ import annotations

import io
import json
import re
import shutil

import pytest
from PIL import Image
from playwright.sync_api import expect

from resight.collection import Collection
from resight.serving import Access


@pytest.fixture
def empty(serving, tmp_path):
    Collection.create(tmp_path / "empty.resight", model="sift")
    with serving(tmp_path / "empty.resight", tmp_path) as server:
        yield server


def test_the_first_visit_explains_itself_and_a_watched_folder_comes_in(empty, visit, photos, tmp_path):
    visitor = visit(empty.url)
    page = visitor.go()
    expect(page.get_by_role("heading", name="This collection has no photos yet")).to_be_visible()
    assert visitor.broken_rules() == []
    folder = tmp_path / "Pictures"
    folder.mkdir()
    for name in ("place_000_view_0.jpg", "place_000_view_1.jpg"):
        shutil.copy(photos / name, folder)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo at all")
    (folder / "notes.txt").write_text("hello")
    field = page.locator("#search").get_by_label("Folder of this computer")
    field.fill(str(folder))
    page.locator("#search").get_by_label("watch it").check()
    field.press("Enter")
    expect(page.get_by_role("heading", name="Collection")).to_be_visible()
    expect(page.locator("#count")).to_have_text("2")
    expect(page.locator(".broken")).to_contain_text("broken.jpg")
    expect(page.get_by_role("region", name="Not searched")).to_contain_text("1 file .txt")
    expect(page.get_by_role("button", name="Stop watching")).to_be_visible()
    assert visitor.broken_rules() == []
    shutil.copy(photos / "place_001_view_0.jpg", folder)
    expect(page.locator("#count")).to_have_text("3")
    page.get_by_role("button", name="Stop watching").click()
    expect(page.get_by_role("button", name="Watch", exact=True)).to_be_visible()


def test_photos_are_dropped_in_removed_and_brought_back(own, visit, tmp_path, query):
    visitor = visit(own.url)
    page = visitor.go("/?view=collection")
    expect(page.locator("#count")).to_have_text("15")
    folder = tmp_path / "new photos"
    folder.mkdir()
    (folder / "a photo, renamed.jpg").write_bytes(query + b"\0")
    (folder / "letter.pdf").write_bytes(b"%PDF-1.7")
    visitor.drop(folder)
    expect(page.locator("#notices")).to_contain_text("“letter.pdf” is no photo")
    expect(page.locator("#count")).to_have_text("16")
    expect(page.locator("#notices")).to_contain_text("1 photo added.")
    page.get_by_role("link", name="Search", exact=True).click()
    page.locator("[aria-posinset='1']").hover()
    page.get_by_role("checkbox", name="Choose").nth(0).check()
    page.get_by_role("checkbox", name="Choose").nth(1).check()
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#count")).to_have_text("14")
    expect(page.locator("#notices")).to_contain_text("2 photos taken out of the collection")
    expect(page.locator(".browse [aria-setsize='14']").first).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#count")).to_have_text("16")
    expect(page.locator("#notices")).to_contain_text("2 photos are back")


def test_a_server_for_others_says_that_photos_come_to_it(serving, visit, tmp_path):
    Collection.create(tmp_path / "empty.resight", model="sift")
    access = Access("0.0.0.0", "a-long-and-secret-word")
    with serving(tmp_path / "empty.resight", tmp_path, access=access) as server:
        visitor = visit(server.url)
        visitor.expect_complaint("401")
        page = visitor.go()
        page.get_by_label("Token").fill("a-long-and-secret-word")
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator(".welcome .lead")).to_contain_text("copied to the server of this page")
        expect(page.locator(".welcome .folder-field")).to_be_hidden()


def test_what_is_under_way_is_seen_first(live, visit):
    visitor = visit(live.url, viewport={"width": 360, "height": 740})
    begun = {"id": 1, "kind": "add", "state": "running", "what": "~/Pictures", "done": 30, "total": 120}
    counts = dict.fromkeys(("added", "updated", "unchanged", "removed"), 0)
    job = json.dumps([begun | counts | {"broken": [], "passed_over": {}, "error": None, "can_undo": False}])
    stream = f'retry: 600000\nevent: jobs\ndata: {job}\n\nevent: collection\ndata: {{"version": 1}}\n\n'
    visitor.page.route(
        "**/api/v1/events", lambda route: route.fulfill(content_type="text/event-stream", body=stream)
    )
    page = visitor.go("/?view=collection")
    expect(page.get_by_role("progressbar", name="Adding ~/Pictures")).to_be_in_viewport()
    expect(page.get_by_role("region", name="Under way")).to_contain_text("30 of 120")
    assert visitor.broken_rules() == []


def test_what_cannot_be_searched_for_is_said(visitor, tmp_path, photos):
    visitor.expect_complaint("422")
    page = visitor.go()
    notices = page.locator("#notices")
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.7")
    visitor.drop(tmp_path / "letter.pdf")
    expect(notices).to_contain_text("“letter.pdf” is no photo")
    (tmp_path / "empty.jpg").write_bytes(b"")
    visitor.drop(tmp_path / "empty.jpg")
    expect(notices).to_contain_text("“empty.jpg” is empty")
    visitor.drop(photos)
    expect(notices).to_contain_text("A folder is not searched for")
    expect(page.get_by_role("button", name="Add 15 files to the collection")).to_be_visible()
    visitor.drop(*sorted(photos.iterdir()))
    expect(notices).to_contain_text("15 photos at once are too many for a search")
    with (tmp_path / "large.jpg").open("wb") as large:
        large.truncate(65 << 20)
    visitor.drop(tmp_path / "large.jpg")
    expect(notices).to_contain_text("has 68 MB, and this server takes 67 MB at once")
    (tmp_path / "broken.jpg").write_bytes((photos / "place_000_view_0.jpg").read_bytes()[:300])
    visitor.drop(tmp_path / "broken.jpg")
    expect(page.locator(".results h1")).to_have_text("That did not work")
    expect(page.locator(".stage")).to_contain_text(re.compile("cannot|broken|truncated|damaged|end"))
    # The next photo is searched for as if nothing had been.
    visitor.drop(photos / "place_000_view_0.jpg", at=(300, 400))
    expect(page.locator(".sure a.photo").first).to_be_visible()


def test_a_server_that_is_away_and_comes_back(serving, made, visit, tmp_path):
    with serving(made / "photos.resight", tmp_path) as first:
        visitor = visit(first.url)
        visitor.expect_complaint("ERR_|Failed to load|offline")
        page = visitor.go()
        expect(page.locator(".browse a.photo").first).to_be_visible()
        port = int(first.url.rstrip("/").rpartition(":")[2])
    page.locator(".browse a.photo").first.click()
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    with serving(made / "photos.resight", tmp_path, port=port):
        expect(page.get_by_role("alert")).to_be_hidden()
        expect(page.locator(".sure a.photo").first).to_be_visible()


def test_a_panorama_among_groups_is_no_wider_than_the_window(live, visit):
    visitor = visit(live.url, viewport={"width": 360, "height": 800})
    stream = io.BytesIO()
    Image.new("RGB", (256, 16)).save(stream, "PNG")
    groups = {
        "computed": True,
        "waiting": 0,
        "groups": [{"kind": "copies", "ids": list(live.ids().values())[:2]}],
    }
    visitor.page.route("**/groups*", lambda route: route.fulfill(json=groups))
    visitor.page.route(
        re.compile("/thumbnail"),
        lambda route: route.fulfill(body=stream.getvalue(), content_type="image/png"),
    )
    page = visitor.go("/?view=collection")
    shown = page.locator(".group img").first
    expect(shown).to_be_visible()
    page.wait_for_function("document.querySelector('.group img').naturalWidth === 256")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
