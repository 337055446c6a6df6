"""A model with a whitening: described, in its bundle, in the zoo, and in collections."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from resight import images
from resight.collection import Collection
from resight.errors import InvalidBundle, InvalidInput, ModelMismatch
from resight.models import (
    Model,
    NetworkDescriber,
    Traits,
    Whitening,
    load_model,
    model_of,
)
from resight.models import bundle as bundles
from resight.models.bundle import Bundle
from resight.models.parts import Parts, join
from resight.networks import Backbone, GeMNet
from resight.networks.gem import GeMNetConfig
from resight.scenes.render import write_collection


def _whitening(inputs, dim, seed=0):
    rng = np.random.default_rng(seed)
    return Whitening(
        rng.normal(size=inputs) / 10, rng.normal(size=(dim, inputs)), "learned", 12, "made\nof numbers"
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whitened") / "photos"
    return [photo.path for photo in write_collection(folder, places=2, views=2, distractors=0, side=240)]


@pytest.fixture(scope="module")
def gem():
    torch.manual_seed(3)
    net = GeMNet(Backbone("test_resnet", out_indices=(-1,)), GeMNetConfig())
    return Model(NetworkDescriber(net, max_side=64), name="mine", licence="MIT", provenance="random")


@pytest.fixture(scope="module", params=["sift", "gem"])
def model(request, gem):
    return gem if request.param == "gem" else load_model("sift")


@pytest.fixture
def whitening(model):
    return _whitening(model.dim, 16)


@pytest.fixture
def path(model, whitening, tmp_path):
    path = tmp_path / "whitened.safetensors"
    bundles.write(model.whitened(whitening).to_bundle(), path)
    return path


def test_descriptors_are_whitened_and_local_features_stay(model, whitening, path, photos):
    loaded = load_model(path)
    read = [images.read(photo, max_side=model.max_side) for photo in photos]
    plain, found = model.extract(read), loaded.extract(read)
    expected = whitening.apply(np.stack([features.descriptor for features in plain]))
    np.testing.assert_allclose(np.stack([each.descriptor for each in found]), expected, atol=1e-6)
    np.testing.assert_array_equal(
        loaded.describe(photos), np.stack([features.descriptor for features in found])
    )
    for before, after in zip(plain, found, strict=True):
        assert (before.local is None) == (after.local is None)
        assert before.local is None or before.local.to_bytes() == after.local.to_bytes()
    np.testing.assert_array_equal(loaded.extract(read[2:3])[0].descriptor, found[2].descriptor)


def test_bundle_round_trip_is_bit_equal(model, whitening, path, tmp_path):
    loaded = load_model(path)
    assert (loaded.name, loaded.dim) == (str(path.resolve()), 16)
    assert (loaded.max_side, loaded.batch_size) == (model.max_side, model.batch_size)
    np.testing.assert_array_equal(loaded.whitening.mean, whitening.mean)
    np.testing.assert_array_equal(loaded.whitening.matrix, whitening.matrix)
    assert loaded.whitening.fingerprint == whitening.fingerprint
    assert (loaded.whitening.kind, loaded.whitening.pairs_or_images) == ("learned", 12)
    assert loaded.whitening.provenance == "made of numbers"
    again = tmp_path / "again.safetensors"
    bundles.write(loaded.to_bundle(), again)
    assert again.read_bytes() == path.read_bytes()


def test_the_models_own_bundle_comes_back(model, whitening):
    own = model.to_bundle()
    whole = model.whitened(whitening).to_bundle()
    back = model_of(whole, name="whole").unwhitened()
    assert (back.fingerprint, back.licence, back.provenance) == (own.fingerprint, own.licence, own.provenance)
    assert whole.provenance == f"{own.provenance}\nmade of numbers"
    assert whole.licence == own.licence


def test_whitening_is_part_of_the_fingerprint(model, whitening, path):
    loaded = load_model(path)
    assert loaded.fingerprint == bundles.read(path).fingerprint
    assert loaded.fingerprint == model.whitened(whitening).fingerprint
    other = model.whitened(_whitening(model.dim, 16, seed=1))
    assert len({model.fingerprint, loaded.fingerprint, other.fingerprint}) == 3


def test_a_collection_refuses_the_other_model(photos, tmp_path):
    sift = load_model("sift")
    path = tmp_path / "whitened.safetensors"
    bundles.write(sift.whitened(_whitening(sift.dim, sift.dim)).to_bundle(), path)
    Collection.create(tmp_path / "plain.resight", model="sift").add(photos)
    with pytest.raises(ModelMismatch, match="index the photos into a new collection"):
        Collection.open(tmp_path / "plain.resight", model=str(path))
    Collection.create(tmp_path / "white.resight", model=str(path)).add(photos)
    with pytest.raises(ModelMismatch):
        Collection.open(tmp_path / "white.resight", model="sift")
    hit = Collection.open(tmp_path / "white.resight").search(photos[0], top=1)[0]
    assert str(hit.path) == str(photos[0])
    assert hit.score == pytest.approx(1, abs=2e-3)


def test_whitened_sift_describes_without_torch(photos, tmp_path):
    sift, path = load_model("sift"), tmp_path / "whitened.safetensors"
    bundles.write(sift.whitened(_whitening(sift.dim, 24)).to_bundle(), path)
    code = (
        "import sys; from resight.models import load_model, Model, Whitening;"
        f"found = load_model({str(path)!r}).describe([{str(photos[0])!r}]);"
        "assert found.shape == (1, 24);"
        "print(sorted({'torch', 'timm', 'torchvision', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_one_whitening_behind_another(gem, photos, tmp_path):
    first, second = _whitening(gem.dim, 12), _whitening(12, 5, seed=2)
    path = tmp_path / "twice.safetensors"
    bundles.write(gem.whitened(first).whitened(second).to_bundle(), path)
    expected = second.apply(first.apply(gem.describe(photos)))
    np.testing.assert_allclose(load_model(path).describe(photos), expected, atol=1e-5)


class Unwritten:
    """A model without a bundle."""

    traits = Traits("unwritten", 3, 64, fingerprint="ab" * 8)

    def extract(self, photos):
        return []

    def to_bundle(self):
        return None


def test_a_model_without_a_bundle_is_whitened_in_memory():
    model = Model(Unwritten(), name="unwritten")
    assert model.fingerprint == "ab" * 8
    prints = {model.whitened(_whitening(3, dim, seed)).fingerprint for dim in (2, 3) for seed in (0, 1)}
    assert len(prints) == 4
    whitened = model.whitened(_whitening(3, 2))
    assert whitened.name == "whitened unwritten"
    with pytest.raises(InvalidInput, match="the model whitened unwritten cannot be written to a bundle"):
        whitened.to_bundle()


def test_a_whitening_of_other_dimensions_is_refused(gem, tmp_path):
    words = "takes descriptors of 7 dimensions and the model mine gives 96"
    with pytest.raises(InvalidInput, match=words):
        gem.whitened(_whitening(7, 3))
    path = tmp_path / "wrong.safetensors"
    bundles.write(join(Parts(gem.to_bundle(), None, [_whitening(7, 3)], "MIT", "random")), path)
    with pytest.raises(InvalidBundle, match="no whole whitened model: the whitening takes descriptors of 7"):
        load_model(path)


@pytest.mark.parametrize("missing", ["whitening.mean", "whitening.matrix", "whitening", "architecture"])
def test_an_incomplete_bundle_is_refused(gem, tmp_path, missing):
    whole = gem.whitened(_whitening(gem.dim, 3)).to_bundle()
    settings = {key: value for key, value in whole.settings.items() if key != missing}
    tensors = {key: value for key, value in whole.tensors.items() if key != missing}
    path = tmp_path / "part.safetensors"
    bundles.write(Bundle("whitened", settings, whole.preprocessing, "", "", tensors), path)
    with pytest.raises(InvalidBundle, match=r"part.safetensors is no whole whitened model \(KeyError"):
        load_model(path)


def test_a_model_without_whitening_stays_itself(gem):
    assert gem.whitening is None
    assert gem.unwhitened() is gem
