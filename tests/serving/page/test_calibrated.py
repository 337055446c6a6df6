"""What the page and the API say once the collection knows how likely an answer is."""

from __future__ import annotations

import re
import shutil

import pytest
from playwright.sync_api import expect

from resight.collection import Collection
from resight.pipelines.calibrate import calibrate
from resight.scenes import write_collection


@pytest.fixture(scope="module")
def calibrated(made, serving, tmp_path_factory):
    """A server of a calibrated collection."""
    folder = tmp_path_factory.mktemp("calibrated")
    shutil.copytree(made, folder / "made")
    path = folder / "made" / "photos.resight"
    calibrate(Collection.open(path), label="label", queries=10)
    with serving(path, folder) as server:
        yield server


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    """A photo of a place of which the collection has none."""
    folder = tmp_path_factory.mktemp("strange")
    write_collection(folder, places=1, views=1, distractors=0, side=320, seed=4242)
    (photo,) = folder.glob("*.jpg")
    return photo


@pytest.mark.parametrize("verify", ["auto", "0"])
def test_the_api_says_how_likely_and_that_nothing_is_here(calibrated, strange, query, verify):
    for photo, is_found in ((query, True), (strange.read_bytes(), False)):
        answer = calibrated.post("search", files={"photo": photo}, data={"verify": verify}).json()
        likely = [hit["probability"] for hit in answer["hits"]]
        assert answer["found"] is is_found
        assert (max(likely) >= 0.5) is is_found
        # What is read further down says the same of the whole.
        rest = calibrated.post("search", files={"photo": photo}, data={"verify": verify, "offset": 5})
        assert rest.json()["found"] is is_found


def test_the_page_says_how_likely_and_that_nothing_is_here(calibrated, visit, photos, strange):
    visitor = visit(calibrated.url)
    page = visitor.go()
    visitor.search_with(photos / "place_001_view_0.jpg")
    first = page.locator(".sure [role=listitem] a.photo").first
    expect(first).to_have_attribute("aria-label", re.compile(r"\d+ % likely"))
    page = visitor.go()
    visitor.search_with(strange)
    expect(page.locator(".results h1")).to_have_text(re.compile("[Nn]othing here shows this"))
    page.get_by_role("switch", name="Check with geometry").click()
    expect(page.locator(".results h1")).to_have_text("Probably nothing here shows this")
    expect(page.locator(".summary")).to_contain_text("less likely than not")
    assert visitor.broken_rules() == []
