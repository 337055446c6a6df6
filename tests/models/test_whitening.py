"""The whitening as a value: what it does to descriptors, and a network's layer set from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from resight.errors import InvalidInput
from resight.models import Whitening, initialise_whitening
from resight.networks import Backbone, GeMNet
from resight.networks.gem import GeMNetConfig


@pytest.fixture
def whitening():
    rng = np.random.default_rng(1)
    return Whitening(rng.normal(size=6), rng.normal(size=(4, 6)), "pca", 20, "made")


def test_apply_is_the_literal_formula(whitening):
    descriptors = np.random.default_rng(2).normal(size=(9, 6)).astype(np.float32)
    for row, whitened in zip(descriptors, whitening.apply(descriptors), strict=True):
        projected = [
            sum(float(p) * (float(x) - float(m)) for p, x, m in zip(axis, row, whitening.mean, strict=True))
            for axis in whitening.matrix
        ]
        expected = np.array(projected) / np.sqrt(sum(value**2 for value in projected))
        np.testing.assert_allclose(whitened, expected, atol=1e-7)


def test_outcome_is_float32_of_unit_norm_whatever_the_scale(whitening):
    descriptors = np.random.default_rng(2).normal(size=(9, 6)).astype(np.float32)
    tiny = Whitening(np.zeros(6), whitening.matrix * 1e-200, "pca", 20, "")
    for found in (whitening.apply(descriptors), tiny.apply(descriptors)):
        assert found.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_alone_and_among_others_agree(whitening, monkeypatch):
    from resight.models import whitening as module

    descriptors = np.random.default_rng(3).normal(size=(9, 6)).astype(np.float32)
    together = whitening.apply(descriptors)
    alone = np.concatenate([whitening.apply(row[None]) for row in descriptors])
    np.testing.assert_allclose(alone, together, atol=1e-7)
    monkeypatch.setattr(module, "_BLOCK", 4)
    np.testing.assert_allclose(whitening.apply(descriptors), together, atol=1e-7)
    assert whitening.apply(descriptors[:0]).shape == (0, 4)


def test_what_projects_to_zero_has_no_preference():
    mean = np.float32([0.5, 0.25])
    whitening = Whitening(mean.astype(np.float64), np.eye(2), "pca", 3, "")
    found = whitening.apply(np.stack([mean, np.float32([1, 0.25])]))
    np.testing.assert_allclose(found, [[2**-0.5, 2**-0.5], [1, 0]], atol=1e-7)


def test_cut(whitening):
    descriptors = np.random.default_rng(4).normal(size=(3, 6)).astype(np.float32)
    cut = whitening.reduced(2)
    assert (cut.dim, cut.inputs, cut.kind, cut.pairs_or_images) == (2, 6, "pca", 20)
    assert "cut to 2" in cut.provenance
    whole = whitening.apply(descriptors)[:, :2]
    np.testing.assert_allclose(
        cut.apply(descriptors), whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=1e-6
    )
    for dim in (0, 5):
        with pytest.raises(InvalidInput, match=f"cut to 1 to 4, not {dim}"):
            whitening.reduced(dim)


def test_fingerprint_is_of_mean_and_matrix(whitening):
    same = Whitening(whitening.mean.copy(), whitening.matrix.copy(), "learned", 3, "other words")
    assert same.fingerprint == whitening.fingerprint
    assert len(whitening.fingerprint) == 64
    changed = whitening.matrix.copy()
    changed[3, 5] = np.nextafter(changed[3, 5], 9)
    others = [
        Whitening(whitening.mean + 1e-9, whitening.matrix, "pca", 20, ""),
        Whitening(whitening.mean, changed, "pca", 20, ""),
        whitening.reduced(3),
    ]
    assert len({whitening.fingerprint, *(other.fingerprint for other in others)}) == 4


def test_numbers_cannot_be_changed(whitening):
    with pytest.raises(ValueError, match="read-only"):
        whitening.matrix[0, 0] = 1


def test_changing_the_source_changes_nothing():
    source = np.eye(3)
    whitening = Whitening(np.zeros(3), source, "pca", 3, "")
    source[0, 0] = 7
    assert whitening.matrix[0, 0] == 1


@pytest.mark.parametrize(
    ("mean", "matrix", "words"),
    [
        (np.zeros(3), np.zeros((2, 4)), r"not \(3,\) and \(2, 4\)"),
        (np.zeros(3), np.zeros(3), "needs a mean"),
        (np.zeros(0), np.zeros((2, 0)), "needs a mean"),
        (np.array([0, np.nan]), np.eye(2), "the mean of a whitening must be finite"),
        (np.zeros(2), np.diag([1, np.inf]), "the matrix of a whitening must be finite"),
    ],
)
def test_what_is_no_whitening_is_refused(mean, matrix, words):
    with pytest.raises(InvalidInput, match=words):
        Whitening(mean, matrix, "pca", 1, "")


@pytest.mark.parametrize(
    ("descriptors", "words"),
    [
        (np.zeros((2, 5), np.float32), r"takes descriptors \(n, 6\), not \(2, 5\)"),
        (np.zeros(6, np.float32), r"takes descriptors \(n, 6\), not \(6,\)"),
        (np.full((1, 6), np.nan, np.float32), "must be finite"),
    ],
)
def test_what_cannot_be_whitened_is_refused(whitening, descriptors, words):
    with pytest.raises(InvalidInput, match=words):
        whitening.apply(descriptors)


def _net(dim):
    torch.manual_seed(3)
    return GeMNet(Backbone("test_resnet", out_indices=(-1,)), GeMNetConfig(dim=dim)).eval()


def test_a_network_initialised_from_it_gives_whitened_descriptors():
    plain, images = _net(None), torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(4))
    rng = np.random.default_rng(5)
    with torch.inference_mode():
        before = plain(images).descriptor.numpy()
        matrix = rng.normal(size=(8, plain.dim)) * 20
        whitening = Whitening(before.mean(axis=0) + 0.01, matrix, "learned", 7, "made")
        net = _net(8)
        assert np.abs(net(images).descriptor.numpy() - whitening.apply(before)).max() > 0.1
        initialise_whitening(net, whitening)
        np.testing.assert_allclose(net(images).descriptor.numpy(), whitening.apply(before), atol=1e-5)
    assert net.whitening.weight.requires_grad
    assert net.whitening.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("dim", "bias", "words"),
    [
        (None, True, r"has no whitening layer: make it with dim=8"),
        (16, True, "from 96 to 8 dimensions and the network's layer from 96 to 16: give"),
        (8, False, "from 96 to 8 without a bias"),
    ],
)
def test_a_layer_that_does_not_fit_is_refused(dim, bias, words):
    net = _net(dim)
    if not bias:
        net.whitening = nn.Linear(96, dim, bias=False)
    assert net.trunk.channels[-1] == 96
    with pytest.raises(InvalidInput, match=words):
        initialise_whitening(net, Whitening(np.zeros(96), np.eye(8, 96), "pca", 1, ""))
