"""CVNet: Lee, Seong, Lee and Kim, "Correlation Verification for Image Retrieval", CVPR 2022.

The global network alone: ResNet, GeM with a learned exponent, a linear layer. SuperGlobal (Shao et al., ICCV
2023) uses the same files.
"""

from __future__ import annotations

from resight.models.published import pycls
from resight.models.published.checkpoint import Checkpoint
from resight.models.published.conversion import Conversion, ConversionConfig, describer_of, model_of_file
from resight.models.published.matching import COUNTERS_MISSING, fill, sizes_of, turn_to_rgb_
from resight.networks.embedding import Embedding, EmbeddingConfig
from resight.networks.pooling import POOLINGS, GeM

__all__ = ["FAMILY", "SCALES", "SIGNATURE", "convert"]

FAMILY = "cvnet"
"""Name of the family."""

SIGNATURE = "encoder_q.head.fc.weight"
"""A tensor by which its files are known."""

SCALES = (2**-0.5, 1.0, 2**0.5)
"""The authors' scales; unit descriptors of them are averaged. They resize the bytes of a photo
(``INTER_AREA`` of OpenCV for the smaller one); here the network's normalised input is resized."""

_PREFIX = "encoder_q."
_HEAD = {"pooling": "encoder_q.head.pool", "linear": "encoder_q.head.fc"}
_LEFT_OUT = {
    "conv2ds.": "re-ranking by correlation, which has no network here",
    "cv_learner.": "re-ranking by correlation, which has no network here",
    "encoder_k.": "the slow copy of the network, which serves training alone",
    "queue": "descriptors of training images, which serve training alone",
    "fc.": "the classifier, which serves training alone",
}


def convert(checkpoint: Checkpoint, config: ConversionConfig) -> Conversion:
    """Returns the global network as a bundle of the architecture ``embedding``.

    Raises:
        InvalidInput: A tensor is missing, unknown or of another shape; it is named.
    """
    dim, _ = sizes_of(checkpoint, SIGNATURE, family=FAMILY)
    trunk = pycls.build_trunk(checkpoint.tensors, path=checkpoint.path, prefix=_PREFIX, maps=1)
    net = Embedding(trunk, EmbeddingConfig(dim, POOLINGS.choose(GeM)))
    filled = fill(net, checkpoint, pycls.source_names(_PREFIX, _HEAD), family=FAMILY, left_out=_LEFT_OUT)
    remarks = [turn_to_rgb_(net.trunk)]
    if filled.left_out:
        remarks.append("Only the global network is converted; its re-ranking network is left out.")
    if filled.counters_missing:
        remarks.append(COUNTERS_MISSING)
    model = model_of_file(describer_of(net, config, scales=SCALES), checkpoint, config, family=FAMILY)
    return Conversion(FAMILY, model.to_bundle(), filled.matches, filled.left_out, tuple(remarks))
