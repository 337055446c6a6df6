"""Margin loss and its sampling: literal loops, pytorch-metric-learning, frequencies, exact resume."""

from __future__ import annotations

import math

import pytest
import torch
from pytorch_metric_learning.losses import MarginLoss as PeerMarginLoss
from torch.nn import functional

from resight.errors import InvalidInput
from resight.losses import MarginLoss, References
from resight.losses.family import LOSSES
from resight.losses.margin import distance_weighted_negatives, log_sampling_weights, margin_loss
from resight.losses.pairs import distances

LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 3])


def unit_vectors(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def all_triplets(labels, count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    triplets = [
        (a, p, n)
        for a in range(len(labels))
        for p in range(len(labels))
        for n in range(len(labels))
        if a != p and labels[a] == labels[p] and labels[a] != labels[n]
    ]
    return torch.tensor(triplets)[torch.randperm(len(triplets), generator=generator)[:count]]


def test_against_a_literal_loop():
    descriptors = unit_vectors(8, 5).requires_grad_()
    beta = torch.linspace(0.9, 1.5, 8, dtype=torch.float64).requires_grad_()
    triplets = all_triplets(LABELS, 20)
    total, active = torch.zeros((), dtype=torch.float64), 0
    for a, p, n in triplets.tolist():
        for term in (
            (descriptors[a] - descriptors[p]).norm() - beta[a] + 0.2,
            beta[a] - (descriptors[a] - descriptors[n]).norm() + 0.2,
        ):
            if term > 0:
                active += 1
                total = total + term
    assert 0 < active < 40
    expected = total / active
    value = margin_loss(
        distances(descriptors, descriptors), triplets[:, [0, 1]], triplets[:, [0, 2]], beta, margin=0.2
    )
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    for ours, theirs in zip(
        torch.autograd.grad(value, [descriptors, beta]),
        torch.autograd.grad(expected, [descriptors, beta]),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("classes", [None, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_against_pytorch_metric_learning(classes, dtype):
    """Of the same triplets, in value and in the gradients of descriptors and boundary."""
    raw = unit_vectors(8, 5).to(dtype) * 3
    triplets = all_triplets(LABELS, 40)
    peer = PeerMarginLoss(margin=0.2, beta=1.2, learn_beta=True, num_classes=classes)
    ours = MarginLoss(classes=classes, beta_per_class=classes is not None)
    a, b = raw.clone().requires_grad_(), raw.clone().requires_grad_()
    expected = peer(a, LABELS, tuple(triplets.unbind(1)))
    unit = functional.normalize(b)
    beta = ours.beta[LABELS] if classes else ours.beta.expand(8)
    value = margin_loss(
        distances(unit, unit), triplets[:, [0, 1]], triplets[:, [0, 2]], beta.to(dtype), margin=ours.margin
    )
    expected.backward()
    value.backward()
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(b.grad, a.grad, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.beta.grad, peer.beta.grad, rtol=1e-5, atol=1e-5)


def test_module_is_the_function_of_what_it_draws():
    """Where every anchor has one negative only, nothing is random: a literal loop, in any order."""
    descriptors, labels = unit_vectors(6, 4), torch.tensor([0, 0, 0, 0, 0, 1])
    loss = MarginLoss(nonzero_loss_cutoff=2.0)
    terms = []
    for a in range(5):
        for p in range(5):
            if a != p:
                terms.append(float((descriptors[a] - descriptors[p]).norm()) - 1.2 + 0.2)
                terms.append(1.2 - float((descriptors[a] - descriptors[5]).norm()) + 0.2)
    paying = [term for term in terms if term > 0]
    assert 0 < len(paying) < len(terms)
    value = loss(descriptors, labels)
    assert float(value.detach()) == pytest.approx(sum(paying) / len(paying), rel=1e-6)
    order = torch.tensor([3, 5, 0, 4, 1, 2])
    torch.testing.assert_close(loss(descriptors[order], labels[order]), value, rtol=1e-12, atol=0)


def test_independent_of_the_order_of_the_pairs():
    apart = distances(unit_vectors(8, 5), unit_vectors(8, 5))
    triplets = all_triplets(LABELS, 20)
    beta = torch.full((8,), 1.2, dtype=torch.float64)
    value = margin_loss(apart, triplets[:, :2], triplets[:, [0, 2]], beta, margin=0.2)
    torch.testing.assert_close(
        margin_loss(apart, triplets.flip(0)[:, :2], triplets.flip(0)[:, [0, 2]], beta, margin=0.2),
        value,
        rtol=1e-12,
        atol=0,
    )


@pytest.mark.parametrize("dim", [2, 3, 8, 512])
def test_sampling_weights_against_a_literal_loop(dim):
    apart = torch.tensor([[0.1, 0.5, 0.7, 1.0, 1.39, 1.4, 1.9, 0.6]], dtype=torch.float64)
    negatives = torch.tensor([[True, True, True, True, True, True, True, False]])
    weights = log_sampling_weights(apart, negatives, dim, cutoff=0.5, nonzero_loss_cutoff=1.4)[0]
    for j, d in enumerate(apart[0].tolist()):
        if j == 7 or d >= 1.4:
            assert weights[j] == -math.inf
            continue
        d = max(d, 0.5)
        density = (dim - 2) * math.log(d) + (dim - 3) / 2 * math.log(1 - d * d / 4)
        assert float(weights[j]) == pytest.approx(-density, rel=1e-12)


def test_sampling_weights_are_the_inverse_density_of_random_distances():
    """Random unit vectors drawn with these weights are evenly spread over the distances."""
    vectors = unit_vectors(4000, 8)
    apart = distances(vectors[:1], vectors[1:])
    negatives = torch.ones_like(apart, dtype=torch.bool)
    log_weights = log_sampling_weights(apart, negatives, 8, cutoff=0.01, nonzero_loss_cutoff=1.4)
    weights = log_weights.softmax(dim=1)[0]
    shares = [
        float(weights[(apart[0] >= low) & (apart[0] < low + 0.15)].sum()) for low in (0.8, 0.95, 1.1, 1.25)
    ]
    assert max(shares) < 1.35 * min(shares)


def test_draws_with_the_weights():
    log_weights = torch.tensor([[0.1, -math.inf, 0.3, 0.6], [0.5, 0.5, -math.inf, -math.inf]])
    log_weights[0, [0, 2, 3]] = log_weights[0, [0, 2, 3]].log()
    counts = torch.tensor([6000, 10])
    drawn = distance_weighted_negatives(log_weights, counts, torch.Generator().manual_seed(2))
    assert torch.bincount(drawn[:, 0]).tolist() == [6000, 10]
    frequencies = torch.bincount(drawn[drawn[:, 0] == 0, 1], minlength=4) / 6000
    torch.testing.assert_close(frequencies, torch.tensor([0.1, 0.0, 0.3, 0.6]), rtol=0, atol=0.025)
    assert set(drawn[drawn[:, 0] == 1, 1].tolist()) <= {0, 1}


def test_draws_from_rows_whose_weights_would_vanish():
    """In 2048 dimensions a negative at 1.3 weighs e^-1450 of one at 0.5 and is still found in its own row."""
    apart = torch.tensor([[0.5, 1.3], [1.35, 1.3]], dtype=torch.float64)
    negatives = torch.tensor([[True, False], [False, True]])
    log_weights = log_sampling_weights(apart, negatives, 2048, cutoff=0.5, nonzero_loss_cutoff=1.4)
    drawn = distance_weighted_negatives(log_weights, torch.tensor([1, 1]), torch.Generator())
    assert drawn.tolist() == [[0, 0], [1, 1]]


def test_draws_nothing_where_there_is_nothing():
    nothing = torch.full((2, 3), -math.inf)
    assert distance_weighted_negatives(nothing, torch.tensor([2, 1]), torch.Generator()).shape == (0, 2)
    something = torch.zeros(2, 3)
    assert distance_weighted_negatives(something, torch.tensor([0, 0]), torch.Generator()).shape == (0, 2)


def test_resume_is_exact():
    """A module loaded from a checkpoint draws what the uninterrupted one does."""
    batches = [unit_vectors(8, 5, seed=seed) for seed in range(12)]
    whole = MarginLoss(seed=7, nonzero_loss_cutoff=2.0)
    uninterrupted = [float(whole(batch, LABELS).detach()) for batch in batches]
    first = MarginLoss(seed=7, nonzero_loss_cutoff=2.0)
    before = [float(first(batch, LABELS).detach()) for batch in batches[:6]]
    second = MarginLoss(seed=7, nonzero_loss_cutoff=2.0)
    second.load_state_dict(first.state_dict())
    after = [float(second(batch, LABELS).detach()) for batch in batches[6:]]
    assert before + after == uninterrupted
    fresh = MarginLoss(seed=7, nonzero_loss_cutoff=2.0)
    assert [float(fresh(batch, LABELS).detach()) for batch in batches[6:]] != after


def test_seeds_and_calls_draw_differently():
    batch = unit_vectors(8, 5)
    values = [float(MarginLoss(seed=seed)(batch, LABELS).detach()) for seed in range(8)]
    assert len(set(values)) > 3
    loss = MarginLoss()
    assert len({float(loss(batch, LABELS).detach()) for _ in range(8)}) > 3
    assert int(loss.draws) == 8


def test_evaluation_does_not_move_the_state():
    loss = MarginLoss().eval()
    batch = unit_vectors(8, 5)
    assert loss(batch, LABELS) == loss(batch, LABELS)
    assert int(loss.draws) == 0
    assert loss.draws.dtype == torch.int64


def test_draws_do_not_touch_the_global_generator():
    before = torch.get_rng_state()
    MarginLoss()(unit_vectors(8, 5), LABELS)
    assert torch.equal(torch.get_rng_state(), before)


def test_boundary_is_learned_or_fixed():
    learned, fixed = MarginLoss(classes=4, beta_per_class=True, margin=0.0), MarginLoss(learn_beta=False)
    assert learned.beta.shape == (4,)
    assert [name for name, _ in learned.named_parameters()] == ["beta"]
    assert not list(fixed.parameters())
    assert sorted(fixed.state_dict()) == ["beta", "draws"]
    learned(unit_vectors(8, 5), LABELS).backward()
    assert learned.beta.grad.abs().sum() > 0
    assert learned.beta.grad[3] == 0


def test_boundary_of_each_class_counts_for_its_anchors():
    descriptors = unit_vectors(8, 5)
    loss = MarginLoss(classes=4, beta_per_class=True, learn_beta=False)
    same = loss(descriptors, LABELS)
    loss.beta[3] = 5.0
    loss.draws.zero_()
    assert loss(descriptors, LABELS) == same
    loss.beta[0] = 0.1
    loss.draws.zero_()
    assert loss(descriptors, LABELS) != same


def test_nu_adds_the_mean_boundary_of_the_anchors():
    descriptors = unit_vectors(8, 5)
    plain, weighted = MarginLoss(), MarginLoss(nu=0.5)
    difference = weighted(descriptors, LABELS) - plain(descriptors, LABELS)
    assert float(difference.detach()) == pytest.approx(0.5 * 1.2, rel=1e-5)
    nothing = weighted(descriptors[:2], torch.tensor([0, 1]))
    assert float(nothing.detach()) == 0


def test_references():
    """Positives of the references without the own copy, negatives among them alone."""
    descriptors, others = unit_vectors(2, 4), unit_vectors(4, 4, seed=1)
    references = References(others, torch.tensor([0, 0, 1, 1]), own=torch.tensor([0, 2]))
    value = MarginLoss(beta=1.0, margin=5.0, nonzero_loss_cutoff=9.0)(
        descriptors, torch.tensor([0, 1]), references
    )
    lowest, highest = 10.0, 0.0
    for first in (2, 3):
        for second in (0, 1):
            far = (descriptors[0] - others[first]).norm() + (descriptors[1] - others[second]).norm()
            near = (descriptors[0] - others[1]).norm() + (descriptors[1] - others[3]).norm()
            each = float(near - 2 + 10 + 2 - far + 10) / 4
            lowest, highest = min(lowest, each), max(highest, each)
    assert lowest - 1e-6 <= float(value.detach()) <= highest + 1e-6


@pytest.mark.parametrize("labels", [[0, 0, 4], [0, 0, -1]])
def test_labels_without_a_boundary(labels):
    with pytest.raises(InvalidInput, match="takes labels from 0 to 3"):
        MarginLoss(classes=4, beta_per_class=True)(unit_vectors(3, 4), torch.tensor(labels))


def test_the_number_of_classes_alone_gives_each_a_boundary():
    assert MarginLoss(classes=4).beta.shape == (4,)
    assert MarginLoss().beta.shape == (1,)


@pytest.mark.parametrize(("per_class", "boundaries"), [(True, 7), (False, 1)])
def test_a_recipe_says_whether_classes_have_boundaries(per_class, boundaries):
    choice = LOSSES.choose(MarginLoss, beta_per_class=per_class)
    assert choice.make(classes=7, dim=4, seed=0).beta.shape == (boundaries,)
