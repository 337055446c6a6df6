"""``resight evaluate`` on landmarks: rendered places, and descriptors in files."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from resight.cli import main
from resight.datasets import BENCHMARKS


@pytest.fixture(scope="module")
def places(rendered, tmp_path_factory):
    """The rendered places in the revisited format: the first view of each is its query."""
    root = tmp_path_factory.mktemp("places")
    for folder in ("jpg", "queries"):
        (root / folder).mkdir()
    photos = sorted(rendered.glob("*.jpg"))
    queries = [photo for photo in photos if photo.stem.endswith("view_0")] or photos[0:9:3]
    database = [photo for photo in photos if photo not in queries]
    gnd = []
    for query in queries:
        shutil.copy(query, root / "queries")
        with Image.open(query) as image:
            width, height = image.size
        own = [n for n, photo in enumerate(database) if photo.name[:9] == query.name[:9]]
        gnd.append({"bbx": [10, 10, width - 10, height - 10], "easy": own[:1], "hard": own[1:], "junk": []})
    for photo in database:
        shutil.copy(photo, root / "jpg")
    content = {
        "imlist": [photo.stem for photo in database],
        "qimlist": [photo.stem for photo in queries],
        "gnd": gnd,
    }
    (root / "gnd_places.json").write_text(json.dumps(content))
    return root


VERIFIED = ("--verify", "5", "--protocol", "delg")


@pytest.fixture(scope="module")
def written(places):
    hook = sys.excepthook
    first, second = places / "first.json", places / "second.json"
    line = ["evaluate", "sift", "revisited", "--root", str(places)]
    assert main([*line, "--out", str(first), "--html", str(places / "report.html"), *VERIFIED]) == 0
    assert main([*line, "--out", str(second), "--whole-queries"]) == 0
    sys.excepthook = hook
    return first, second


@pytest.fixture
def files(tmp_path):
    """Three database images and a query, their names, and what is right."""
    rows = np.array([[1, 0], [0.8, 0.6], [0, 1], [1, 0.1]], dtype=np.float32)
    np.save(tmp_path / "d.npy", rows)
    (tmp_path / "names.txt").write_text("a\nb\nc\nq\n")
    entry = {"bbx": [0, 0, 1, 1], "easy": [1], "hard": [2], "junk": [0]}
    content = {"imlist": ["a", "b", "c"], "qimlist": ["q"], "gnd": [entry]}
    (tmp_path / "gnd_made.json").write_text(json.dumps(content))
    return tmp_path


def given(files):
    return (
        *("--descriptors", files / "d.npy", "--names", files / "names.txt"),
        *("--ground-truth", files / "gnd_made.json"),
    )


@pytest.mark.parametrize("name", [entry.name for entry in BENCHMARKS])
def test_every_benchmark_can_be_typed(run, tmp_path, name):
    code, out, err = run("evaluate", "sift", name, "--root", tmp_path)
    assert (code, out) == (1, "")
    assert "there is no benchmark" not in err


def test_descriptors_give_one_json_object(run, files):
    code, out, _ = run("evaluate", *given(files), "--json")
    found = json.loads(out)
    assert code == 0
    # a is junk; then b, c: Easy (without c) 1, Medium 1, Hard (without b) 1.
    assert found["metrics"]["mAP"] == {"easy": 1.0, "medium": 1.0, "hard": 1.0}
    assert found["metrics"]["mP"]["medium"] == {"1": 1.0, "5": 1.0, "10": 1.0}
    assert found["intervals"]["mAP"]["hard"] == [1.0, 1.0]
    assert found["queries"]["mAP"] == {"easy": 1, "medium": 1, "hard": 1}
    assert found["per_query"]["mAP"]["easy"] == {"q": 1.0}
    assert found["protocol"]["facts"]["average precision"].startswith("trapezoidal")
    assert found["versions"]["numpy"] == np.__version__


def test_a_table_has_four_digits(run, files):
    code, out, _ = run("evaluate", *given(files))
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert ["mAP", "easy", "1.0000", "1.0000", "to", "1.0000", "1"] in lines
    assert "d.npy on made in gnd_made.json: 1 query against 3 images" in out


def test_distractors_and_expansion_work_without_photos(run, files):
    np.save(files / "more.npy", np.array([[1, 0.1], [1, 0.1]], dtype=np.float16))
    code, out, _ = run("evaluate", *given(files), "--json", "--distractors", files / "more.npy")
    found = json.loads(out)
    assert code == 0
    # Two wrong ones first: (0/2 + 1/3) / 2.
    assert found["metrics"]["mAP"]["easy"] == pytest.approx(1 / 6)
    code, out, _ = run("evaluate", *given(files), "--json", "--expand", "2")
    assert "by 2 neighbours" in json.loads(out)["protocol"]["facts"]["re-ranking"]


def test_similarities_give_recall(run, tmp_path):
    np.save(tmp_path / "s.npy", np.array([[0.9, 0.1, 0.3], [0.2, 0.1, 0.3]], dtype=np.float16))
    content = {"dataset": "made", "queries": 2, "positives": {"0": [0], "1": [1]}}
    (tmp_path / "gt.json").write_text(json.dumps(content))
    line = ("evaluate", "--similarities", tmp_path / "s.npy", "--ground-truth", tmp_path / "gt.json")
    code, out, _ = run(*line, "--json")
    assert code == 0
    assert json.loads(out)["metrics"]["recall"] == {"1": 0.5, "5": 1.0, "10": 1.0}


def test_predictions_give_the_challenges_measures(run, tmp_path):
    (tmp_path / "r.csv").write_text("id,images,Usage\nq,a b,Private\n")
    (tmp_path / "p.csv").write_text("id,images\nq,a x b\n")
    line = ("evaluate", "--predictions", tmp_path / "p.csv", "--ground-truth", tmp_path / "r.csv", "--json")
    code, out, _ = run(*line)
    assert code == 0
    assert json.loads(out)["metrics"] == {"mAP@100": {"private": pytest.approx((1 + 2 / 3) / 2)}}
    (tmp_path / "r.csv").write_text("id,landmarks,Usage\nq,7,Public\n")
    (tmp_path / "p.csv").write_text("id,landmarks\nq,7 0.5\n")
    code, out, _ = run(*line)
    assert json.loads(out)["metrics"] == {"microAP": {"public": 1.0}}


def test_a_model_is_measured_on_a_folder(run, places, written):
    result = json.loads(written[0].read_text())
    assert result["main"] == {"kind": "mAP", "k": None, "task": "medium"}
    facts = {fact["name"]: fact["text"] for fact in result["card"]["facts"]}
    assert facts["queries shown"].startswith("cropped to their boxes")
    assert "geometric verification of the first 5" in facts["re-ranking"]
    assert result["card"]["max_side"] > 0
    text = (places / "report.html").read_text(encoding="utf-8")
    assert "mAP medium" in text
    assert 'class="boxed"' in text
    code, out, _ = run("evaluate", "--compare", *written)
    assert code == 0
    assert "queries shown: cropped" in out
    assert "mAP hard" in out


def test_the_waterfall_goes_step_by_step(run, places, tmp_path):
    line = (
        "evaluate",
        "sift",
        "revisited",
        "--root",
        places,
        "--waterfall",
        "--expand",
        "2",
        "--verify",
        "4",
    )
    code, out, _ = run(*line, "--json")
    found = json.loads(out)
    assert code == 0
    names = [stage["name"] for stage in found["stages"]]
    assert names[0] == "descriptor"
    assert names[-1] == "+ verification of 4"
    last = found["stages"][-1]
    assert set(last["metrics"]["mAP"]) == set(last["p_values"]) == {"easy", "medium", "hard"}
    assert last["intervals"]["mAP"]["medium"][0] <= last["metrics"]["mAP"]["medium"]
    assert last["milliseconds"] > 0
    page = tmp_path / "steps.html"
    code, out, _ = run(*line, "--html", page)
    assert code == 0
    assert page.read_text(encoding="utf-8").count("+ verification of 4") == 4
    assert "Report, open it in a browser" in out
    assert "each step with those before" in out
    assert out.count("+ diffusion") == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--descriptors", "a.npy"], "with --ground-truth"),
        (["--ground-truth", "a.pkl"], "give one of --descriptors, --similarities and --predictions"),
        (["sift", "--descriptors", "a.npy", "--ground-truth", "b"], "give a model or files, not both"),
        (["--similarities", "a", "--ground-truth", "b", "--expand", "3"], "this needs --descriptors"),
        (["--similarities", "a", "--ground-truth", "b", "--names", "c"], "names belong to --descriptors"),
        (["--descriptors", "a", "--ground-truth", "b", "--verify", "3"], "without photos nothing can be"),
        (["sift", "folder", "--root", ".", "--verify", "3"], "are for landmarks"),
        (["sift", "revisited", "--root", ".", "--protocol", "delg"], "give --verify N with it"),
        (["sift", "roxford5k", "--root", ".", "--boxes"], "cropped by themselves"),
        (["sift", "roxford5k", "--root", ".", "--waterfall", "--out", "a"], "takes no --distractors"),
        (["sift", "roxford5k", "--root", ".", "--whitening", "a"], "it is a step of --waterfall"),
        (["sift", "roxford5k"], "give MODEL, BENCHMARK and --root DIR"),
        (["--compare", "a", "b", "--verify", "3"], "it takes two results and nothing to measure"),
    ],
)
def test_a_wrong_line_is_one_sentence_and_code_two(run, line, words):
    code, out, err = run("evaluate", *line)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_what_cannot_be_measured_is_one_sentence_and_code_one(run, files):
    (files / "names.txt").write_text("a\nb\nb\nq\n")
    code, out, err = run("evaluate", *given(files))
    assert (code, out) == (1, "")
    assert "has b twice" in err
    code, _, err = run("evaluate", "sift", "roxford5k", "--root", files)
    assert code == 1
    assert "has no ground truth gnd_roxford5k.pkl" in err
    code, _, err = run("evaluate", "sift", "revisited", "--root", files)
    assert code == 1
    assert "4 of 4 photos are missing" in err


def test_a_wrong_name_of_a_benchmark_is_told_the_nearest(run, files):
    code, _, err = run("evaluate", "sift", "roxford", "--root", files)
    assert code == 1
    assert "there is no benchmark 'roxford', did you mean roxford5k; there are folder, table" in err


@pytest.mark.parametrize("option", ["--out", "--html"])
def test_where_nothing_can_be_written_nothing_is_measured(run, files, option):
    code, out, err = run("evaluate", *given(files), option, files / "none" / "x")
    assert (code, out) == (2, "")
    assert f"there is no folder {files / 'none'}" in err


@pytest.mark.data
def test_published_descriptors_have_their_values(run, data):
    line = (
        *("evaluate", "--descriptors", data / "descriptors/oxford5k_lopq.npy"),
        *("--names", data / "descriptors/oxford5k_lopq_names.txt", "--json", "--ground-truth"),
    )
    code, out, _ = run(*line, data / "annotations/gnd_roxford5k.pkl")
    assert code == 0
    expected = {"easy": 0.288919, "medium": 0.211312, "hard": 0.045952}
    assert json.loads(out)["metrics"]["mAP"] == pytest.approx(expected, abs=5e-7)
    code, out, _ = run(*line, data / "annotations/gnd_oxford5k.mat")
    assert code == 0
    assert json.loads(out)["metrics"]["mAP"] == {"all": pytest.approx(0.402921, abs=5e-7)}
