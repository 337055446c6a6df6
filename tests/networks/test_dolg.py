"""DOLG: branches and fusion as the paper writes them, every ablation, and bundles that describe the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from resight.errors import InvalidBundle, InvalidInput
from resight.features import Box
from resight.images import Photo
from resight.models import Model, NetworkDescriber, load_model
from resight.models import bundle as bundles
from resight.models.bundle import Bundle
from resight.networks import DOLG, Backbone, GeM, SPoC
from resight.networks.dolg import DOLGConfig
from resight.networks.fusion import fuse, orthogonal_part
from resight.networks.local_branch import LocalBranch
from resight.networks.multi_atrous import MultiAtrous
from resight.networks.pooling import POOLINGS


def make_net(*, seed=7, **options) -> DOLG:
    torch.manual_seed(seed)
    trunk = options.pop("trunk", None) or Backbone("test_resnet", out_indices=(-2, -1))
    net = DOLG(trunk, DOLGConfig(**{"dim": 12, "dilations": (1, 2), **options})).eval()
    for module in net.branches.modules():
        if isinstance(module, nn.BatchNorm2d):
            # Numbers that differ from a first initialisation, so that no part can be left out unseen.
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
    return net


def make_photo(rows: int, columns: int, seed: int) -> Photo:
    pixels = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    return Photo(pixels, columns, rows, Box(0, 0, columns, rows))


def random(*shape, seed=2) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def convolved(layer: nn.Conv2d, cells: torch.Tensor) -> torch.Tensor:
    """One image's map through a convolution, cell by cell and weight by weight."""
    rows, columns = cells.shape[1:]
    size, step = layer.kernel_size[0], layer.dilation[0]
    result = torch.zeros(layer.out_channels, rows, columns)
    for row in range(rows):
        for column in range(columns):
            result[:, row, column] = layer.bias
            for down in range(size):
                for right in range(size):
                    r = row + (down - size // 2) * step
                    c = column + (right - size // 2) * step
                    if 0 <= r < rows and 0 <= c < columns:
                        result[:, row, column] += layer.weight[:, :, down, right] @ cells[:, r, c]
    return result


def several_distances(layer: MultiAtrous, cells: torch.Tensor) -> torch.Tensor:
    mean = cells.flatten(1).mean(dim=1)[:, None, None]
    seen = [convolved(layer.pooled, mean).clamp(min=0).expand(-1, *cells.shape[1:])]
    seen += [convolved(each, cells) for each in layer.parallel]
    return convolved(layer.joined, torch.cat(seen)).clamp(min=0)


def weighed(branch: LocalBranch, cells: torch.Tensor) -> torch.Tensor:
    seen = cells if branch.multi_atrous is None else several_distances(branch.multi_atrous, cells)
    h = convolved(branch.projection, seen)
    norm = branch.norm
    h = (h - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
    h = h * norm.weight[:, None, None] + norm.bias[:, None, None]
    directions = h / h.norm(dim=0)
    if branch.score is None:
        return directions
    return torch.log1p(torch.exp(convolved(branch.score, h.clamp(min=0)))) * directions


def fused(fusion: str, local: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """Fusion at every location, as the paper has it, then the mean over the locations."""
    total = torch.zeros_like(whole)
    for feature in local.flatten(1).T:
        match fusion:
            case "orthogonal":
                total += feature - (feature @ whole) / (whole @ whole) * whole
            case "concatenate":
                total += feature
            case "hadamard":
                total += feature * whole
    return total / local[0].numel()


@pytest.mark.parametrize("fuse_at", ["shallow", "deep", "both"])
@pytest.mark.parametrize("fusion", ["orthogonal", "concatenate", "hadamard"])
def test_equals_the_paper_written_out(fusion, fuse_at):
    net = make_net(fusion=fusion, fuse_at=fuse_at, multi_atrous=fuse_at != "both")
    images = random(2, 3, 65, 47)
    with torch.inference_mode():
        descriptor = net(images).descriptor
        shallow, deep = net.trunk(images)
        for number in range(2):
            whole = net.whole(((deep[number].clamp(min=1e-6) ** 3).mean(dim=(1, 2))) ** (1 / 3))
            parts = [] if fusion == "hadamard" else [whole]
            for place, maps in (("shallow", shallow), ("deep", deep)):
                if fuse_at in (place, "both"):
                    parts.append(fused(fusion, weighed(net.branches[place], maps[number]), whole))
            expected = net.head(torch.cat(parts))
            torch.testing.assert_close(descriptor[number], expected / expected.norm(), rtol=1e-4, atol=1e-5)


def test_multi_atrous_convolutions_equal_a_loop():
    torch.manual_seed(0)
    layer = MultiAtrous(6, (1, 2, 3))
    maps = random(2, 6, 5, 7)
    with torch.inference_mode():
        found = layer(maps)
        for number in range(2):
            torch.testing.assert_close(
                found[number], several_distances(layer, maps[number]), rtol=1e-4, atol=1e-5
            )
    assert found.min() >= 0


@pytest.mark.parametrize("parts", [{}, {"multi_atrous": False}, {"self_attention": False}])
def test_local_branch_equals_a_loop(parts):
    torch.manual_seed(0)
    whole = {"multi_atrous": True, "self_attention": True, **parts}
    branch = LocalBranch(6, 4, dilations=(1, 2), **whole).eval()
    branch.norm.running_mean.uniform_(-0.1, 0.1)
    maps = random(2, 6, 5, 3)
    with torch.inference_mode():
        found = branch(maps)
        for number in range(2):
            torch.testing.assert_close(found[number], weighed(branch, maps[number]), rtol=1e-4, atol=1e-5)
    # Directions are signed: they are taken before the ReLU.
    assert found.min() < 0


def test_what_is_fused_is_orthogonal_to_the_global_feature():
    local, whole = random(50, 64, 7, 5), random(50, 64, seed=3) * torch.logspace(-2, 3, 50)[:, None]
    part = fuse(local, whole, "orthogonal")
    cosines = nn.functional.cosine_similarity(part, whole)
    assert cosines.abs().max() <= 1e-5
    assert part.norm(dim=1).min() > 0.1
    assert nn.functional.cosine_similarity(fuse(local, whole, "concatenate"), whole).abs().max() > 0.1


def test_the_mean_commutes_with_every_fusion():
    local, whole = random(3, 8, 4, 5), random(3, 8, seed=3)
    for fusion in ("orthogonal", "concatenate", "hadamard"):
        expected = torch.stack([fused(fusion, each, g) for each, g in zip(local, whole, strict=True)])
        torch.testing.assert_close(fuse(local, whole, fusion), expected, rtol=1e-4, atol=1e-6)


def test_a_zero_global_feature_takes_nothing_away():
    local = random(2, 4).requires_grad_()
    whole = torch.zeros(2, 4, requires_grad=True)
    part = orthogonal_part(local, whole)
    assert torch.equal(part, local)
    part.sum().backward()
    assert torch.isfinite(whole.grad).all()
    assert torch.isfinite(local.grad).all()


def test_zero_maps_give_finite_numbers_and_gradients():
    for options in ({}, {"self_attention": False}, {"fusion": "hadamard"}, {"fuse_at": "both"}):
        net = make_net(**options).train()
        with torch.no_grad():
            for each in net.trunk.parameters():
                each.zero_()
            net.whole.bias.zero_()
        descriptor = net(random(3, 3, 64, 64)).descriptor
        descriptor[:, 0].sum().backward()
        assert torch.isfinite(descriptor).all()
        for name, each in net.named_parameters():
            assert each.grad is None or torch.isfinite(each.grad).all(), name


def test_all_of_it_learns_and_nothing_is_stopped():
    net = make_net(fuse_at="both", pooling=POOLINGS.choose(GeM)).train()
    net(random(3, 3, 64, 64)).descriptor[:, 0].sum().backward()
    assert {name for name, each in net.named_parameters() if each.grad is None} == set()
    assert all(each.grad.abs().sum() > 0 for each in net.branches.parameters())
    net.zero_grad()
    # Through the local branch alone the trunk's shallow stages learn too.
    net.branches["shallow"](net.trunk(random(3, 3, 64, 64))[0])[:, 0].sum().backward()
    assert sum(float(each.grad.abs().sum()) for each in net.trunk.parameters() if each.grad is not None) > 0


@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (65, 47), (33, 97), (5, 3)])
def test_any_size(rows, columns):
    net = make_net(dilations=(6, 12, 18))
    with torch.inference_mode():
        descriptor = net(random(2, 3, rows, columns)).descriptor
    assert descriptor.shape == (2, 12)
    torch.testing.assert_close(descriptor.norm(dim=1), torch.ones(2))


def test_parts_that_are_left_out_are_not_there():
    net = make_net(local_branch=False)
    assert (len(net.branches), net.config.multi_atrous, net.config.self_attention) == (0, False, False)
    assert net.head.in_features == net.config.global_dim
    assert not make_net(multi_atrous=False).config.multi_atrous
    assert not make_net(self_attention=False).config.self_attention
    assert make_net(fusion="hadamard").head.in_features == net.config.global_dim
    assert make_net(fuse_at="both").head.in_features == 3 * net.config.global_dim
    assert make_net(global_dim=10).whole.out_features == 10


def test_the_sizes_of_the_paper():
    with torch.device("meta"):
        net = DOLG(Backbone("resnet50", out_indices=(-2, -1)), DOLGConfig())
    branch = net.branches["shallow"]
    assert (net.whole.in_features, net.whole.out_features, net.dim) == (2048, 1024, 512)
    assert net.head.in_features == 2048
    assert branch.multi_atrous.joined.weight.shape == (1024, 2560, 1, 1)
    assert [each.dilation[0] for each in branch.multi_atrous.parallel] == [1, 6, 12, 18]
    assert branch.score.weight.shape == (1, 1024, 1, 1)


def test_autocast_does_not_change_a_ranking():
    net, images = make_net(dim=32), random(12, 3, 64, 64)
    contrast, brightness = (torch.linspace(*ends, 12).view(-1, 1, 1, 1) for ends in ((0.2, 3), (-2, 2)))
    images = images * contrast + brightness
    with torch.inference_mode():
        exact = net(images).descriptor
        with torch.autocast("cpu", torch.bfloat16):
            half = net(images).descriptor
    assert half.dtype == torch.float32
    first, second = ((each @ each.T).argsort(dim=1, descending=True) for each in (exact, half))
    assert (first[:, :2] == second[:, :2]).all()


def test_model_contract():
    model: Model = Model(NetworkDescriber(make_net(), max_side=96, scales=(1.0, 0.5)), name="made")
    photos = [make_photo(60, 80, 1), make_photo(81, 57, 2), make_photo(60, 80, 3), make_photo(5, 3, 4)]
    together = np.stack([features.descriptor for features in model.extract(photos)])
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert np.abs(together[0] - together[2]).max() > 1e-3


def test_same_alone_and_in_a_real_batch():
    model = Model(NetworkDescriber(make_net(), scales=(1.0, 0.5)), name="made")
    photos = [make_photo(61, 83, seed) for seed in range(4)]
    alone = [features.descriptor for features in model.extract(photos)]
    batched = NetworkDescriber(model.describer.net, scales=(1.0, 0.5), batch_size=3)
    together = [features.descriptor for features in batched.extract(photos)]
    np.testing.assert_allclose(np.stack(together), np.stack(alone), atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"local_branch": False, "pooling": POOLINGS.choose(SPoC)},
        {"fusion": "concatenate", "fuse_at": "both", "multi_atrous": False, "global_dim": 20},
        {
            "fusion": "hadamard",
            "fuse_at": "deep",
            "self_attention": False,
            "pooling": POOLINGS.choose(GeM, p=2.5),
        },
    ],
)
def test_bundle_round_trip_is_bit_equal(options, tmp_path):
    net = make_net(**options)
    model = Model(NetworkDescriber(net, max_side=80, scales=(1.0, 0.7)), name="made", licence="cc0-1.0")
    path = tmp_path / "made.safetensors"
    bundles.write(model.to_bundle(), path)
    again = load_model(path)
    photo = make_photo(60, 80, 1)
    assert np.array_equal(again.extract([photo])[0].descriptor, model.extract([photo])[0].descriptor)
    assert again.fingerprint == model.fingerprint
    for name in ("fusion", "fuse_at", "dilations", "multi_atrous", "self_attention", "global_dim"):
        assert getattr(again.describer.net.config, name) == getattr(net.config, name)
    assert again.describer.net.trunk.strides == net.trunk.strides


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"fusion": "sum"}, "fusion: input should be 'orthogonal', 'concatenate' or 'hadamard', got 'sum'"),
        ({"dilations": 6}, "dilations: input should be a valid tuple, got 6"),
        ({"trunk_maps": "-2"}, "trunk_maps: input should be a valid tuple, got '-2'"),
        ({"trunk_maps": [-1]}, "needs a shallow and a deep map"),
        ({"global_dim": 7}, "size mismatch for whole.weight"),
    ],
)
def test_bundles_that_make_no_network(settings, text):
    made = Model(NetworkDescriber(make_net()), name="made").to_bundle()
    changed = Bundle("dolg", {**made.settings, **settings}, made.preprocessing, "", "", made.tensors)
    with pytest.raises(InvalidBundle, match=text):
        NetworkDescriber.from_bundle(changed, name="made")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"trunk": Backbone("test_resnet", out_indices=(-1,))}, r"build it with out_indices=\(-2, -1\)"),
        ({"fuse_at": "middle"}, "fuse_at must be one of shallow, deep, both, not 'middle'"),
        ({"dim": 0}, "must be positive, not 0"),
        ({"dilations": (0,)}, "must be positive"),
    ],
)
def test_settings_that_cannot_be_right(options, text):
    with pytest.raises(InvalidInput, match=text):
        make_net(**options)
