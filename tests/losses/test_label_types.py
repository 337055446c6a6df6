"""Labels are numbers: their integer type changes nothing, and what is no integer is refused by every loss."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from resight import losses
from resight.errors import InvalidInput

CLASSES, DIM = 6, 16

MAKERS: dict[str, Callable[[], nn.Module]] = {
    **{
        name: lambda name=name: getattr(losses, name)(CLASSES, DIM)
        for name in (
            "ArcFace",
            "CurricularFace",
            "HardTriple",
            "NormalisedSoftmax",
            "ProxyAnchor",
            "ProxyNCA",
            "SoftTriple",
            "SubCentreArcFace",
        )
    },
    **{
        name: lambda name=name: getattr(losses, name)()
        for name in (
            "BatchHardTriplet",
            "Contrastive",
            "MarginLoss",
            "MultiSimilarity",
            "SmoothAP",
            "Triplet",
        )
    },
    "Classification": losses.Classification,
    "Mean": lambda: _MeanOfFirst(),
    "MarginLoss per class": lambda: _spread(losses.MarginLoss(classes=CLASSES, beta_per_class=True)),
    "memory": lambda: losses.CrossBatchMemory(losses.Contrastive(), dim=DIM, size=20, batch_weight=0.5),
    "memory of margin": lambda: losses.CrossBatchMemory(
        _spread(losses.MarginLoss(classes=CLASSES, beta_per_class=True)), dim=DIM, size=20
    ),
}

TYPES = (
    torch.int8,
    torch.int16,
    torch.int32,
    torch.uint8,
    torch.uint16,
    torch.uint32,
    torch.uint64,
)


class _MeanOfFirst(nn.Module):
    def forward(self, descriptors: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean of one number an image."""
        return losses.Mean()(descriptors[:, 0], labels)


def _spread(loss: losses.MarginLoss) -> losses.MarginLoss:
    with torch.no_grad():
        loss.beta.copy_(torch.linspace(0.5, 1.5, CLASSES))
    return loss


def _value(name: str, labels: Tensor) -> Tensor:
    """Returns the loss of two calls in a row, which a memory needs, and the gradient of the second."""
    torch.manual_seed(0)
    loss = MAKERS[name]()
    dim = CLASSES if name == "Classification" else DIM
    descriptors = nn.functional.normalize(torch.randn(6, dim), dim=1).requires_grad_()
    first, second = loss(descriptors, labels), loss(descriptors.flip(0), labels)
    (gradient,) = torch.autograd.grad(first + second, descriptors)
    return torch.cat([torch.stack([first, second]).detach(), gradient.flatten()])


def test_every_loss_over_labels_is_tried():
    tuples = {"TupleContrastive", "TupleTriplet"}
    modules = {
        name
        for name in losses.__all__
        if isinstance(each := getattr(losses, name), type) and issubclass(each, nn.Module)
    }
    assert modules - tuples - {"PairLoss", "CrossBatchMemory"} == {
        name for name in MAKERS if " " not in name and name != "memory"
    }


@pytest.mark.parametrize("labels", [[1, 2, 3, 4, 5, 1], [0, 1, 2, 3, 4, 5]])
@pytest.mark.parametrize("name", MAKERS)
def test_any_integer_type_gives_what_int64_gives(name, labels):
    expected = _value(name, torch.tensor(labels))
    for kind in TYPES:
        assert torch.equal(_value(name, torch.tensor(labels, dtype=kind)), expected), kind


@pytest.mark.parametrize("kind", [torch.bool, torch.float32, torch.complex64])
@pytest.mark.parametrize("name", sorted(MAKERS.keys() - {"Mean"}))
def test_what_is_no_integer_is_refused(name, kind):
    with pytest.raises(InvalidInput, match=rf"labels are {kind} of shape \(6,\): give 6 integers"):
        _value(name, torch.tensor([0, 1, 0, 1, 0, 1]).to(kind))


def test_the_labels_of_references_are_integers_of_any_type_too():
    torch.manual_seed(0)
    descriptors = nn.functional.normalize(torch.randn(4, DIM), dim=1)
    labels = torch.tensor([0, 0, 1, 1])
    loss = losses.Contrastive()
    expected = loss(descriptors, labels, losses.References(descriptors, labels))
    for kind in TYPES:
        others = losses.References(descriptors, labels.to(kind))
        assert torch.equal(loss(descriptors, labels, others), expected)
    with pytest.raises(InvalidInput, match=r"labels are torch.bool"):
        loss(descriptors, labels, losses.References(descriptors, labels.bool()))
