"""Recipes: what a file says is what runs, and what it cannot mean is answered with what was meant."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from resight.errors import InvalidInput
from resight.networks.cgd import CONFIGURATIONS
from resight.training import Recipe
from resight.training.groups import group_parameters
from resight.training.network import build_model, build_objective
from resight.training.recipe_file import RECIPES, find_recipe, read_values

PUBLISHED = ("cub200", "cars196", "sop", "inshop")


def test_numbers_without_a_point_are_numbers_and_words_stay_words(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text("rate: 1e-4\nyes_: yes\nflag: true\nnothing:\nconfiguration: 1e3x\nwhole: 12\n")
    assert read_values(file) == {
        "rate": 1e-4,
        "yes_": "yes",
        "flag": True,
        "nothing": None,
        "configuration": "1e3x",
        "whole": 12,
    }


def test_overrides_reach_into_mappings_and_lists(recipe_file):
    recipe = Recipe.from_yaml(
        recipe_file,
        ["optimiser.learning_rate=2e-3", "objective.ranking.loss.alpha=3", "objective.0.weight=0.5"],
    )
    assert recipe.optimiser.learning_rate == 2e-3
    assert recipe.objective[0].loss.alpha == 3.0
    assert recipe.objective[0].weight == 0.5


def test_an_override_can_replace_a_whole_part(recipe_file):
    recipe = Recipe.from_yaml(recipe_file, ["objective.ranking.loss={kind: proxy_nca, scale: 4}"])
    assert (recipe.objective[0].loss.kind, recipe.objective[0].loss.scale) == ("proxy_nca", 4)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trainin.epochs=3", "there is no key 'trainin' here: did you mean 'training'?"),
        ("training.epoch=3", "training: there is no key 'epoch' here: did you mean 'epochs'?"),
        ("objective.0.loss.alfa=3", "objective.0.loss: there is no key 'alfa' here: did you mean 'alpha'?"),
        ("objective.0.loss.kind=multi_similarty", "did you mean 'multi_similarity'?"),
        ("objective.rankin.weight=1", "names the entry 'rankin': did you mean 'ranking'?"),
        (
            "optimiser.learning_rate=fast",
            "optimiser.learning_rate: input should be a valid number, got 'fast'",
        ),
        ("training.epochs=2.5", "training.epochs"),
        ("training.epochs=true", "training.epochs"),
        ("optimiser.learning_rate=.nan", "optimiser.learning_rate"),
        ("name.first=a", "leads into name, which holds 'made' and no keys"),
        ("training.epochs", "an override is written key.sub=value, not 'training.epochs'"),
        (
            "objective.0.output=logits",
            "multi_similarity takes the output descriptor or branches, not logits",
        ),
        ("objective.0.output=branches", "the model embedding has no output branches: it has descriptor"),
        ("objective=[]", "objective"),
    ],
)
def test_what_cannot_be_meant_is_answered_with_what_was(recipe_file, override, said):
    with pytest.raises(InvalidInput) as error:
        Recipe.from_yaml(recipe_file, [override])
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text("seed: 1\nseed: 2\n")
    with pytest.raises(InvalidInput, match="the key 'seed' stands twice"):
        read_values(file)


def test_a_file_extends_another_and_chooses_a_benchmark(tmp_path):
    (tmp_path / "below.yaml").write_text(
        "data: {root: a, boxes: true}\nloss: {kind: x, margin: 1}\nlist: [1, 2]\n"
        "benchmark: one\nbenchmarks: {one: {}, two: {data: {root: b}}}\n"
    )
    above = tmp_path / "above.yaml"
    above.write_text("extends: below.yaml\nloss: {kind: y}\nlist: [3]\n")
    assert read_values(above, ["benchmark=two", "list.0=4"]) == {
        "data": {"root": "b", "boxes": True},
        "loss": {"kind": "y"},
        "list": [4],
    }
    with pytest.raises(InvalidInput, match="has no benchmark 'tow': did you mean 'two'"):
        read_values(above, ["benchmark=tow"])


def test_a_file_that_extends_itself_is_refused(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text("extends: r.yaml\n")
    with pytest.raises(InvalidInput, match="extends itself"):
        read_values(file)


def test_the_fingerprint_changes_with_what_changes_weights_and_with_nothing_else(recipe_file):
    said = Recipe.from_yaml(recipe_file).fingerprint
    for same in ("training.workers=3", "log.every=7", "data.root=elsewhere"):
        assert Recipe.from_yaml(recipe_file, [same]).fingerprint == said
    for other in ("seed=1", "training.epochs=3", "objective.0.weight=2.0"):
        assert Recipe.from_yaml(recipe_file, [other]).fingerprint != said


def test_what_is_written_beside_a_run_reads_back_as_the_same_recipe(recipe_file, tmp_path):
    recipe = Recipe.from_yaml(recipe_file, ["model={kind: cgd, trunk: {name: test_resnet}, dim: 32}"])
    written = tmp_path / "written.yaml"
    written.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    assert Recipe.from_yaml(written) == recipe


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("{checkpoint_path: weights}", "'checkpoint_path', which is no part of the architecture"),
        ("{features_only: false}", "'features_only', which is no part of the architecture"),
        ("{channels: [8, 8, 8, 9999999]}", "accepted are truth values, numbers of at most"),
    ],
)
def test_options_of_a_trunk_that_no_bundle_may_hold_are_refused_before_training(
    recipe_file, options, sentence
):
    with pytest.raises(InvalidInput, match=f"could not hold the trunk: its trunk_options .*{sentence}"):
        Recipe.from_yaml(recipe_file, [f"model.trunk.options={options}"])


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_of_the_repository_can_be_read_for_each_of_its_benchmarks(file):
    own = read_values(file, [])["data"]["benchmark"]
    others = ("folder",) if "small" in file.stem or "gldv2" in file.stem else PUBLISHED
    # Tuples are no set of labels, and no set of labels is tuples.
    names = (own,) if own == "tuples" else (own, *others)
    for name in names:
        recipe = Recipe.from_yaml(file, [f"benchmark={name}"])
        assert recipe.data.benchmark == name
    assert file.read_text().startswith("# ")


def test_a_recipe_of_the_package_is_named_without_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_values("small-cgd") == read_values(RECIPES / "small-cgd.yaml")
    with pytest.raises(InvalidInput) as error:
        read_values("smal-cgd")
    assert str(error.value) == "there is no recipe 'smal-cgd': did you mean 'small-cgd'?"
    (tmp_path / "small-cgd").write_text("name: own\n")
    assert read_values("small-cgd") == {"name": "own"}
    assert find_recipe("folder/small-cgd") == Path("folder/small-cgd")
    (tmp_path / "own.yaml").write_text("extends: small-gem\nname: own\n")
    assert read_values("own.yaml") == {**read_values("small-gem"), "name": "own"}


def overrides_of_head(file):
    """The overrides that the indented lines of a recipe's first comment name."""
    head = file.read_text().split("\nname:")[0].splitlines()
    words = [word for line in head if line.startswith("#   ") for word in shlex.split(line[1:])]
    return [word for word in words if re.match(r"[a-z_]+(\.\w+)*=", word)]


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_the_head_of_a_recipe_offers_is_accepted(file):
    for override in overrides_of_head(file):
        assert Recipe.from_yaml(file, [override]) is not None, override


