"""What holds for every loss with class weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from resight import losses
from resight.errors import InvalidInput

CLASSES, DIM, BATCH = 9, 6, 8

Make = Callable[[int, int, torch.Generator], nn.Module]

MAKERS: dict[str, Make] = {
    "normalised softmax": lambda c, d, g: losses.NormalisedSoftmax(c, d, generator=g),
    "proxy nca": lambda c, d, g: losses.ProxyNCA(c, d, generator=g),
    "proxy nca, positive in": lambda c, d, g: losses.ProxyNCA(
        c, d, positive_in_denominator=True, generator=g
    ),
    "proxy anchor": lambda c, d, g: losses.ProxyAnchor(c, d, generator=g),
    "soft triple": lambda c, d, g: losses.SoftTriple(c, d, centres=3, generator=g),
    "hard triple": lambda c, d, g: losses.HardTriple(c, d, centres=3, generator=g),
    "arcface": lambda c, d, g: losses.ArcFace(c, d, scale=16.0, generator=g),
    "arcface, delg": lambda c, d, g: losses.ArcFace(
        c, d, scale=16.0, margin=0.1, rule="delg", learn_scale=True, generator=g
    ),
    "sub-centre arcface": lambda c, d, g: losses.SubCentreArcFace(c, d, scale=16.0, generator=g),
    "curricular": lambda c, d, g: losses.CurricularFace(c, d, scale=16.0, generator=g),
}
every_loss = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(seed: int = 1, *, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    source = generator(seed)
    descriptors = functional.normalize(torch.randn(BATCH, DIM, dtype=torch.float64, generator=source), dim=1)
    return descriptors.to(dtype).requires_grad_(), torch.randint(0, CLASSES, (BATCH,), generator=source)


def gradients(loss: nn.Module, descriptors: Tensor, labels: Tensor) -> tuple[Tensor, list[Tensor]]:
    value = loss(descriptors, labels)
    return value, list(torch.autograd.grad(value, [descriptors, *loss.parameters()]))


@every_loss
def test_the_gradient_is_that_of_finite_differences(make: Make) -> None:
    loss = make(CLASSES, DIM, generator()).double().eval()
    descriptors, labels = batch()
    names = [name for name, _ in loss.named_parameters()]

    def of(x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(loss, dict(zip(names, parameters, strict=True)), (x, labels))

    inputs = (descriptors, *(p.detach().clone().requires_grad_() for p in loss.parameters()))
    assert torch.autograd.gradcheck(of, inputs)


@every_loss
def test_the_order_of_the_batch_does_not_matter(make: Make) -> None:
    descriptors, labels = batch()
    order = torch.randperm(BATCH, generator=generator(2))
    value, (pull, *own) = gradients(make(CLASSES, DIM, generator()).double(), descriptors, labels)
    again, (pull_again, *own_again) = gradients(
        make(CLASSES, DIM, generator()).double(), descriptors[order], labels[order]
    )
    torch.testing.assert_close(again, value, rtol=0, atol=1e-12)
    torch.testing.assert_close(pull_again, pull[order], rtol=0, atol=1e-12)
    torch.testing.assert_close(own_again, own, rtol=0, atol=1e-12)


@every_loss
def test_only_directions_count(make: Make) -> None:
    descriptors, labels = batch()
    loss = make(CLASSES, DIM, generator()).double().eval()
    value = loss(descriptors, labels)
    torch.testing.assert_close(loss(descriptors * 7, labels), value, rtol=0, atol=1e-12)
    with torch.no_grad():
        for parameter in loss.parameters():
            if parameter.ndim:
                parameter *= torch.linspace(0.1, 9, CLASSES, dtype=torch.float64).view(
                    -1, *[1] * (parameter.ndim - 1)
                )
    torch.testing.assert_close(loss(descriptors, labels), value, rtol=0, atol=1e-12)


@every_loss
def test_float32_inside_whatever_autocast_says(make: Make) -> None:
    descriptors, labels = batch(dtype=torch.float32)
    value, plain = gradients(make(CLASSES, DIM, generator()), descriptors, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, under_autocast = gradients(make(CLASSES, DIM, generator()), descriptors, labels)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, value)
    assert all(torch.equal(a, b) for a, b in zip(under_autocast, plain, strict=True))


@every_loss
def test_half_precision_descriptors_are_taken_as_they_are(make: Make) -> None:
    descriptors, labels = batch(dtype=torch.float32)
    halved = descriptors.detach().bfloat16().requires_grad_()
    value = make(CLASSES, DIM, generator())(halved, labels)
    value.backward()
    assert halved.grad is not None
    assert halved.grad.dtype == torch.bfloat16
    expected = make(CLASSES, DIM, generator())(halved.detach().float(), labels)
    assert torch.equal(value, expected)


@every_loss
def test_gradients_are_finite_where_descriptors_meet_weights(make: Make) -> None:
    loss = make(CLASSES, DIM, generator())
    with torch.no_grad():
        for parameter in loss.parameters():
            if parameter.ndim:
                # All centres of a class coincide, and two classes are opposite.
                firsts = parameter[:, :1] if parameter.ndim == 3 else parameter
                parameter.copy_(firsts.expand_as(parameter).clone())
                parameter[1] = -parameter[0]
    own = next(p for p in loss.parameters() if p.ndim).detach().view(CLASSES, -1, DIM)[:, 0]
    for sign in (1, -1):
        descriptors = functional.normalize(sign * own, dim=1).requires_grad_()
        value, found = gradients(loss, descriptors, torch.arange(CLASSES))
        assert value.isfinite()
        assert all(gradient.isfinite().all() for gradient in found)


@every_loss
def test_parameters_travel_in_the_state(make: Make) -> None:
    loss, other = make(CLASSES, DIM, generator()), make(CLASSES, DIM, generator(5))
    descriptors, labels = batch(dtype=torch.float32)
    assert sum(parameter.numel() >= CLASSES * DIM for parameter in loss.parameters()) == 1
    assert not torch.equal(loss(descriptors, labels), other(descriptors, labels))
    other.load_state_dict(loss.state_dict())
    assert torch.equal(loss.eval()(descriptors, labels), other.eval()(descriptors, labels))


@every_loss
def test_the_generator_alone_decides_the_start(make: Make) -> None:
    torch.manual_seed(0)
    first = make(CLASSES, DIM, generator(3))
    torch.manual_seed(1)
    second = make(CLASSES, DIM, generator(3))
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


@every_loss
def test_training_separates_the_classes(make: Make) -> None:
    loss = make(CLASSES, DIM, generator())
    labels = torch.arange(CLASSES).repeat_interleave(3)
    points = torch.randn(len(labels), DIM, generator=generator(4)).requires_grad_()
    optimiser = torch.optim.Adam([points, *loss.parameters()], lr=0.05)
    before = separation(points.detach(), labels)
    for _ in range(120):
        optimiser.zero_grad()
        loss(functional.normalize(points, dim=1), labels).backward()
        optimiser.step()
    assert before < 0.2
    assert separation(points.detach(), labels) > 0.4


def separation(points: Tensor, labels: Tensor) -> float:
    """Mean cosine of two points of one class less that of two classes."""
    unit = functional.normalize(points, dim=1)
    cosines, same = unit @ unit.T, labels == labels[:, None]
    return float(cosines[same & ~torch.eye(len(labels), dtype=torch.bool)].mean() - cosines[~same].mean())


@every_loss
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            [0, CLASSES],
            rf"labels reach from 0 to {CLASSES}, but there are {CLASSES} classes: number them 0 to 8",
        ),
        ([-1, 2], "labels reach from -1 to 2"),
        ([0], "give 2 integers, one an image"),
        ([0.0, 1.0], "labels are torch.float32"),
    ],
)
def test_labels_that_name_no_class_are_refused(make: Make, labels: list[float], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make(CLASSES, DIM, generator())(torch.ones(2, DIM), torch.tensor(labels))


@every_loss
def test_descriptors_of_another_dimension_are_refused(make: Make) -> None:
    loss = make(CLASSES, DIM, generator())
    with pytest.raises(InvalidInput, match=r"do not fit class weights of dimension 6: give \(batch, 6\)"):
        loss(torch.ones(2, DIM + 1), torch.zeros(2, dtype=torch.long))
    with pytest.raises(InvalidInput, match="with at least one row"):
        loss(torch.ones(0, DIM), torch.zeros(0, dtype=torch.long))


@every_loss
def test_small_integers_serve_as_labels(make: Make) -> None:
    descriptors, labels = batch(dtype=torch.float32)
    assert torch.equal(
        make(CLASSES, DIM, generator())(descriptors, labels.int()),
        make(CLASSES, DIM, generator())(descriptors, labels),
    )


def test_a_single_class_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least 2 classes"):
        losses.ArcFace(1, 4)
