"""A box on the query: drawn, moved, resized and cleared with mouse, finger and keys."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect


def box_in(page: Page) -> list[float] | None:
    """Corners of the box in the address, pixels of the photo."""
    found = re.search(r"@([\d.,]+)", page.url)
    return [float(each) for each in found[1].split(",")] if found else None


def test_with_the_mouse(visitor, live):
    page = visitor.go(f"/?photo={live.ids()['place_001_view_0.jpg']}")
    stage = page.locator(".boxed")
    expect(stage).to_be_visible()
    place = stage.bounding_box()
    info = live.get(f"photos/{live.ids()['place_001_view_0.jpg']}/info").json()
    scale = info["width"] / place["width"]

    def drag(start: tuple[float, float], end: tuple[float, float]) -> None:
        before = page.url
        page.mouse.move(place["x"] + start[0], place["y"] + start[1])
        page.mouse.down()
        page.mouse.move(place["x"] + end[0], place["y"] + end[1], steps=4)
        page.mouse.up()
        expect(page).not_to_have_url(before)

    drag((40, 50), (200, 150))
    expect(page.locator(".box")).to_be_visible()
    drawn = box_in(page)
    assert all(abs(a - b * scale) <= 1.5 for a, b in zip(drawn, (40, 50, 200, 150), strict=True))
    visitor.settle()
    drag((100, 90), (110, 115))
    moved = box_in(page)
    assert all(abs(a - b - d * scale) <= 2 for a, b, d in zip(moved, drawn, (10, 25, 10, 25), strict=True))
    drag((210, 175), (230, 165))
    resized = box_in(page)
    assert resized[:2] == moved[:2]
    assert abs(resized[2] - moved[2] - 20 * scale) <= 2
    assert abs(resized[3] - moved[3] + 10 * scale) <= 2
    visitor.settle()
    expect(page.locator(".results h1")).not_to_have_text("That did not work")
    page.get_by_role("button", name="Clear the box").click()
    expect(page.locator(".box")).to_be_hidden()
    expect(page).not_to_have_url(re.compile("@"))
    # A click without a drag is no box.
    page.mouse.click(place["x"] + 60, place["y"] + 60)
    expect(page.locator(".box")).to_be_hidden()
    page.go_back()
    expect(page).to_have_url(re.compile("@"))
    expect(page.locator(".box")).to_be_visible()
    assert box_in(page) == resized


def test_with_keys(visitor, live):
    page = visitor.go(f"/?photo={live.ids()['place_001_view_0.jpg']}")
    choose = page.get_by_role("button", name="Choose a part")
    choose.focus()
    page.keyboard.press("Enter")
    box = page.locator(".box")
    expect(box).to_be_focused()
    expect(page).to_have_url(re.compile("@"))
    first = box_in(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+ArrowLeft")
    expect(page).not_to_have_url(re.compile(re.escape(",".join(f"{each:g}" for each in first))))
    second = box_in(page)
    assert second[0] > first[0]
    assert second[1] > first[1]
    assert second[2] == first[2]
    assert second[3] > first[3]
    expect(page.locator(".boxed [aria-live]")).to_have_text(re.compile("Part that is searched for"))
    page.keyboard.press("Delete")
    expect(box).to_be_hidden()
    expect(page.get_by_role("button", name="Choose a part")).to_be_focused()
    assert box_in(page) is None


def test_with_a_finger(visit, live):
    visitor = visit(live.url, viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page = visitor.go(f"/?photo={live.ids()['place_001_view_0.jpg']}")
    stage = page.locator(".boxed")
    expect(stage).to_be_visible()
    visitor.settle()
    touch = visitor.context.new_cdp_session(page)

    def swipe(start: tuple[float, float], end: tuple[float, float]) -> None:
        place = stage.bounding_box()

        def at(share: float) -> list[dict[str, float]]:
            x, y = (a + share * (b - a) for a, b in zip(start, end, strict=True))
            return [{"x": place["x"] + x, "y": place["y"] + y}]

        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": at(0)})
        for step in range(1, 6):
            touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": at(step / 5)})
        # A finger that rests before it leaves throws nothing: a tap on what rolls on would only stop that.
        page.wait_for_timeout(200)
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": at(1)})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    # Until a part is wanted, a finger on the photo scrolls the page.
    swipe((100, 150), (100, 40))
    assert box_in(page) is None
    page.evaluate("scrollTo(0, 0)")
    page.get_by_role("button", name="Choose a part").tap()
    expect(stage).to_have_class(re.compile("armed"))
    # A finger is slower than the browser, which has to know by then that it does not scroll.
    page.wait_for_timeout(300)
    swipe((20, 30), (90, 110))
    expect(page).to_have_url(re.compile("@"))
    drawn, before = box_in(page), page.url
    swipe((55, 70), (75, 90))
    expect(page).not_to_have_url(before)
    moved = box_in(page)
    assert moved[0] > drawn[0]
    assert abs((moved[2] - moved[0]) - (drawn[2] - drawn[0])) <= 1
    page.get_by_role("button", name="Search with the whole photo").tap()
    expect(page.locator(".box")).to_be_hidden()
