"""``resight whiten`` on rendered places: what is written, what is said of it, and what is refused."""

from __future__ import annotations

import json
import shutil
from functools import partial

import numpy as np
import pytest

from resight.models import Model, Traits, load_model
from resight.models.whitening_fit import fit_pca
from resight.pipelines.whiten import hold_out
from resight.scenes.render import write_collection


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Five places in three views, a folder each; not to be changed."""
    root = tmp_path_factory.mktemp("whiten")
    for photo in write_collection(root / "all", places=5, views=3, distractors=0, side=200):
        folder = root / "places" / photo.path.name[:9]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(photo.path, folder)
    return root / "places"


@pytest.fixture
def run(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return partial(run, "whiten")


def test_pca_is_fitted_written_and_its_effect_shown(run, places):
    code, out, _ = run("sift", places, "--shrinkage", "0.2", "--out", "w.safetensors")
    assert code == 0
    assert (
        "PCA whitening to 512 of 512 dimensions, power 0.5, shrinkage 0.2, floor 0, from 9 descriptors: "
        "9 photos of places.\n512 to 512 dimensions keep 100.0% of the variance of 9 photos." in out
    )
    rows = {line.rsplit(maxsplit=2)[0].strip(): line.split()[-2:] for line in out.splitlines() if line}
    assert rows["on 6 photos held out"] == ["before", "after"]
    before, after = map(float, rows["mean score of matching pairs"])
    assert before != after
    assert {"R@1", "mean score of others", "their distance, in deviations"} <= rows.keys()
    assert "resight index PHOTOS --model w.safetensors" in out
    model = load_model("w.safetensors")
    photos = sorted(places.rglob("*.jpg"))
    plain = load_model("sift").describe(photos)
    groups = np.repeat(np.arange(5), 3)
    expected = fit_pca(plain[~hold_out(groups, 0.2, seed=0)], shrinkage=0.2)
    np.testing.assert_allclose(model.describe(photos), expected.apply(plain), atol=1e-5)


def test_learned_as_json(run, places):
    line = ("sift", places, "--kind", "learned", "--shrinkage", "0.3", "--dim", "6", "--out", "l.safetensors")
    code, out, _ = run(*line, "--rotation", "non_matching", "--held-out", "0", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["kind"], found["inputs"], found["dim"], found["pairs_or_images"]) == ("learned", 512, 6, 15)
    assert (found["photos"], found["held_out"], found["before"]) == (15, 0, None)
    assert 0 < found["variance_kept"] < 1
    assert "rotation from 150 non-matching pairs" in found["provenance"]
    model = load_model("l.safetensors")
    assert (model.dim, model.fingerprint) == (6, found["fingerprint"])
    code, out, _ = run(*line, "--json")
    found = json.loads(out)
    assert (found["photos"], found["held_out"], found["before"]["queries"]) == (9, 6, 6)
    assert "rotation from all of them" in found["provenance"]
    assert found["after"]["matching"] != found["before"]["matching"]


def test_power_and_dimensions_are_passed_on(run, places):
    code, _, _ = run(
        "sift", places, "--power", "0.25", "--dim", "4", "--held-out", "0", "--out", "p.safetensors"
    )
    model = load_model("p.safetensors")
    plain = load_model("sift").describe(sorted(places.rglob("*.jpg")))
    assert code == 0
    np.testing.assert_allclose(
        model.whitening.matrix, fit_pca(plain, 4, power=0.25).matrix, rtol=1e-5, atol=1e-6
    )


def test_pairs_of_a_table(run, places, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for photo in places.rglob("*.jpg"):
        shutil.copy(photo, flat)
    table = flat / "pairs.csv"
    names = [f"place_{place:03d}_view" for place in range(5)]
    lines = [f"x,{name}_0.jpg,{name}_{view}.jpg" for name in names for view in (1, 2)]
    table.write_text("\n".join(["note,query,positive", *lines]), encoding="utf-8")
    line = ("sift", flat, "--kind", "learned", "--shrinkage", "0.3", "--out", "t.safetensors")
    code, out, _ = run(*line, "--pairs", table, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["pairs_or_images"], found["photos"], found["held_out"]) == (6, 9, 6)
    assert found["before"]["pairs"] == 6
    # Without the table all of them lie in one folder.
    code, _, err = run(*line)
    assert code == 1
    assert "learning needs matching photos of at least two things, and the 15 photos of flat show 1" in err
    table.write_text("query,positive\nplace_000_view_0.jpg,elsewhere.jpg\n", encoding="utf-8")
    code, _, err = run(*line, "--pairs", table)
    assert code == 1
    assert f"line 2 of {table} names {flat / 'elsewhere.jpg'}, which is none of the photos given" in err
    table.write_text("first,second\na.jpg,b.jpg\n", encoding="utf-8")
    assert (
        "has no column named query or positive in its first line, but first, second"
        in run(*line, "--pairs", table)[2]
    )
    table.write_text("query,positive\n", encoding="utf-8")
    assert "names no pair of photos" in run(*line, "--pairs", table)[2]
    assert "cannot read" in run(*line, "--pairs", flat / "none.csv")[2]


def test_a_broken_photo_is_listed_and_the_rest_goes_on(run, places, tmp_path):
    folder = shutil.copytree(places, tmp_path / "copy")
    (folder / "place_000" / "broken.jpg").write_bytes(b"no photo")
    code, out, _ = run("sift", folder, "--shrinkage", "0.2", "--out", "b.safetensors")
    assert code == 3
    assert "broken.jpg" in out
    assert load_model("b.safetensors").dim == 512


def test_fewer_photos_than_dimensions_are_refused(run, places, tmp_path):
    code, out, err = run("sift", places, "--out", "none.safetensors")
    assert (code, out) == (1, "")
    assert "the 9 descriptors span 8 of 512 dimensions and 512 are to be whitened" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "none.safetensors").exists()


def test_no_photo_is_refused(run, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = run("sift", "empty", "--out", "none.safetensors")
    assert (code, err) == (1, "resight: there is no photo to learn from under empty\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--kind", "learned", "--power", "0.5"], "it is for --kind pca"),
        (["--rotation", "all"], "it is for --kind learned"),
        (["--shrinkage", "2"], "Invalid value for '--shrinkage'"),
        (["--dim", "0"], "Invalid value for '--dim'"),
        (["--kind", "zca"], "Invalid value for '--kind'"),
    ],
)
def test_a_wrong_line_is_one_sentence_and_code_two(run, places, options, words):
    code, out, err = run("sift", places, "--out", "none.safetensors", *options)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_the_model_that_is_whitened_is_not_replaced(run, places):
    assert run("sift", places, "--dim", "3", "--out", "once.safetensors")[0] == 0
    code, _, err = run("once.safetensors", places, "--dim", "2", "--out", "once.safetensors")
    assert code == 2
    assert "it would replace the model that is whitened" in err
    assert run("once.safetensors", places, "--dim", "2", "--out", "twice.safetensors")[0] == 0
    assert load_model("twice.safetensors").dim == 2


def test_a_model_without_a_bundle_is_refused(run, places, monkeypatch):
    class Unwritten:
        traits = Traits("unwritten", 3, 64, fingerprint="ab")

        def to_bundle(self):
            return None

    monkeypatch.setattr(
        "resight.pipelines.whiten.load_model", lambda name: Model(Unwritten(), name="unwritten")
    )
    code, _, err = run("unwritten", places, "--out", "none.safetensors")
    assert code == 1
    assert "the model unwritten cannot be written to a bundle" in err


def test_what_cannot_be_is_said_before_photos_are_described(run, places):
    code, _, err = run("sift", places, "--dim", "513", "--out", "none.safetensors")
    assert code == 1
    assert "sift has 512 dimensions, of which 513 cannot be kept" in err
    assert "Describing" not in err
    code, _, err = run("sift", places, "--out", "no/such/folder/none.safetensors")
    assert code == 2
    assert "there is no folder no/such/folder" in err


def test_whole_groups_are_held_out_or_none():
    groups = np.array([0, 0, 1, 1, 1, 2, 3, 3, 4, 4, 5, 5])
    held = hold_out(groups, 0.4, seed=0)
    assert len(np.unique(groups[held])) == 2
    assert not held[5]
    assert all(held[groups == group].all() for group in np.unique(groups[held]))
    assert any((hold_out(groups, 0.4, seed=seed) != held).any() for seed in range(1, 6))
    assert not hold_out(groups, 0, seed=0).any()
    assert not hold_out(groups[:8], 0.4, seed=0).any()


def test_help_names_an_example(run):
    code, out, _ = run("--help")
    assert code == 0
    assert "resight whiten sift" in out
