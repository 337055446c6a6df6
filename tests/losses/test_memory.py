"""Cross-batch memory: equal to a literal queue, to pytorch-metric-learning, and exact over a resume."""

from __future__ import annotations

import pytest
import torch
from pytorch_metric_learning.losses import CrossBatchMemory as PeerMemory
from pytorch_metric_learning.losses import MultiSimilarityLoss, TripletMarginLoss
from torch.nn import functional

from resight.errors import InvalidInput
from resight.losses import (
    BatchHardTriplet,
    Contrastive,
    CrossBatchMemory,
    MarginLoss,
    MultiSimilarity,
    References,
    SmoothAP,
    Triplet,
)
from resight.losses.memory import queue_rows

LOSSES = {
    "contrastive": lambda: Contrastive(margin=1.2),
    "triplet": lambda: Triplet(),
    "batch hard": lambda: BatchHardTriplet(),
    "margin": lambda: MarginLoss(nonzero_loss_cutoff=2.0),
    "multi similarity": lambda: MultiSimilarity(),
    "smooth ap": lambda: SmoothAP(),
}
each_loss = pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES.keys())


def unit_vectors(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def batches(count, size=6, dim=4):
    generator = torch.Generator().manual_seed(99)
    return [
        (unit_vectors(size, dim, seed=seed), torch.randint(3, (size,), generator=generator))
        for seed in range(count)
    ]


def value_and_gradient(loss, descriptors, labels):
    leaf = descriptors.detach().clone().requires_grad_()
    value = loss(leaf, labels)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


@each_loss
def test_against_a_literal_queue(make):
    """A Python list of what came, its first items thrown away, the own copies at its end."""
    memory = CrossBatchMemory(make(), 16, 4).double()
    alone = make().double()
    queue: list[tuple[torch.Tensor, int]] = []
    for descriptors, labels in batches(7):
        queue += list(zip(descriptors, labels.tolist(), strict=True))
        queue = queue[-16:]
        own = torch.arange(len(queue) - 6, len(queue))
        held = References(
            torch.stack([each for each, _ in queue]), torch.tensor([each for _, each in queue]), own=own
        )
        value, gradient = value_and_gradient(memory, descriptors, labels)
        if isinstance(alone, MarginLoss):
            continue
        leaf = descriptors.clone().requires_grad_()
        expected = alone(leaf, labels, held)
        torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=0)
        torch.testing.assert_close(gradient, torch.autograd.grad(expected, leaf)[0], rtol=1e-9, atol=1e-12)
    rows = sorted(zip(memory.descriptors.tolist(), memory.labels.tolist(), strict=True))
    assert rows == sorted((each.tolist(), label) for each, label in queue)
    assert int(memory.enqueued) == 42


@pytest.mark.parametrize(
    ("ours", "peer"),
    [
        (lambda: MultiSimilarity(epsilon=None), lambda: MultiSimilarityLoss(alpha=2, beta=50, base=0.5)),
        (lambda: Triplet(margin=0.2), lambda: TripletMarginLoss(margin=0.2)),
    ],
    ids=["multi similarity", "triplet"],
)
def test_against_pytorch_metric_learning(ours, peer):
    """Over several batches, past the point where the queue wraps around."""
    memory, theirs = CrossBatchMemory(ours(), 16, 4).double(), PeerMemory(peer(), 4, memory_size=16)
    for descriptors, labels in batches(6):
        leaf = descriptors.clone().requires_grad_()
        # Theirs normalises the gradient too: so does ours when the normalisation is part of the graph.
        value = memory(functional.normalize(leaf), labels)
        other = descriptors.clone().requires_grad_()
        expected = theirs(other, labels)
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)
        value.backward()
        expected.backward()
        torch.testing.assert_close(leaf.grad, other.grad, rtol=1e-5, atol=1e-5)


def test_own_copies_are_no_pairs():
    """One item a class: without its own copy no query has a positive, and with it each would."""
    descriptors, labels = unit_vectors(4, 4), torch.arange(4)
    memory = CrossBatchMemory(SmoothAP(), 8, 4)
    assert memory(descriptors, labels) == 0
    # The same photos once more: now the copies of last time are positives.
    assert memory(functional.normalize(descriptors + 0.5 * unit_vectors(4, 4, seed=3)), labels) > 0


def test_rows_wrap_around():
    assert queue_rows(0, 3, 5).tolist() == [0, 1, 2]
    assert queue_rows(3, 4, 5).tolist() == [3, 4, 0, 1]
    assert queue_rows(12, 5, 5).tolist() == [2, 3, 4, 0, 1]
    # A floating-point counter would stand still after 2**24 items.
    assert CrossBatchMemory(Triplet(), 16, 4).enqueued.dtype == torch.int64


