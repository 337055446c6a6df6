"""Filters on metadata, date and place, as conditions of the API and as fields of the page."""

from __future__ import annotations

import re

import pytest
from PIL import Image
from playwright.sync_api import expect

from resight.collection import Collection
from resight.scenes import write_collection

# Name, when it was taken, latitude and longitude in degrees, and what the user says of it.
PHOTOS = (
    ("munich", "2024:05:01 10:00:00", (48.1371, 11.5754), {"album": "Süd", "stars": 5, "print": True}),
    ("late", "2024:05:31 23:59:59", (48.1500, 11.5800), {"album": "Süd", "stars": 3, "print": False}),
    ("west", "2023:12:24 08:00:00", (-17.5, -179.99), {"album": "it's", "stars": 1}),
    ("east", "2023:12:25 08:00:00", (-17.5, 179.99), {"album": "it's", "stars": 4}),
    ("unknown", None, None, {"album": "100 %"}),
)
ALL = "munich late west east unknown"


def degrees(value: float) -> tuple[float, float, float]:
    """A coordinate without its sign as EXIF holds it: degrees, minutes, seconds."""
    whole, rest = divmod(abs(value) * 60, 60)
    return whole, float(int(rest)), (rest - int(rest)) * 60


@pytest.fixture(scope="module")
def placed(serving, tmp_path_factory):
    """A server of photos that say when and where they were taken."""
    folder = tmp_path_factory.mktemp("placed")
    write_collection(folder / "made", places=len(PHOTOS), views=1, distractors=0, side=160)
    (folder / "photos").mkdir()
    values = {}
    for made, (name, moment, place, metadata) in zip(
        sorted((folder / "made").glob("*.jpg")), PHOTOS, strict=True
    ):
        exif = Image.Exif()
        if moment is not None:
            exif.get_ifd(0x8769)[0x9003] = moment
        if place is not None:
            north, east = "NS"[place[0] < 0], "EW"[place[1] < 0]
            exif.get_ifd(0x8825).update({1: north, 2: degrees(place[0]), 3: east, 4: degrees(place[1])})
        path = folder / "photos" / f"{name}.jpg"
        Image.open(made).save(path, exif=exif, quality=90)
        values[str(path)] = metadata
    Collection.create(folder / "photos.resight", model="sift").add(folder / "photos", metadata=values)
    with serving(folder / "photos.resight", folder) as server:
        yield server


def names(photos: list[dict]) -> str:
    held = {photo["path"].rpartition("/")[2].removesuffix(".jpg") for photo in photos}
    return " ".join(name for name in ALL.split() if name in held)


@pytest.mark.parametrize(
    ("where", "right"),
    [
        ("taken >= '2024-05'", "munich late"),
        ("taken = '2023'", "west east"),
        ("taken <= '2024-05-01'", "munich west east"),
        ("taken > '2024-05-01T10:00:00'", "late"),
        ("taken IS NULL", "unknown"),
        ("latitude BETWEEN 48.1 AND 48.14 AND longitude > 11", "munich"),
        ("latitude < 0 AND longitude < -179.9", "west"),
        ("latitude IS NULL", "unknown"),
        ("album = 'it''s' AND stars >= 4", "east"),
        ("album LIKE '%\\%'", "unknown"),
        ("print", "munich"),
        ("NOT print OR taken < '2024'", "late west east"),
        ("path LIKE '%un%'", "munich unknown"),
    ],
)
def test_conditions_confine_photos_and_searches_alike(placed, where, right):
    assert names(placed.get("photos", params={"where": where}).json()["photos"]) == right
    number = placed.ids()["munich.jpg"]
    asked = {"id": (None, str(number)), "where": (None, where), "verify": (None, "0")}
    answer = placed.post("search", files=asked).json()
    assert (names(answer["hits"]), answer["searched"]) == (right, len(right.split()))


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("taken > 'May'", "taken"),
        ("latitude = 'north'", "latitude"),
        ("longitud > 0", "longitude"),
        ("stars >", "stars"),
        ("1; DROP TABLE photos", ";"),
    ],
)
def test_conditions_that_mean_nothing_are_answered_by_a_sentence(placed, where, words):
    listed = placed.get("photos", params={"where": where})
    number = placed.ids()["munich.jpg"]
    searched = placed.post("search", files={"id": (None, str(number)), "where": (None, where)})
    assert (listed.status_code, searched.status_code) == (422, 422)
    assert words in listed.json()["detail"]
    assert listed.json() == searched.json()


