"""``resight classify`` on rendered places: what it prints, as text and as JSON, and its exit code."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from resight.cli import main
from resight.collection.roots import Roots
from resight.collection.schema import KEY_COLUMNS
from resight.collection.store import Store
from resight.collection.stored_local import StoredLocal


@pytest.fixture(scope="session")
def labelled(rendered, tmp_path_factory) -> Path:
    """A collection of two labelled views of each of the three places; not to be changed."""
    folder = tmp_path_factory.mktemp("labelled")
    photos = sorted(rendered.glob("place_*_view_[01].jpg"))
    table = folder / "labels.csv"
    rows = [f"{photo},House {photo.stem[8]},{photo.stem[8]}" for photo in photos]
    table.write_text("\n".join(["path,label,number", *rows]), encoding="utf-8")
    path = folder / "houses.resight"
    hook = sys.excepthook
    assert main(["index", *map(str, photos), "--collection", str(path), "--metadata", str(table)]) == 0
    sys.excepthook = hook
    return path


@pytest.fixture
def own(labelled, tmp_path) -> Path:
    """A copy of it that a test may change."""
    return shutil.copytree(labelled, tmp_path / "own.resight")


@pytest.fixture
def validation(rendered, tmp_path) -> Path:
    """Three photos of the places, and one of a place seen once."""
    known = [f"{rendered / f'place_00{number}_view_2.jpg'},House {number}" for number in range(3)]
    table = tmp_path / "validation.csv"
    unknown = f"{rendered / 'distractor_000.jpg'},"
    table.write_text("\n".join(["path,label", *known, unknown]), encoding="utf-8")
    return table


def test_it_says_what_a_photo_shows_and_why(run, labelled, rendered):
    code, out, err = run("classify", labelled, rendered / "place_001_view_2.jpg")
    assert (code, err) == (0, "")
    first, header, best, *_ = out.splitlines()
    assert first.startswith(str(rendered / "place_001_view_2.jpg") + ": House 1 (confidence ")
    assert header.split() == ["score", "cosine", "inliers", "label", "verdict", "photo"]
    assert best.startswith("for it")
    assert "House 1" in best
    assert "place_001_view_" in best
    assert (
        f"No threshold is chosen, so that nothing is ever unknown. Choose one:  resight classify {labelled}"
        in out
    )


def test_below_the_threshold_it_says_unknown(run, labelled, rendered):
    code, out, _ = run("classify", labelled, rendered / "place_001_view_2.jpg", "--threshold", "50")
    assert code == 0
    assert ": unknown (likeliest is House 1: confidence " in out
    assert ", at least 50.000 needed)" in out
    assert "No threshold" not in out


def test_the_threshold_is_chosen_once_and_kept(run, own, validation, rendered):
    code, out, _ = run("classify", own, "--calibrate", validation)
    assert code == 0
    assert "chosen on 3 photos of labelled and 1 photo of unknown things, is kept in" in out
    assert "100.0% of the unknown ones said to be unknown" in out
    _, out, _ = run("info", own)
    assert "by 'label', threshold " in out
    photos = [rendered / "place_002_view_2.jpg", rendered / "distractor_000.jpg"]
    code, out, _ = run("classify", own, *photos, "--json")
    found = json.loads(out)
    assert code == 0
    assert [photo["label"] for photo in found["photos"]] == ["House 2", None]
    assert found["photos"][0]["confidence"] >= found["threshold"] > found["photos"][1]["confidence"]
    _, out, _ = run("classify", own, photos[1], "--neighbours", "1")
    assert "The kept threshold is for another label or rule" in out
    assert f"Choose one:  resight classify {own} --calibrate VALIDATION.csv --neighbours 1" in out
    _, out, _ = run("classify", own, photos[1], "--label", "number")
    assert f"Choose one:  resight classify {own} --calibrate VALIDATION.csv --label number" in out


def test_the_rule_of_a_kept_threshold_is_for_its_label_alone(run, own, validation, rendered):
    photo = rendered / "place_002_view_2.jpg"
    assert run("classify", own, "--calibrate", validation, "--neighbours", "1", "--max-inliers", "35")[0] == 0

    def rule(*words):
        return json.loads(run("classify", own, photo, "--json", *words)[1])["rule"]

    assert rule() == {"neighbours": 1, "verify": 10, "max_inliers": 35}
    assert rule("--verify", "3") == {"neighbours": 1, "verify": 3, "max_inliers": 35}
    assert rule("--label", "number", "--verify", "3") == {"neighbours": 3, "verify": 3, "max_inliers": 70}


def test_labels_of_the_table_are_read_as_those_of_the_collection(run, own, rendered, tmp_path):
    """The collection's numbers are floating here; alone, the cells of this table would be whole ones."""
    photos = sorted(rendered.glob("place_*_view_[01].jpg"))
    table = tmp_path / "sizes.csv"
    table.write_text("\n".join(["path,size", *(f"{photo},{photo.stem[8]}.0" for photo in photos)]))
    assert run("index", *photos, "--collection", own, "--metadata", table)[0] == 0
    known = [f"{rendered / f'place_00{number}_view_2.jpg'},{number}" for number in range(3)]
    table.write_text("\n".join(["path,size", *known, f"{rendered / 'distractor_000.jpg'},9"]))
    code, out, err = run("classify", own, "--calibrate", table, "--label", "size")
    assert code == 0, err
    assert "chosen on 3 photos of labelled and 1 photo of unknown things" in out
    assert "No photo of the collection has these labels, so they count as unknown: 9.0" in err


