"""``resight evaluate`` on rendered places, as text and as JSON, and its comparison of two results."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

from resight.cli import main
from resight.evaluation import read_result


@pytest.fixture(scope="module")
def classes(rendered, tmp_path_factory):
    """The rendered places as class folders: the same three to train and to test on."""
    root = tmp_path_factory.mktemp("classes")
    for split in ("train", "test"):
        for photo in sorted(rendered.glob("place_*.jpg")):
            folder = root / split / photo.name[:9]
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(photo, folder)
    return root


@pytest.fixture(scope="module")
def written(classes):
    """Two results of one model and the same photos, the second with other queries' values."""
    hook = sys.excepthook
    first, second = classes / "first.json", classes / "second.json"
    line = ["evaluate", "sift", "folder", "--root", str(classes), "--out", str(first)]
    assert main([*line, "--html", str(classes / "report.html"), "--selection", "published"]) == 0
    sys.excepthook = hook
    text = json.loads(first.read_text(encoding="utf-8"))
    for column in text["columns"]:
        column["values"] = [value / 2 for value in column["values"]]
    text["card"]["model"] = "worse"
    # Written by hand: a file of version 3 has no fingerprint.
    text["version"] = 3
    del text["fingerprint"]
    second.write_text(json.dumps(text), encoding="utf-8")
    return first, second


def test_measures_are_printed_with_intervals(run, classes):
    code, out, _ = run("evaluate", "sift", "folder", "--root", classes, "--no-clusters")
    assert code == 0
    assert f"sift on folder in {classes.name}: 9 queries against 9 images, 3 classes, photos whole" in out
    lines = [line.split() for line in out.splitlines()]
    assert ["measure", "value", "95", "%", "interval", "over"] in lines
    assert [line[0] for line in lines if line and line[-1] == "9"] == [
        "R@1",
        "R@2",
        "R@4",
        "R@8",
        "MAP@R",
        "R-precision",
    ]


def test_the_half_that_is_measured_is_said_where_the_set_has_no_split(run, classes, tmp_path):
    photos = sorted(classes.glob("train/*/*.jpg"))
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["path,label", *(f"{photo},{photo.parent.name}" for photo in photos)]))
    said = "the last 1 of 3 classes are measured, the others train"
    for name, root, why in (
        ("table", table, "the table has no column split"),
        ("folder", classes / "train", "no folders train and test"),
    ):
        code, out, _ = run("evaluate", "sift", name, "--root", root, "--no-clusters")
        assert code == 0
        assert f"split: {why}: {said}" in out
    code, out, _ = run("evaluate", "sift", "folder", "--root", classes, "--no-clusters")
    assert code == 0
    assert "split: " not in out


def test_validation_photos_are_measured_where_there_are_any(run, classes, tmp_path):
    lines = [f"{photo},{photo.parent.name},train" for photo in sorted(classes.glob("train/*/*.jpg"))]
    tested = sorted(classes.glob("test/*/*.jpg"))
    lines += [
        f"{photo},{photo.parent.name},{'val' if number < 6 else 'test'}"
        for number, photo in enumerate(tested)
    ]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["path,label,split", *lines]))
    line = ["evaluate", "sift", "table", "--root", table, "--no-clusters", "--split", "validation"]
    code, out, _ = run(*line)
    assert code == 0
    assert "6 queries against 6 images, 2 classes" in out
    assert "2 of 2 are training classes too" in out
    code, _, err = run("evaluate", "sift", "folder", "--root", classes, "--split", "validation")
    assert (code, "folder has no validation photos of its own: measure the split test" in err) == (1, True)
    code, _, err = run("evaluate", "sift", "revisited", "--root", classes, "--split", "validation")
    assert (code, "revisited has one split" in err) == (2, True)


def test_json_holds_card_and_measures(run, classes):
    code, out, _ = run("evaluate", "sift", "folder", "--root", classes, "--json", "--seed", "4")
    found = json.loads(out)
    assert code == 0
    assert (found["card"]["benchmark"], found["card"]["seed"], found["card"]["queries"]) == ("folder", 4, 9)
    assert [measure["name"] for measure in found["measures"]][-3:] == ["R-precision", "NMI", "AMI"]
    assert found["clusters"]["clusters"] == 3


def test_result_and_report_are_written(written, classes):
    result = read_result(written[0])
    assert result.card.selection == "published"
    assert len(result.queries) == 9
    text = (classes / "report.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.count("data:image/jpeg;base64,") == sum(1 + len(row.answers) for row in result.rows) > 9


def test_two_results_are_compared(run, written):
    code, out, _ = run("evaluate", "--compare", *written)
    assert code == 0
    recall = next(line.split() for line in out.splitlines() if line.startswith("R@1"))
    assert float(recall[2]) == pytest.approx(float(recall[1]) / 2, abs=1e-3)
    assert recall[3].startswith("-0.")
    assert recall[-2] == "0"
    assert "most changed query, by MAP@R" in out
    code, out, _ = run("evaluate", "--compare", *written, "--json")
    found = json.loads(out)
    assert (found["first"], found["second"]) == ("sift", "worse")
    assert found["measures"][0]["test"]["worse"] > 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ([], "give MODEL, BENCHMARK and --root DIR, or --compare A B"),
        (["sift"], "give MODEL, BENCHMARK and --root DIR"),
        (["sift", "folder"], "give MODEL, BENCHMARK and --root DIR"),
        (["sift", "--compare", "a", "b"], "it takes two results and nothing to measure"),
        (["--compare", "a", "b", "--out", "c"], "it takes two results and nothing to measure"),
        (["--seed", "-1"], "Invalid value for '--seed'"),
    ],
)
def test_a_wrong_line_is_one_sentence_and_code_two(run, line, words):
    code, out, err = run("evaluate", *line)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["sift", "cub", "--root", "."], "there is no benchmark 'cub', did you mean cub200"),
        (["sift", "folder", "--root", "nowhere"], "there is no folder nowhere"),
        (["--compare", "none.json", "none.json"], "cannot read the result none.json"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(run, line, words):
    code, out, err = run("evaluate", *line)
    assert (code, out) == (1, "")
    assert words in err
    assert err.count("\n") == 1


def test_an_unknown_model_is_one_sentence(run, classes):
    code, _, err = run("evaluate", "shift", "folder", "--root", classes)
    assert code == 1
    assert "did you mean sift" in err


def test_help_names_an_example(run):
    code, out, _ = run("evaluate", "--help")
    assert code == 0
    assert "resight evaluate sift cub200" in out


def test_a_page_shows_both_results(run, written, classes, tmp_path):
    page = tmp_path / "c.html"
    line = ("evaluate", "--compare", *written, "--html", page)
    code, out, _ = run(*line, "--root", classes)
    assert code == 0
    assert "Report, open it in a browser" in out
    text = page.read_text(encoding="utf-8")
    assert "data:image/jpeg;base64," in text
    assert "Drawn for intervals and tests: classes" in text
    code, _, _ = run(*line, "--intervals", "queries", "--json")
    text = page.read_text(encoding="utf-8")
    assert code == 0
    assert "data:image/jpeg;base64," not in text
    assert "Drawn for intervals and tests: queries." in text
    code, _, err = run(*line, "--intervals", "landmarks")
    assert code == 1
    assert "draw classes or queries" in err