@each_loss
def test_resume_is_exact(make):
    """The queue, the counters and the loss's own state travel in the state_dict."""
    steps = batches(8)
    whole = CrossBatchMemory(make(), 16, 4, warm_up=1)
    uninterrupted = [float(whole(*step).detach()) for step in steps]
    first = CrossBatchMemory(make(), 16, 4, warm_up=1)
    before = [float(first(*step).detach()) for step in steps[:4]]
    second = CrossBatchMemory(make(), 16, 4, warm_up=1)
    second.load_state_dict(first.state_dict())
    assert before + [float(second(*step).detach()) for step in steps[4:]] == uninterrupted


def test_copies_fed_the_same_batches_hold_the_same():
    one, other = (CrossBatchMemory(MultiSimilarity(), 16, 4) for _ in range(2))
    for step in batches(5):
        assert torch.equal(one(*step), other(*step))
    for name, held in one.state_dict().items():
        assert torch.equal(held, other.state_dict()[name])


def test_warm_up_compares_the_batch_with_itself():
    steps = batches(4)
    memory = CrossBatchMemory(MultiSimilarity(), 32, 4, warm_up=2)
    for step in steps[:2]:
        assert torch.equal(memory(*step), MultiSimilarity()(*step))
    assert int(memory.enqueued) == 0
    memory(*steps[2])
    assert int(memory.enqueued) == 6
    assert not torch.equal(memory(*steps[3]), MultiSimilarity()(*steps[3]))


def test_first_batch_costs_what_it_costs_alone_with_half_the_gradient():
    """The queue holds copies without gradient: of each pair only the query's side is taught."""
    descriptors, labels = batches(1)[0]
    loss = Contrastive(margin=1.5, reduction="sum")
    value, gradient = value_and_gradient(CrossBatchMemory(loss, 16, 4).double(), descriptors, labels)
    alone, of_both = value_and_gradient(loss, descriptors, labels)
    torch.testing.assert_close(value, alone)
    torch.testing.assert_close(2 * gradient, of_both, rtol=1e-9, atol=1e-12)


def test_batch_weight_adds_the_loss_of_the_batch():
    steps = batches(3)
    plain = CrossBatchMemory(MultiSimilarity(), 16, 4).double()
    both = CrossBatchMemory(MultiSimilarity(), 16, 4, batch_weight=0.3).double()
    for step in steps:
        torch.testing.assert_close(both(*step), plain(*step) + 0.3 * MultiSimilarity()(*step))


def test_evaluation_uses_the_batch_alone_and_keeps_the_queue():
    steps = batches(3)
    memory = CrossBatchMemory(MultiSimilarity(), 16, 4)
    memory(*steps[0])
    before = {name: held.clone() for name, held in memory.state_dict().items()}
    memory.eval()
    assert torch.equal(memory(*steps[1]), MultiSimilarity()(*steps[1]))
    assert all(torch.equal(held, memory.state_dict()[name]) for name, held in before.items())


@each_loss
def test_backward_after_a_later_call(make):
    """As with gradient accumulation: the queue as it was belongs to the earlier call."""
    steps = batches(4)
    memory = CrossBatchMemory(make(), 16, 4).double()
    leaves = [descriptors.clone().requires_grad_() for descriptors, _ in steps]
    total = sum(memory(leaf, labels) for leaf, (_, labels) in zip(leaves, steps, strict=True))
    total.backward()
    again = CrossBatchMemory(make(), 16, 4).double()
    for leaf, (descriptors, labels) in zip(leaves, steps, strict=True):
        _, gradient = value_and_gradient(again, descriptors, labels)
        torch.testing.assert_close(leaf.grad, gradient)


def test_nothing_of_the_graph_is_kept():
    memory = CrossBatchMemory(MultiSimilarity(), 16, 4)
    memory(unit_vectors(6, 4).requires_grad_(), batches(1)[0][1])
    assert not memory.descriptors.requires_grad


def test_half_precision_is_kept_in_float32():
    memory = CrossBatchMemory(MultiSimilarity(), 16, 4)
    descriptors, labels = batches(1)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = memory(descriptors.bfloat16(), labels)
    assert value.dtype == memory.descriptors.dtype == torch.float32
    assert torch.equal(memory.descriptors[:6], descriptors.bfloat16().float())


def test_parameters_of_the_loss_are_its_own():
    memory = CrossBatchMemory(MarginLoss(), 8, 4)
    assert [name for name, _ in memory.named_parameters()] == ["loss.beta"]
    assert sorted(memory.state_dict()) == [
        "calls", "descriptors", "enqueued", "labels", "loss.beta", "loss.draws"
    ]  # fmt: skip


def test_batches_that_do_not_fit():
    memory = CrossBatchMemory(Triplet(), 4, 4)
    with pytest.raises(InvalidInput, match=r"takes batches of 1 to 4 of them, got \(6, 4\)"):
        memory(*batches(1)[0])
    with pytest.raises(InvalidInput, match=r"of 4 dimensions .* got \(2, 5\)"):
        memory(unit_vectors(2, 5), torch.tensor([0, 1]))
    with pytest.raises(InvalidInput, match="2 descriptors need a label each"):
        memory(unit_vectors(2, 4), torch.tensor([0]))
    assert int(memory.enqueued) == 0
