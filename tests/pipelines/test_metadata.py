import pytest

from resight.errors import InvalidInput
from resight.pipelines.metadata import read_metadata, text_notes


def write(tmp_path, text):
    path = tmp_path / "values.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_get_the_narrowest_type_that_holds_them(tmp_path):
    path = write(
        tmp_path,
        "path,year,width,sold,postcode,note\n"
        'a.jpg,2004,1.5,true,01234,"one, two"\n'
        "b.jpg,,2,FALSE,99999,\n"
        "sub/c.jpg,1999,-3e2,,00001,nan\n",
    )
    values = read_metadata(path)
    assert list(values) == [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "sub/c.jpg")]
    a, b, c = values.values()
    assert a == {"year": 2004, "width": 1.5, "sold": True, "postcode": "01234", "note": "one, two"}
    assert b == {"year": None, "width": 2.0, "sold": False, "postcode": "99999", "note": None}
    assert c == {"year": 1999, "width": -300.0, "sold": None, "postcode": "00001", "note": "nan"}
    assert [type(row["width"]) for row in (a, b, c)] == [float, float, float]


def test_absolute_paths_stay(tmp_path):
    path = write(tmp_path, "path,year\n/photos/a.jpg,1\n")
    assert list(read_metadata(path)) == ["/photos/a.jpg"]


def test_an_export_with_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_bytes("path,ort\na.jpg,Köln\n".encode("utf-8-sig"))
    assert read_metadata(path) == {str(tmp_path / "a.jpg"): {"ort": "Köln"}}


def test_a_table_of_nothing_is_nothing(tmp_path):
    assert read_metadata(write(tmp_path, "path,year\n")) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,year\na.jpg,1\n", "has no column named path in its first line, but file, year"),
        ("path,year\na.jpg,1\nb.jpg\n", "line 3 of .* has more or fewer cells"),
        ("path,year\na.jpg,1,2\n", "line 2 of .* has more or fewer cells"),
        ("path,year\na.jpg,1\n,2\n", "line 3 of .* names no photo: its cell for path is empty"),
        ("path,year\na.jpg,1\na.jpg,2\n", "line 3 of .* names a photo again: .*a.jpg"),
        ("path,year,year\na.jpg,1,2\n", "the first line of .* names a column twice: path, year, year"),
    ],
)
def test_a_wrong_table_is_refused_in_words(tmp_path, text, words):
    with pytest.raises(InvalidInput, match=words):
        read_metadata(write(tmp_path, text))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "values.csv"
    path.write_bytes(b"path,year\n\xff\xfe,1\n")
    with pytest.raises(InvalidInput, match="no CSV file in UTF-8"):
        read_metadata(path)


def test_a_word_for_no_value_that_makes_a_column_text_is_told(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text(
        "path,year,seen,name,word,whole\na.jpg,1248,true,NaN,NA,1\nb.jpg,NaN,n/a,Dom,,2\nc.jpg,nan,False,3,,3\n"
    )
    year, seen = text_notes(read_metadata(path))
    assert year == (
        "the column year is kept as text, as 2 of its cells hold a word such as 'NaN': leave these empty, "
        "and it is one of numbers or truth values"
    )
    assert seen.startswith("the column seen is kept as text, as 1 of its cells hold a word such as 'n/a'")
