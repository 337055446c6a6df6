"""What strangers do: two tabs, double clicks, reloading in the middle, links to nothing, a token."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from resight.serving import Access


def test_impatience_does_no_harm(visitor, live):
    page = visitor.go()
    page.locator(".browse a.photo").first.dblclick()
    visitor.settle()
    expect(page.locator(".results h1")).to_contain_text("the same thing")
    page.locator(".sure a.photo").first.dblclick(no_wait_after=True)
    expect(page.locator(".compare .lines line").first).to_be_attached()
    page.reload()
    expect(page.locator(".compare .lines line").first).to_be_attached()
    # A search that is left before it ends.
    page.goto(f"{live.url}?photo={live.ids()['place_004_view_0.jpg']}")
    page.reload(wait_until="commit")
    expect(page.locator(".sure a.photo").first).to_be_visible()
    for _ in range(4):
        page.get_by_role("switch", name="Check with geometry").click()
    visitor.settle()
    expect(page.locator(".sure a.photo").first).to_be_visible()


def test_two_tabs_see_what_one_of_them_does(own, visit):
    first = visit(own.url)
    first.go()
    second = first.context.new_page()
    second.goto(own.url)
    expect(second.locator(".browse [aria-setsize='15']").first).to_be_visible()
    first.page.locator("[aria-posinset='1']").hover()
    first.page.get_by_role("checkbox", name="Choose").first.check()
    first.page.get_by_role("button", name="Remove").click()
    expect(second.locator("#count")).to_have_text("14")
    expect(second.locator(".browse [aria-setsize='14']").first).to_be_visible()


def test_a_link_to_a_photo_that_is_gone_or_to_nonsense(visitor):
    visitor.expect_complaint("404")
    page = visitor.go("/?photo=999999")
    expect(page.locator(".results h1")).to_have_text("That did not work")
    expect(page.locator(".results .summary")).to_contain_text("no photo 999999")
    visitor.go("/?photo=<script>&not=x&filter=.&open=-1&view=neither")
    expect(page.get_by_role("heading", name="Find it again")).to_be_visible()


def test_groups_are_looked_for_and_lead_to_a_search(own, visit):
    visitor = visit(own.url)
    page = visitor.go("/?view=collection")
    page.get_by_role("button", name="Look for groups").click()
    groups = page.get_by_role("region", name="Groups")
    expect(groups).to_contain_text("The same thing · ")
    assert visitor.broken_rules() == []
    groups.get_by_role("link").first.click()
    expect(page).to_have_url(re.compile(r"\?photo=\d+$"))


def test_a_browser_signs_in_with_the_token(serving, made, visit, tmp_path):
    token = "a-long-and-secret-word"
    with serving(made / "photos.resight", tmp_path, access=Access(token=token)) as server:
        visitor = visit(server.url)
        visitor.expect_complaint("401")
        page = visitor.go()
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator(".browse a.photo").first).to_be_visible()
        page.locator(".browse a.photo").first.click()
        expect(page.locator(".sure a.photo").first).to_be_visible()
