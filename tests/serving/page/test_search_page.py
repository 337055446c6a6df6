"""Searching on the page: photos in, answers out, and why."""

from __future__ import annotations

import base64
import re

from playwright.sync_api import expect


def test_a_dropped_photo_finds_the_other_views(visitor, photos):
    page = visitor.go()
    expect(page.get_by_role("heading", name="Find it again")).to_be_visible()
    visitor.drop(photos / "place_001_view_0.jpg")
    expect(page.locator(".results h1")).to_have_text(re.compile(r"photos? shows? the same thing"))
    first = page.locator(".sure [role=listitem] a.photo").first
    expect(first).to_have_attribute(
        "aria-label", re.compile(r"place_001_view_0.jpg, Same thing, [\d,]+ points")
    )
    assert page.url.startswith(f"{visitor.url}?photo=u-")


def test_a_pasted_photo_is_searched_for(visitor, photos):
    page = visitor.go()
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(
        """async (text) => {
            const image = new Image();
            image.src = 'data:image/jpeg;base64,' + text;
            await image.decode();
            const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
            canvas.getContext('2d').drawImage(image, 0, 0);
            await navigator.clipboard.write([new ClipboardItem({'image/png': canvas.convertToBlob()})]);
        }""",
        base64.b64encode((photos / "place_002_view_1.jpg").read_bytes()).decode(),
    )
    page.keyboard.press("Control+v")
    expect(page.locator(".sure [role=listitem] a.photo").first).to_have_attribute(
        "aria-label", re.compile("place_002_view_1.jpg")
    )


def test_a_photo_of_the_collection_is_a_query_that_is_not_among_its_answers(visitor, live):
    page = visitor.go()
    page.get_by_role("link", name="Search with place_003_view_0.jpg").click()
    expect(page.locator(".results h1")).to_be_visible()
    assert page.url == f"{visitor.url}?photo={live.ids()['place_003_view_0.jpg']}"
    names = page.locator(".results a.photo").evaluate_all("all => all.map((each) => each.ariaLabel)")
    assert names
    assert not any("place_003_view_0" in name for name in names)


def test_the_switches_change_what_is_shown(visitor, photos):
    page = visitor.go()
    visitor.search_with(photos / "place_001_view_0.jpg")
    page.get_by_role("switch", name="Check with geometry").click()
    expect(page.locator(".results h1")).to_have_text("The most similar photos")
    expect(page.locator(".sure")).to_be_hidden()
    assert "verify=0" in page.url
    page.get_by_role("switch", name="Widen by the best answers").click()
    visitor.settle()
    assert "expand=1" in page.url
    page.get_by_role("switch", name="Check with geometry").click()
    expect(page.locator(".sure")).to_be_visible()
    # A rank that a switch has changed says so.
    expect(page.locator(".move").first).to_have_text(re.compile(r"[↑↓] \d+|new"))


def test_several_photos_and_what_it_must_not_be(visitor, photos):
    page = visitor.go()
    visitor.search_with(photos / "place_000_view_0.jpg")
    add = page.locator(".strip input[type=file]")
    add.nth(0).set_input_files(photos / "place_001_view_0.jpg")
    expect(page.get_by_role("group", name="Photos of the thing").locator(".thumb")).to_have_count(2)
    visitor.settle()
    expect(page.locator(".sure a.photo[aria-label*=place_001_view_0]")).to_have_count(1)
    expect(page.locator(".sure a.photo[aria-label*=place_000_view_0]")).to_have_count(1)
    page.get_by_role("button", name="Take it out of the query").nth(1).click()
    visitor.settle()
    unwanted = page.locator(".results a.photo[aria-label*=place_001_view_1]")
    expect(unwanted).to_have_count(1)
    add.nth(1).set_input_files(photos / "place_001_view_1.jpg")
    expect(page.get_by_role("group", name="Photos of what it must not be").locator(".thumb")).to_have_count(1)
    visitor.settle()
    expect(unwanted).to_have_count(0)
    assert "not=u-" in page.url


def test_nothing_here_shows_this_is_said(visitor, tmp_path):
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    visitor.go()
    page = visitor.search_with(tmp_path / "noise.png")
    expect(page.locator(".results h1")).to_have_text("Nothing here shows this")
    expect(page.locator(".similar a.photo").first).to_be_visible()


def test_a_filter_confines_search_and_photos(visitor, photos):
    page = visitor.go()
    page.locator(".filters summary").click()
    page.get_by_role("combobox", name="label").select_option("place_004")
    expect(page.locator(".browse h2")).to_have_text("3 photos fit the filter")
    assert "filter=label.is.place_004" in page.url
    visitor.search_with(photos / "place_001_view_0.jpg")
    expect(page.locator(".summary")).to_contain_text("3 photos searched")
    expect(page.locator(".results h1")).to_have_text("Nothing here shows this")
    page.locator(".filters summary").click()
    page.get_by_label("view from").fill("1")
    page.get_by_label("view from").press("Enter")
    expect(page.locator(".summary")).to_contain_text("2 photos searched")
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator(".summary")).to_contain_text("15 photos searched")


def test_a_condition_that_cannot_be_understood_is_answered_by_a_sentence(visitor, photos):
    visitor.expect_complaint("422")
    page = visitor.go()
    visitor.search_with(photos / "place_001_view_0.jpg")
    page.locator(".filters summary").click()
    page.get_by_label("Condition").fill("year >")
    page.get_by_label("Condition").press("Enter")
    expect(page.locator(".results h1")).to_have_text("That did not work")
    expect(page.locator(".results .summary")).to_contain_text("year")


def test_a_link_holds_the_search(visitor, visit, live):
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    photo = live.ids()["place_002_view_0.jpg"]
    page = visitor.go(f"/?photo={photo}@40,30,280,210&filter=view.least.1&verify=0")
    expect(page.locator(".box")).to_be_visible()
    expect(page.locator(".results h1")).to_have_text("The most similar photos")
    page.get_by_role("button", name="Copy link").click()
    link = page.evaluate("navigator.clipboard.readText()")
    other = visit(live.url)
    other.page.goto(link)
    expect(other.page.locator(".summary")).to_contain_text("10 photos searched")
    expect(other.page.get_by_role("switch", name="Check with geometry")).not_to_be_checked()
    names = "all => all.map((each) => each.ariaLabel)"
    expect(other.page.locator(".results a.photo")).to_have_count(10)
    assert other.page.locator(".results a.photo").evaluate_all(names) == page.locator(
        ".results a.photo"
    ).evaluate_all(names)


def test_an_upload_lasts_in_its_browser_and_is_missed_in_another(visitor, visit, live, photos):
    page = visitor.go()
    visitor.search_with(photos / "place_000_view_1.jpg")
    link = page.url
    page.reload()
    expect(page.locator(".sure a.photo").first).to_have_attribute("aria-label", re.compile("place_000"))
    page.go_back()
    expect(page.get_by_role("heading", name="Find it again")).to_be_visible()
    page.go_forward()
    expect(page.locator(".sure a.photo").first).to_be_visible()
    other = visit(live.url)
    other.page.goto(link)
    expect(other.page.locator(".stage")).to_contain_text("only in the browser it was dropped in")