def test_photos_of_the_collection_are_refused_wherever_they_lie(run, labelled, rendered, tmp_path):
    copy = shutil.copy(rendered / "place_000_view_0.jpg", tmp_path / "copy.jpg")
    table = tmp_path / "table.csv"
    table.write_text(f"path,label\n{copy},House 0\n{rendered / 'distractor_000.jpg'},\n", encoding="utf-8")
    code, _, err = run("classify", labelled, "--calibrate", table)
    assert code == 1
    assert "copy.jpg is in the collection itself, where it finds itself" in err


def test_a_photo_that_was_changed_since_it_was_indexed_is_refused_too(run, rendered, tmp_path):
    photos = [Path(shutil.copy(path, tmp_path)) for path in sorted(rendered.glob("place_*_view_[01].jpg"))]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["path,label", *(f"{photo},House {photo.stem[8]}" for photo in photos)]))
    path = tmp_path / "c.resight"
    assert run("index", *photos, "--collection", path, "--metadata", table)[0] == 0
    photos[0].write_bytes(photos[0].read_bytes() + b"\0")
    table.write_text(f"path,label\n{photos[0]},House 0\n{rendered / 'distractor_000.jpg'},\n")
    code, _, err = run("classify", path, "--calibrate", table)
    assert code == 1
    assert "is in the collection itself, where it finds itself" in err


def test_a_number_that_is_a_name_is_no_label_of_numbers(run, labelled, rendered, tmp_path):
    table = tmp_path / "table.csv"
    photos = [rendered / name for name in ("place_000_view_2.jpg", "distractor_000.jpg")]
    table.write_text(f"path,number\n{photos[0]},00\n{photos[1]},7\n", encoding="utf-8")
    code, _, err = run("classify", labelled, "--calibrate", table, "--label", "number")
    assert code == 1
    assert "got 0 of the first and 2 of the second" in err


def test_a_threshold_is_told_though_no_photo_can_be_read(run, own, validation, tmp_path):
    broken = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    for path in broken:
        path.write_text("dear all")
    code, out, err = run("classify", own, "--calibrate", validation, *broken)
    assert code == 1
    assert "Threshold " in out
    assert all(path.name in err for path in broken)


def test_damaged_features_are_no_reason_to_go_without_geometry(run, own, rendered):
    store = Store.open(own)
    row = store.table([*KEY_COLUMNS, "local"]).slice(0, 1).drop_columns("_rowid")
    cut = pa.array([row["local"][0].as_py()[:-100]], row["local"].type)
    store.upsert(row.set_column(row.column_names.index("local"), "local", cut))
    photo = rendered / "place_000_view_2.jpg"
    name = Path(str(row["path"][0])).name
    # A vote would count without geometry; an answer says that nothing has checked it.
    for verb, expected in (("classify", 1), ("search", 0)):
        code, _, err = run(verb, own, photo)
        assert code == expected, (verb, err)
        assert "is damaged" in err
        assert name in err


