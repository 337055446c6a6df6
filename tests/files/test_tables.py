"""Tables are read exactly, and what is wrong with one is said with its line."""

from __future__ import annotations

import os
import sys
import threading
import time
import unicodedata
from pathlib import Path

import pytest

from resight.errors import InvalidInput
from resight.files import read_json, read_rows
from resight.serving.settings import read_token


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


@pytest.mark.skipif(sys.platform != "linux", reason="pipes have names of other forms elsewhere")
def test_a_pipe_is_read_to_its_end_and_one_without_a_writer_is_not_waited_for(tmp_path):
    pipe = tmp_path / "t.csv"
    os.mkfifo(pipe)
    with pytest.raises(InvalidInput, match="has no column named path"):
        list(read_rows(pipe, ["path"]))
    with pytest.raises(InvalidInput, match="is no JSON"):
        read_json(pipe, "it is no JSON")
    reader, writer = os.pipe()

    def write():
        with os.fdopen(writer, "w") as stream:
            for line in ("path\n", "a\n", "b\n"):
                time.sleep(0.02)
                stream.write(line)
                stream.flush()

    thread = threading.Thread(target=write)
    thread.start()
    # As a shell hands over what a command writes.
    rows = list(read_rows(Path(f"/dev/fd/{reader}"), ["path"]))
    thread.join()
    os.close(reader)
    assert [row["path"] for row in rows] == ["a", "b"]


def test_an_endless_file_is_not_read_to_its_end():
    with pytest.raises(InvalidInput, match="more than 1,048,576 characters"):
        list(read_rows(Path("/dev/zero"), ["path"]))
    with pytest.raises(InvalidInput, match="more than 65,536 bytes"):
        read_token(Path("/dev/zero"))
