"""The contract of every pair loss, and what they share."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

import resight.losses
from resight.errors import InvalidInput
from resight.losses import (
    BatchHardTriplet,
    Contrastive,
    CrossBatchMemory,
    MarginLoss,
    MultiSimilarity,
    PairLoss,
    References,
    SmoothAP,
    Triplet,
)
from resight.losses.pairs import compare, distances, reduce, root, squared_distances

LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])
"""Classes of several sizes, one of a single image."""

# Every loss and option. One drawn negative is random by design, so its order is tested in test_margin.py.
LOSSES = {
    "contrastive": lambda: Contrastive(margin=1.2),
    "contrastive mean": lambda: Contrastive(margin=1.2, reduction="mean"),
    "contrastive sum": lambda: Contrastive(margin=1.2, reduction="sum"),
    "triplet": lambda: Triplet(margin=0.3),
    "triplet squared mean": lambda: Triplet(margin=0.3, distance="squared", reduction="mean"),
    "triplet sum": lambda: Triplet(margin=0.3, reduction="sum"),
    "batch hard": lambda: BatchHardTriplet(margin=0.3),
    "batch hard soft": lambda: BatchHardTriplet(soft=True),
    "margin": lambda: MarginLoss(),
    "margin classes": lambda: MarginLoss(classes=100),
    "multi similarity": lambda: MultiSimilarity(),
    "multi similarity unmined": lambda: MultiSimilarity(epsilon=None),
    "smooth ap": lambda: SmoothAP(),
    "memory": lambda: CrossBatchMemory(MultiSimilarity(), 32, 6, batch_weight=0.5),
}
each_loss = pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES.keys())


def unit_vectors(count, dim=6, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, dim, generator=generator, dtype=torch.float64)).to(dtype)


def value_and_gradient(loss, descriptors, labels, *rest):
    leaf = descriptors.detach().clone().requires_grad_()
    value = loss(leaf, labels, *rest)
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


@each_loss
def test_costs_something_and_teaches_something(make):
    value, gradient = value_and_gradient(make(), unit_vectors(10), LABELS)
    assert value.shape == ()
    assert value > 1e-3
    assert gradient.abs().max() > 1e-3


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "memory"])
def test_gradient_by_finite_differences(name):
    """Against central differences along random directions, with the state of a fresh module each time.

    Not the memory: its references move with the batch but carry no gradient (test_memory.py).
    """
    make = LOSSES[name]
    descriptors = unit_vectors(10, seed=3)
    _, gradient = value_and_gradient(make().double(), descriptors, LABELS)
    for seed in range(4):
        direction = unit_vectors(10, seed=100 + seed)
        ahead = make().double()(descriptors + 1e-6 * direction, LABELS)
        behind = make().double()(descriptors - 1e-6 * direction, LABELS)
        slope = float((ahead - behind).detach() / 2e-6)
        assert slope == pytest.approx(float((gradient * direction).sum()), abs=1e-5)


@each_loss
@pytest.mark.parametrize(
    "labels",
    [[0], [0, 0, 0], [0, 1, 2, 3], [5]],
    ids=["alone", "no negatives", "no positives", "alone with another label"],
)
def test_differentiable_without_valid_pairs(make, labels):
    descriptors = unit_vectors(len(labels))
    value, gradient = value_and_gradient(make(), descriptors, torch.tensor(labels))
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


@each_loss
def test_zero_for_a_single_descriptor(make):
    value, gradient = value_and_gradient(make(), unit_vectors(1), torch.tensor([0]))
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]], ids=["no negatives", "no positives"])
@pytest.mark.parametrize(
    "loss",
    [
        Triplet(),
        Triplet(distance="squared", reduction="mean"),
        Triplet(reduction="sum"),
        BatchHardTriplet(),
        BatchHardTriplet(soft=True),
        MultiSimilarity(),
        SmoothAP(),
    ],
    ids=str,
)
def test_zero_without_a_triplet(loss, labels):
    value, gradient = value_and_gradient(loss, unit_vectors(3), torch.tensor(labels))
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("name", [name for name in LOSSES if not name.startswith("margin")])
def test_independent_of_the_order_of_the_batch(name):
    descriptors = unit_vectors(10)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(4))
    value, gradient = value_and_gradient(LOSSES[name]().double(), descriptors, LABELS)
    shuffled, of_shuffled = value_and_gradient(LOSSES[name]().double(), descriptors[order], LABELS[order])
    torch.testing.assert_close(shuffled, value, rtol=1e-12, atol=0)
    torch.testing.assert_close(of_shuffled, gradient[order], rtol=1e-9, atol=1e-12)


@each_loss
def test_independent_of_the_names_of_the_labels(make):
    value = make()(unit_vectors(10), LABELS)
    assert torch.equal(make()(unit_vectors(10), 96 - 7 * LABELS), value)
    assert torch.equal(make()(unit_vectors(10), LABELS.to(torch.int32)), value)


def hard_cases():
    one = unit_vectors(1, seed=8)
    near = one + 1e-9 * unit_vectors(1, seed=9)
    return {
        "all the same": one.repeat(10, 1),
        "all but the same": torch.cat([one.repeat(5, 1), near.repeat(5, 1)]),
        "opposite": torch.cat([one.repeat(5, 1), -one.repeat(5, 1)]),
        "each label twice the same": unit_vectors(4, seed=2)[LABELS],
        "all zero": torch.zeros(10, 6, dtype=torch.float64),
        "huge": 1e4 * unit_vectors(10),
    }


@each_loss
@pytest.mark.parametrize("case", hard_cases())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_gradients_everywhere(make, case, dtype):
    loss = make().to(dtype)
    leaf = hard_cases()[case].to(dtype).requires_grad_()
    value = loss(leaf, LABELS)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(leaf.grad).all()
    for parameter in loss.parameters():
        assert torch.isfinite(parameter.grad).all()


@each_loss
def test_not_a_number_shows(make):
    """A descriptor gone wrong must not vanish behind a mask: the loss is where a run notices."""
    descriptors = unit_vectors(10)
    descriptors[1] = math.nan
    assert torch.isnan(make()(descriptors, LABELS))


@pytest.mark.parametrize("name", [name for name in LOSSES if not name.startswith("margin")])
def test_not_a_number_shows_without_a_positive(name):
    """Not in the margin loss, which never draws such a negative."""
    descriptors = unit_vectors(10)
    descriptors[9] = math.nan
    assert torch.isnan(LOSSES[name]()(descriptors, LABELS))


@each_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_float32_inside_under_autocast(make, dtype):
    descriptors = unit_vectors(10).to(dtype)
    leaf = descriptors.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = make()(leaf, LABELS)
    value.backward()
    assert value.dtype == torch.float32
    expected, gradient = value_and_gradient(make(), descriptors.float(), LABELS)
    torch.testing.assert_close(value.detach(), expected, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(leaf.grad, gradient.to(dtype), rtol=0.02, atol=1e-3)


@each_loss
def test_double_gives_double(make):
    """And all of it: the value differs from that of single precision by its rounding, not by more."""
    value = make().double()(unit_vectors(10), LABELS)
    assert value.dtype == torch.float64
    single = make()(unit_vectors(10, dtype=torch.float32), LABELS)
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(value.item(), rel=1e-4)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "memory"])
def test_references_of_the_batch_itself_change_nothing(name):
    descriptors = unit_vectors(10)
    expected = LOSSES[name]()(descriptors, LABELS)
    references = References(descriptors, LABELS, own=torch.arange(10))
    torch.testing.assert_close(LOSSES[name]()(descriptors, LABELS, references), expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "memory"])
def test_references_may_be_cut_out_of_a_larger_batch(name):
    """Queries with an own copy among the references, and queries without one."""
    descriptors, labels = unit_vectors(10), LABELS
    references = References(descriptors[3:], labels[3:], own=torch.tensor([-1, -1, 0, 1, 6]))
    queries = torch.tensor([0, 2, 3, 4, 9])
    value, gradient = value_and_gradient(LOSSES[name](), descriptors[queries], labels[queries], references)
    assert torch.isfinite(value)
    pairs = compare(descriptors[queries], labels[queries], references)
    for row, query in enumerate(queries.tolist()):
        for column, reference in enumerate(range(3, 10)):
            same = bool(labels[query] == labels[reference])
            assert bool(pairs.positives[row, column]) == (same and query != reference)
            assert bool(pairs.negatives[row, column]) == (not same)
    assert (gradient[[0, 1]] == 0).all() or not pairs.positives[:2].any()


@pytest.mark.parametrize(("name", "make"), LOSSES.items(), ids=LOSSES.keys())
def test_parameters(name, make):
    expected = ["beta"] if name.startswith("margin") else []
    assert [each for each, _ in make().named_parameters()] == expected


def test_distances_against_differences():
    queries, references = unit_vectors(7), unit_vectors(5, seed=1)
    for i in range(7):
        for j in range(5):
            exact = math.sqrt(sum(float(d) ** 2 for d in queries[i] - references[j]))
            assert float(distances(queries, references)[i, j]) == pytest.approx(exact, rel=1e-12)
            assert float(squared_distances(queries, references)[i, j]) == pytest.approx(exact**2, rel=1e-12)


def test_distance_is_never_negative_in_single_precision():
    vectors = unit_vectors(200, dim=512, dtype=torch.float32)
    squares = squared_distances(vectors, vectors)
    assert (squares >= 0).all()
    assert float(squares.diagonal().max()) < 1e-6


def test_root_has_gradient_zero_at_zero():
    squares = torch.tensor([0.0, 4.0], requires_grad=True)
    result = root(squares)
    result.sum().backward()
    assert result.tolist() == [0.0, 2.0]
    assert squares.grad.tolist() == [0.0, 0.25]


def test_reductions_by_hand():
    terms = torch.tensor([3.0, 0.0, 1.0, 100.0])
    valid = torch.tensor([True, True, True, False])
    assert float(reduce(terms, valid, "sum")) == 4
    assert float(reduce(terms, valid, "mean")) == pytest.approx(4 / 3)
    assert float(reduce(terms, valid, "active")) == 2
    for reduction in ("sum", "mean", "active"):
        assert float(reduce(terms, torch.zeros(4, dtype=torch.bool), reduction)) == 0


@each_loss
def test_wrong_shapes(make):
    loss = make()
    with pytest.raises(InvalidInput, match=r"label"):
        loss(unit_vectors(3), torch.tensor([0, 1]))
    with pytest.raises(InvalidInput, match=r"\(0, 6\)"):
        loss(unit_vectors(3)[:0], torch.tensor([], dtype=torch.int64))
    with pytest.raises(InvalidInput, match=r"got \(6,\)"):
        loss(unit_vectors(1)[0], torch.tensor([0, 1, 2, 3, 4, 5]))


def test_wrong_references():
    descriptors, labels = unit_vectors(3), torch.tensor([0, 0, 1])
    with pytest.raises(InvalidInput, match="of 6 dimensions"):
        compare(descriptors, labels, References(unit_vectors(3, dim=5), labels))
    with pytest.raises(InvalidInput, match="3 references need a label each"):
        compare(descriptors, labels, References(descriptors, labels[:2]))
    with pytest.raises(InvalidInput, match="each of 3 queries needs the row of its own copy"):
        compare(descriptors, labels, References(descriptors, labels, own=torch.tensor([0])))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Contrastive(margin=0), "Contrastive: margin must be positive and finite, not 0"),
        (lambda: Contrastive(reduction="median"), "reduction must be one of active, mean, sum, not 'median'"),
        (lambda: Triplet(margin=-1), "Triplet: margin must be zero or positive and finite, not -1"),
        (lambda: Triplet(margin=math.nan), "not nan"),
        (lambda: Triplet(distance="cosine"), "distance must be euclidean or squared, not 'cosine'"),
        (lambda: BatchHardTriplet(margin=-0.1), "must be zero or positive"),
        (lambda: MultiSimilarity(alpha=0), "MultiSimilarity: alpha must be positive"),
        (lambda: MultiSimilarity(epsilon=-0.1), "epsilon must be zero or positive and finite or None"),
        (lambda: SmoothAP(temperature=0), "SmoothAP: temperature must be positive"),
        (lambda: MarginLoss(classes=0, beta_per_class=True), "at least one class, not 0"),
        (lambda: MarginLoss(seed=-1), "seed must be zero or positive"),
        (lambda: MarginLoss(beta=math.inf), "MarginLoss: beta must be positive and finite"),
        (lambda: CrossBatchMemory(Triplet(), 0, 4), "CrossBatchMemory: size must be positive, not 0"),
        (lambda: CrossBatchMemory(nn.Linear(2, 2), 8, 4), "needs a pair loss, not Linear"),
        (lambda: CrossBatchMemory(Triplet(), 8, 4, batch_weight=-1), "batch_weight must be zero or positive"),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()


def test_face_of_the_package():
    names = [
        "BatchHardTriplet",
        "Contrastive",
        "CrossBatchMemory",
        "MarginLoss",
        "MultiSimilarity",
        "PairLoss",
    ]
    names += ["References", "SmoothAP", "Triplet", "TupleContrastive", "TupleTriplet"]
    face = importlib.import_module("resight.losses")
    assert set(names) <= set(face.__all__)
    assert dir(face) == face.__all__
    for name in names:
        assert getattr(face, name).__name__ == name
    assert issubclass(Triplet, PairLoss)
    with pytest.raises(AttributeError, match="'Nothing'"):
        _ = resight.losses.Nothing
