"""Trunks that take one size, and trunks with negative activations: trained, described, read back."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import torch

import resight
from resight.errors import InvalidInput
from resight.models import bundle as bundles
from resight.models.network_describer import NetworkDescriber
from resight.networks import POOLINGS, Backbone, Embedding, EmbeddingConfig, GeMNet, GeMNetConfig
from resight.networks.gem import signed_pooling
from resight.networks.pooling import ClassToken, GeM, SignedGeM, SPoC
from resight.pipelines.evaluate import Protocol, evaluate
from resight.training import Recipe, train

# Small: a gated perceptron, which takes one size only, and a transformer with a class token.
MLP = "{name: gmlp_ti16_224, pretrained: false, options: {img_size: 64}}"
VIT = "{name: test_vit, pretrained: false, options: {img_size: 32, depth: 2, dynamic_img_size: false}}"


def settings(model, size, *more):
    return [
        f"model={model}",
        "training.epochs=1",
        f"data.train_transform={{kind: resize_random_crop, size: {size}, resize: {size + 4}}}",
        f"data.test_transform={{kind: stretch, size: {size}}}",
        *more,
    ]


@pytest.mark.parametrize(
    ("model", "size", "pooling"),
    [
        (f"{{kind: gem, trunk: {MLP}}}", 64, "signed_gem"),
        (f"{{kind: gem, trunk: {VIT}, dim: 8}}", 32, "class_token"),
        (f"{{kind: embedding, trunk: {MLP}, dim: 8}}", 64, "spoc"),
        (f"{{kind: embedding, trunk: {VIT}, dim: 8, pooling: {{kind: class_token}}}}", 32, "class_token"),
        (f"{{kind: gem, trunk: {VIT}, pooling: {{kind: signed_gem, p: 2.0}}}}", 32, "signed_gem"),
    ],
)
def test_they_train_describe_evaluate_and_read_back(recipe_file, made_photos, tmp_path, model, size, pooling):
    run = tmp_path / "run"
    outcome = train(Recipe.from_yaml(recipe_file, settings(model, size)), run)
    assert Recipe.from_yaml(run / "recipe.yaml").model.pooling.kind == pooling
    said = json.loads((run / "result.json").read_text())
    assert said["recipe_fingerprint"] == Recipe.from_yaml(run / "recipe.yaml").fingerprint
    loaded = resight.load_model(outcome.bundle)
    assert loaded.describer.traits.pooling == pooling
    assert loaded.to_bundle().fingerprint == bundles.read(outcome.bundle).fingerprint
    shapes, rng = ((50, 90), (size, size)), np.random.default_rng(0)
    photos = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]
    described = loaded.describe(photos)
    np.testing.assert_allclose(np.linalg.norm(described, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(loaded.describe(photos[:1])[0], described[0], atol=1e-5)
    measured = evaluate(outcome.bundle, "folder", made_photos, Protocol(clusters=False)).result
    assert {each.name: each.value for each in measured.measures} == outcome.test
    train(Recipe.from_yaml(recipe_file, [*settings(model, size), "training.epochs=2"]), run, resume=True)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (
            ["data.train_transform.size=60"],
            "photos of 64 x 64 pixels only: data.train_transform='{kind: resize_",
        ),
        (["data.test_transform.size=32"], "data.test_transform='{kind: stretch, size: 64}'"),
        (
            ["data.test_transform={kind: long_side, size: 64}"],
            "data.test_transform='{kind: stretch, size: 64}'",
        ),
        (["use.scales=[1.0, 0.5]"], "and so no scales but (1.0,), not (1.0, 0.5)"),
    ],
)
def test_another_size_is_refused_before_the_training(recipe_file, tmp_path, more, text):
    recipe = Recipe.from_yaml(recipe_file, [*settings(f"{{kind: gem, trunk: {MLP}}}", 64), *more])
    with pytest.raises(InvalidInput) as error:
        train(recipe, tmp_path / "run")
    assert text in str(error.value)


def test_a_describer_of_a_fixed_size_has_one_scale():
    net = GeMNet(Backbone("gmlp_ti16_224", out_indices=(-1,), options={"img_size": 64}), GeMNetConfig())
    assert net.trunk.image_size == (64, 64)
    assert NetworkDescriber(net).traits.scales == (1.0,)
    with pytest.raises(InvalidInput, match="photos of 64 x 64 pixels only, and so no scales"):
        NetworkDescriber(net, scales=(1.0, 0.5))


def test_a_pooling_that_is_named_is_kept_and_what_gem_loses_is_said(recipe_file, tmp_path, caplog):
    model = f"{{kind: gem, trunk: {VIT}, pooling: {{kind: gem}}}}"
    train(Recipe.from_yaml(recipe_file, settings(model, 32)), tmp_path / "gem")
    assert "GeM takes no negative activations: " in caplog.text
    assert "% of what the trunk test_vit gives it, by magnitude, is lost" in caplog.text
    assert Recipe.from_yaml(tmp_path / "gem/recipe.yaml").model.pooling.kind == "gem"
    caplog.clear()
    resnet = "{kind: gem, trunk: {name: test_resnet, pretrained: false}}"
    for number, each in enumerate((f"{{kind: gem, trunk: {VIT}}}", resnet)):
        train(Recipe.from_yaml(recipe_file, settings(each, 32)), tmp_path / str(number))
    assert "negative" not in caplog.text
    assert Recipe.from_yaml(tmp_path / "1/recipe.yaml").model.pooling.kind == "gem"
    convnext = "{kind: gem, trunk: {name: test_convnext, pretrained: false}}"
    with caplog.at_level(logging.WARNING):
        train(Recipe.from_yaml(recipe_file, settings(convnext, 32)), tmp_path / "convnext")
    assert "the trunk test_convnext gives it" in caplog.text


def test_the_class_token_is_the_last_blocks_first_token():
    trunk = Backbone("test_vit", out_indices=(-1,)).eval()
    net = Embedding(trunk, EmbeddingConfig(8, POOLINGS.choose(ClassToken))).eval()
    images = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    model = trunk.net.model
    with torch.no_grad():
        x = model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(images))))
        for block in model.blocks:
            x = block(x)
        token = x[:, 0]
        centred = token - token.mean(1, keepdim=True)
        expected = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        torch.testing.assert_close(trunk.class_token(images), expected)
        described = torch.nn.functional.normalize(net.linear(expected), dim=1)
        torch.testing.assert_close(net(images).descriptor, described)


@pytest.mark.parametrize(
    ("trunk", "kind"),
    [
        ("test_vit", "class_token"),
        ("deit_tiny_distilled_patch16_224", "class_token"),
        ("vit_base_patch16_siglip_224", "signed_gem"),
        ("gmlp_ti16_224", "signed_gem"),
        ("test_resnet", "gem"),
    ],
)
def test_which_trunks_get_a_signed_pooling(trunk, kind):
    options = {"depth": 1, "embed_dim": 48, "num_heads": 3} if "patch16" in trunk else {}
    backbone = Backbone(trunk, out_indices=(-1,), options=options)
    assert signed_pooling(backbone, POOLINGS.choose(GeM, p=2.0)).kind == kind
    assert signed_pooling(backbone, POOLINGS.choose(SPoC)).kind == "spoc"
    if kind == "class_token":
        fixed = signed_pooling(backbone, POOLINGS.choose(GeM, learnable=False), token=False)
        assert fixed == POOLINGS.choose(SignedGeM, learnable=False)


def test_a_class_token_is_refused_where_there_is_none():
    net = GeMNet(Backbone("test_resnet", out_indices=(-1,)), GeMNetConfig(POOLINGS.choose(ClassToken)))
    with pytest.raises(InvalidInput, match="the trunk test_resnet has no class token: take"):
        net(torch.zeros(1, 3, 64, 64))
    with pytest.raises(InvalidInput, match="belongs to no place, and networks of the kinds gem"):
        ClassToken()(torch.zeros(1, 4, 2, 2))
