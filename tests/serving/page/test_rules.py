"""axe-core's rules on every view, by day and by night, wide and narrow."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
def test_every_view_can_be_used_by_everybody(live, visit, scheme, width):
    visitor = visit(live.url, color_scheme=scheme, viewport={"width": width, "height": 800})
    page = visitor.go()
    expect(page.locator(".browse a.photo").first).to_be_visible()
    page.locator(".filters summary").click()
    expect(page.get_by_role("combobox", name="label")).to_be_visible()
    assert visitor.broken_rules() == []
    ids = live.ids()
    visitor.go(f"/?photo={ids['place_001_view_0.jpg']}@20,20,200,200&not={ids['place_000_view_0.jpg']}")
    expect(page.locator(".results a.photo").first).to_be_visible()
    visitor.settle()
    if width < 860:
        page.get_by_text("Refine this search").click()
    page.get_by_role("switch", name="Widen by the best answers").click()
    visitor.settle()
    page.locator(".results [aria-posinset='1']").first.hover()
    page.get_by_role("checkbox", name="Choose").first.check()
    assert visitor.broken_rules() == []
    # Nothing is wider than the window.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator(".results a.photo").first.click()
    expect(page.locator(".compare .why")).to_contain_text("point")
    assert visitor.broken_rules() == []
    page.get_by_role("button", name="Search with a part of it").click()
    assert visitor.broken_rules() == []
    visitor.go("/?view=collection")
    expect(page.get_by_role("region", name="Folders")).to_be_visible()
    assert visitor.broken_rules() == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
