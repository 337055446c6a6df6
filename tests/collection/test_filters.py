"""Conditions mean in the table what they mean in SQL, or are refused in words."""

from __future__ import annotations

import lance
import pyarrow as pa
import pytest

from resight.collection.filters import table_condition
from resight.errors import InvalidInput

LARGE = 2**53 + 1


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    columns = {
        "path": ["p/0.png", "p/1.png", "p/2.png", "p/3.png"],
        "width": pa.array([100, 200, 300, 60_000], pa.int32()),
        "height": pa.array([200, 200, 100, 60_000], pa.int32()),
        "label": ["cat", "dog", "it's", None],
        "Year": [2018, 2020, None, LARGE],
        "odd name": ["x", "y", "100%", "a_b"],
        "sharp": [1.0, 2.5, -1.0, None],
        "mine": [True, False, None, True],
        "taken": ["2024-05-01T10:00:00", "2024-05-31T23:59:59", "2023-01-01T00:00:00", None],
        "date": ["2020-01-01", "2021-01-01", "x", None],
        "tags": [["a"], ["b"], [], None],
        "hash": [b"0", b"1", b"2", b"3"],
    }
    return lance.write_dataset(pa.table(columns), tmp_path_factory.mktemp("t") / "t.lance")


def rows(table, where: str) -> str:
    taken = table.to_table(columns=["path"], filter=table_condition(where, table.schema))
    return "".join(path[2] for path in taken["path"].to_pylist())


