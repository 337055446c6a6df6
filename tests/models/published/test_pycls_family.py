"""CVNet, DOLG and DELG in PyTorch: every tensor arrives, and the networks give what theirs give.

Theirs are written out here literally, from the papers and the public definitions, over the files' own names.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from resight.errors import InvalidInput
from resight.features import Box
from resight.images import Photo
from resight.models import load_model
from resight.models.bundle import write
from resight.models.published import FAMILIES, ConversionConfig, convert

LARGE = ("cvnet-r101", "dolg-r101-aspp")
SMALL = ("cvnet-r50", "dolg-r50", "delg_pytorch-r50")


def normed(state, name, x):
    return functional.batch_norm(
        x,
        state[f"{name}.running_mean"],
        state[f"{name}.running_var"],
        state[f"{name}.weight"],
        state[f"{name}.bias"],
    )


def resnet50(state, prefix, x):
    """The maps of the last two stages; the stride is on the 3 x 3 convolution."""
    x = functional.conv2d(x, state[f"{prefix}stem.conv.weight"], stride=2, padding=3)
    x = functional.max_pool2d(normed(state, f"{prefix}stem.bn", x).relu(), 3, 2, 1)
    maps = []
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(1, blocks + 1):
            name = f"{prefix}s{stage}.b{block}"
            stride = 2 if block == 1 and stage > 1 else 1
            y = normed(state, f"{name}.f.a_bn", functional.conv2d(x, state[f"{name}.f.a.weight"])).relu()
            y = functional.conv2d(y, state[f"{name}.f.b.weight"], stride=stride, padding=1)
            y = normed(state, f"{name}.f.b_bn", y).relu()
            y = normed(state, f"{name}.f.c_bn", functional.conv2d(y, state[f"{name}.f.c.weight"]))
            if block == 1:
                x = normed(
                    state, f"{name}.bn", functional.conv2d(x, state[f"{name}.proj.weight"], stride=stride)
                )
            x = (x + y).relu()
        maps.append(x)
    return maps[2:]


def gem(x, p):
    return functional.adaptive_avg_pool2d(x.clamp(min=1e-6).pow(p), 1).pow(1 / p)[:, :, 0, 0]


def attended(state, x):
    """Local features times attention, and the attention, of DOLG's and DELG's spatial attention."""
    x = normed(
        state,
        "localmodel.bn",
        functional.conv2d(x, state["localmodel.conv1.weight"], state["localmodel.conv1.bias"]),
    )
    score = functional.conv2d(x.relu(), state["localmodel.conv2.weight"], state["localmodel.conv2.bias"])
    attention = functional.softplus(score)
    return attention * functional.normalize(x, dim=1), attention


def cvnet(state, x):
    deep = resnet50(state, "encoder_q.", x)[1]
    head = "encoder_q.head"
    pooled = gem(deep, state[f"{head}.pool.p"])
    return functional.linear(pooled, state[f"{head}.fc.weight"], state[f"{head}.fc.bias"])


def dolg(state, x):
    shallow, deep = resnet50(state, "globalmodel.", x)
    whole = functional.linear(gem(deep, state["pool_g.p"]), state["fc_t.weight"], state["fc_t.bias"])
    local = attended(state, shallow)[0]
    # At every location, as the paper has it.
    share = torch.einsum("bc,bchw->bhw", whole, local) / whole.square().sum(dim=1)[:, None, None]
    orthogonal = local - share[:, None] * whole[:, :, None, None]
    both = torch.cat([whole, orthogonal.mean(dim=(2, 3))], dim=1)
    return functional.linear(both, state["fc.weight"], state["fc.bias"])


def delg(state, x):
    deep = resnet50(state, "globalmodel.", x)[1]
    pooled = gem(deep, state["globalmodel.head.pool.p"])
    return functional.linear(pooled, state["globalmodel.head.fc.weight"], state["globalmodel.head.fc.bias"])


THEIRS = {"cvnet-r50": cvnet, "dolg-r50": dolg, "delg_pytorch-r50": delg}


@pytest.fixture(
    scope="module", params=[SMALL[0], *(pytest.param(name, marks=pytest.mark.slow) for name in SMALL[1:])]
)
def small(request, random_state, tmp_path_factory):
    """Name, state, conversion and the bundle's path of each family."""
    state = random_state(request.param)
    folder = tmp_path_factory.mktemp("published")
    torch.save({"epoch": 100, "model_state": state}, folder / "model.pyth")
    found = convert(folder / "model.pyth")
    (folder / "model.pyth").unlink()
    write(found.bundle, folder / "model.safetensors")
    return request.param, state, found, folder / "model.safetensors"


