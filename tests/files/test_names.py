"""One name in two Unicode forms is one name."""

from __future__ import annotations

import unicodedata

import pytest

from resight.files import name_key, on_disk

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