@pytest.mark.parametrize(
    ("where", "right"),
    [
        ("label = 'cat'", "0"),
        ("label == 'cat'", "0"),
        ("\"label\" = 'cat'", "0"),
        ("\"LABEL\" != 'cat'", "12"),
        ("`label` <> 'cat'", "12"),
        ("'cat' = label", "0"),
        ("label = 'it''s'", "2"),
        ("label > 'cow'", "12"),
        ("label LIKE 'c%'", "0"),
        ("label LIKE 'C%'", ""),
        ("label ilike 'C%'", "0"),
        ("label NOT LIKE '%o%'", "02"),
        (r"""  "odd name" LIKE '%\%'  """, "2"),
        (r'"odd name" LIKE \'a\_b\''.replace("\\'", "'"), "3"),
        ("label IN ('cat', 'dog')", "01"),
        ("label NOT IN ('cat')", "12"),
        ("year IN (2018, 2019.5, '2020')", "01"),
        ("year = 2020", "1"),
        ("YEAR = 2020.0", "1"),
        ("year = '2020'", "1"),
        ('"Year" > 2019.5', "13"),
        ("2019 > year", "0"),
        ("year < 99999999999999999999", "013"),
        ("year < 1e999 AND year < " + "9" * 5000, "013"),
        ("year = 9007199254740993", "3"),
        ("width < 3000000000", "0123"),
        ("width BETWEEN 150.5 AND 300", "12"),
        ("width NOT BETWEEN 150 AND 300", "03"),
        ("width > height", "2"),
        ("width * height > 1000000000", "3"),
        ("width / 200 = 1", "12"),
        ("width % 200 = 100 AND -width < -100", "2"),
        ("sharp = 1", "0"),
        ("sharp < -.5", "2"),
        ("sharp >= 1e0", "01"),
        ("sharp < width", "012"),
        ("mine", "03"),
        ("NOT mine", "1"),
        ("mine = 'false'", "1"),
        ("mine IS NOT TRUE", "12"),
        ("label IS NULL", "3"),
        ("tags is not null", "012"),
        ("label = 'cat' OR label = 'dog' AND width = 1", "0"),
        ("(label = 'cat' OR label = 'dog') AND NOT width = 100", "1"),
        ("not label = 'cat'", "12"),
        ("lower(label) = 'dog' OR length(label) = 4", "12"),
        ("starts_with(path, 'p/1') or round(sharp) = -1", "12"),
        ("CAST(`Year` AS STRING) <> ''", "013"),
        ("cast(year as text) LIKE '20%'", "01"),
        ("CAST(sharp AS integer) = 2", "1"),
        ("date = '2020-01-01'", "0"),
        ("taken = '2024-05-31'", "1"),
        ("taken > '2024-05-01'", "1"),
        ("taken >= '2024-05-01'", "01"),
        ("taken <= '2024-05-01'", "02"),
        ("taken < '2024-05-31 23:59:59'", "02"),
        ("taken = TIMESTAMP '2024-05-31T23:59:59'", "1"),
        ("taken BETWEEN DATE '2023-06-01' AND '2024-05'", "01"),
        ("taken IN ('2023', '2024-05-01')", "02"),
        ("taken != 2024", "2"),
        ("2024 <= taken", "01"),
        ("taken LIKE '%-01T%'", "02"),
        ("TRUE", "0123"),
        ("label isnull", "3"),
        ("label NOTNULL AND NOT label = 'cat'", "12"),
        ("NOT label = 'cat' AND width = 200 OR width = 60000", "13"),
        ("NOT NOT mine", "03"),
        ("+width > 250", "23"),
        ("- width < - 250", "23"),
        ("width / 0 > 1", ""),
        ("NOT width % 0 = 1", ""),
        ("sharp / 0 > 1", ""),
        ("width / (height - 200) >= 1", "3"),
        ("year * 9223372036854775807 > 1", "013"),
        ("year + 9223372036854775807 > 0", "013"),
        ('CAST("odd name" AS int) = 5', ""),
        ("CAST(date AS int) IS NULL", "0123"),
        (r""""odd name" LIKE '100\%' ESCAPE '\'""", "2"),
        ("label LIKE'c%'AND(width=100)", "0"),
        ("year IN(2018)", "0"),
        ("mine > false", "03"),
        ("length(label) = 4 AND upper(label) = 'IT''S'", "2"),
        ("path LIKE 'p/%' AND ends_with(path, '3.png')", "3"),
        ("width < 2 OR mine", "03"),
        ("\n label\t=\n'cat' ", "0"),
    ],
)
def test_a_condition_takes_what_it_takes_in_sql(table, where, right):
    assert rows(table, where) == right


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ('label = "cat"', "; if it is a text, write 'cat' in single quotes"),
        ("labl = 'cat'", "there is no column labl, did you mean label"),
        ("hash = 'x'", "there is no column hash"),
        ("label = dog", "write 'dog' in single quotes"),
        ("'label' = 'cat'", "are both values"),
        ("1 = 1", "are both values"),
        ("label = 5", "label is text and 5 is a number: write '5'"),
        ("year = 'old'", "Year is a number and 'old' is text"),
        ("year = true", "Year is a number and TRUE is true or false"),
        ("mine = 1", "mine is true or false"),
        ("label = mine", "label is text and mine is true or false"),
        ("label = NULL", "write label IS NULL"),
        ("label NOT IN ('cat', NULL)", "write label IS NULL"),
        ("label IN ()", "a column or value is expected before )"),
        ("label IN (SELECT 1)", "there is no column SELECT"),
        ("label = 'cat' OR 'dog'", "'dog' is text and no condition"),
        ("year", "Year is a number and no condition"),
        ("label = 'cat'; DROP TABLE photos", "without a semicolon"),
        ("label = 'cat' -- all", "comments"),
        ("label = 'it's'", "s is not expected there"),
        ("label = 'cat", "the text has no end"),
        (r"label = 'it\'s'", "s is not expected there"),
        ('"label = 1', "the name has no end"),
        ("label = ‘cat’", "straight single quotes"),
        ("label = 'cat' && mine", "write AND"),
        ("label = 'cat' || 'dog'", "write OR"),
        ("!mine", "write NOT"),
        ("[label] = 'cat'", "double quotes"),
        ("label ~ 'c.*'", "LIKE"),
        ("label = ?", "value itself"),
        ("year = 2020abc", "2020abc is not expected"),
        ("year LIKE '20%'", "LIKE compares text"),
        ("label LIKE '!%' ESCAPE '!'", "backslash"),
        ("label GLOB 'c*'", "GLOB is not expected there"),
        ("label IS 'cat'", "after IS"),
        ("label NOT 'cat'", "after NOT"),
        ("2018 < year < 2020", "< is not expected there"),
        ("year BETWEEN 2018", "AND is expected where the end stands"),
        ("(label = 'cat'", ") is expected where the end stands"),
        ("label = 'cat')", ") is not expected there"),
        ("label + 1 = 2", "+ takes numbers, and label is text"),
        ("-label = 2", "label is text and takes no sign"),
        ("lowr(label) = 'x'", "there is no function lowr, did you mean lower"),
        ("lower(year) = 'x'", "the function lower takes text"),
        ("CAST(year AS date) = 'x'", "CAST takes text, bigint or double, not date"),
        ("tags = 'a'", "it can only be IS NULL"),
        ("taken > 'May 2024'", "taken is a date and 'May 2024' is none"),
        ("taken = '2024-13'", "taken is a date"),
        ("taken > 5", "taken is a date"),
        ("date = DATE 5", "5 is not expected there"),
        ("NOT", "before the end"),
        ("label REGEXP '^c'", "REGEXP is not expected there: write LIKE"),
        ("year IS 2018", "equal is written ="),
        ("year => 2018", "at least is written >="),
        ("year =< 2018", "at most is written <="),
        ("year <=> 2018", "equal is written ="),
        ("year !> 2018", "at most is written <="),
        ("year < > 2018", "not equal is written !="),
        ("2018 < year < 2020", "two comparisons are joined by AND, or write BETWEEN"),
        ("t.label = 'cat'", "columns stand without the name of a table"),
        ("year::text = '2018'", "write CAST(column AS text)"),
        ("label = N'cat'", "without a letter before them"),
        ("label = :name", "write the value itself"),
        ("label = $1", "write the value itself"),
        ("label = 'cat' /* all */", "comments are not taken"),
        ("label = 'cat' # all", "comments are not taken"),
        ("SELECT * FROM photos", "one condition is taken"),
        ("WHERE label = 'cat'", "one condition is taken"),
        ("year > 2018 ORDER BY year", "--top says how many"),
        ("CASE WHEN mine THEN 1 END = 1", "joined by AND, OR and NOT"),
        ("year(taken) = 2024", "taken >= '2024-05'"),
        ("taken > now()", "taken >= '2024-05'"),
        ("year = max(year)", "one photo at a time"),
        ("mine XOR label = 'cat'", "XOR is not expected there: write !="),
        ("label = 'CAT' COLLATE nocase", "or ILIKE"),
        ("\"label = 'cat'\"", "the whole condition \"label = 'cat'\" stands in quotes"),
        ("size > 100", "the bytes of a file are file_size"),
        ("filename = '0.png'", "ends_with(path, 'name.jpg')"),
        ("path = '/home/me/p/0.png'", "the way below the indexed folder"),
        ("path LIKE '~/p/%'", "begins at the disk's root"),
        ("path IN ('p/0.png', '/p/0.png')", "begins at the disk's root"),
        ("path = './p/0.png'", "begins at the current folder"),
        ("path LIKE '../p/%'", "begins at the current folder"),
        ("label > 5", "label is text and 5 is a number: write CAST(label AS double)"),
        ("5 >= label", "write CAST(label AS double)"),
        ("label BETWEEN 1 AND 3", "write CAST(label AS double)"),
        ("coalesce(year, 0) = 0", "there is no function coalesce: write column IS NULL"),
        ("trim(label) = 'cat'", "there is no function trim: write LIKE '%word%'"),
        ("label LIKE 'c\\'", "ends in a backslash"),
        ('label = "it\'s"', "write 'it''s' in single quotes"),
        ("(" * 51 + "mine" + ")" * 51, "more than 50 brackets"),
    ],
)
def test_what_sql_would_read_otherwise_is_refused(table, where, reason):
    with pytest.raises(InvalidInput, match="write an SQL condition on Year, date") as caught:
        table_condition(where, table.schema)
    assert reason in str(caught.value)