def test_the_descriptor_is_theirs(small):
    name, state, _, path = small
    model = load_model(path)
    photo = np.random.default_rng(3).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    # Theirs takes B, G, R.
    mean, std = np.array([0.406, 0.456, 0.485]), np.array([0.225, 0.224, 0.229])
    shown = (photo[:, :, ::-1] / 255 - mean) / std
    with torch.inference_mode():
        x = torch.from_numpy(shown.astype(np.float32)).permute(2, 0, 1)[None]
        scales = [(0.7071067811865476, 1.0, 1.4142135623730951), (0.3535, 0.5, 0.7071, 1.0, 1.4142)]
        total = 0
        for scale in scales[name == "dolg-r50"]:
            seen = x
            if name != "cvnet-r50":
                # OpenCV rounds as DELG does.
                size = [round(side * scale) for side in photo.shape[:2]]
                seen = functional.interpolate(x, size, mode="bilinear")
            elif scale != 1:
                seen = functional.interpolate(x, scale_factor=scale, mode="bilinear")
            total = total + functional.normalize(THEIRS[name](state, seen), dim=1)
        expected = functional.normalize(total, dim=1)[0].numpy()
    got = model.extract([Photo(photo, 128, 96, Box(0, 0, 128, 96))])[0].descriptor
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_every_tensor_of_the_small_ones_is_accounted_for(small):
    name, state, found, _ = small
    taken = {match.source for match in found.matches}
    left = {each.source for each in found.left_out}
    assert taken | left == set(state)
    assert not taken & left
    first = f"{'encoder_q' if name == 'cvnet-r50' else 'globalmodel'}.stem.conv.weight"
    for match in found.matches:
        given, got = state[match.source].numpy(), found.bundle.tensors[match.target]
        assert (got == (given[:, ::-1] if match.source == first else given)).all(), match
    assert f"{name.partition('-')[0]}" == found.family
    assert any("R, G, B" in remark for remark in found.remarks)


@pytest.mark.slow
def test_delg_s_attention_and_local_descriptors_are_theirs(random_state, saved):
    state = random_state("delg_pytorch-r50")
    path = saved({}).with_name("delg.safetensors")
    write(convert(saved(state)).bundle, path)
    net = load_model(path).describer.net
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        said = net.maps_at(x.flip(1))
        weighted, attention = attended(state, resnet50(state, "globalmodel.", x)[0])
    torch.testing.assert_close(said.attention, attention, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(said.local, functional.normalize(weighted, dim=1), atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_every_tensor_of_the_large_ones_arrives(name, numbered_state, saved):
    state = numbered_state(name)
    found = convert(saved(state))
    assert len(found.matches) + len(found.left_out) == len(state)
    for match in found.matches:
        assert (found.bundle.tensors[match.target] == state[match.source].numpy()).all(), match
    if name == "dolg-r101-aspp":
        assert found.bundle.settings["multi_atrous"] is True
        assert found.bundle.settings["pooling"] == {"kind": "gem", "p": [3.0], "learnable": False}
        assert [each.source for each in found.left_out] == ["desc_cls.weight", "desc_cls.t"]
    else:
        assert {each.source.partition(".")[0] for each in found.left_out} == {"conv2ds", "cv_learner"}


def test_a_missing_an_unknown_and_a_misshapen_tensor_are_named(numbered_state, saved):
    whole = numbered_state("cvnet-r50")
    name = "encoder_q.s3.b2.f.b_bn.running_mean"
    for state, text in (
        ({k: v for k, v in whole.items() if k != name}, f"{name} is missing"),
        ({**whole, "encoder_q.s5.b1.f.a.weight": torch.zeros(1)}, "encoder_q.s5.b1.f.a.weight is unknown"),
        ({**whole, name: torch.zeros(4)}, rf"{name} has the shape \(4,\) instead of \(256,\)"),
        (
            {k: v for k, v in whole.items() if not k.startswith("encoder_q.s3.b6.")},
            r"5 blocks in its third stage; accepted are 6 \(ResNet-50\)",
        ),
    ):
        with pytest.raises(InvalidInput, match=text):
            convert(saved(state))


def test_strangers_are_refused(saved, tmp_path: Path):
    with pytest.raises(
        InvalidInput, match=r"of no known family .*its first tensor is conv1.weight.*; accepted are cirtorch"
    ):
        convert(saved({"conv1.weight": torch.zeros(2)}))
    with pytest.raises(InvalidInput, match="one of Token, whose transformer"):
        convert(saved({"backbone.conv1.weight": torch.zeros(2), "tr.query": torch.zeros(1, 4, 1024)}))
    with pytest.raises(InvalidInput, match=r"encoder_q.head.fc.weight is missing"):
        convert(saved({"conv1.weight": torch.zeros(2)}), family="cvnet")
    with pytest.raises(
        InvalidInput, match=f"no reader for 'keras' files; accepted are {', '.join(FAMILIES)}"
    ):
        convert(saved({}), family="keras")
    with pytest.raises(InvalidInput, match="carry no whitening"):
        convert(saved({"encoder_q.head.fc.weight": torch.zeros(2, 2)}), ConversionConfig(whitening="x"))
    with pytest.raises(InvalidInput, match="there is no checkpoint at"):
        convert(tmp_path / "gone.pth")
    with pytest.raises(InvalidInput, match="it is empty"):
        convert(saved({"state_dict": {}}))
    with pytest.raises(InvalidInput, match="epoch is no tensor"):
        convert(saved({"epoch": 3}))


def test_nothing_in_a_file_runs(saved, tmp_path: Path):
    class Runs:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "it ran",))

    with pytest.raises(InvalidInput, match="nothing but tensors and plain values"):
        convert(saved({"state_dict": {"a": Runs()}}))
    assert not (tmp_path / "it ran").exists()
    (tmp_path / "short.pth").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(InvalidInput, match="cannot be read"):
        convert(tmp_path / "short.pth")


def test_a_refusal_names_what_would_run_and_not_how_to_let_it(saved, tmp_path: Path):
    class Runs:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "it ran",))

    with pytest.raises(InvalidInput, match=r"\(it names [\w.]+\)") as refused:
        convert(saved({"state_dict": {"a": Runs()}}))
    assert "weights_only" not in str(refused.value)
    assert not (tmp_path / "it ran").exists()