def test_delg_and_dolg_are_trained_as_their_papers_say():
    delg, dolg = (Recipe.from_yaml(RECIPES / f"{name}-gldv2.yaml") for name in ("delg", "dolg"))
    ranking, attention, reconstruction = delg.objective
    assert ranking.loss.margin == 0.1
    assert ranking.loss.rule == "delg"
    assert ranking.loss.scale == pytest.approx(2048**0.5, abs=0.01)
    assert ranking.loss.learn_scale
    assert (ranking.weight, attention.weight, reconstruction.weight) == (1, 1, 10)
    assert (delg.model.dim, delg.model.local_dim, delg.model.attention_dim) == (2048, 128, 512)
    assert delg.model.stop_gradient
    assert (delg.optimiser.kind, delg.optimiser.momentum, delg.optimiser.learning_rate) == ("sgd", 0.9, 0.01)
    assert (delg.schedule.kind, delg.training.clip, delg.training.epochs) == ("linear", 10, 25)
    assert (delg.data.train_transform.size, delg.data.train_transform.mirror) == (512, 0)
    assert (dolg.objective[0].loss.scale, dolg.objective[0].loss.margin) == (30, 0.15)
    assert (dolg.model.dim, dolg.model.dilations) == (512, (6, 12, 18))
    assert dolg.model.multi_atrous
    assert (dolg.optimiser.learning_rate, dolg.optimiser.weight_decay) == (0.05, 1e-4)
    assert (dolg.schedule.kind, dolg.schedule.warm_up, dolg.training.epochs) == ("cosine", 5, 100)
    assert (dolg.sampler.batch, dolg.data.train_transform.size) == (128, 512)
    assert dolg.use.scales == pytest.approx((2**-1.5, 0.5, 2**-0.5, 1, 2**0.5), abs=1e-4)


