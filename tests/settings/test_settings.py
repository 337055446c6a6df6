"""Settings: written once, checked when a part is made, when a recipe is read and when a bundle is."""

from dataclasses import dataclass, replace
from typing import Annotated

import pytest

from resight.errors import InvalidInput
from resight.losses.family import LOSSES
from resight.networks import DELGConfig, GeM
from resight.networks.family import NETWORKS
from resight.networks.pooling import POOLINGS
from resight.settings.bounds import Count, Share, check_fields
from resight.settings.choice import Section, Settings
from resight.settings.marks import ADDED_LATER, NOT_STORED
from resight.settings.stored import read_config, stored_settings


@dataclass(frozen=True, slots=True)
class Config:
    """A network's settings.

    Attributes:
        dim: Length.
        share: A share.
        training: For training alone.
        later: Younger than the first bundles.
    """

    dim: Count = 8
    share: Share | None = None
    training: Annotated[bool, NOT_STORED] = False
    later: Annotated[str, ADDED_LATER] = "old"

    def __post_init__(self) -> None:
        check_fields(self)


class Part(Settings):
    net: Annotated[Config, Section()] = Config()


def test_a_setting_added_later_is_written_only_where_it_is_not_its_default():
    assert stored_settings(Config(training=True)) == {"dim": 8, "share": None}
    changed = Config(later="new")
    assert stored_settings(changed) == {"dim": 8, "share": None, "later": "new"}
    assert read_config(Config, {"dim": 8, "share": None, "more": 1}) == Config()
    assert read_config(Config, stored_settings(changed)) == changed
    assert Part().model_dump(mode="json") == {"net": {"dim": 8, "share": None, "training": False}}
    assert Part(net=changed).model_dump(mode="json")["net"]["later"] == "new"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"share": None}, "its setting dim is missing"),
        ({"dim": True, "share": None}, "dim: input should be a valid integer, got True"),
        ({"dim": 8, "share": 1.0}, "share"),
        ([8], r"expected an object, not \[8\]"),
    ],
)
def test_stored_settings_that_cannot_be_right_are_named(settings, text):
    with pytest.raises(InvalidInput, match=text):
        read_config(Config, settings)


def test_ranges_are_checked_when_a_config_is_made():
    with pytest.raises(InvalidInput, match="dim must be positive, not 0"):
        Config(dim=0)
    with pytest.raises(
        InvalidInput, match="share must be zero or positive and below 1 and finite or None, not nan"
    ):
        Config(share=float("nan"))
    assert Config(share=0.0).share == 0.0


@pytest.mark.parametrize("kind", sorted(NETWORKS.parts()))
def test_a_network_goes_from_recipe_to_bundle_and_back(kind):
    values = {"kind": kind, "trunk": {"name": "test_resnet"}, "dim": 6 * 16}
    choice = NETWORKS.read(values)
    config = choice.config()
    stored = stored_settings(config)
    again = read_config(type(config), stored)
    assert stored_settings(again) == stored
    assert {**choice.model_dump(mode="json"), **stored} == choice.model_dump(mode="json")


def test_a_choice_is_a_value():
    assert POOLINGS.choose(GeM, p=2.5) == POOLINGS.read({"kind": "gem", "p": 2.5})
    assert POOLINGS.choose(GeM).make(channels=7).p.shape == (1,)
    assert POOLINGS.choose(GeM, per_channel=True).make(channels=7).p.shape == (7,)
    assert replace(DELGConfig(), pooling=POOLINGS.choose(GeM)) != DELGConfig()


@pytest.mark.parametrize("kind", sorted(LOSSES.parts()))
def test_every_loss_of_the_face_is_made_from_its_kind(kind):
    inner = {"loss": {"kind": "triplet"}, "size": 4} if kind == "cross_batch_memory" else {}
    choice = LOSSES.read({"kind": kind, **inner})
    loss = choice.make(classes=3, dim=4, seed=0, generator=None)
    assert type(loss) is choice.part
    assert LOSSES.read(choice.model_dump(mode="json")) == choice
