"""The result sheet, read back as a browser would read it."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resight.collection import Answer, Hit, QueryPhoto, Seconds
from resight.collection.answer import ShownKeypoints
from resight.features import Box
from resight.reports.figure import MAX_LINES
from resight.reports.sheet import write_sheet
from resight.search import Verification

VOID = {"meta", "input", "br", "wbr", "image", "use", "line", "circle", "polygon", "path", "rect"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str, *, kind: str = "") -> list[Element]:
        own = [self] if self.tag == tag and kind in ["", *self.attributes.get("class", "").split()] else []
        return own + [found for child in self.children for found in child.all(tag, kind=kind)]

    def words(self) -> str:
        return " ".join(" ".join([self.text, *(child.words() for child in self.children)]).split())


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("root", {})
        self.open = [self.root]

    def handle_starttag(self, tag, attrs):
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        self.open[-1].children.append(Element("text", {}, text=data))


def read_sheet(path: Path) -> Element:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == [reader.root], "an element is left open"
    return reader.root


def photo(path: Path, width: int = 200, height: int = 100) -> str:
    gradient = np.linspace(0, 255, width * height * 3).reshape(height, width, 3).astype(np.uint8)
    Image.fromarray(gradient).save(path, "JPEG")
    return str(path)


def hit(path: str, rank: int, inliers: int | None, score: float = 0.5) -> Hit:
    points = np.random.default_rng(rank).uniform(0, 99, (inliers or 0, 2)).astype(np.float32)
    region = np.array([[10, 10], [90, 12], [88, 80], [12, 84]], dtype=np.float32)
    match = None if inliers is None else Verification(inliers, points, points + 1, np.eye(3), region, 4.4)
    return Hit(
        rank=rank,
        similarity=score,
        path=path,
        width=200,
        height=100,
        match=match,
        query=None if match is None else 0,
        metadata={},
    )


def with_match(found: Hit, **changes: object) -> Hit:
    return replace(found, match=replace(found.match, **changes))


@pytest.fixture
def answer(tmp_path: Path) -> Answer:
    query = QueryPhoto(photo(tmp_path / "query.jpg"), Box(20, 10, 120, 90), 200, 100)
    paths = [photo(tmp_path / f"answer{number}.jpg") for number in range(4)]
    hits = [
        hit(path, rank, inliers)
        for rank, (path, inliers) in enumerate(zip(paths, (40, 15, 3, None), strict=True), 1)
    ]
    return Answer([query], hits, 1234, Seconds(0.1, 0.1, 0.1, 0.1, 0.4))


@pytest.fixture
def sheet(answer: Answer, tmp_path: Path) -> Element:
    write_sheet(answer, tmp_path / "sheet.html")
    return read_sheet(tmp_path / "sheet.html")


def test_answers_stand_in_order_with_their_numbers(sheet, answer):
    cards = sheet.all("li", kind="answer")
    assert [card.attributes["id"] for card in cards] == ["answer-1", "answer-2", "answer-3", "answer-4"]
    for card, found in zip(cards, answer.hits, strict=True):
        assert Path(found.path).name in card.words()
        assert "0.500" in card.words()
        numbers = [entry.words() for entry in card.all("dl", kind="numbers")[0].all("dt")]
        if found.inliers is None:
            assert numbers == ["similarity"]
            assert "chance" not in card.words()
        else:
            assert numbers == ["similarity", "inliers", "by chance"]
            assert "chance would give 4" in card.words()


def test_verdicts_are_words_and_classes(sheet):
    cards = sheet.all("li", kind="answer")
    kinds = [card.attributes["class"].split()[1] for card in cards]
    assert kinds == ["confirmed", "likely", "unlikely", "unchecked"]
    pills = [card.all("span", kind="pill")[0].words() for card in cards]
    assert pills == ["confirmed by geometry", "possibly the same", "unlikely", "not checked"]
    assert "1 confirmed by geometry" in sheet.words()
    assert "1,234 searched photos" in sheet.words()


def test_no_more_inliers_than_chance_gives_are_drawn_and_said_as_nothing(answer, tmp_path):
    many = with_match(hit(answer.hits[0].path, 1, 25), expected=25.2)
    write_sheet(replace(answer, hits=[many]), tmp_path / "sheet.html")
    root = read_sheet(tmp_path / "sheet.html")
    card = root.all("li", kind="answer")[0]
    assert "unlikely" in card.attributes["class"]
    assert "25 points agree in arrangement; chance would give 25." in card.words()
    assert not card.all("line")
    assert "0 confirmed by geometry" in root.words()


def test_a_line_joins_each_match_of_verified_answers_only(sheet):
    cards = sheet.all("li", kind="answer")
    assert [len(card.all("line")) for card in cards] == [40, 15, 0, 0]
    assert [len(card.all("circle")) for card in cards] == [80, 30, 0, 0]


def test_many_matches_are_thinned_and_the_sheet_says_so(answer, tmp_path):
    many = replace(answer, hits=[hit(answer.hits[0].path, 1, MAX_LINES + 50)])
    write_sheet(many, tmp_path / "sheet.html")
    card = read_sheet(tmp_path / "sheet.html").all("li", kind="answer")[0]
    assert len(card.all("line")) == MAX_LINES
    assert f"{MAX_LINES} of them are drawn" in card.words()


def test_matches_and_outlines_lie_where_the_pixels_are(answer, tmp_path):
    """Two photos of 200 x 100 side by side: 493 drawing units wide each, 14 apart, so 2.465 units a pixel."""
    found = with_match(
        hit(answer.hits[0].path, 1, 20),
        query_points=np.full((20, 2), 9.5, dtype=np.float32),
        answer_points=np.full((20, 2), 49.5, dtype=np.float32),
        region=np.array([[-0.5, -0.5], [99.5, -0.5], [99.5, 49.5], [-0.5, 49.5]], dtype=np.float32),
    )
    write_sheet(replace(answer, hits=[found]), tmp_path / "sheet.html")
    card = read_sheet(tmp_path / "sheet.html").all("li", kind="answer")[0]
    line = card.all("line")[0].attributes
    scale = (1000 - 14) / 400
    expected = [10 * scale, 10 * scale, 200 * scale + 14 + 50 * scale, 50 * scale]
    assert [float(line[name]) for name in ("x1", "y1", "x2", "y2")] == pytest.approx(expected, abs=0.06)
    box, region = (
        [[float(value) for value in corner.split(",")] for corner in edge.attributes["points"].split()]
        for edge in card.all("polygon")[1::2]
    )
    assert np.array(box) == pytest.approx(
        np.array([[20, 10], [120, 10], [120, 90], [20, 90]]) * scale, abs=0.06
    )
    assert np.array(region) == pytest.approx(
        np.array([[0, 0], [100, 0], [100, 50], [0, 50]]) * scale, abs=0.06
    )


def test_nothing_is_requested_from_anywhere(answer, tmp_path):
    write_sheet(answer, tmp_path / "sheet.html")
    text = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    # But for links to the photos, which nothing follows by itself.
    links = re.findall(r'<a href="([^"]*)"', text)
    assert len(links) == text.count("://")
    assert all(link.startswith("file:///") for link in links)
    root = read_sheet(tmp_path / "sheet.html")
    for tag in ("link", "iframe", "object", "embed", "img"):
        assert not root.all(tag)
    for tag in ("image", "use"):
        for element in root.all(tag):
            assert element.attributes["href"].startswith(("#", "data:image/jpeg;base64,"))
    policy = [meta.attributes.get("content", "") for meta in root.all("meta")]
    assert any(content.startswith("default-src 'none'") for content in policy)


def test_each_use_has_its_definition_and_the_query_is_carried_once(sheet):
    definitions = [
        group.attributes["id"] for group in sheet.all("defs")[0].all("g") if "id" in group.attributes
    ]
    uses = {use.attributes["href"] for use in sheet.all("use")}
    assert definitions == ["query-0"]
    assert uses == {"#query-0"}
    assert len(sheet.all("image")) == 1 + 4


def test_names_and_values_are_escaped(answer, tmp_path):
    name = tmp_path / "<b>&\"'; onload=x.jpg"
    bad = replace(answer.hits[0], path=photo(name), metadata={"note": "<script>alert(1)</script>"})
    query = replace(answer.queries[0], source=photo(tmp_path / "<i>query.jpg"))
    write_sheet(replace(answer, queries=[query], hits=[bad]), tmp_path / "sheet.html", "<u>title</u>")
    root = read_sheet(tmp_path / "sheet.html")
    assert not root.all("b")
    assert not root.all("i")
    assert not root.all("u")
    assert len(root.all("script")) == 1
    card = root.all("li", kind="answer")[0]
    assert name.name in card.words()
    assert "<script>alert(1)</script>" in card.words()
    assert card.all("button")[0].attributes["data-caption"].startswith(f"1. {name.name}")


def test_a_photo_that_is_gone_is_shown_as_gone(answer, tmp_path):
    Path(answer.hits[0].path).unlink()
    Path(answer.hits[3].path).write_bytes(b"no photo")
    write_sheet(answer, tmp_path / "sheet.html")
    cards = read_sheet(tmp_path / "sheet.html").all("li", kind="answer")
    assert "The photo cannot be shown: there is no such file." in cards[0].words()
    assert cards[0].all("g", kind="missing")
    assert not cards[0].all("line")
    assert cards[3].all("g", kind="missing")
    assert not cards[1].all("g", kind="missing")


def test_nothing_is_drawn_over_a_photo_of_another_size_than_was_indexed(answer, tmp_path):
    photo(Path(answer.hits[0].path), 100, 50)
    write_sheet(answer, tmp_path / "sheet.html")
    first, second, *_ = read_sheet(tmp_path / "sheet.html").all("li", kind="answer")
    assert "the file now has 100 × 50 pixels and had 200 × 100 when it was indexed" in first.words()
    assert not first.all("line")
    assert not first.all("polygon")
    assert "the file now" not in second.words()
    assert second.all("line")


def test_a_query_that_is_gone_still_gives_a_sheet(answer, tmp_path):
    Path(answer.queries[0].path).unlink()
    write_sheet(answer, tmp_path / "sheet.html")
    root = read_sheet(tmp_path / "sheet.html")
    assert root.all("defs")[0].all("g", kind="missing")
    assert "there is no such file" in root.all("figcaption")[0].words()


def test_several_queries_are_shown_and_matches_belong_to_the_right_one(answer, tmp_path):
    second = QueryPhoto(photo(tmp_path / "second.jpg", 100, 200), None, 100, 200)
    unwanted = QueryPhoto(photo(tmp_path / "unwanted.jpg"), None, 200, 100, wanted=False)
    hits = [replace(answer.hits[0], query=1)]
    write_sheet(
        replace(answer, queries=[*answer.queries, second, unwanted], hits=hits), tmp_path / "sheet.html"
    )
    root = read_sheet(tmp_path / "sheet.html")
    assert [caption.words().split()[0] for caption in root.all("figcaption")] == ["Query", "Query", "Not"]
    assert root.all("h1")[0].words() == "The same thing as in query.jpg and 1 more photo"
    card = root.all("li", kind="answer")[0]
    assert [use.attributes["href"] for use in card.all("use")] == ["#query-1"]


def test_every_drawing_says_in_words_what_it_shows(sheet):
    drawings = [svg for svg in sheet.all("svg") if svg.attributes.get("role") == "img"]
    assert len(drawings) == 1 + 4
    for drawing in drawings:
        assert drawing.all("title")[0].words().strip()
    assert "matched points joined by lines" in drawings[1].all("title")[0].words()


def test_no_answer_is_said_in_words(answer, tmp_path):
    write_sheet(replace(answer, hits=[]), tmp_path / "sheet.html")
    root = read_sheet(tmp_path / "sheet.html")
    assert "No photo answers this query" in root.words()
    assert not root.all("li", kind="answer")


def test_photos_are_reduced(answer, tmp_path):
    large = photo(tmp_path / "large.jpg", 3000, 2000)
    hits = [replace(answer.hits[0], path=large), replace(answer.hits[3], path=large)]
    write_sheet(replace(answer, hits=hits), tmp_path / "sheet.html")
    sizes = []
    for card in read_sheet(tmp_path / "sheet.html").all("li", kind="answer"):
        encoded = card.all("image")[0].attributes["href"].removeprefix("data:image/jpeg;base64,")
        sizes.append(Image.open(io.BytesIO(base64.b64decode(encoded))).size)
    assert sizes == [(800, 533), (420, 280)]


def test_a_sheet_that_cannot_be_written_leaves_nothing_behind(answer, tmp_path):
    folder = tmp_path / "folder"
    (folder / "sheet.html").mkdir(parents=True)
    with pytest.raises(OSError, match=r"sheet\.html"):
        write_sheet(answer, folder / "sheet.html")
    assert [path.name for path in folder.iterdir()] == ["sheet.html"]


class TestKeypoints:
    @pytest.fixture
    def shown(self, answer, tmp_path):
        scores = np.linspace(9, 1, 40, dtype=np.float32)
        places = np.stack([np.linspace(0, 199, 40), np.linspace(0, 99, 40)], axis=1).astype(np.float32)
        keypoints = ShownKeypoints(places, scores)
        changed = replace(
            answer,
            queries=[replace(query, keypoints=keypoints) for query in answer.queries],
            hits=[replace(one, keypoints=keypoints) for one in answer.hits[:3]] + answer.hits[3:],
        )
        write_sheet(changed, tmp_path / "keypoints.html")
        return read_sheet(tmp_path / "keypoints.html")

    def test_are_drawn_in_the_query_and_in_verified_answers(self, shown):
        drawn = [group for svg in shown.all("svg", kind="photo") for group in svg.all("g", kind="keypoints")]
        # The query by itself, beside two answers, these two, and one that is drawn alone.
        assert len(drawn) == 6
        for group in drawn:
            paths = group.all("path")
            assert [path.attributes["class"] for path in paths] == [f"a{number}" for number in range(8)]
            assert sum(path.attributes["d"].count("h0") for path in paths) == 40
            # The best stands first in the photo, and is painted last.
            assert paths[-1].attributes["d"].startswith("M1 1h0")

    def test_can_be_switched_off_where_there_are_any(self, shown, sheet):
        assert [box.attributes["id"] for box in shown.all("input")].count("show-keypoints") == 1
        assert "show-keypoints" not in [box.attributes["id"] for box in sheet.all("input")]
        assert not sheet.all("g", kind="keypoints")

    def test_equal_attention_is_one_colour(self, answer, tmp_path):
        flat = ShownKeypoints(np.zeros((3, 2), dtype=np.float32), np.ones(3, dtype=np.float32))
        none = ShownKeypoints(np.zeros((0, 2), dtype=np.float32), np.ones(0, dtype=np.float32))
        first, second = (
            replace(one, keypoints=kept) for one, kept in zip(answer.hits[:2], (flat, none), strict=True)
        )
        write_sheet(replace(answer, hits=[first, second]), tmp_path / "flat.html")
        groups = read_sheet(tmp_path / "flat.html").all("g", kind="keypoints")
        assert [[path.attributes["class"] for path in group.all("path")] for group in groups] == [["a0"], []]
