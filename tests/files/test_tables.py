"""Tables are read exactly, and what is wrong with one is said with its line."""

from __future__ import annotations

import unicodedata

import pytest

from resight.errors import InvalidInput
from resight.files import read_rows


def test_rows_and_the_lines_they_begin_on(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes('name,note\r\na,"two\r\nlines"\r\n\r\n"b, c",\r\n'.encode("utf-8-sig"))
    rows = list(read_rows(path, ["name"]))
    assert [(row.line, dict(row.cells)) for row in rows] == [
        (2, {"name": "a", "note": "two\r\nlines"}),
        (5, {"name": "b, c", "note": ""}),
    ]
    assert rows[0]["name"] == "a"


def test_names_are_compared_in_one_unicode_form(tmp_path):
    composed, decomposed = unicodedata.normalize("NFC", "größe"), unicodedata.normalize("NFD", "größe")
    assert composed != decomposed
    path = tmp_path / "t.csv"
    path.write_text(f"{decomposed}\n1\n", encoding="utf-8")
    assert [dict(row.cells) for row in read_rows(path, [composed])] == [{composed: "1"}]
    path.write_text(f"{decomposed},{composed}\n1,2\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="names a column twice"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no column named path or label in its first line, but none at all"),
        (b"path\na\n", "has no column named label in its first line, but path"),
        (b"path,label,label\n", "names a column twice: path, label, label"),
        (b"path,label\na,b\nc\n", "line 3 of .* has more or fewer cells than its first line names"),
        (b'path,label\n"a\nb",x\nc,d,e\n', "line 4 of .* has more or fewer cells"),
        (b"path,label\n\xff,b\n", "is no CSV file in UTF-8"),
        (b'path,label\n"a,b\n', "is no CSV file in UTF-8"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, content, words):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=words):
        list(read_rows(path, ["path", "label"]))
    with pytest.raises(InvalidInput, match=r"cannot read .*none\.csv: No such file"):
        list(read_rows(tmp_path / "none.csv"))
