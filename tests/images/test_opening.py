"""Files are opened by either form of their names, and nothing but files is."""

from __future__ import annotations

import unicodedata

import pytest

from resight.errors import UnreadableImage
from resight.images import open_file


@pytest.mark.parametrize(("written", "asked"), [("NFD", "NFC"), ("NFC", "NFD"), ("NFC", "NFC")])
def test_a_name_in_either_form(tmp_path, written, asked):
    path = tmp_path / unicodedata.normalize(written, "Zürich") / unicodedata.normalize(written, "Köln.jpg")
    path.parent.mkdir()
    path.write_bytes(b"a")
    with open_file(tmp_path / unicodedata.normalize(asked, "Zürich/Köln.jpg")) as stream:
        assert stream.read() == b"a"


def test_what_is_not_there_and_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "none.jpg")
    with pytest.raises(UnreadableImage, match="it is a directory"):
        open_file(tmp_path)
