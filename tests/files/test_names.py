"""One name in two Unicode forms is one name; a path, a device or a sign is none."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from resight.errors import InvalidInput
from resight.files import name_key, on_disk, typed_path, typed_paths, why_no_name

NAME = "Kölner Dom.png"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_is_found_in_the_other_form(tmp_path, form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    stored = tmp_path / unicodedata.normalize(form, "Städte") / unicodedata.normalize(form, NAME)
    stored.parent.mkdir()
    stored.touch()
    typed = tmp_path / unicodedata.normalize(other, "Städte") / unicodedata.normalize(other, NAME)
    assert str(typed) != str(stored)
    assert str(on_disk(typed)) == str(stored)
    assert on_disk(stored) is stored
    assert name_key(str(typed)) == name_key(str(stored))


def test_names_that_are_not_there_or_there_twice_stay(tmp_path):
    assert on_disk(tmp_path / "none" / "a.png") == tmp_path / "none" / "a.png"
    for form in ("NFC", "NFD"):
        # Two marks under one letter: a third spelling is neither of the two.
        (tmp_path / unicodedata.normalize(form, "ǭ.png")).touch()
    third = tmp_path / "o\u0304\u0328.png"
    assert not third.exists()
    assert on_disk(third) == third


@pytest.mark.parametrize(
    "name", ["small-cgd", "Tag 3 (grün)", "v1.2_b", "日本", "console", "com10", "a" * 100]
)
def test_one_name_is_one_name(name):
    assert why_no_name(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        (" a", "blank"),
        ("a\n", "blank"),
        ("..", "dot"),
        (".", "dot"),
        (".hidden", "dot"),
        ("end.", "dot"),
        ("../../escaped", "no path"),
        ("/tmp/x", "no path"),
        ("a/b", "no path"),
        ("a\\b", "no path"),
        ("C:x", "no path"),
        ("a\0b", "control"),
        ("a\x1b[2Jb", "control"),
        ("a\u202eb", "control"),
        ("nul", "device"),
        ("CON", "device"),
        ("Com1.yaml", "device"),
        ("lpt9 .x", "device"),
        ("a" * 101, "longer"),
        ("ü" * 51, "longer"),
    ],
)
def test_what_is_no_name_is_told_why(name, reason):
    assert reason in why_no_name(name)


@pytest.mark.parametrize("text", ["a" * 300, "a/" * 3000, "~/" + "a" * 300])
def test_what_is_longer_than_a_path_can_be_is_refused(text):
    with pytest.raises(InvalidInput, match=r"a\S* is no path: it is longer than a path can be"):
        typed_path(text)


def test_a_file_that_is_called_so_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)
    assert typed_path("~/a.jpg") == Path("/home/me/a.jpg")
    assert typed_path("~nobody-of-this-name/a.jpg") == Path("~nobody-of-this-name/a.jpg")
    (tmp_path / "~").mkdir()
    (tmp_path / "~/a.jpg").touch()
    assert typed_path("~/a.jpg") == Path("~/a.jpg")
    (tmp_path / "http:").mkdir()
    (tmp_path / "http:/a.jpg").touch()
    assert typed_path("http:/a.jpg") == Path("http:/a.jpg")
    assert typed_path("a~b.jpg") == Path("a~b.jpg")
    assert typed_path("C:/a.jpg") == Path("C:/a.jpg")
    assert typed_paths("a.jpg") == [Path("a.jpg")]
    assert typed_paths(iter([Path("a"), "b"])) == [Path("a"), Path("b")]


@pytest.mark.parametrize("value", [b"a.jpg", None, 3, [None], [b"a.jpg"]])
def test_what_is_no_path_is_refused_in_a_sentence(value):
    with pytest.raises(InvalidInput, match=r"a path is text or a pathlib\.Path, not (bytes|NoneType|int)"):
        typed_paths(value)
