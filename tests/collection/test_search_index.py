"""How a collection is searched: the choice, kept in its header, and what was measured of it."""

from __future__ import annotations

import json

import pytest

from resight.cli.app import main
from resight.collection import Collection
from resight.collection.header import HEADER_KEY, Header
from resight.collection.store import Store
from resight.errors import InvalidInput
from resight.search import ExactIndex
from resight.search.index import SearchChoice, SearchFigures, SearchIndex


def test_an_exact_index_is_a_search_index():
    index: SearchIndex = ExactIndex(4, fingerprint="test")
    assert len(index) == 0


def test_a_collection_is_searched_exactly_at_first(collection):
    figures = collection.info().search_index
    # 12 photos of halves and an id; nothing has been measured.
    assert figures == SearchFigures("exact", 1.0, None, 12 * (2 * collection.model.dim + 8))


def test_the_choice_and_what_was_measured_are_kept(collection, photos):
    measured = collection.choose_search("exact")
    assert measured.milliseconds is not None
    assert measured.milliseconds > 0
    kept = Collection.open(collection.path, model=collection.model)
    assert kept.info().search_index == measured
    (photos / "a" / "p00.png").unlink()
    kept.remove(photos / "a" / "p00.png")
    # Its bytes follow the photos.
    assert kept.info().search_index.bytes == 11 * (2 * collection.model.dim + 8)


def test_versions_before_the_choice_are_read(collection):
    header = Store.open(collection.path).header
    text = header.to_metadata()[HEADER_KEY]
    assert "search_index" not in json.loads(text)
    collection.choose_search(SearchChoice("exact"))
    header = Store.open(collection.path).header
    values = json.loads(header.to_metadata()[HEADER_KEY])
    assert Header.from_metadata({HEADER_KEY.encode(): json.dumps(values).encode()}, collection.path) == header
    values.pop("search_index")
    older = Header.from_metadata({HEADER_KEY.encode(): json.dumps(values).encode()}, collection.path)
    assert (older.search_choice, older.search_figures) == (SearchChoice(), None)


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("exact", SearchChoice("exact")),
        ("auto", SearchChoice("auto")),
        ("milvus+http://localhost:19530", SearchChoice("milvus", "http://localhost:19530")),
        ("milvus+photos.db", SearchChoice("milvus", "photos.db")),
    ],
)
def test_a_choice_is_read(text, choice):
    assert SearchChoice.parse(text) == choice


@pytest.mark.parametrize("text", ["", "hnsw", "Exact", "milvus", "milvus+", "milvus:x", "auto "])
def test_another_word_is_refused(text):
    with pytest.raises(InvalidInput, match=r"exact, auto, or milvus\+"):
        SearchChoice.parse(text)


def test_a_budget_belongs_to_auto():
    assert SearchChoice.parse("auto", memory=5, recall=0.9) == SearchChoice("auto", "", 5, 0.9)
    for values in ({"memory": 5}, {"recall": 0.9}, {"label": "place"}):
        with pytest.raises(InvalidInput, match="chosen for the index auto"):
            SearchChoice.parse("exact", **values)
    for wrong in (0.0, 1.5, float("nan")):
        with pytest.raises(InvalidInput, match="at most 1"):
            SearchChoice.parse("auto", recall=wrong)
    with pytest.raises(InvalidInput, match="at least a byte"):
        SearchChoice.parse("auto", memory=0)


def test_a_server_is_refused_before_anything_changes(collection):
    with pytest.raises(InvalidInput, match="'localhost' is no address of Milvus: give http://HOST:PORT"):
        collection.choose_search("milvus+localhost")
    assert collection.info().search_index.kind == "exact"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--search-index", "fast"], "a search index is exact, auto, or milvus+"),
        (["--memory", "2GB"], "it needs --search-index auto"),
        (["--recall", "0.9"], "it needs --search-index auto"),
        (["--search-index", "exact", "--recall", "0.9"], "chosen for the index auto"),
        (["--search-index", "auto", "--memory", "much"], "'much' is no size"),
        (["--search-index", "auto", "--memory", "0GB"], "'0GB' is no size"),
        (["--search-index", "auto", "--recall", "2"], "at most 1"),
    ],
)
def test_a_wrong_word_on_the_command_line_is_one_sentence(photos, tmp_path, capsys, words, sentence):
    assert main(["index", str(photos), "--collection", str(tmp_path / "c"), *words]) == 2
    assert sentence in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not (tmp_path / "c").exists()


def test_the_command_line_measures_and_tells(photos, tmp_path, capsys):
    collection = str(tmp_path / "c.resight")
    assert main(["index", str(photos), "--collection", collection, "--search-index", "auto"]) in (0, 3)
    capsys.readouterr()
    assert main(["info", collection, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["search_index"]
    # Twelve photos stay exact, and what that takes has been measured.
    assert (told["kind"], told["recall"]) == ("exact", 1.0)
    assert told["milliseconds"] > 0
    assert told["bytes"] > 0
    assert main(["info", collection]) == 0
    assert "ms a search" in capsys.readouterr().out
