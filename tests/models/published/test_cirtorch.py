"""Files of cnnimageretrieval-pytorch: every tensor arrives, and the network gives what theirs gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from resight.errors import InvalidInput
from resight.models import load_model
from resight.models.bundle import write
from resight.models.published import ConversionConfig, convert
from resight.networks.trunks._timm import import_timm

NAMES = ("cirtorch-alexnet-gem", "cirtorch-vgg16-gem", "cirtorch-resnet50-gem-w", "cirtorch-resnet101-gem")


@pytest.fixture(scope="module")
def resnet(random_state):
    return random_state("cirtorch-resnet50-gem-w")


def theirs(state, pixels):
    """Trunk, GeM, unit norm, whitening and unit norm in torchvision's and torch's own functions."""
    import_timm("this test")
    import torchvision

    features = nn.Sequential(*list(torchvision.models.resnet50(weights=None).children())[:-2])
    features.load_state_dict({k[9:]: v for k, v in state.items() if k.startswith("features.")})
    with torch.inference_mode():
        maps = features.eval()(pixels)
        p = state["pool.p"]
        pooled = nn.functional.avg_pool2d(maps.clamp(min=1e-6).pow(p), maps.shape[2:]).pow(1 / p)[:, :, 0, 0]
        pooled = pooled / (pooled.norm(dim=1, keepdim=True) + 1e-6)
        whitened = nn.functional.linear(pooled, state["whiten.weight"], state["whiten.bias"])
        return whitened / (whitened.norm(dim=1, keepdim=True) + 1e-6)


@pytest.mark.parametrize(
    "name", [NAMES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[1:])]
)
def test_every_tensor_arrives_where_it_belongs(name, numbered_state, meta_of, saved):
    state = numbered_state(name)
    found = convert(saved({"state_dict": state, "meta": meta_of(name)}))
    assert [match.source for match in found.matches] == list(state)
    assert {match.target for match in found.matches} == set(found.bundle.tensors)
    assert found.left_out == ()
    for match in found.matches:
        given, got = state[match.source], found.bundle.tensors[match.target]
        assert got.shape == match.shape == tuple(given.shape)
        assert (got == given.numpy()).all(), match


def test_the_network_gives_what_theirs_gives(resnet, meta_of, saved):
    found = convert(saved({"state_dict": resnet, "meta": meta_of(NAMES[2]), "epoch": 12, "min_loss": 0.5}))
    assert (found.family, found.bundle.architecture) == ("cirtorch", "gem")
    assert found.bundle.settings["scales"] == pytest.approx([1.0, 2**0.5, 2**-0.5])
    path = saved({}).with_name("net.safetensors")
    write(found.bundle, path)
    pixels = torch.randn(2, 3, 64, 80, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        ours = load_model(path).describer.net.describe_at(pixels, (1.0,)).descriptor
    expected = theirs(resnet, pixels)
    assert (expected[0] - expected[1]).abs().max() > 1e-3
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


def test_mean_and_std_are_the_files(meta_of, numbered_state, saved):
    meta = {**meta_of(NAMES[0]), "mean": [0.1, 0.2, 0.3], "std": (0.4, 0.5, 0.6)}
    found = convert(
        saved({"state_dict": numbered_state(NAMES[0]), "meta": meta}), ConversionConfig(max_side=362)
    )
    assert found.bundle.preprocessing.mean == (0.1, 0.2, 0.3)
    assert found.bundle.preprocessing.std == (0.4, 0.5, 0.6)
    assert found.bundle.preprocessing.max_side == 362


@pytest.mark.parametrize("pooling", ["mac", "spoc", "gemmp", "rmac"])
def test_their_other_poolings(pooling, meta_of, numbered_state, saved):
    state = {k: v for k, v in numbered_state(NAMES[0]).items() if k != "pool.p"}
    if pooling == "gemmp":
        state["pool.p"] = torch.full((256,), 2.5)
    found = convert(saved({"state_dict": state, "meta": {**meta_of(NAMES[0]), "pooling": pooling}}))
    shown = found.bundle.settings["pooling"]
    assert shown["kind"] == ("gem" if pooling == "gemmp" else pooling)
    assert len(found.matches) == len(state)
    if pooling == "gemmp":
        assert shown["p"] == [2.5] * 256


@pytest.mark.slow
def test_counters_that_old_files_lack_are_zero_and_said(numbered_state, meta_of, saved):
    whole = numbered_state(NAMES[3])
    state = {key: tensor for key, tensor in whole.items() if not key.endswith("num_batches_tracked")}
    assert len(state) == len(whole) - 104
    found = convert(saved({"state_dict": state, "meta": meta_of(NAMES[3])}))
    assert len(found.matches) == len(state)
    assert found.bundle.tensors["trunk.net.bn1.num_batches_tracked"] == 0
    assert "counters" in found.remarks[0]


def test_names_with_the_prefix_of_several_gpus(numbered_state, meta_of, saved):
    state = numbered_state(NAMES[0])
    plain = convert(saved({"state_dict": state, "meta": meta_of(NAMES[0])})).bundle
    wrapped = {f"module.{key}": tensor for key, tensor in state.items()}
    assert (
        convert(saved({"state_dict": wrapped, "meta": meta_of(NAMES[0])})).bundle.fingerprint
        == plain.fingerprint
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda s: s.pop("features.10.bias"), "features.10.bias is missing"),
        (lambda s: s.pop("pool.p"), ": pool.p is missing"),
        (lambda s: s.update({"features.12.bias": torch.zeros(3)}), "features.12.bias is unknown"),
        (lambda s: s.update({"classifier.weight": torch.zeros(3)}), "classifier.weight is unknown"),
        (
            lambda s: s.update({"features.0.weight": torch.zeros(64, 3, 11, 10)}),
            r"features.0.weight has the shape \(64, 3, 11, 10\) instead of \(64, 3, 11, 11\)",
        ),
    ],
)
def test_a_missing_an_unknown_and_a_misshapen_tensor_are_named(change, text, numbered_state, meta_of, saved):
    state = numbered_state(NAMES[0])
    change(state)
    with pytest.raises(InvalidInput, match=text):
        convert(saved({"state_dict": state, "meta": meta_of(NAMES[0])}))


@pytest.mark.parametrize(
    ("meta", "text"),
    [
        ({"architecture": "densenet121"}, "'densenet121' with the pooling 'gem'; accepted are alexnet"),
        ({"pooling": "netvlad"}, "the pooling 'netvlad'"),
        ({"regional": True}, "pools regions"),
        ({"local_whitening": True}, "whitens every location"),
        ({"mean": [0.1, 0.2]}, "three numbers as the mean"),
    ],
)
def test_networks_without_a_counterpart_are_refused(meta, text, numbered_state, meta_of, saved):
    with pytest.raises(InvalidInput, match=text):
        convert(saved({"state_dict": numbered_state(NAMES[0]), "meta": {**meta_of(NAMES[0]), **meta}}))


def whitening(seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {"m": generator.normal(size=(256, 1)), "P": generator.normal(size=(256, 256))}


@pytest.fixture
def whitened(numbered_state, meta_of):
    lw = {"retrieval-SfM-120k": {"ss": whitening(1), "ms": whitening(2)}}
    return {"state_dict": numbered_state(NAMES[0]), "meta": {**meta_of(NAMES[0]), "Lw": lw}}


@pytest.mark.parametrize("zipped", [True, False])
def test_their_whitening_is_put_behind_the_network(whitened, saved, zipped):
    path = saved(whitened, _use_new_zipfile_serialization=zipped)
    unasked = convert(path)
    assert unasked.bundle.architecture == "gem"
    assert "retrieval-SfM-120k" in unasked.remarks[-1]
    for scales, kind in (((1.0, 0.5), "ms"), ((1.0,), "ss")):
        bundle = convert(path, ConversionConfig(whitening="retrieval-SfM-120k", scales=scales)).bundle
        lw = whitened["meta"]["Lw"]["retrieval-SfM-120k"][kind]
        assert (bundle.tensors["whitening.mean"] == lw["m"][:, 0]).all()
        assert (bundle.tensors["whitening.matrix"] == lw["P"]).all()


def test_arrays_as_numpy_1_wrote_them(whitened, saved):
    path = saved(whitened, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert b"numpy._core" in content
    path.write_bytes(content.replace(b"numpy._core", b"numpy.core"))
    assert "retrieval-SfM-120k" in convert(path).remarks[-1]


def test_an_unknown_whitening_is_refused(whitened, saved):
    with pytest.raises(
        InvalidInput, match="carries no whitening 'paris' for several scales: it carries retr"
    ):
        convert(saved(whitened), ConversionConfig(whitening="paris"))


def test_a_whitening_layer_that_is_no_matrix_is_named(saved):
    meta = {
        "architecture": "alexnet",
        "pooling": "gem",
        "whitening": True,
        "mean": [0.4] * 3,
        "std": [0.2] * 3,
    }
    with pytest.raises(InvalidInput, match=r"whiten\.weight has the shape \(\) instead of"):
        convert(saved({"state_dict": {"whiten.weight": torch.zeros(())}, "meta": meta}))
