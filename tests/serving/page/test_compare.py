"""A result beside the query: matched points, the registered slider, and what can be done from there."""

from __future__ import annotations

import re
from contextlib import contextmanager

import numpy as np
from playwright.sync_api import expect


def opened(visitor, query: str = "place_000_view_0.jpg"):
    """The first answer to a photo of the collection, opened."""
    page = visitor.go()
    page.get_by_role("link", name=f"Search with {query}").click()
    page.locator(".sure a.photo").first.click()
    expect(page.locator(".compare .lines line").first).to_be_attached()
    return page


@contextmanager
def kept_waiting(page, addresses: str):
    """Requests of these addresses reach the server at the end of the block."""
    waiting = []
    page.route(addresses, lambda route: waiting.append(route))
    yield
    for route in waiting:
        route.continue_()
    page.unroute(addresses)


def test_points_are_joined_and_one_photo_lies_over_the_other(visitor, live):
    page = opened(visitor)
    query, answer = live.ids()["place_000_view_0.jpg"], int(re.search(r"open=(\d+)", page.url)[1])
    matches = live.get("matches", params={"query": query, "answer": answer}).json()
    assert len(matches["points"]) == matches["inliers"] >= 20
    expect(page.locator(".compare .lines line")).to_have_count(matches["inliers"])
    expect(page.locator(".compare .numbers")).to_contain_text(str(matches["inliers"]))
    expect(page.locator(".compare .why")).to_have_text(matches["why"])
    expect(page.locator(".compare .pill")).to_have_text("Same thing")

    # The joined points lie where they are in the two photos.
    line = page.locator(".compare .lines line").first.evaluate(
        "(each) => ['x1', 'y1', 'x2', 'y2'].map((name) => Number(each.getAttribute(name)))"
    )
    stage = page.locator(".compare .pair").bounding_box()
    for image, x, y, (u, v) in (
        ("query", line[0], line[1], matches["points"][0][:2]),
        ("answer", line[2], line[3], matches["points"][0][2:]),
    ):
        place = page.locator(f".compare .pair > .{image}").bounding_box()
        scale = place["width"] / matches[image]["width"]
        assert abs(stage["x"] + x - (place["x"] + (u + 0.5) * scale)) < 1
        assert abs(stage["y"] + y - (place["y"] + (v + 0.5) * scale)) < 1

    page.get_by_role("radio", name="Laid over").check()
    expect(page.locator(".compare .over")).to_be_visible()
    css, scale = page.locator(".compare .over img").evaluate(
        "(image) => [[...new DOMMatrix(getComputedStyle(image).transform).toFloat64Array()], "
        "image.parentElement.getBoundingClientRect().width]"
    )
    laid = np.array(css).reshape(4, 4).T[np.ix_([0, 1, 3], [0, 1, 3])]
    points = np.array(matches["points"])
    ours = np.c_[points[:, :2] + 0.5, np.ones(len(points))] @ laid.T
    there = (points[:, 2:] + 0.5) * scale / matches["answer"]["width"]
    assert np.median(np.abs(ours[:, :2] / ours[:, 2:] - there)) < 3 * scale / matches["answer"]["width"]

    slider = page.get_by_label("How much of the query is laid over the answer")
    slider.focus()
    page.keyboard.press("Home")
    assert "100%" in page.locator(".compare .over").evaluate("(over) => over.style.clipPath")
    page.keyboard.press("End")
    assert "0%" in page.locator(".compare .over").evaluate("(over) => over.style.clipPath")
    place = page.locator(".compare .pair > .answer").bounding_box()
    page.mouse.click(place["x"] + place["width"] * 0.25, place["y"] + 20)
    assert abs(float(slider.input_value()) - 25) < 1


def test_steps_closes_and_the_back_button(visitor, live):
    page = opened(visitor)
    first = page.url
    page.keyboard.press("ArrowRight")
    expect(page).not_to_have_url(first)
    page.get_by_role("button", name="Previous answer").click()
    expect(page).to_have_url(first)
    page.keyboard.press("Escape")
    expect(page.locator(".compare")).to_be_hidden()
    assert "open" not in page.url
    expect(page.locator(".sure a.photo").first).to_be_focused()
    page.go_back()
    expect(page.get_by_role("heading", name="Find it again")).to_be_visible()
    page.goto(first)
    expect(page.locator(".compare .lines line").first).to_be_attached()
    page.get_by_role("button", name="Close").click()
    expect(page.locator(".compare")).to_be_hidden()


def test_searches_go_on_from_an_answer(visitor, live):
    page = opened(visitor)
    answer = re.search(r"open=(\d+)", page.url)[1]
    page.get_by_role("button", name="Search with a part of it").click()
    boxed = page.locator(".part .boxed")
    search = page.get_by_role("button", name="Search with this part")
    expect(search).to_be_disabled()
    boxed.scroll_into_view_if_needed()
    place = boxed.bounding_box()
    page.mouse.move(place["x"] + 20, place["y"] + 20)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] * 0.6, place["y"] + place["height"] * 0.6, steps=3)
    page.mouse.up()
    search.click()
    expect(page).to_have_url(re.compile(rf"\?photo={answer}@[\d.,]+$"))
    expect(page.locator(".compare")).to_be_hidden()
    expect(page.locator(".ask .box")).to_be_visible()
    visitor.settle()
    page.locator(".results a.photo").first.click()
    other = re.search(r"open=(\d+)", page.url)[1]
    page.get_by_role("button", name="Search with this", exact=True).click()
    expect(page).to_have_url(re.compile(rf"\?photo={other}$"))
    visitor.settle()
    page.locator(".results a.photo").nth(1).click()
    page.get_by_role("button", name="Not this").click()
    expect(page).to_have_url(re.compile(rf"\?photo={other}&not=\d+$"))
    visitor.settle()
    page.locator(".results a.photo").first.click()
    page.get_by_role("button", name="Add to query").click()
    expect(page).to_have_url(re.compile(rf"\?photo={other}&not=\d+&photo=\d+$"))


def test_buttons_never_act_on_the_answer_that_was_open_before(visitor):
    page = opened(visitor)
    page.get_by_role("button", name="Close").click()
    expect(page.locator(".compare")).to_be_hidden()
    search = page.get_by_role("button", name="Search with this", exact=True, include_hidden=True)
    with kept_waiting(page, "**/photos/*/info"):
        page.locator(".similar a.photo").first.click()
        other = re.search(r"open=(\d+)", page.url)[1]
        expect(page.locator(".compare")).to_be_visible()
        expect(search).to_be_hidden()
        expect(page.locator("#compare-title")).to_be_empty()
    search.click()
    expect(page).to_have_url(re.compile(rf"\?photo={other}$"))


def test_a_search_that_ends_late_leaves_what_was_opened_since(visitor):
    page = opened(visitor)
    page.get_by_role("button", name="Close").click()
    expect(page.locator(".compare")).to_be_hidden()
    with kept_waiting(page, "**/search"):
        page.get_by_role("switch", name="Widen by the best answers").click()
        expect(page.locator(".results")).to_have_attribute("aria-busy", "true")
        page.locator(".sure a.photo").first.click()
        expect(page.locator(".compare .lines line").first).to_be_attached()
    assert "expand=1" in page.url
    visitor.settle()
    page.wait_for_timeout(200)
    expect(page.locator(".compare")).to_be_visible()