def test_what_filters_can_be_is_told(placed):
    told = {each["name"]: each for each in placed.get("metadata").json()}
    assert [told[name]["kind"] for name in ("album", "latitude", "print", "stars", "taken")] == [
        "text",
        "number",
        "truth",
        "number",
        "moment",
    ]
    assert told["album"]["values"] == ["100 %", "Süd", "it's"]
    assert (told["taken"]["least"], told["taken"]["most"]) == ("2023-12-24T08:00:00", "2024-05-31T23:59:59")
    assert (told["latitude"]["photos"], told["print"]["photos"]) == (4, 2)


def fits(page, right: str) -> None:
    """The photos of the collection that are shown now, and the number that is said."""
    held = right.split()
    for name in ALL.split():
        expect(page.locator(f".browse a.photo[aria-label*='{name}.jpg']")).to_have_count(int(name in held))
    words = f"{len(held)} photo{' fits' if len(held) == 1 else 's fit'}"
    expect(page.locator(".browse h2")).to_have_text(re.compile(words))


def write(page, label: str, value: str) -> None:
    page.get_by_label(label, exact=True).fill(value)
    page.get_by_label(label, exact=True).press("Tab")


def test_the_page_filters_by_every_kind_of_value(placed, visit):
    visitor = visit(placed.url)
    page = visitor.go()
    page.locator(".filters summary").click()
    # Two fields beside each other take no more room than one.
    for bounds in page.locator(".filters .bounds").all():
        assert bounds.bounding_box()["height"] < 50
    clear = page.get_by_role("button", name="Clear", exact=True)
    for label, value, right in (
        ("taken from", "2024-05-31", "late"),
        ("taken to", "2024-05-01", "munich west east"),
        ("stars from", "4", "munich east"),
        ("stars to", "1", "west"),
        ("Name or folder", "UN", "munich unknown"),
        ("Condition", "stars = 3", "late"),
    ):
        write(page, label, value)
        fits(page, right)
        clear.click()
        expect(page.locator(".browse a.photo")).to_have_count(5)
    for label, value, right in (("album", "it's", "west east"), ("print", "true", "munich")):
        page.get_by_role("combobox", name=label).select_option(value)
        fits(page, right)
        clear.click()
    # Several at once: all of them hold; the address gives them to others, and the fields show them there.
    page.get_by_role("combobox", name="album").select_option("Süd")
    write(page, "taken to", "2024-05-15")
    fits(page, "munich")
    other = visit(placed.url)
    other.page.goto(page.url)
    fits(other.page, "munich")
    other.page.locator(".filters summary").click()
    expect(other.page.get_by_label("taken to", exact=True)).to_have_value("2024-05-15")
    expect(other.page.get_by_role("combobox", name="album")).to_have_value("Süd")
    assert other.broken_rules() == []


def test_a_place_is_what_lies_around_it(placed, visit):
    visitor = visit(placed.url)
    page = visitor.go()
    page.locator(".filters summary").click()
    for written, right in (
        ("48.137, 11.575, 0.5", "munich"),
        # As maps give it: a kilometre around.
        ("48.1371 11.5754", "munich"),
        ("48.137; 11.575; 3", "munich late"),
        # The 180th meridian is a line on the map alone.
        ("-17.5, 179.999, 5", "west east"),
        ("-17.5, -179.999, 5", "west east"),
        ("-17.5, 179.99, 0.5", "east"),
        ("90, 0, 20000", "munich late west east"),
    ):
        write(page, "Place", written)
        fits(page, right)
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator(".browse a.photo")).to_have_count(5)
    for written in ("48,137, 11,575", "Munich", "91, 0, 1", "48, 181, 1", "48, 11, -1", "48, 11, 0"):
        write(page, "Place", written)
        expect(page.get_by_role("alert")).to_contain_text("That is no place")
        expect(page.locator(".browse a.photo")).to_have_count(5)
        assert "filter" not in page.url
    assert visitor.broken_rules() == []
    write(page, "Place", "48.137, 11.575, 0.5")
    fits(page, "munich")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_search_is_confined_to_a_place_and_a_day(placed, visit):
    visitor = visit(placed.url)
    number = placed.ids()["unknown.jpg"]
    visitor.go(f"/?photo={number}&filter=place.near.48.137,11.575,3&filter=taken.least.2024-05-31")
    page = visitor.page
    expect(page.locator(".results h1")).to_be_visible()
    visitor.settle()
    expect(page.locator(".summary")).to_contain_text("1 photo searched")
    expect(page.locator(".results a.photo")).to_have_attribute("aria-label", re.compile("late.jpg"))
    # What is no place is left out of a link, as all that is not understood.
    visitor.go(f"/?photo={number}&filter=place.near.Munich")
    expect(page.locator(".summary")).to_contain_text("5 photos searched")
