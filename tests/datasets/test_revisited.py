import json
import os
import pickle

import pytest

from resight.datasets.revisited import read_ground_truth
from resight.errors import InvalidInput

CONTENT = {
    "imlist": ["a", "b", "c"],
    "qimlist": ["q"],
    "gnd": [{"bbx": [1.5, 2, 30, 40], "easy": [0], "hard": [2], "junk": [1]}],
}


@pytest.fixture(params=["pkl", "json"])
def written(request, tmp_path):
    def write(content):
        path = tmp_path / f"gnd.{request.param}"
        path.write_bytes(pickle.dumps(content, 2) if request.param == "pkl" else json.dumps(content).encode())
        return path

    return write


def test_reads_names_boxes_and_answers(written):
    truth = read_ground_truth(written(CONTENT))
    assert (truth.database, truth.queries) == (("a", "b", "c"), ("q",))
    assert truth.truths[0].box.corners == (1.5, 2.0, 30.0, 40.0)
    assert truth.truths[0].positives("medium") == {0, 2}
    assert truth.truths[0].ignored("hard") == {0, 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"imlist": ["a"]}, "index 2 lies outside the database of 1 images"),
        ({"gnd": []}, "lists 1 queries, but answers for 0"),
        ({"gnd": [{"bbx": [1, 2, 3], "easy": [], "hard": [], "junk": []}]}, "no ground truth"),
        ({"gnd": [7]}, "a dict, not a int"),
        ({"gnd": [{"bbx": [1, 2, 3, 4], "easy": [], "hard": []}]}, "benchmarks: no 'junk'"),
        ({"gnd": [], "qimlist": []}, "it lists no query"),
    ],
)
def test_refuses_other_content_in_a_sentence(written, change, reason):
    with pytest.raises(InvalidInput, match=reason):
        read_ground_truth(written(CONTENT | change))


class Attack:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_executes_nothing_of_a_pickle(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gnd.pkl").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(InvalidInput, match="only plain types are read"):
        read_ground_truth("gnd.pkl")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("data", [b"", b"\x80\x02}", b"not a pickle", pickle.dumps([1, 2])])
def test_refuses_foreign_and_truncated_files(tmp_path, data):
    path = tmp_path / "gnd.pkl"
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match="no ground truth"):
        read_ground_truth(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"^cannot read the ground truth .*gnd\.pkl: No such file"):
        read_ground_truth(tmp_path / "gnd.pkl")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "database", "easy", "hard", "junk"),
    [("roxford5k", 4993, 3029, 2497, 1356), ("rparis6k", 6322, 6874, 10350, 7153)],
)
def test_official_files_have_the_published_counts(data, name, database, easy, hard, junk):
    truth = read_ground_truth(data / "annotations" / f"gnd_{name}.pkl")
    assert (len(truth.database), len(truth.queries)) == (database, 70)
    counts = [sum(len(getattr(t, key)) for t in truth.truths) for key in ("easy", "hard", "junk")]
    assert counts == [easy, hard, junk]
