"""Files that version 0.1.0 wrote are read as they were meant, whatever has become of the code since."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from resight import Collection, datasets, load_model
from resight.evaluation import read_result, write_result
from resight.models.bundle import read, write
from resight.training.packed import PackedImages
from resight.training.recipe import Recipe

FILES = Path(__file__).parent / "files"
RECIPES = Path(__file__).parents[2] / "recipes"
EXPECTED = json.loads((FILES / "bundles" / "expected.json").read_text(encoding="utf-8"))
QUERIES = [FILES / "photos/train/place0/0.jpg", FILES / "photos/train/place0/1.jpg"]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_bundle_describes_as_it_did(name, tmp_path):
    path = FILES / "bundles" / f"{name}.safetensors"
    model = load_model(path)

    assert model.fingerprint == EXPECTED[name]["fingerprint"]
    # The last digits are the processor's: another one multiplies in another order.
    np.testing.assert_allclose(model.describe(QUERIES), EXPECTED[name]["descriptors"], atol=1e-5)
    write(read(path), tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    write(model.to_bundle(), tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").read_bytes() == path.read_bytes()


def test_a_collection_answers_as_it_did(tmp_path):
    shutil.copytree(FILES / "stored.resight", tmp_path / "stored.resight")
    shutil.copytree(FILES / "photos", tmp_path / "photos")
    collection = Collection.open(tmp_path / "stored.resight")
    expected = json.loads((FILES / "answer.json").read_text(encoding="utf-8"))

    hits = collection.search(tmp_path / "photos/train/place0/0.jpg", top=8, verify=8)

    assert [Path(hit.path).relative_to(tmp_path).as_posix() for hit in hits] == [
        row["path"] for row in expected
    ]
    assert [hit.inliers for hit in hits] == [row["inliers"] for row in expected]
    np.testing.assert_allclose(
        [hit.similarity for hit in hits], [row["similarity"] for row in expected], atol=1e-4
    )
    assert hits[1].metadata == {"place": "place0", "view": 1}
    assert collection.add([tmp_path / "photos"], workers=1).added == 5


def test_packed_photos_are_those_that_were_packed(tmp_path):
    packed = PackedImages(FILES / "stored.pack", verify=True)
    train = datasets.load("folder", FILES / "photos").train

    assert packed.fingerprint == "2cd89f9c66c4e1ee709848214626180c81afc6de445f12d40bf23f707ea8df85"
    assert packed.rows(train).tolist() == [0, 1, 2, 3]
    assert (packed.side, packed.rule) == (36, "stretch")


def test_recipes_mean_what_they_meant():
    expected = json.loads((FILES / "recipes.json").read_text(encoding="utf-8"))
    assert Recipe.from_yaml(FILES / "recipe.yaml").fingerprint == expected.pop("stored")
    assert {name: Recipe.from_yaml(RECIPES / f"{name}.yaml").fingerprint for name in expected} == expected


def test_a_result_of_version_2_means_what_it_meant(tmp_path):
    result = read_result(FILES / "result.json")
    write_result(result, tmp_path / "result.json")
    written, stored = (json.loads((folder / "result.json").read_text()) for folder in (tmp_path, FILES))

    assert {measure.name: measure.value for measure in result.measures}["R@1"] == 0.0
    assert read_result(tmp_path / "result.json") == result
    # What version 4 knows beside the names of version 2.
    assert (stored.pop("version"), written.pop("version")) == (2, 4)
    assert len(written.pop("fingerprint")) == 64
    assert written["main"] == {"kind": "MAP@R", "k": None, "task": "all"}
    written["main"] = "MAP@R"
    for entry in (*written["measures"], *written["columns"]):
        del entry["quantity"]
    for row in written["rows"]:
        row |= {"map_at_r": row.pop("value"), "measure": "MAP@R"}
        assert row.pop("quantity") == {"kind": "MAP@R", "k": None, "task": "all"}
    assert written == stored


def test_a_result_of_version_3_is_read_and_written_back_with_a_fingerprint_alone(tmp_path):
    result = read_result(FILES / "result-3.json")

    assert result == read_result(FILES / "result.json")
    write_result(result, tmp_path / "result.json")
    assert (tmp_path / "result.json").read_bytes() == (FILES / "result-4.json").read_bytes()
    assert read_result(FILES / "result-4.json") == result
    third, fourth = (json.loads((FILES / f"result-{version}.json").read_text()) for version in (3, 4))
    assert (third.pop("version"), fourth.pop("version"), len(fourth.pop("fingerprint"))) == (3, 4, 64)
    assert list(third.items()) == list(fourth.items())
