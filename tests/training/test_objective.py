"""An objective is the weighted sum of its parts, and owns what they own."""

import pytest
import torch
from torch import nn

from resight.errors import InvalidInput
from resight.losses import BatchHardTriplet, Classification, MultiSimilarity, ProxyNCA, SoftTriple
from resight.training.log import mean_centres
from resight.training.objective import Objective, Part


@pytest.fixture
def outputs():
    generator = torch.Generator().manual_seed(0)
    rows = [nn.functional.normalize(torch.randn(6, 4, generator=generator), dim=1) for _ in range(3)]
    logits = torch.randn(6, 3, generator=generator)
    return {"descriptor": (rows[0],), "branches": (rows[1], rows[2]), "logits": (logits,)}


LABELS = torch.tensor([0, 0, 1, 1, 2, 2])


def test_it_is_the_weighted_sum_with_a_loss_for_each_branch(outputs):
    first, second, auxiliary = ProxyNCA(3, 4), ProxyNCA(3, 4), Classification()
    objective = Objective(
        [
            Part("ranking", (BatchHardTriplet(),), "descriptor", 2.0),
            Part("each", (first, second), "branches", 0.5),
            Part("auxiliary", (auxiliary,), "logits", 1.0),
        ]
    )
    said = objective(outputs, LABELS)
    ranking = BatchHardTriplet()(outputs["descriptor"][0], LABELS)
    each = first(outputs["branches"][0], LABELS) + second(outputs["branches"][1], LABELS)
    classes = auxiliary(outputs["logits"][0], LABELS)
    assert said.total.item() == pytest.approx((2 * ranking + 0.5 * each + classes).item())
    assert {name: value.item() for name, value in said.parts.items()} == pytest.approx(
        {"ranking": ranking.item(), "each": each.item(), "auxiliary": classes.item()}
    )
    assert objective.outputs == ("branches", "descriptor", "logits")
    said.total.backward()
    assert first.proxies.grad is not None
    assert not said.parts["each"].requires_grad


def test_what_losses_own_is_among_its_parameters_and_in_its_state():
    objective = Objective(
        [
            Part("ranking", (ProxyNCA(3, 4),), "descriptor", 1.0),
            Part("each", (ProxyNCA(3, 4), ProxyNCA(3, 4)), "branches", 1.0),
        ]
    )
    names = ["losses.ranking.proxies", "losses.each.0.proxies", "losses.each.1.proxies"]
    assert [name for name, _ in objective.named_parameters()] == names
    assert list(objective.state_dict()) == names


def test_half_precision_is_widened_before_a_loss_sees_it():
    seen = []

    class Spy(nn.Module):
        def forward(self, descriptors, labels):
            seen.append(descriptors.dtype)
            return descriptors.sum()

    objective = Objective([Part("spy", (Spy(),), "descriptor", 1.0)])
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        objective({"descriptor": (torch.ones(2, 3, dtype=dtype),)}, torch.tensor([0, 1]))
    assert seen == [torch.float32, torch.float32, torch.float64]


def test_a_missing_output_and_bad_names_are_refused(outputs):
    objective = Objective([Part("each", (ProxyNCA(3, 4), ProxyNCA(3, 4)), "branches", 1.0)])
    with pytest.raises(InvalidInput, match="needs the output 'branches', and the model gives descriptor"):
        objective({"descriptor": outputs["descriptor"], "branches": ()}, LABELS)
    part = Part("a", (BatchHardTriplet(),), "descriptor", 1.0)
    with pytest.raises(InvalidInput, match="each with its own name"):
        Objective([part, part])
    with pytest.raises(InvalidInput, match="letters, digits and underscores"):
        Objective([Part("a b", (BatchHardTriplet(),), "descriptor", 1.0)])


def test_distinct_centres_are_counted_by_classes():
    triples = [SoftTriple(4, 8, centres=3) for _ in range(2)]
    with torch.no_grad():
        triples[0].centres[0] = 1.0
        triples[0].centres[1, 2] = 7 * triples[0].centres[1, 0]
        triples[1].centres[3] = -2.0
    objective = Objective(
        [
            Part("branches", tuple(triples), "branches", 1.0),
            Part("plain", (MultiSimilarity(),), "descriptor", 1.0),
        ]
    )
    assert objective.distinct_centres() == {"branches": (2, 1, 5)}
    assert mean_centres((2, 1, 5)) == (2 + 2 + 15) / 8
