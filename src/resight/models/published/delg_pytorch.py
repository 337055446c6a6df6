"""DELG in PyTorch of the repository feymanpriv/DELG (the specification is at `resight.networks.delg`).

Its local branch has no autoencoder: a 1 x 1 convolution and batch normalisation make both the local
descriptors and, behind a ReLU, the attention. That is our network with the two folded into its encoder,
exactly; our decoder, which no descriptor needs, is zero.
"""

from __future__ import annotations

import torch

from resight.models.delg_describer import PAPER_SCALES, DELGDescriber
from resight.models.published import pycls
from resight.models.published.checkpoint import Checkpoint
from resight.models.published.conversion import Conversion, ConversionConfig, model_of_file
from resight.models.published.matching import COUNTERS_MISSING, fill, sizes_of, turn_to_rgb_
from resight.networks.delg import DELG, DELGConfig
from resight.networks.pooling import POOLINGS, GeM

__all__ = ["FAMILY", "SIGNATURE", "convert"]

FAMILY = "delg_pytorch"
"""Name of the family."""

SIGNATURE = "globalmodel.head.fc.weight"
"""A tensor by which its files are known."""

_PREFIX = "globalmodel."
_LAYERS = {
    "pooling": "globalmodel.head.pool",
    "whitening": "globalmodel.head.fc",
    "attention.hidden": "localmodel.conv1",
    "attention.norm": "localmodel.bn",
    "attention.score": "localmodel.conv2",
}
_LEFT_OUT = {
    "desc_cls.": "the classifier of the global descriptor, which serves training alone",
    "att_cls.": "the classifier of the attended features, which serves training alone",
}
_FOLDED = frozenset(
    f"autoencoder.{layer}.{tensor}" for layer in ("encoder", "decoder") for tensor in ("weight", "bias")
)


def convert(checkpoint: Checkpoint, config: ConversionConfig) -> Conversion:
    """Returns global and local branch as a bundle of the architecture ``delg``.

    Scales of the configuration are those of the global descriptor.

    Raises:
        InvalidInput: A tensor is missing, unknown or of another shape; it is named.
    """
    dim, _ = sizes_of(checkpoint, SIGNATURE, family=FAMILY)
    weight = checkpoint.tensors.get("localmodel.conv1.weight")
    local_dim = 512 if weight is None else len(weight)
    trunk = pycls.build_trunk(checkpoint.tensors, path=checkpoint.path, prefix=_PREFIX, maps=2)
    net = DELG(
        trunk,
        DELGConfig(
            dim,
            local_dim=local_dim,
            attention_dim=local_dim,
            pooling=POOLINGS.choose(GeM),
            attention_input="input",
            attention_target="input",
        ),
    )
    filled = fill(
        net,
        checkpoint,
        pycls.source_names(_PREFIX, _LAYERS),
        family=FAMILY,
        left_out=_LEFT_OUT,
        fixed=_FOLDED,
    )
    _fold_into_encoder_(net)
    remarks = [
        turn_to_rgb_(net.trunk),
        f"Its local descriptors have {local_dim} dimensions: the first convolution of the attention and its "
        "batch normalisation are the encoder; there is no decoder, ours is zero.",
    ]
    if filled.counters_missing:
        remarks.append(COUNTERS_MISSING)
    scales = PAPER_SCALES if config.scales is None else config.scales
    describer = DELGDescriber(net, max_side=config.max_side, scales=scales, device="cpu")
    bundle = model_of_file(describer, checkpoint, config, family=FAMILY).to_bundle()
    return Conversion(FAMILY, bundle, filled.matches, filled.left_out, tuple(remarks))


def _fold_into_encoder_(net: DELG) -> None:
    """Sets the encoder to attention's first convolution followed by its batch normalisation, in place.

    In eval mode the latter is ``γ (x - μ) / √(σ² + ε) + β``, a number a channel times x plus another.
    """
    bias = net.get_parameter("attention.hidden.bias").double()
    mean = net.get_buffer("attention.norm.running_mean").double()
    variance = net.get_buffer("attention.norm.running_var").double()
    norm = net.attention.norm
    with torch.no_grad():
        step = norm.weight.double() / (variance + norm.eps).sqrt()
        kernel = net.attention.hidden.weight.double() * step[:, None, None, None]
        net.get_parameter("autoencoder.encoder.weight").copy_(kernel)
        net.get_parameter("autoencoder.encoder.bias").copy_((bias - mean) * step + norm.bias.double())
        for tensor in ("weight", "bias"):
            net.get_parameter(f"autoencoder.decoder.{tensor}").zero_()
