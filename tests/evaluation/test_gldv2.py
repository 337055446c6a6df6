"""Google Landmarks v2 in small: its folders and lists, made, and a model measured on both of its tasks."""

from __future__ import annotations

import pytest
from labelled_photos import GridModel
from landmark_photos import write_landmarks

from resight.datasets import open_landmarks, read_recognition
from resight.datasets.landmark_folder import read_retrieval
from resight.datasets.landmarks import image_path
from resight.errors import InvalidInput
from resight.evaluation import evaluate_landmarks, evaluate_recognition


@pytest.fixture
def root(tmp_path):
    """Photos of four places under their hexadecimal names, in index, training and test folders."""
    made = write_landmarks(tmp_path / "made", places=4, each=3)
    rows = {"index": [], "train": [], "retrieval": [], "recognition": []}
    for number, name in enumerate(made["imlist"]):
        place = name[5]
        image = f"{number:03x}{place * 13}"
        for folder in ("index", "train"):
            # Those of place 1 are one photo, so that nothing scores higher.
            view = name if place != "1" else "place1_0"
            put(tmp_path / "made/jpg" / f"{view}.jpg", image_path(tmp_path / folder, image))
        rows["index"].append(f"{image},url")
        rows["train"].append(f"{image},url,{place}")
    names = [row.split(",")[0] for row in rows["index"]]
    for place in range(4):
        image, usage = f"abc{place}", ("Public", "Private", "Private", "Ignored")[place]
        # The first view of a place serves as its test image.
        put(tmp_path / f"made/jpg/place{place}_0.jpg", image_path(tmp_path / "test", image))
        right = " ".join(name for name in names if name.endswith(str(place) * 13))
        rows["retrieval"].append(f"{image},{right},{usage}")
        rows["recognition"].append(f"{image},{place if place != 1 else ''},{usage}")
    heads = {"index": "id,url", "train": "id,url,landmark_id"}
    for kind, lines in rows.items():
        column = {"retrieval": "images", "recognition": "landmarks"}.get(kind)
        head = heads.get(kind, f"id,{column},Usage")
        file = f"{kind}.csv" if kind in heads else f"{kind}_solution_v2.1.csv"
        (tmp_path / file).write_text("\n".join([head, *lines]) + "\n")
    return tmp_path


def put(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


def test_a_part_of_it_is_not_taken_for_the_whole(root):
    with pytest.raises(InvalidInput, match="12 images and 3 queries, not 761,757 and 1,129"):
        open_landmarks("gldv2", root)


def test_retrieval_by_a_model(root):
    result = evaluate_landmarks(GridModel(), read_retrieval(root))
    found = {measure.name: (measure.value, measure.count) for measure in result.measures}
    assert found == {"mAP@100 public": (pytest.approx(1.0), 1), "mAP@100 private": (pytest.approx(1.0), 2)}
    facts = {fact.name: fact.text for fact in result.card.facts}
    assert facts["average precision"].startswith("rectangular, first 100")
    assert facts["queries shown"] == "whole photos: the ground truth has no boxes"


def test_recognition_by_a_model(root):
    result = evaluate_recognition(GridModel(), read_recognition(root))
    found = {measure.name: measure.value for measure in result.measures}
    # Private: place 1 has no landmark and the highest score; place 2 is right behind it.
    assert found == {"µAP public": 1.0, "µAP private": 0.5}
    assert result.card.benchmark == "gldv2 recognition"
    assert (
        "3 nearest of 12 images of train.csv"
        in {fact.name: fact.text for fact in result.card.facts}["predictions"]
    )
    (root / "train.csv").unlink()
    with pytest.raises(InvalidInput, match=r"neither train_clean\.csv nor train\.csv"):
        evaluate_recognition(GridModel(), read_recognition(root))
