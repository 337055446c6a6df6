"""Ground truth of the landmark benchmarks, of made files and of the official ones."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from resight.datasets import open_landmarks, read_landmark_truth
from resight.datasets.google_landmarks import read_ids, read_solution, read_train, retrieval_truth
from resight.datasets.holidays import holidays_truth, read_holidays
from resight.datasets.landmark_truth import LandmarkTruth, Task
from resight.datasets.oxford_paris import read_oxford_paris
from resight.datasets.plain_pickle import read_plain_pickle
from resight.errors import InvalidInput

OLD = {
    "imlist": ["a", "b", "c", "d"],
    "qimlist": ["b"],
    "gnd": [{"bbx": [1, 2, 30, 40], "ok": [1, 3], "junk": [0]}],
}
NEW = {
    "imlist": ["a", "b"],
    "qimlist": ["q"],
    "gnd": [{"bbx": [0, 0, 9, 9], "easy": [0], "hard": [], "junk": [1]}],
}


def written(path, content):
    path.write_bytes(pickle.dumps(content, 2) if path.suffix == ".pkl" else json.dumps(content).encode())
    return path


@pytest.mark.parametrize("name", ["gnd_oxford5k.pkl", "gnd_oxford5k.json"])
def test_the_original_protocol_is_read(tmp_path, name):
    truth = read_landmark_truth(written(tmp_path / name, OLD))
    assert (truth.benchmark, truth.queries, truth.boxes[0].corners) == ("oxford5k", ("b",), (1, 2, 30, 40))
    (task,) = truth.tasks
    assert (task.name, task.positives, task.ignored) == ("all", (frozenset({1, 3}),), (frozenset({0}),))
    assert "counts as a positive" in truth.query_rule


def test_matlab_counts_from_one(tmp_path):
    scipy = pytest.importorskip("scipy.io")
    names = np.array(OLD["imlist"], dtype=object)
    entry = {"ok": np.array([2, 4]), "junk": 1}
    content = {"imlist": names, "qidx": np.array([2]), "gnd": [entry, entry]}
    content["qidx"] = np.array([2, 3])
    scipy.savemat(tmp_path / "gnd_oxford5k.mat", content)
    truth = read_oxford_paris(tmp_path / "gnd_oxford5k.mat")
    assert truth.queries == ("b", "c")
    assert truth.boxes == (None, None)
    assert truth.tasks[0].positives[0] == {1, 3}
    assert truth.tasks[0].ignored[0] == {0}


def test_a_foreign_matlab_file_is_one_sentence(tmp_path):
    (tmp_path / "gnd.mat").write_bytes(b"not MATLAB" * 100)
    with pytest.raises(InvalidInput, match=r"gnd\.mat is no MATLAB file"):
        read_landmark_truth(tmp_path / "gnd.mat")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gnd": [{"ok": [9], "junk": []}]}, "hold number 9"),
        ({"gnd": []}, "lists 1 queries"),
        ({"gnd": [{"ok": [1.5], "junk": []}]}, "numbers of images are expected, not 1.5"),
        ({"imlist": ["a", "b", "b", "c"]}, "database image b is listed twice"),
        ({"imlist": 3}, "imlist is no list of names"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, change, words):
    with pytest.raises(InvalidInput, match=words):
        read_oxford_paris(written(tmp_path / "gnd.pkl", OLD | change))


def test_names_of_holidays_say_what_is_right():
    truth = holidays_truth(["100101", "100000", "100002", "100001", "100100"])
    assert truth.database == ("100000", "100001", "100002", "100100", "100101")
    assert truth.queries == ("100000", "100100")
    assert truth.tasks[0].positives == ({1, 2}, {4})
    assert truth.tasks[0].ignored == ({0}, {3})


@pytest.mark.parametrize(
    ("names", "words"), [(["a"], "six digits"), (["100001"], "no query 100000"), ([], "six")]
)
def test_other_names_are_refused(names, words):
    with pytest.raises(InvalidInput, match=words):
        holidays_truth(names)


SOLUTION = "id,images,Usage\nq1,i1 i2,Public\nq2,i3,Private\nq3,None,Ignored\n"


def test_a_solution_of_retrieval_has_a_task_for_each_usage(tmp_path):
    (tmp_path / "s.csv").write_text(SOLUTION)
    (tmp_path / "index.csv").write_text("id,url\ni1,x\ni2,y\ni3,z\n")
    truth = retrieval_truth(read_solution(tmp_path / "s.csv"), read_ids(tmp_path / "index.csv"))
    assert truth.queries == ("q1", "q2")
    assert [(task.name, task.positives) for task in truth.tasks] == [
        ("public", ({0, 1}, None)),
        ("private", (None, {2})),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,images,Usage\nq1,,Public\n", "no right answer for the Public test image q1"),
        ("id,images,Usage\nq1,i1,Other\n", "Usage of Public, Private, Ignored, not 'Other'"),
        ("id,images,Usage\nq1,i1,Public\nq1,i1,Public\n", "lists the test image q1 twice"),
        ("id,images\nq1,i1\n", "no column named Usage in its first line, but id, images"),
        ("id,images,Usage\nq1,i1\n", "line 2 of .* more or fewer cells"),
        ("id,Usage\nq1,Public\n", "is no solution"),
        ("id,images,Usage\n", "lists no test image"),
    ],
)
def test_a_solution_that_cannot_be_used_is_refused(tmp_path, text, words):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(InvalidInput, match=words):
        read_solution(tmp_path / "s.csv")


def test_a_right_answer_outside_the_index_is_named(tmp_path):
    (tmp_path / "s.csv").write_text(SOLUTION)
    with pytest.raises(InvalidInput, match="i3 of test image q2 is none of 2 index images"):
        retrieval_truth(read_solution(tmp_path / "s.csv"), ("i1", "i2"))


@pytest.mark.parametrize(
    "text", ["id,url,landmark_id\na,x,7\nb,y,7\nc,z,8\n", "landmark_id,images\n7,a b\n8,c\n"]
)
def test_both_lists_of_training_images_are_read(tmp_path, text):
    (tmp_path / "train.csv").write_text(text)
    assert read_train(tmp_path / "train.csv") == (("a", "b", "c"), ("7", "7", "8"))


def test_pickled_arrays_are_rebuilt_without_numpys_own_reader(tmp_path):
    arrays = {
        "X": np.arange(6, dtype=np.float32).reshape(2, 3),
        "F": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "n": np.float64(2.5),
        "b": b"ab",
        "big": np.arange(3, dtype=">i4"),
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(arrays, protocol))
        found = read_plain_pickle(tmp_path / "a.pkl")
        for name in ("X", "F", "big"):
            np.testing.assert_array_equal(found[name], arrays[name])
        assert (found["n"], found["b"]) == (2.5, b"ab")


@pytest.mark.parametrize(
    ("value", "words"),
    [(np.array([print], dtype=object), "builtins.print"), (np.array(["a"]), "only numbers"), (1j, "complex")],
)
def test_pickles_of_anything_else_are_refused(tmp_path, value, words):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"x": value}))
    with pytest.raises(InvalidInput, match=words):
        read_plain_pickle(tmp_path / "a.pkl")


def test_a_folder_is_found_with_its_photos(tmp_path):
    written(tmp_path / "gnd_made.pkl", NEW)
    (tmp_path / "jpg").mkdir()
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries/q.jpg").touch()
    folder = open_landmarks("revisited", tmp_path)
    assert (folder.database, folder.queries) == (("jpg/a.jpg", "jpg/b.jpg"), ("queries/q.jpg",))
    with pytest.raises(InvalidInput, match=r"lacks jpg/a\.jpg \(2 of 3 photos are missing\)"):
        folder.require_photos()


def test_the_lists_of_the_authors_are_read(tmp_path):
    (tmp_path / "gt_files").mkdir()
    (tmp_path / "jpg").mkdir()
    for name in "abcd":
        (tmp_path / f"jpg/{name}.jpg").touch()
    for kind, text in {"query": "oxc1_b 1 2 30 40", "good": "b", "ok": "d\n", "junk": "a\n"}.items():
        (tmp_path / f"gt_files/made_1_{kind}.txt").write_text(text)
    with pytest.raises(InvalidInput, match="4 images and 1 queries, not 5,063 and 55"):
        open_landmarks("oxford5k", tmp_path)
    from resight.datasets.oxford_paris import read_oxford_paris_lists

    truth = read_oxford_paris_lists(tmp_path / "gt_files", ("a", "b", "c", "d"))
    assert truth.tasks == (Task("all", (frozenset({1, 3}),), (frozenset({0}),)),)
    assert truth.boxes[0].corners == (1, 2, 30, 40)


@pytest.mark.parametrize(
    ("name", "words"), [("roxford", "did you mean roxford5k"), ("revisited", r"has no ground truth gnd_\*")]
)
def test_what_cannot_be_opened_is_said(tmp_path, name, words):
    with pytest.raises(InvalidInput, match=words):
        open_landmarks(name, tmp_path)


def test_the_fingerprint_changes_with_every_answer():
    def made(positives, box=None):
        task = Task("all", (positives,), (frozenset(),))
        return LandmarkTruth("x", ("a", "b"), ("q",), (box,), (task,), "trapezoidal", "").fingerprint

    assert made(frozenset({0})) == made(frozenset({0}))
    assert len({made(frozenset({0})), made(frozenset({1})), made(frozenset())}) == 3


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "images", "queries"),
    [
        ("gnd_roxford5k.pkl", 4993, 70),
        ("gnd_rparis6k.pkl", 6322, 70),
        ("gnd_oxford5k.mat", 5063, 55),
        ("gnd_paris6k.mat", 6392, 55),
        ("gnd_holidays.mat", 1491, 500),
    ],
)
def test_official_files_have_the_published_sizes(data, file, images, queries):
    truth = read_landmark_truth(data / "annotations" / file)
    assert (len(truth.database), len(truth.queries)) == (images, queries)


@pytest.mark.data
@pytest.mark.parametrize("name", ["oxford5k", "paris6k"])
def test_queries_of_the_original_sets_are_their_own_positives(data, name):
    truth = read_landmark_truth(data / "annotations" / f"gnd_{name}.mat")
    own = [truth.database.index(query) for query in truth.queries]
    assert all(index in positives for index, positives in zip(own, truth.tasks[0].positives, strict=True))


@pytest.mark.data
def test_the_names_of_holidays_say_what_its_file_says(data):
    official = read_holidays(data / "annotations/gnd_holidays.mat")
    assert holidays_truth(official.database) == official