@pytest.mark.parametrize(("name", "rate"), [("delg", None), ("dolg", 1.0)])
def test_the_released_configurations_make_a_network_and_its_groups(name, rate):
    file = RECIPES / f"{name}-gldv2.yaml"
    small = "model.trunk={name: test_resnet, pretrained: false}"
    recipe = Recipe.from_yaml(file, [*overrides_of_head(file), small])
    model = build_model(recipe, classes=3)
    objective = build_objective(recipe, model, classes=3)
    groups = group_parameters(model, objective, recipe.optimiser, recipe.groups)
    exponents = {group.rate for group in groups for key, _ in group.parameters if key == "model.pooling.p"}
    assert exponents == ({rate} if rate else set())


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (["use.local.quantile=2.0"], "local: quantile must lie in 0 .. 1"),
        (["use.local.scales=[]"], "local: scales must be positive numbers, at least one"),
        (["model.kind=gem"], "the model gem has no keypoints: leave out use.local"),
    ],
)
def test_keypoints_that_cannot_be_are_refused(recipe_file, override, said):
    of_delg = ["model={kind: delg, trunk: {name: test_resnet}}", "use.local={max_features: 20}"]
    assert Recipe.from_yaml(recipe_file, of_delg).use.local.max_features == 20
    with pytest.raises(InvalidInput) as error:
        Recipe.from_yaml(recipe_file, [*of_delg, *override])
    assert said in str(error.value)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_one_key_gives_the_twelve_configurations_of_cgd(configuration):
    recipe = Recipe.from_yaml(RECIPES / "cgd.yaml", [f"model.configuration={configuration}"])
    assert recipe.model.configuration == configuration
    assert recipe.model.dim % len(configuration) == 0


@pytest.mark.parametrize(
    "name", ["../../escaped", "/tmp/escaped", "..", "a\\b", "a\0b", "nul", "a/b", " ", "n" * 300, "a\nb"]
)
def test_the_name_of_a_run_is_no_path(recipe_file, name):
    values = read_values(recipe_file)
    with pytest.raises(InvalidInput, match=r"name: '.*' is no name for a run: ") as error:
        Recipe.from_values({**values, "name": name})
    assert len(str(error.value)) < 300
    values["objective"][0]["name"] = f"{name}/"
    with pytest.raises(InvalidInput, match=r"objective\.0\.name: "):
        Recipe.from_values(values)


def test_another_kind_by_override_says_how_to_leave_the_old_ones_settings_behind(recipe_file):
    settings = ["objective.0.loss={kind: soft_triple, centres: 5}", "objective.0.loss.kind=triplet"]
    with pytest.raises(
        InvalidInput, match=r"no key 'centres' here.*objective.0.loss='\{kind: NAME\}' replaces"
    ):
        Recipe.from_yaml(recipe_file, settings)
    with pytest.raises(InvalidInput) as error:
        Recipe.from_yaml(recipe_file, ["seed=-1"])
    with pytest.raises(InvalidInput, match="seed"):
        Recipe.from_yaml(recipe_file, [f"seed={10**20}"])
    assert "replaces them all" not in str(error.value)