def test_numbers_of_any_length_are_read():
    from resight.collection.filter_terms import number_of

    zeros = "0" * 10_000
    assert number_of(zeros).sql == "0"
    assert number_of(f"{zeros}7").sql == "7"
    assert number_of(f"-{zeros}7").sql == "-7"
    assert number_of(str(-(2**63))).sql == str(-(2**63))
    assert number_of(str(2**63)).sql == f"CAST('{float(2**63)!r}' AS double)"
    assert number_of("1" * 10_000).sql == "CAST('inf' AS double)"


@pytest.mark.parametrize(
    ("where", "right"),
    [
        ("CAST(price AS double) > 1", "0"),
        ("CAST(price AS float) < 2", "3"),
        ("CAST(price AS real) IS NULL", "12"),
        ("NOT CAST(price AS double) > 1", "3"),
        ("CAST(price AS double) + 1 > 0", "03"),
    ],
)
def test_what_is_no_number_is_larger_than_none(tmp_path, where, right):
    columns = {"path": ["p/0.png", "p/1.png", "p/2.png", "p/3.png"], "price": ["1e3", "NaN", "x", "0.5"]}
    own = {name: pa.array([1] * 4) for name in ("width", "height", "file_size", "modified_ns")}
    assert rows(lance.write_dataset(pa.table(columns | own), tmp_path / "t.lance"), where) == right


@pytest.mark.parametrize("form", ["caf\u00e9", "cafe\u0301"])
@pytest.mark.parametrize(
    ("where", "right"),
    [
        ("label = '{}'", "01"),
        ("'{}' = label", "01"),
        ("label != '{}'", "2"),
        ("label IN ('{}', 'x')", "012"),
        ("label NOT IN ('{}')", "2"),
        ("label LIKE '%{}'", "01"),
        ("label NOT LIKE '{}%'", "2"),
        ("starts_with(label, '{}')", "01"),
        ("NOT contains(label, '{}')", "2"),
    ],
)
def test_accents_are_the_same_composed_and_decomposed(tmp_path, form, where, right):
    columns = {"path": ["p/0.png", "p/1.png", "p/2.png"], "label": ["caf\u00e9", "cafe\u0301", "x"]}
    own = {name: pa.array([1] * 3) for name in ("width", "height", "file_size", "modified_ns")}
    assert (
        rows(lance.write_dataset(pa.table(columns | own), tmp_path / "t.lance"), where.format(form)) == right
    )


def test_long_conditions_are_answered(table):
    assert rows(table, " OR ".join(f"width = {number}" for number in range(5000))) == "012"
    assert rows(table, f"width IN ({', '.join(map(str, range(5000)))})") == "012"


def test_long_conditions_are_not_repeated_in_the_refusal(table):
    with pytest.raises(InvalidInput) as caught:
        table_condition("x" * 100_000, table.schema)
    assert len(str(caught.value)) < 800
