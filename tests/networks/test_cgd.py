"""CGD: branches as the paper writes them, configurations, and the same descriptors from a bundle."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import nn

from resight.errors import InvalidBundle, InvalidInput
from resight.features import Box
from resight.images import Photo
from resight.models import Model, NetworkDescriber, Preprocessing, load_model
from resight.models import bundle as bundles
from resight.models.bundle import Bundle
from resight.networks import CGD, Backbone
from resight.networks.cgd import CONFIGURATIONS, CGDConfig
from resight.networks.trunks.named import TrunkConfig


def make_net(configuration="SG", dim=12, *, seed=11, **options) -> CGD:
    torch.manual_seed(seed)
    trunk = options.pop("trunk", None) or Backbone("test_resnet", out_indices=(-1,))
    classes = options.pop("classes", None)
    return CGD(trunk, CGDConfig(configuration, dim, **options), classes=classes).eval()


def make_photo(rows: int, columns: int, seed: int) -> Photo:
    pixels = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    return Photo(pixels, columns, rows, Box(0, 0, columns, rows))


def images_of(*shape) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


def literally(net: CGD, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
    """Section 3 of the paper, image by image and channel by channel, in float64."""
    maps = net.trunk(images)[-1].double()
    descriptors, rows, firsts = [], [], []
    for each in maps:
        branches = []
        for number, letter in enumerate(net.config.configuration):
            pooled = torch.zeros(len(each), dtype=torch.float64)
            for channel, cells in enumerate(each.flatten(1)):
                if letter == "S":
                    pooled[channel] = sum(cells) / len(cells)
                elif letter == "M":
                    pooled[channel] = max(cells)
                else:
                    pooled[channel] = (sum(max(float(cell), 1e-6) ** 3 for cell in cells) / len(cells)) ** (
                        1 / 3
                    )
            if number == 0:
                firsts.append(pooled)
            projected = net.projections[number].weight.double() @ pooled
            branches.append(projected / projected.norm())
        joined = torch.cat(branches) if net.config.combine == "concatenate" else sum(branches)
        descriptors.append(joined / joined.norm())
        rows.append(branches)
    return (
        torch.stack(descriptors),
        [torch.stack(branch) for branch in zip(*rows, strict=True)],
        torch.stack(firsts),
    )


@pytest.mark.parametrize("combine", ["concatenate", "sum"])
@pytest.mark.parametrize("configuration", ["S", "GM", "MSG"])
def test_equals_the_paper_written_out(configuration, combine):
    net = make_net(configuration, classes=5, combine=combine)
    with torch.inference_mode():
        images = images_of(2, 3, 65, 47)
        output = net(images)
        descriptor, branches, first = literally(net, images)
        logits = first @ net.classifier.weight.double().T + net.classifier.bias.double()
    torch.testing.assert_close(output.descriptor.double(), descriptor, rtol=1e-4, atol=1e-5)
    for found, expected in zip(output.branches, branches, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(output.logits.double(), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "configuration", ["".join(each) for n in (1, 2, 3) for each in permutations("SMG", n)]
)
def test_any_order_of_branches(configuration):
    net = make_net(configuration)
    with torch.inference_mode():
        output = net(images_of(2, 3, 40, 33))
    assert output.descriptor.shape == (2, 12)
    assert [branch.shape for branch in output.branches] == [(2, 12 // len(configuration))] * len(
        configuration
    )
    for each in (output.descriptor, *output.branches):
        torch.testing.assert_close(each.norm(dim=1), torch.ones(2))
    assert output.logits is None
    assert len(CONFIGURATIONS) == len(set(CONFIGURATIONS)) == 12


def test_branches_to_sum_have_the_whole_dimension():
    net = make_net("SMG", 7, combine="sum")
    with torch.inference_mode():
        output = net(images_of(2, 3, 64, 64))
    assert [branch.shape for branch in output.branches] == [(2, 7)] * 3
    torch.testing.assert_close(output.descriptor, nn.functional.normalize(sum(output.branches)))


def test_the_last_stage_keeps_its_resolution():
    trunk = Backbone("test_resnet", out_indices=(-1,))
    assert make_net(trunk=trunk).trunk.strides == (16,)
    assert make_net(trunk=trunk).trunk.without_stride == "conv5"
    assert make_net(trunk=trunk, without_stride="conv4").trunk.without_stride == "conv4"
    assert make_net(trunk=trunk, without_stride=None).trunk is trunk
    assert trunk.strides == (32,)


def test_parameters_of_the_literature():
    """A public implementation counts 26.86, 49.85 and 34.85 million for 1536 dimensions in two branches."""
    for classes, millions in ((98, 26.86), (100, 26.86), (11318, 49.85), (3997, 34.85)):
        with torch.device("meta"):
            config = CGDConfig("SG", without_stride=None, classifier_batch_norm=True)
            net = CGD(TrunkConfig("resnet50", pretrained=False).build(), config, classes=classes)
        assert net.dim == 1536
        count = sum(parameter.numel() for parameter in net.parameters())
        assert count / 1e6 == pytest.approx(millions, abs=0.005)


def test_learning_reaches_every_parameter_and_the_exponent_where_asked():
    for learn in (False, True):
        net = make_net("SMG", classes=4, learn_exponent=learn).train()
        assert ("poolings.2.p" in dict(net.named_parameters())) == learn
        assert "poolings.2.p" in net.state_dict()
        output = net(images_of(3, 3, 64, 64))
        (output.descriptor[:, 0].sum() + output.logits[:, 0].sum()).backward()
        assert all(parameter.grad is not None for parameter in net.parameters())


def test_only_the_first_branch_feeds_the_classifier():
    net = make_net("SG", classes=4).train()
    net(images_of(2, 3, 64, 64)).logits.sum().backward()
    assert net.classifier.weight.grad is not None
    assert all(projection.weight.grad is None for projection in net.projections)


def test_float32_under_autocast_and_float64_throughout():
    net = make_net("SMG", classes=3)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        output = net(images_of(1, 3, 64, 64))
    assert {each.dtype for each in (output.descriptor, output.logits, *output.branches)} == {torch.float32}
    with torch.inference_mode():
        assert net.double()(images_of(1, 3, 64, 64).double()).descriptor.dtype == torch.float64


def test_maps_without_response_have_finite_gradients():
    net = make_net("SMG", classes=3)
    for parameter in net.trunk.parameters():
        nn.init.zeros_(parameter)
    output = net(images_of(2, 3, 64, 64))
    (output.descriptor.sum() + output.logits.sum()).backward()
    assert all(bool(torch.isfinite(each.grad).all()) for each in net.parameters() if each.grad is not None)


def test_batch_normalisation_before_the_classifier():
    net = make_net(classes=3, classifier_batch_norm=True).train()
    assert net(images_of(2, 3, 64, 64)).logits.shape == (2, 3)
    with pytest.raises(InvalidInput, match="needs at least two images a batch in training, got 1"):
        net(images_of(1, 3, 64, 64))
    assert net.eval()(images_of(1, 3, 64, 64)).logits.shape == (1, 3)
    assert make_net(classes=3).classifier_norm is None


def test_a_generator_decides_the_layers():
    trunk = Backbone("test_resnet", out_indices=(-1,))
    made = [
        CGD(trunk, CGDConfig("SG", 8), classes=3, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    for layer in ("projections.1.weight", "classifier.weight", "classifier.bias"):
        first, same, other = (net.get_parameter(layer) for net in made)
        assert torch.equal(first, same)
        assert not torch.equal(first, other)
        assert float(first.detach().abs().max()) <= 96**-0.5


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"configuration": ""}, "letters of S, M and G, each at most once, SG for example, not ''"),
        ({"configuration": "SX"}, "not 'SX'"),
        ({"configuration": "SS"}, "not 'SS'"),
        ({"configuration": "sg"}, "not 'sg'"),
        (
            {"configuration": "SMG", "dim": 1535},
            "positive multiple of 3 to be shared by the branches SMG, not 1535",
        ),
        ({"dim": 0}, "not 0"),
        ({"combine": "mean"}, "combine must be concatenate or sum, not 'mean'"),
        ({"classes": 0}, "at least one class, not 0"),
        ({"without_stride": "conv3"}, "without_stride must be one of conv4, conv5 or None, not 'conv3'"),
    ],
)
def test_settings_that_cannot_be_right(options, text):
    with pytest.raises(InvalidInput, match=text):
        make_net(**options)


def test_model_contract():
    model: Model = Model(NetworkDescriber(make_net("MG", classes=4), max_side=96), name="made")
    assert (model.name, model.dim, model.max_side, model.facts.scales) == ("made", 12, 96, (1.0,))
    photos = [make_photo(60, 80, 1), make_photo(81, 57, 2), make_photo(60, 80, 3), make_photo(5, 3, 4)]
    together = np.stack([features.descriptor for features in model.extract(photos)])
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    for photo, descriptor in zip(photos, together, strict=True):
        np.testing.assert_allclose(model.extract([photo])[0].descriptor, descriptor, atol=1e-5)
    assert np.abs(together[0] - together[2]).max() > 1e-3


def test_same_alone_and_in_a_real_batch():
    model = Model(NetworkDescriber(make_net("SMG"), scales=(1.0, 0.5)), name="made")
    photos = [make_photo(61, 83, seed) for seed in range(4)]
    alone = [features.descriptor for features in model.extract(photos)]
    batched = NetworkDescriber(model.describer.net, scales=(1.0, 0.5), batch_size=3)
    together = [features.descriptor for features in batched.extract(photos)]
    np.testing.assert_allclose(np.stack(together), np.stack(alone), atol=1e-5)


@pytest.mark.parametrize(
    ("configuration", "options"),
    [
        ("SG", {"classes": 4}),
        ("GSM", {"combine": "sum", "learn_exponent": True, "without_stride": "conv4"}),
        ("M", {"without_stride": None, "classes": 3, "classifier_batch_norm": True}),
    ],
)
def test_bundle_round_trip_is_bit_equal(configuration, options, tmp_path):
    net = make_net(configuration, **options)
    model = Model(NetworkDescriber(net, max_side=80), name="made", licence="cc0-1.0", provenance="here")
    path = tmp_path / "made.safetensors"
    bundles.write(model.to_bundle(), path)
    again = load_model(path)
    photo = make_photo(60, 80, 1)
    assert np.array_equal(again.extract([photo])[0].descriptor, model.extract([photo])[0].descriptor)
    assert again.fingerprint == model.fingerprint
    assert (again.max_side, again.facts.scales, again.dim) == (80, (1.0,), 12)
    assert (again.describer.net.config.configuration, again.describer.net.config.combine) == (
        configuration,
        net.config.combine,
    )
    assert again.describer.net.trunk.without_stride == net.trunk.without_stride
    assert again.describer.net.classifier is None
    assert [name for name, _ in again.describer.net.poolings.named_parameters()] == [
        name for name, _ in net.poolings.named_parameters()
    ]


def test_the_classifier_is_in_the_checkpoint_and_not_in_the_bundle():
    with_one, without = make_net(classes=4), make_net()
    without.load_state_dict(
        {name: each for name, each in with_one.state_dict().items() if not name.startswith("classifier")}
    )
    assert "classifier.weight" in with_one.state_dict()
    bundle = Model(NetworkDescriber(with_one), name="made").to_bundle()
    assert not any("classifier" in name for name in bundle.tensors)
    assert bundle.fingerprint == Model(NetworkDescriber(without), name="made").fingerprint
    assert bundle.architecture == "cgd"


def changed(settings: dict[str, object], **changes) -> Bundle:
    made = Model(NetworkDescriber(make_net(), max_side=96), name="made").to_bundle()
    values = {
        "architecture": made.architecture,
        "settings": {**made.settings, **settings},
        "preprocessing": made.preprocessing,
        "licence": "",
        "provenance": "",
        "tensors": made.tensors,
    }
    return Bundle(**{**values, **changes})


@pytest.mark.parametrize(
    ("settings", "changes", "text"),
    [
        ({"configuration": "SZ"}, {}, "not 'SZ'"),
        ({"configuration": "SGM"}, {}, r"Missing key\(s\) in state_dict: .*projections\.2"),
        ({"dim": 24}, {}, r"size mismatch for projections\.0\.weight"),
        ({"dim": "many"}, {}, "dim: input should be a valid integer, got 'many'"),
        ({"combine": "mean"}, {}, "combine: input should be 'concatenate' or 'sum', got 'mean'"),
        (
            {"trunk_without_stride": "conv3"},
            {},
            "trunk_without_stride: input should be 'conv4' or 'conv5', got 'conv3'",
        ),
        ({"trunk_deepest": -9}, {}, "gives no feature maps"),
        ({}, {"preprocessing": Preprocessing(96, channel_order="BGR")}, "trunk test_resnet takes RGB"),
        ({}, {"tensors": {}}, "Missing key"),
    ],
)
def test_bundles_that_make_no_network(settings, changes, text):
    with pytest.raises(InvalidBundle, match=text):
        NetworkDescriber.from_bundle(changed(settings, **changes), name="made")
