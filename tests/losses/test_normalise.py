"""Pair losses make descriptors unit unless told otherwise, all by one rule."""

from __future__ import annotations

import pytest
import torch
from pytorch_metric_learning.losses import MultiSimilarityLoss, TripletMarginLoss
from torch.nn import functional

from resight import losses
from resight.losses.family import PAIR_LOSSES
from resight.losses.pairs import References
from resight.losses.triplet_loss import triplet
from resight.training import Recipe

LABELS = torch.tensor([0, 0, 1, 1, 2, 2, 2, 0])


def long_descriptors(seed=0):
    """Descriptors of lengths from 6 to 18, and the same of length 1."""
    torch.manual_seed(seed)
    directions = functional.normalize(torch.randn(8, 6, dtype=torch.float64), dim=1)
    return directions * torch.linspace(6, 18, 8)[:, None], directions


@pytest.mark.parametrize("kind", sorted(PAIR_LOSSES.parts()))
def test_lengths_change_nothing_by_default_and_count_without(kind):
    part = PAIR_LOSSES.parts()[kind]
    long, unit = long_descriptors()
    others, unit_others = long_descriptors(seed=1)
    assert part().normalise
    torch.testing.assert_close(part()(long, LABELS), part()(unit, LABELS))
    torch.testing.assert_close(
        part()(long, LABELS, References(others, LABELS)),
        part()(unit, LABELS, References(unit_others, LABELS)),
    )
    as_they_are = part(normalise=False)
    torch.testing.assert_close(as_they_are(unit, LABELS), part()(unit, LABELS))
    assert not torch.allclose(as_they_are(long, LABELS), part()(long, LABELS), rtol=1e-3)


@pytest.mark.parametrize("part", [losses.TupleContrastive, losses.TupleTriplet])
def test_tuples_too(part):
    anchors, positives = (long_descriptors(seed)[0] for seed in (0, 1))
    negatives = torch.stack([long_descriptors(seed)[0] for seed in (2, 3, 4)], dim=1)
    unit = [functional.normalize(each, dim=-1) for each in (anchors, positives, negatives)]
    torch.testing.assert_close(part()(anchors, positives, negatives), part(normalise=False)(*unit))
    assert part(normalise=False)(anchors, positives, negatives) != part()(anchors, positives, negatives)


def test_without_the_setting_the_formula_is_taken_of_the_descriptors_as_they_are():
    long, _ = long_descriptors()
    value = losses.Triplet(margin=0.2, normalise=False)(long, LABELS)
    assert value == triplet(long, LABELS, margin=0.2, distance="euclidean", reduction="active")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (losses.Triplet(margin=0.2), TripletMarginLoss(margin=0.2)),
        (losses.MultiSimilarity(epsilon=None), MultiSimilarityLoss(alpha=2, beta=50, base=0.5)),
    ],
    ids=["triplet", "multi similarity"],
)
def test_long_descriptors_cost_what_they_cost_in_pytorch_metric_learning(ours, theirs):
    long, _ = long_descriptors()
    values, gradients = [], []
    for loss in (ours, theirs):
        leaf = long.detach().clone().requires_grad_()
        value = loss(leaf, LABELS)
        values.append(value.detach())
        gradients.append(torch.autograd.grad(value, leaf)[0])
    torch.testing.assert_close(values[0], values[1], rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-7)


def test_the_setting_is_a_recipes_and_leaves_fingerprints_as_they_were():
    loss = PAIR_LOSSES.choose(losses.Triplet)
    assert "normalise" not in loss.model_dump()
    assert PAIR_LOSSES.choose(losses.Triplet, normalise=False).model_dump()["normalise"] is False
    recipe = Recipe.from_yaml("small-gem", ["objective.ranking.loss={kind: triplet, normalise: false}"])
    assert recipe.objective[0].loss.make().normalise is False
