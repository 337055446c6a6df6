"""Shares of a score: they add up to the descriptor and to the score, and lie where they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from resight.errors import InvalidInput
from resight.features import Box
from resight.images import Photo
from resight.models import DELGDescriber, Model, NetworkDescriber, Traits, load_model
from resight.models.explain.explanation import LINKS, explain
from resight.models.explain.keypoint_parts import parts_of_keypoints
from resight.models.explain.location_parts import parts_of_network
from resight.models.explain.parts import resample
from resight.models.whitening import Whitening
from resight.networks import CGD, MAC, RMAC, Backbone, Embedding, GeM, GeMNet, SPoC
from resight.networks.cgd import CGDConfig
from resight.networks.delg import DELG, DELGConfig
from resight.networks.dolg import DOLG, DOLGConfig
from resight.networks.embedding import EmbeddingConfig
from resight.networks.gem import GeMNetConfig
from resight.networks.pooling import POOLINGS
from resight.scenes.render import render_distractor, render_view


def whole(pixels):
    rows, columns = pixels.shape[:2]
    return Photo(pixels, columns, rows, Box(0, 0, columns, rows))


@pytest.fixture(scope="module")
def views():
    return [whole(render_view(1, number, side=160)) for number in (0, 1)]


def trunk(maps=(-1,)):
    return Backbone("resnet18", out_indices=maps)


def gem_net(pooling, dim=None, **settings):
    return GeMNet(trunk(), GeMNetConfig(POOLINGS.choose(pooling, **settings), dim))


NETS = {
    "spoc": lambda: gem_net(SPoC),
    "spoc, whitened": lambda: gem_net(SPoC, dim=64),
    "embedding": lambda: Embedding(trunk(), EmbeddingConfig(64)),
    "cgd of spoc": lambda: CGD(trunk(), CGDConfig("S", 64)),
    "gem": lambda: gem_net(GeM, p=2.5),
    "gem, whitened": lambda: gem_net(GeM, dim=64),
    "mac": lambda: gem_net(MAC),
    "rmac": lambda: gem_net(RMAC),
    "cgd": lambda: CGD(trunk(), CGDConfig("SMG", 96)),
    "cgd, summed": lambda: CGD(trunk(), CGDConfig("GM", 64, combine="sum")),
    "dolg": lambda: DOLG(trunk((-2, -1)), DOLGConfig(64)),
    "dolg, both, hadamard": lambda: DOLG(trunk((-2, -1)), DOLGConfig(64, fuse_at="both", fusion="hadamard")),
    "delg": lambda: DELG(trunk((-2, -1)), DELGConfig(64, local_dim=8)),
}
EXACT = ("spoc", "spoc, whitened", "embedding", "cgd of spoc")
WITHOUT_CONSTANT = ("gem", "mac", "rmac", "cgd", "cgd, summed")


@pytest.fixture(scope="module", params=NETS)
def model(request):
    torch.manual_seed(3)
    net = NETS[request.param]()
    if isinstance(net, DELG):
        return request.param, Model(DELGDescriber(net), name="delg")
    return request.param, Model(NetworkDescriber(net, scales=(1.0, 0.7, 0.5)), name=request.param)


def test_parts_add_up_to_the_descriptor(model, views):
    _, made = model
    parts = parts_of_network(made.describer, views[0])
    np.testing.assert_allclose(parts.descriptor, made.extract(views)[0].descriptor, atol=2e-6)


def test_shares_add_up_to_the_score(model, views):
    name, made = model
    found = explain(made, *views)
    assert found.method == ("exact" if name in EXACT else "gradient")
    descriptors = [features.descriptor for features in made.extract(views)]
    assert found.score == pytest.approx(float(descriptors[0] @ descriptors[1]), abs=1e-6)
    for shares, rest in ((found.query_map, found.query_rest), (found.answer_map, found.answer_rest)):
        assert float(shares.sum()) + rest == pytest.approx(found.score, abs=1e-5)
        if name in EXACT or name in WITHOUT_CONSTANT:
            assert rest == pytest.approx(0, abs=1e-5)
        assert np.ptp(shares) > 0.0005


def test_average_pooling_against_a_literal_loop(views):
    torch.manual_seed(4)
    net = gem_net(SPoC, dim=32)
    model = Model(NetworkDescriber(net, scales=(1.0,)), name="loop")
    found = explain(model, *views)
    pixels = torch.from_numpy(views[0].pixels.copy()).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (net.trunk.mean, net.trunk.std))
    with torch.inference_mode():
        maps = net.trunk((pixels - mean) / std)[0][0]
        pooled = maps.mean(dim=(1, 2))
        before = pooled.norm()
        whitened = net.whitening(pooled / before)
        other = torch.from_numpy(model.extract(views)[1].descriptor)
        rows, columns = maps.shape[1:]
        for row in range(rows):
            for column in range(columns):
                # The descriptor that this location's activations alone would have, over the same norms.
                own = net.whitening(maps[:, row, column] / before) / whitened.norm() / (rows * columns)
                assert found.query_map[row, column] == pytest.approx(float(own @ other), abs=1e-6)


def test_gem_against_activation_times_numerical_gradient():
    """Of the pooled value in float64: x dg/dx, by central differences."""
    from resight.models.explain.location_parts import _pool

    generator = torch.Generator().manual_seed(5)
    maps = torch.rand(1, 2, 2, 3, generator=generator, dtype=torch.float64) + 0.1
    pooling = GeM(3.0)
    cells = _pool(pooling, maps).cells
    pooling.requires_grad_(False)
    for channel, row, column in np.ndindex(2, 2, 3):
        moved = [maps.clone(), maps.clone()]
        for each, step in zip(moved, (1e-5, -1e-5), strict=True):
            each[0, channel, row, column] += step
        high, low = (pooling(each)[0, channel] for each in moved)
        expected = maps[0, channel, row, column] * (high - low) / 2e-5
        assert float(cells[channel, row, column]) == pytest.approx(float(expected), abs=1e-5)


def test_a_whitening_behind_a_model_is_explained_too(views):
    torch.manual_seed(6)
    model = Model(NetworkDescriber(gem_net(SPoC)), name="plain")
    generator = np.random.default_rng(7)
    whitening = Whitening(
        generator.normal(size=512) * 0.01, generator.normal(size=(48, 512)), "pca", 9, "made up"
    )
    found = explain(model.whitened(whitening), *views)
    expected = model.whitened(whitening).extract(views)
    assert found.method == "exact"
    assert found.score == pytest.approx(float(expected[0].descriptor @ expected[1].descriptor), abs=1e-6)
    assert float(found.query_map.sum()) == pytest.approx(found.score, abs=1e-5)
    assert found.query_rest == pytest.approx(0, abs=1e-5)


def test_keypoints_add_up_to_the_descriptor_and_the_score(views):
    sift = load_model("sift")
    pair = [whole(render_view(1, number, side=400)) for number in (0, 1)]
    parts = parts_of_keypoints(sift.describer, pair[0])
    np.testing.assert_allclose(parts.descriptor, sift.extract(pair)[0].descriptor, atol=2e-6)
    found = explain(sift, *pair)
    assert found.method == "keypoints"
    assert float(found.query_map.sum()) + found.query_rest == pytest.approx(found.score, abs=1e-5)
    assert max(found.query_map.shape) == 32


def test_what_both_photos_show_makes_the_score():
    """The same view stands in opposite corners of two photos that show different things elsewhere."""
    view = render_view(2, 0, side=240)
    rows, columns = view.shape[:2]
    photos = []
    for corner in (0, 1):
        pixels = np.resize(render_distractor(corner, side=2 * columns), (2 * rows, 2 * columns, 3)).copy()
        pixels[corner * rows : (corner + 1) * rows, corner * columns : (corner + 1) * columns] = view
        photos.append(whole(pixels))
    found = explain(load_model("sift"), *photos)
    for shares, corner in ((found.query_map, 0), (found.answer_map, 3)):
        height, width = (side // 2 for side in shares.shape)
        quarters = [shares[rows, columns].sum() for rows in _halves(height) for columns in _halves(width)]
        assert quarters[corner] > found.score
        assert quarters[corner] > 2 * max(quarters[:corner] + quarters[corner + 1 :])
    assert len(found.links) == LINKS
    for link in found.links[:4]:
        assert np.subtract(link.answer, link.query) == pytest.approx([0.5, 0.5], abs=0.04)
    assert [link.share for link in found.links] == sorted((link.share for link in found.links), reverse=True)


def _halves(middle):
    return slice(None, middle), slice(middle, None)


def test_a_photo_without_keypoints_has_shares_of_nothing(views):
    found = explain(load_model("sift"), whole(np.full((120, 160, 3), 90, np.uint8)), views[0])
    assert not found.query_map.any()
    assert found.query_rest == pytest.approx(found.score)
    assert found.links == ()


def test_a_photo_without_response_has_shares_of_nothing(views):
    torch.manual_seed(9)
    net = gem_net(MAC)
    model = Model(NetworkDescriber(net), name="dead")
    with torch.no_grad():
        for name, each in net.trunk.named_parameters():
            if "layer4.1" in name or "layer4.0.downsample" in name or "bn" in name:
                each.zero_()
    found = explain(model, *views)
    assert not found.query_map.any()
    assert found.score == pytest.approx(1)
    assert found.query_rest == pytest.approx(1)


def test_a_model_that_is_no_sum_is_refused(views):
    class Other:
        traits = Traits("other", 3, 64)

    with pytest.raises(InvalidInput, match="the descriptors of the model other are no sum over places"):
        explain(Model(Other(), name="other"), *views)


@pytest.mark.parametrize(("old", "new"), [(3, 7), (7, 3), (5, 5), (1, 4)])
def test_resampling_keeps_sums(old, new):
    matrix = resample(old, new)
    np.testing.assert_allclose(matrix.sum(axis=0), 1)
    np.testing.assert_allclose(matrix @ np.ones(old), old / new)
