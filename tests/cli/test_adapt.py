"""Adapting a model: a layer where it finds more, and a refusal where it does not."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image

from resight.cli import main
from resight.errors import InvalidInput, StorageFailed
from resight.models import bundle as bundles
from resight.models import load_model
from resight.pipelines import adapt as pipeline
from resight.pipelines.adapt import AdaptSettings, adapt_model, labelled_photos
from resight.training.layer import LayerSettings, fit_layer


def made(classes, each, *, noise, seed=0):
    """Descriptors whose classes differ in 4 of 24 numbers, the others being louder."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((classes, 4))
    labels = np.repeat(np.arange(classes), each)
    signal = centres[labels] + 0.2 * rng.standard_normal((len(labels), 4))
    vectors = np.concatenate([signal, noise * rng.standard_normal((len(labels), 20))], axis=1)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return vectors, labels.astype(np.int64)


def test_a_layer_finds_what_the_classes_differ_in():
    vectors, labels = made(30, 8, noise=1.5)
    layer, epoch = fit_layer(vectors, labels, LayerSettings(dim=24), provenance="made")
    assert epoch > 0
    assert (layer.kind, layer.dim, layer.inputs) == ("layer", 24, 24)
    weight = np.abs(layer.matrix).mean(axis=0)
    assert weight[:4].min() > weight[4:].max()


def test_layers_are_equal_for_equal_seeds():
    vectors, labels = made(10, 6, noise=1.0)
    settings = LayerSettings(dim=6, epochs=2, loss="proxy_anchor")
    first, again = (fit_layer(vectors, labels, settings, provenance="made")[0] for _ in range(2))
    np.testing.assert_array_equal(first.matrix, again.matrix)
    with pytest.raises(InvalidInput, match="the loss triplet has no proxies to learn"):
        fit_layer(vectors, labels, LayerSettings(loss="triplet"), provenance="made")
    with pytest.raises(InvalidInput, match="at least 6 classes, not 5"):
        fit_layer(*made(5, 6, noise=1.0), settings, provenance="made")


@pytest.fixture
def photos(tmp_path):
    """Ten folders of six small photos that sift can describe."""
    rng = np.random.default_rng(2)
    for thing in range(10):
        (tmp_path / "photos" / f"thing{thing}").mkdir(parents=True)
        whole = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        for number in range(6):
            image = Image.fromarray(np.roll(whole, number, axis=1)).resize((96, 96))
            image.save(tmp_path / "photos" / f"thing{thing}" / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "cache_folder", lambda: tmp_path / "cache" / "models")
    return tmp_path / "cache" / "descriptors"


def described_as(monkeypatch, vectors):
    """Puts made descriptors in the place of those of the photos."""

    def descriptors(model, files, progress):
        assert len(files) == len(vectors)
        padded = np.zeros((len(vectors), model.dim), dtype=np.float32)
        padded[:, : vectors.shape[1]] = vectors
        return padded, np.arange(len(vectors))

    monkeypatch.setattr(pipeline, "_descriptors", descriptors)


