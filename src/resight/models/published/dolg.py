"""DOLG by its authors in PyTorch: Yang et al., ICCV 2021 (see `resight.networks.dolg`)."""

from __future__ import annotations

from resight.models.published import pycls
from resight.models.published.checkpoint import Checkpoint
from resight.models.published.conversion import Conversion, ConversionConfig, describer_of, model_of_file
from resight.models.published.matching import COUNTERS_MISSING, fill, sizes_of, turn_to_rgb_
from resight.networks.dolg import DOLG, DOLGConfig
from resight.networks.pooling import POOLINGS, GeM

__all__ = ["FAMILY", "SCALES", "SIGNATURE", "convert"]

FAMILY = "dolg"
"""Name of the family."""

SIGNATURE = "fc_t.weight"
"""A tensor by which its files are known."""

SCALES = (0.3535, 0.5, 0.7071, 1.0, 1.4142)
"""The authors' scales as they write them; unit descriptors of them are averaged."""

_PREFIX = "globalmodel."
_EXPONENT = "pool_g.p"
_MULTI_ATROUS = "localmodel.aspp.conv_after.0.weight"
_LAYERS = {
    "pooling": "pool_g",
    "whole": "fc_t",
    "head": "fc",
    "branches.shallow.projection": "localmodel.conv1",
    "branches.shallow.norm": "localmodel.bn",
    "branches.shallow.score": "localmodel.conv2",
    "branches.shallow.multi_atrous.pooled": "localmodel.aspp.im_pool.1",
    "branches.shallow.multi_atrous.parallel.0": "localmodel.aspp.aspp.0",
    "branches.shallow.multi_atrous.parallel.1": "localmodel.aspp.aspp.1",
    "branches.shallow.multi_atrous.parallel.2": "localmodel.aspp.aspp.2",
    "branches.shallow.multi_atrous.parallel.3": "localmodel.aspp.aspp.3",
    "branches.shallow.multi_atrous.joined": "localmodel.aspp.conv_after.0",
}
_LEFT_OUT = {"desc_cls.": "the classifier, which serves training alone"}


def convert(checkpoint: Checkpoint, config: ConversionConfig) -> Conversion:
    """Returns the network as a bundle of the architecture ``dolg``.

    The exponent of GeM is learned where the file has one, and 3 where it has none; multi-atrous convolutions
    are there where the file has them. The released files are of both kinds.

    Raises:
        InvalidInput: A tensor is missing, unknown or of another shape; it is named.
    """
    dim, _ = sizes_of(checkpoint, "fc.weight", family=FAMILY)
    global_dim, _ = sizes_of(checkpoint, SIGNATURE, family=FAMILY)
    learned = _EXPONENT in checkpoint.tensors
    multi_atrous = _MULTI_ATROUS in checkpoint.tensors
    trunk = pycls.build_trunk(checkpoint.tensors, path=checkpoint.path, prefix=_PREFIX, maps=2)
    net = DOLG(
        trunk,
        DOLGConfig(
            dim,
            global_dim=global_dim,
            pooling=POOLINGS.choose(GeM, learnable=learned),
            multi_atrous=multi_atrous,
        ),
    )
    fixed = frozenset() if learned else frozenset({"pooling.p"})
    filled = fill(
        net, checkpoint, pycls.source_names(_PREFIX, _LAYERS), family=FAMILY, left_out=_LEFT_OUT, fixed=fixed
    )
    remarks = [turn_to_rgb_(net.trunk)]
    if not multi_atrous:
        remarks.append("The file has no multi-atrous convolutions, as the released configuration has none.")
    if not learned:
        remarks.append("The file has no exponent of GeM: it is 3, as in the code that goes with it.")
    if filled.counters_missing:
        remarks.append(COUNTERS_MISSING)
    model = model_of_file(describer_of(net, config, scales=SCALES), checkpoint, config, family=FAMILY)
    return Conversion(FAMILY, model.to_bundle(), filled.matches, filled.left_out, tuple(remarks))
