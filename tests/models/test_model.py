"""A model as one class: photos of any form, its facts, its fingerprint, and where its parts come from."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resight.errors import InvalidInput, UnreadableImage
from resight.features import Box, ImageFeatures, ReceptiveField
from resight.models import (
    BinaryCodec,
    Facts,
    LocalFacts,
    LocalSource,
    Model,
    PlainCodec,
    ProductCodec,
    Traits,
    Whitening,
    load_model,
    model_of,
)
from resight.models import bundle as bundles
from resight.models.extract import extract

STORED = Path(__file__).parents[1] / "stored" / "files" / "bundles"


class Means:
    """Mean colours as descriptor."""

    traits = Traits("means", 3, 32, local=LocalSource("means", 16, "float16"), fingerprint="ab" * 8)

    def extract(self, photos):
        means = [photo.pixels.reshape(-1, 3).mean(axis=0) + 1 for photo in photos]
        return [ImageFeatures((mean / np.linalg.norm(mean)).astype(np.float32)) for mean in means]

    def to_bundle(self):
        return None


@pytest.fixture
def model():
    return Model(Means(), name="means")


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)


@pytest.fixture
def path(pixels, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


# Photos of any form


def test_every_form_of_a_photo_gives_the_same_descriptor(model, pixels, path):
    with path.open("rb") as stream:
        forms = [path, str(path), path.read_bytes(), stream, Image.fromarray(pixels), pixels]
        together = model.describe(forms)
        assert (together.shape, together.dtype) == ((6, 3), np.float32)
        np.testing.assert_array_equal(together, np.repeat(together[:1], 6, axis=0))
        for form in forms:
            np.testing.assert_array_equal(model.describe(form), together[:1])
    mean = pixels.reshape(-1, 3).mean(axis=0) + 1
    np.testing.assert_allclose(together[0], mean / np.linalg.norm(mean), rtol=1e-6)


def test_photos_may_come_from_a_generator_and_are_taken_a_few_ahead(model, pixels):
    taken = []

    def photos():
        for number in range(200):
            taken.append(number)
            yield pixels if number < 100 else b"no photo"

    with pytest.raises(UnreadableImage, match="the given bytes"):
        model.describe(photos())
    assert len(taken) < 150
    assert model.describe(pixels for _ in range(7)).shape == (7, 3)
    assert model.describe([]).shape == (0, 3)


def test_a_box_is_what_is_described(model, pixels, path):
    box = Box(3, 2, 20, 11)
    whole, part = model.describe([path, pixels], boxes=[None, box])
    np.testing.assert_array_equal(part, model.describe(pixels[2:11, 3:20])[0])
    assert not np.array_equal(whole, part)
    with pytest.raises(InvalidInput, match="outside the photo of 30 x 20 pixels"):
        model.describe(path, boxes=[Box(40, 40, 50, 50)])


@pytest.mark.parametrize(("boxes", "text"), [(1, "1 boxes for more photos"), (3, "3 boxes for 2 photos")])
def test_another_number_of_boxes_is_refused(model, path, boxes, text):
    with pytest.raises(InvalidInput, match=text):
        model.describe([path, path], boxes=[None] * boxes)


def test_what_is_no_photo_is_refused(model):
    with pytest.raises(InvalidInput, match="not a value of type int"):
        model.describe([3])
    with pytest.raises(UnreadableImage, match=r"gone\.png"):
        model.describe("gone.png")


def test_among_files_a_box_outside_is_a_reason(model, path):
    first, second = extract([path, path], model, boxes=[Box(40, 40, 50, 50), Box(0, 0, 5, 5)])
    assert "outside the photo of 30 x 20 pixels" in first.reason
    assert (first.features, second.reason) == (None, None)
    np.testing.assert_array_equal(
        second.features.descriptor, model.describe(path, boxes=[Box(0, 0, 5, 5)])[0]
    )


# Fingerprints


@pytest.fixture
def hashes(monkeypatch):
    """One entry for each SHA-256 that is begun."""
    begun = []
    sha256 = hashlib.sha256

    def counted(*arguments):
        begun.append(1)
        return sha256(*arguments)

    monkeypatch.setattr(hashlib, "sha256", counted)
    return begun


@pytest.mark.parametrize("path", sorted(STORED.glob("*.safetensors")), ids=lambda path: path.stem)
def test_a_bundles_weights_are_hashed_once(path, pixels, hashes):
    model = load_model(path)
    assert len(hashes) == 1
    assert model.fingerprint == bundles.read_header(path).fingerprint
    model.describe(pixels)
    model.to_bundle()
    assert len(hashes) == 1


def test_a_model_that_was_put_together_is_hashed_once_when_its_fingerprint_is_needed(hashes):
    sift = load_model("sift")
    whitening = Whitening(np.zeros(sift.dim), np.eye(4, sift.dim), "pca", 10, "made")
    hashes.clear()
    model = sift.whitened(whitening)
    assert hashes == []
    assert model.fingerprint == model.fingerprint == model.to_bundle().fingerprint
    assert len(hashes) == 2  # And one of the bundle that was asked for anew.


def test_a_describer_without_a_bundle_has_a_fingerprint_of_its_own_and_of_what_is_behind_it(model):
    values = np.random.default_rng(1).standard_normal((300, 16)).astype(np.float32)
    whitening = Whitening(np.zeros(3), np.eye(3), "pca", 10, "made")
    models = [
        model,
        model.whitened(whitening),
        model.with_codec(BinaryCodec.fit(values)),
        model.with_codec(ProductCodec.fit(values, 4)),
        model.with_codec(BinaryCodec.fit(values)).whitened(whitening),
    ]
    assert model.fingerprint == "ab" * 8
    assert len({each.fingerprint for each in models}) == 5
    assert models[-1].unwhitened().fingerprint == models[2].fingerprint
    with pytest.raises(InvalidInput, match="the model means cannot be written to a bundle"):
        model.to_bundle()


# Facts, and where the parts come from


def test_facts_say_what_a_model_can(model):
    assert load_model("sift").facts.local == LocalFacts("sift", 128, "uint8", 128, "cosine", None)
    delg = load_model(STORED / "delg-whitened.safetensors").facts
    assert delg.local == LocalFacts("delg", 16, "binary of 16 bits", 2, "hamming", ReceptiveField(71, 16, 35))
    assert delg.local.attention
    assert (delg.kind, delg.pooling, delg.licence) == ("delg", "gem", "Apache-2.0")
    assert load_model(STORED / "cgd.safetensors").facts.local is None
    assert model.facts == Facts(
        "means", "", (1.0,), LocalFacts("means", 16, "float16", 32, "cosine", None), "unknown", ("",)
    )


def test_every_part_keeps_where_it_comes_from_and_the_file_joins_it():
    model = load_model(STORED / "delg-whitened.safetensors")
    assert model.facts.provenance == (
        "made for tests: delg",
        "local features as binary of 16 bits, fitted to made features",
        "a pca whitening",
    )
    assert (model.provenance, model.codec.fitted_to) == ("made for tests: delg", "made features")
    values = np.random.default_rng(2).standard_normal((300, 16)).astype(np.float32)
    other = model.with_codec(replace(ProductCodec.fit(values, 8), fitted_to="other\n  photos"))
    text = "made for tests: delg\nlocal features as product of 8, fitted to other photos\na pca whitening"
    bundle = other.to_bundle()
    assert bundle.provenance == text
    again = model_of(bundle, name="again")
    assert again.facts.provenance == tuple(text.split("\n"))
    plain = again.with_codec(PlainCodec(16, "float16"))
    assert plain.facts.provenance == ("made for tests: delg", "a pca whitening")


def test_provenances_of_several_lines_stay_as_they_are(tmp_path):
    stored = bundles.read(STORED / "delg-whitened.safetensors")
    lines = ["first line", "", "  second line: local features as fog", *stored.provenance.split("\n")[1:]]
    bundle = replace(stored, provenance="\n".join(lines))
    model = model_of(bundle, name="lines")
    assert model.provenance == "first line\n\n  second line: local features as fog"
    assert model.to_bundle().provenance == bundle.provenance


def test_a_codec_needs_local_features_that_it_fits(model):
    values = np.random.default_rng(1).standard_normal((300, 8)).astype(np.float32)
    with pytest.raises(InvalidInput, match="takes local descriptors of 8 numbers and the network gives 16"):
        model.with_codec(BinaryCodec.fit(values))
    with pytest.raises(InvalidInput, match="models of kind 'cgd' store their local features as they are"):
        load_model(STORED / "cgd.safetensors").with_codec(BinaryCodec.fit(values))
