"""Google Landmarks v2 in small: its folders and lists, made, and a model measured on both of its tasks."""

from __future__ import annotations

import pytest
from landmark_photos import write_landmarks

from resight.datasets import open_landmarks
from resight.datasets.google_landmarks import image_path
from resight.errors import InvalidInput


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