def test_what_finds_more_is_written_and_is_an_ordinary_model(photos, monkeypatch, tmp_path, capsys):
    described_as(monkeypatch, made(10, 6, noise=0.9)[0])
    out = tmp_path / "mine.safetensors"
    assert main(["adapt", "sift", str(photos), "--out", str(out), "--dim", "24", "--json"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert [way["name"] for way in outcome["ways"]] == ["frozen", "pca whitening", "linear layer"]
    assert outcome["better"]
    assert (outcome["photos"], outcome["held_out"], outcome["classes"]) == (42, 18, 7)
    model = load_model(out)
    assert (model.dim, model.whitening.kind) == (24, "layer")
    assert model.training["adapted"]["forced"] is False
    assert "linear layer, normalised_softmax over 5 classes" in model.facts.provenance[-1]
    assert model.local is not None
    assert model.describe([photos / "thing0" / "0.png"]).shape == (1, 24)


def test_what_finds_no_more_is_refused_with_the_figures(photos, monkeypatch, tmp_path, capsys):
    vectors, _ = made(10, 6, noise=0.9)
    # Classes without any meaning: nothing can be learned from them.
    described_as(monkeypatch, vectors[np.random.default_rng(5).permutation(len(vectors))])
    out = tmp_path / "mine.safetensors"
    assert main(["adapt", "sift", str(photos), "--out", str(out), "--dim", "24"]) == 1
    printed = capsys.readouterr()
    assert "the linear layer does not beat the frozen model; --force writes it" in printed.err
    assert "pca whitening" in printed.out
    assert not out.exists()
    assert main(["adapt", "sift", str(photos), "--out", str(out), "--dim", "24", "--force"]) == 0
    assert bundles.read_header(out).training["adapted"]["forced"] is True


def test_photos_are_described_once(photos, cache, tmp_path, monkeypatch):
    settings = AdaptSettings("whitening", LayerSettings(dim=8))
    labels = tmp_path / "labels.csv"
    rows = [f"photos/{path.parent.name}/{path.name},{path.parent.name}" for path in photos.rglob("*.png")]
    labels.write_text("path,label\n" + "\n".join(rows) + "\n")
    first = adapt_model("sift", [], tmp_path / "a.bundle", settings, labels=labels, force=True)
    assert len(list(cache.iterdir())) == 1
    assert [way.name for way in first.ways] == ["frozen", "pca whitening", "learned whitening"]
    monkeypatch.setattr(pipeline, "describe_photos", lambda *_, **__: pytest.fail("described again"))
    again = adapt_model("sift", [], tmp_path / "a.bundle", settings, labels=labels, force=True)
    assert again == first


@pytest.mark.parametrize(
    "damage", [lambda whole: b"", lambda whole: whole[:-9], lambda whole: whole[:200] + b"x" + whole[201:]]
)
def test_damaged_descriptors_in_the_cache_are_made_anew(photos, cache, tmp_path, damage):
    settings = AdaptSettings("whitening", LayerSettings(dim=8))
    first = adapt_model("sift", [photos], tmp_path / "a.bundle", settings, force=True)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    assert adapt_model("sift", [photos], tmp_path / "a.bundle", settings, force=True) == first
    assert np.load(kept)["descriptors"].any()


def test_what_cannot_be_adapted(photos, tmp_path, capsys):
    out = tmp_path / "a.bundle"
    with pytest.raises(InvalidInput, match="are too few to hold some out: adapting needs photos of at least"):
        adapt_model("sift", [photos / "thing0"], out, AdaptSettings())
    table = tmp_path / "labels.csv"
    table.write_text("path,label\nelsewhere.png,a\n")
    with pytest.raises(InvalidInput, match=r"none of the photos stands in .*labels\.csv"):
        adapt_model("sift", [photos], out, AdaptSettings(), labels=table)
    assert main(["adapt", "sift", "--out", str(out)]) == 2
    assert "name photos, or a table with --labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            "photos/thing0/0.png,a\nphotos/thing0/0.png,b\n",
            "line 3 of .* gives a photo a second label: photos",
        ),
        ("photos/thing0/0.png, \n", "line 2 of .*: a photo needs a path and a label"),
        (",a\n", "line 2 of .*: a photo needs a path and a label"),
        (
            "photos/thing0/0.png,a\nnone.png,a\n",
            "1 of 2 photos that .* names are not there, such as .*none.png",
        ),
    ],
)
def test_tables_that_say_two_things_or_nothing(rows, words, photos, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("path,label\n" + rows)
    with pytest.raises(InvalidInput, match=words):
        labelled_photos([], table)


def test_labels_are_equal_that_look_equal(photos, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("path,label\nphotos/thing0/0.png,caf\u00e9\nphotos/thing0/1.png, cafe\u0301 \n")
    assert len(set(labelled_photos([], table)[1])) == 1


def test_folders_without_photos_are_told(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="there is no photo to learn from under empty"):
        labelled_photos([tmp_path / "empty"], None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--loss", "nothing"], "no layer can be learned by the loss 'nothing': there is no kind"),
        (["--loss", "os:system"], "no layer can be learned by the loss 'os:system': there is no class"),
        (["--loss", "triplet"], "the loss triplet has no proxies to learn"),
        (["--scale", "inf"], "Invalid value for '--scale'"),
        (["--seed", "9" * 20], "Invalid value for '--seed'"),
        (["--tuples", "some"], "--tuples: it names photos and classes: leave out others"),
    ],
)
def test_what_cannot_be_learned_is_told_before_photos_are_described(
    options, words, photos, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(pipeline, "describe_photos", lambda *_, **__: pytest.fail("described"))
    assert main(["adapt", "sift", str(photos), "--out", str(tmp_path / "a.bundle"), *options]) in (1, 2)
    assert words in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="1 classes are too few to hold some out"):
        adapt_model("sift", [photos / "thing0"], tmp_path / "a.bundle", AdaptSettings())


def without_home():
    raise StorageFailed("there is no home folder")


@pytest.mark.parametrize("kind", ["no home", "a file in its place", "a pipe"])
def test_a_cache_that_cannot_be_written_costs_nothing_but_time(kind, photos, monkeypatch, tmp_path):
    if kind == "no home":
        monkeypatch.setattr(pipeline, "cache_folder", without_home)
    elif kind == "a pipe":
        (tmp_path / "cache" / "descriptors").mkdir(parents=True)
        monkeypatch.setattr(pipeline, "_key", lambda *_: "pipe")
        os.mkfifo(tmp_path / "cache" / "descriptors" / "pipe.npz")
    else:
        (tmp_path / "cache").write_text("")
    settings = AdaptSettings("whitening", LayerSettings(dim=8))
    outcome = adapt_model("sift", [photos], tmp_path / "a.bundle", settings, force=True)
    assert outcome.bundle.is_file()
