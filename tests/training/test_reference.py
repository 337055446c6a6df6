"""The reference of a recipe's settings is read from the classes that take them, and lacks nothing."""

import json

import pytest

from resight.cli import main
from resight.errors import InvalidInput
from resight.training.reference import all_settings, settings_at


def test_every_setting_has_a_meaning():
    settings = all_settings()
    assert len(settings) > 150
    assert [each.key for each in settings if not each.meaning] == []
    assert len(set(settings)) == len(settings)


def test_a_setting_says_type_default_and_choices():
    (dim,) = (each for each in settings_at("model.dim") if each.kind == "delg")
    assert (dim.type, dim.default) == ("whole number, positive", "2048")
    assert dim.meaning == "Length of a descriptor."
    (fusion,) = settings_at("model.fusion")
    assert fusion.choices == ("orthogonal", "concatenate", "hadamard")
    (pooling,) = (each for each in settings_at("model.pooling") if each.kind == "delg")
    assert pooling.default == '{kind: "gem", learnable: false}'
    assert {each.key for each in settings_at("objective.loss.soft_triple")} == {
        f"objective.loss.{name}" for name in ("centres", "scale", "gamma", "margin", "tau")
    }
    with pytest.raises(InvalidInput, match=r"a recipe has no key 'model.dimm': did you mean 'model.dim'"):
        settings_at("model.dimm")


def test_train_explains_a_key(capsys):
    assert main(["train", "--explain", "optimiser"]) == 0
    assert (
        "optimiser.learning_rate of adam: number, positive and finite, no default" in capsys.readouterr().out
    )
    assert main(["train", "--explain", "model.dim", "--json"]) == 0
    kinds = {each["kind"] for each in json.loads(capsys.readouterr().out)}
    assert kinds == {"cgd", "delg", "dolg", "embedding", "gem"}
