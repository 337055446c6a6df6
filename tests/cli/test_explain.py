"""``resight explain``: numbers, picture and page."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from resight.cli import main
from resight.reports.explanation_drawing import heat


@pytest.fixture
def pair(rendered):
    return sorted(rendered.iterdir())[:2]


def test_text_page_and_picture(pair, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["explain", *map(str, pair), "--html", "why.html", "--out", "why.png"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "each keypoint's residuals" in out
    assert "Page, open it in a browser:  why.html" in out
    assert "Picture:  why.png" in out
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 2
    assert f"Why {pair[1].name} answers {pair[0].name}" in page
    with Image.open(tmp_path / "why.png") as picture:
        assert picture.format == "PNG"
        colours = np.asarray(picture).reshape(-1, 3).astype(int)
    # The lines' colour is there.
    assert (np.abs(colours - (40, 215, 235)).sum(axis=1) < 12).any()


def test_json_says_what_adds_up(pair, capsys):
    assert main(["explain", *map(str, pair), "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert main(["explain", *map(str, pair), "--box", "40,40,300,260", "--json"]) == 0
    part = json.loads(capsys.readouterr().out)
    for found in (whole, part):
        assert np.sum(found["query_map"]) + found["query_rest"] == pytest.approx(found["score"], abs=1e-5)
        assert np.sum(found["answer_map"]) + found["answer_rest"] == pytest.approx(found["score"], abs=1e-5)
    assert whole["score"] != part["score"]
    assert np.shape(part["query_map"]) == (27, 32)


def test_a_wrong_box_and_a_missing_photo(pair, tmp_path, capsys):
    assert main(["explain", *map(str, pair), "--box", "1,2"]) == 2
    assert "a box is four numbers" in capsys.readouterr().err
    assert main(["explain", str(pair[0]), str(tmp_path / "gone.jpg")]) == 1
    assert "cannot read" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_is_named_as_it_was_given(pair, tmp_path, capsys):
    page = tmp_path / "none" / "why.html"
    assert main(["explain", *map(str, pair), "--html", str(page)]) == 1
    sentence = f"resight: {page}: there is no folder {page.parent} to write it into"
    assert capsys.readouterr().err.splitlines()[-1] == sentence


def test_heat_is_where_the_shares_are():
    pixels = np.full((60, 80, 3), 100, np.uint8)
    shares = np.zeros((6, 8), np.float32)
    shares[1, 6], shares[4, 1] = 1.0, -1.0
    shown = heat(pixels, shares, 1.0).astype(int)
    assert shown[15, 65, 0] > 180
    assert (shown[45, 15] < 60).all()
    assert (heat(pixels, -shares * 0, 0.0) < 60).all()
