"""Receptive fields against the figures of the papers, and against where gradients really arrive."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from resight.errors import InvalidInput
from resight.networks import Backbone
from resight.networks.trunks.receptive_field import ReceptiveField, receptive_field


def resnet50(*, stride_first: bool) -> Backbone:
    """ResNet-50, the strides of its stages on the first 1 x 1 convolution or on the 3 x 3 one."""
    trunk = Backbone("resnet50", out_indices=(1, 2, 3, 4))
    if stride_first:
        for block in trunk.modules():
            if hasattr(block, "conv3") and block.conv2.stride == (2, 2):
                block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)
    return trunk


def test_resnet50_of_delg_sees_291_pixels():
    # The authors' code of DELG: 291, 16, 145 for conv4. Araujo, Norris and Sim 2019: 483 and 32 for conv5.
    trunk = resnet50(stride_first=True)
    assert receptive_field(trunk, -2) == ReceptiveField(291, 16, 145)
    assert receptive_field(trunk, -1) == ReceptiveField(483, 32, 241)


def test_resnet50_with_strides_on_the_3_by_3_convolutions_sees_less():
    # 24 pixels less at conv4: 8 for the stride of conv3, 16 for that of conv4.
    assert receptive_field(resnet50(stride_first=False), -2) == ReceptiveField(267, 16, 133)


@pytest.mark.parametrize(("name", "size", "padding"), [("vgg16", 212, 90), ("inception_v3", 1311, 618)])
def test_other_trunks_are_those_of_the_table_of_araujo_norris_and_sim(name, size, padding):
    trunk = Backbone(name, out_indices=(-1,))
    assert receptive_field(trunk) == ReceptiveField(size, 32, padding)


def _averaging(net: nn.Module) -> None:
    """Replaces maxima, whose gradient goes to one pixel only, by means over the same windows."""
    for name, module in list(net.named_modules()):
        if isinstance(module, nn.MaxPool2d):
            mean = nn.AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode)
            net.set_submodule(name, mean)
        if isinstance(module, nn.ReLU):
            net.set_submodule(name, nn.Identity())


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("test_resnet", 1),
        ("test_resnet", 2),
        ("resnet10t", 2),
        ("torchvision:alexnet", 1),
        ("torchvision:shufflenet_v2_x0_5", 2),
        ("bn_inception", 2),
    ],
)
def test_gradients_arrive_where_it_says_and_nowhere_else(name, index):
    torch.manual_seed(0)
    trunk = Backbone(name).double().eval()
    _averaging(trunk)
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            # All of one sign, or what arrives along two ways could cancel.
            module.weight.data.abs_()
        if isinstance(module, nn.BatchNorm2d):
            # timm starts the last one of a block at zero.
            module.weight.data.fill_(1)
    field = receptive_field(trunk, index)
    side = -(-3 * field.size // 64) * 64
    image = torch.zeros(1, 3, side, side + 64, dtype=torch.float64, requires_grad=True)
    made = trunk(image)[index]
    row, column = made.shape[2] // 2, made.shape[3] // 2
    made[0, :, row, column].sum().backward()
    reached = image.grad.abs().sum(dim=(0, 1)) > 0
    for cell, seen in ((row, reached.any(dim=1)), (column, reached.any(dim=0))):
        pixels = seen.nonzero().flatten()
        first = field.stride * cell - field.padding
        assert (int(pixels[0]), int(pixels[-1])) == (first, first + field.size - 1)


def test_a_gate_over_the_whole_map_does_not_count():
    assert receptive_field(Backbone("seresnet18"), 3) == receptive_field(Backbone("resnet18"), 3)


def test_a_trunk_without_a_field_is_refused_in_words():
    with pytest.raises(InvalidInput, match=r"vit_tiny_patch16_224 sees cannot be computed.*convolutional"):
        receptive_field(Backbone("vit_tiny_patch16_224", out_indices=(-1,)))
    with pytest.raises(InvalidInput, match="gives 5 maps, so none has the index 5"):
        receptive_field(Backbone("test_resnet"), 5)


def test_the_trunk_stays_in_training_and_learns_nothing():
    trunk = Backbone("test_resnet").train()
    before = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    receptive_field(trunk, 2)
    assert all(module.training for module in trunk.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in trunk.state_dict().items())


def test_the_first_centre_is_pixel_0_where_padding_is_half_of_the_kernel():
    assert ReceptiveField(291, 16, 145).first_centre == 0
    assert ReceptiveField(212, 32, 90).first_centre == 15.5