def test_the_refusal_of_a_damaged_vote_names_the_damage_alone(run, own, rendered, tmp_path, monkeypatch):
    monkeypatch.setattr(StoredLocal, "notes", lambda self: iter(["one row is damaged"]))
    monkeypatch.setattr(Roots, "notes", lambda self: ["a folder is gone"])
    code, _, err = run("classify", own, rendered / "place_000_view_2.jpg")
    assert (code, err) == (1, "resight: one row is damaged\n")


def test_json_holds_the_rule_and_every_vote(run, labelled, rendered):
    line = ["--neighbours", "2", "--verify", "4", "--max-inliers", "35", "--label", "number", "--json"]
    code, out, _ = run("classify", labelled, rendered / "place_000_view_2.jpg", *line)
    found = json.loads(out)
    assert code == 0
    assert found["label"] == "number"
    assert found["rule"] == {"neighbours": 2, "verify": 4, "max_inliers": 35}
    assert (found["threshold"], found["calibration"], found["unreadable"]) == (None, None, [])
    (photo,) = found["photos"]
    assert (photo["label"], photo["best"], photo["verified"]) == ("0", "0", True)
    votes = [*photo["votes"], *photo["others"]]
    assert len(votes) == 2
    assert photo["confidence"] == pytest.approx(sum(vote["score"] for vote in photo["votes"]))
    for vote in votes:
        assert vote["score"] == pytest.approx(vote["cosine"] + min(vote["inliers"], 35) / 35)
        assert vote["label"] == Path(vote["path"]).stem[8]


def test_without_verification_cosines_vote(run, labelled, rendered):
    code, out, _ = run("classify", labelled, rendered / "place_000_view_2.jpg", "--verify", "0", "--json")
    (photo,) = json.loads(out)["photos"]
    assert code == 0
    assert photo["verified"] is False
    assert {vote["inliers"] for vote in (*photo["votes"], *photo["others"])} == {None}


def test_the_sheet_shows_the_neighbours_under_the_label(run, labelled, rendered, tmp_path):
    sheet = tmp_path / "sheet.html"
    code, out, _ = run("classify", labelled, rendered / "place_001_view_2.jpg", "--html", sheet)
    assert code == 0
    assert f"Sheet: {sheet}" in out
    page = sheet.read_text(encoding="utf-8")
    assert "<title>place_001_view_2.jpg shows House 1" in page
    assert "place_001_view_0.jpg" in page


def test_an_unreadable_photo_does_not_stop_the_others(run, labelled, rendered, tmp_path):
    text = tmp_path / "letter.jpg"
    text.write_text("dear all")
    code, out, err = run("classify", labelled, text, rendered / "place_001_view_2.jpg")
    assert code == 3
    assert "House 1" in out
    assert err.startswith("resight: ")
    assert "letter.jpg" in err
    code, out, err = run("classify", labelled, text)
    assert (code, out) == (1, "")
    assert "letter.jpg" in err


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "give a photo, or --calibrate CSV"),
        (["a.jpg", "b.jpg", "--html", "x.html"], 2, "a sheet shows one photo, not 2"),
        (["--calibrate", "t.csv", "--html", "x.html"], 2, "a sheet shows one photo, not 0"),
        (["--calibrate", "t.csv", "--threshold", "1"], 2, "it is what --calibrate finds"),
        (["a.jpg", "--label", "year"], 1, "have no 'year' to be recognised by"),
        (["a.jpg", "--threshold", "nan"], 1, "a threshold is a finite number, not nan"),
        (["--calibrate", "none.csv"], 1, "none.csv: No such file"),
    ],
)
def test_errors_are_one_sentence(run, labelled, tmp_path, monkeypatch, words, code, sentence):
    monkeypatch.chdir(tmp_path)
    found, out, err = run("classify", labelled, *words)
    assert (found, out) == (code, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_a_validation_table_needs_the_labels_column(run, labelled, rendered, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text(f"path,name\n{rendered / 'place_000_view_2.jpg'},House 0\n", encoding="utf-8")
    code, _, err = run("classify", labelled, "--calibrate", table)
    assert code == 1
    assert "lists no photos with a column 'label': its first line is path,label" in err
