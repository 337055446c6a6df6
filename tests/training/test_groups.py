"""Every parameter learns in exactly one group, at the rate that is meant for it."""

import pytest
import torch
from torch import nn

from resight.errors import InvalidInput
from resight.losses import SoftTriple, Triplet
from resight.networks.pooling import GeM
from resight.training.groups import (
    SGD,
    Adam,
    AdamW,
    GroupRule,
    bound_exponents,
    build_optimiser,
    group_parameters,
)
from resight.training.objective import Objective, Part


@pytest.fixture
def model():
    return nn.ModuleDict(
        {
            "trunk": nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)),
            "pooling": GeM(),
            "fixed": GeM(learnable=False),
        }
    )


def names(groups):
    return {group.name + f" {group.weight_decay}": [name for name, _ in group.parameters] for group in groups}


def test_by_default_losses_are_a_group_and_the_exponent_of_gem_is_ten_times_as_fast_without_decay(model):
    groups = group_parameters(model, SoftTriple(3, 4), Adam(learning_rate=0.1, weight_decay=0.5), ())
    assert names(groups) == {
        "model 0.5": ["model.trunk.0.weight"],
        "model 0.0": ["model.trunk.0.bias", "model.trunk.1.weight", "model.trunk.1.bias"],
        "GeM p 0.0": ["model.pooling.p"],
        "objective 0.5": ["objective.centres"],
    }
    assert {group.name: group.rate for group in groups} == {"model": 1, "GeM p": 10, "objective": 1}


def test_exponents_of_their_own_for_each_channel_learn_a_hundred_times_as_fast():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), GeM(channels=4, learnable=True, per_channel=True))
    groups = group_parameters(model, nn.Module(), Adam(learning_rate=0.1), ())
    assert {group.name: group.rate for group in groups} == {"model": 1, "GeM p": 100}


def test_learned_exponents_are_kept_above_zero_and_others_as_they_are():
    own = GeM(channels=3, per_channel=True)
    own.p.data = torch.tensor([-2.0, 0.0, 5.0])
    fixed = GeM(0.05, learnable=False)
    bound_exponents(nn.ModuleList([own, fixed]))
    assert torch.equal(own.p, torch.tensor([0.1, 0.1, 5.0]))
    assert float(fixed.p) == pytest.approx(0.05)


def test_every_parameter_is_in_the_optimiser_once_at_its_rate(model):
    rules = [GroupRule(pattern="objective.*", rate=100), GroupRule(pattern="*.bias", weight_decay=0.25)]
    objective = SoftTriple(3, 4)
    settings = AdamW(learning_rate=0.1, weight_decay=0.5, decay="all", epsilon=0.01)
    groups = group_parameters(model, objective, settings, rules)
    optimiser = build_optimiser(settings, groups)
    held = [id(parameter) for group in optimiser.param_groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(each) for each in [*model.parameters(), *objective.parameters()])
    by_name = {group.name: given for group, given in zip(groups, optimiser.param_groups, strict=True)}
    assert by_name["objective.*"]["lr"] == pytest.approx(10.0)
    assert by_name["GeM p"]["lr"] == pytest.approx(1.0)
    assert (by_name["*.bias"]["weight_decay"], by_name["model"]["weight_decay"]) == (0.25, 0.5)
    assert optimiser.param_groups[0]["eps"] == 0.01


def test_the_first_rule_that_fits_decides_and_fixed_parameters_are_left_out(model):
    model["trunk"][1].weight.requires_grad_(False)
    rules = [GroupRule(pattern="model.trunk.0.*", rate=0.5), GroupRule(pattern="model.*", rate=2)]
    groups = group_parameters(model, nn.Module(), SGD(learning_rate=0.1), rules)
    assert names(groups) == {
        "model.trunk.0.* 0.0": ["model.trunk.0.weight", "model.trunk.0.bias"],
        "model.* 0.0": ["model.trunk.1.bias", "model.pooling.p"],
    }
    assert isinstance(build_optimiser(SGD(learning_rate=0.1), groups), torch.optim.SGD)


def test_a_rule_that_fits_nothing_is_refused(model):
    with pytest.raises(
        InvalidInput, match=r"'model.pooling.q' of the recipe fits no parameter: did you mean"
    ):
        group_parameters(model, nn.Module(), Adam(learning_rate=1), [GroupRule(pattern="model.pooling.q")])


@pytest.mark.parametrize(
    "pattern", ["objective.*", "objective.losses.ranking.*", "model.fixed.p", "model.none.*"]
)
def test_a_rule_for_a_part_that_has_nothing_to_learn_is_in_order(model, pattern):
    model.none = None
    objective = Objective([Part("ranking", (Triplet(),), "descriptor", 1.0)])
    groups = group_parameters(model, objective, Adam(learning_rate=1), [GroupRule(pattern=pattern)])
    assert [group.name for group in groups] == ["model", "GeM p"]


@pytest.mark.parametrize(
    "pattern", ["objective.losses.rankng.*", "objctive.*", "model.pooling.q", "model.fixd.*", "*.centres", ""]
)
def test_a_rule_for_a_part_that_is_not_there_is_refused(model, pattern):
    objective = Objective([Part("ranking", (Triplet(),), "descriptor", 1.0)])
    with pytest.raises(InvalidInput, match="fits no parameter"):
        group_parameters(model, objective, Adam(learning_rate=1), [GroupRule(pattern=pattern)])
