"""The models of a recipe: one ``kind`` each with its settings, and how they become networks."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, PositiveFloat, PositiveInt
from torch import nn

from resight.networks.cgd import CGD
from resight.networks.delg import DELG, Shown, Sum
from resight.networks.dolg import DOLG, FuseAt
from resight.networks.embedding import Embedding
from resight.networks.fusion import Fusion
from resight.networks.gem import GeMNet, Pooling
from resight.networks.pooling import MAC, RMAC, AverageMax, GeM, SPoC
from resight.networks.trunks import named as trunks
from resight.networks.trunks.backbone import Backbone
from resight.networks.trunks.receptive_field import receptive_field
from resight.networks.trunks.strides import Stage
from resight.settings.choice import Settings

__all__ = [
    "CGDSettings",
    "DELGSettings",
    "DOLGSettings",
    "EmbeddingSettings",
    "GeMSettings",
    "ModelSettings",
    "PoolingSettings",
    "TrunkSettings",
]

Scalar: TypeAlias = bool | int | float | str
"""What an option of a trunk may be."""


class TrunkSettings(Settings):
    """`resight.networks.trunks.named.named`: which trunk, and with which weights it begins.

    Attributes:
        name: A name of the papers' trunks, or any that `Backbone` takes.
        pretrained: Begin with the published weights of that name.
        weights: A file of published weights, for the trunks that are not timm's.
        output_stride: Stride of the deepest map, where timm can dilate the trunk.
        options: timm's further arguments to build it.
    """

    name: str
    pretrained: bool = True
    weights: str | None = None
    output_stride: PositiveInt | None = None
    options: dict[str, Scalar | tuple[Scalar, ...]] = Field(default_factory=dict)

    def build(self, *, maps: int = 1) -> Backbone:
        """Returns the trunk with its deepest maps, so many of them."""
        return trunks.named(
            self.name,
            pretrained=self.pretrained and self.weights is None,
            weights=self.weights,
            output_stride=self.output_stride,
            options=self.options,
            maps=maps,
        )


class _SPoC(Settings):
    kind: Literal["spoc"]

    def build(self, channels: int) -> Pooling:
        del channels
        return SPoC()


class _MAC(Settings):
    kind: Literal["mac"]

    def build(self, channels: int) -> Pooling:
        del channels
        return MAC()


class _AverageMax(Settings):
    kind: Literal["average_max"]

    def build(self, channels: int) -> Pooling:
        del channels
        return AverageMax()


class _GeM(Settings):
    kind: Literal["gem"]
    p: PositiveFloat = 3.0
    learnable: bool = True
    per_channel: bool = False

    def build(self, channels: int) -> Pooling:
        return GeM(self.p, channels=channels if self.per_channel else None, learnable=self.learnable)


class _RMAC(Settings):
    kind: Literal["rmac"]
    levels: PositiveInt = 3

    def build(self, channels: int) -> Pooling:
        del channels
        return RMAC(self.levels)


PoolingSettings: TypeAlias = Annotated[_SPoC | _MAC | _AverageMax | _GeM | _RMAC, Field(discriminator="kind")]
"""How a map becomes a vector: ``spoc``, ``mac``, ``average_max``, ``gem`` or ``rmac``."""


class GeMSettings(Settings):
    """`resight.networks.GeMNet`: trunk, pooling and, with ``dim``, a whitening layer of that size."""

    kind: Literal["gem"]
    trunk: TrunkSettings
    pooling: PoolingSettings = _GeM(kind="gem")
    dim: PositiveInt | None = None

    def build(self, classes: int | None) -> GeMNet:
        """Returns the network; it has no classifier, so ``classes`` changes nothing."""
        del classes
        trunk = self.trunk.build()
        channels = trunk.channels[-1]
        whitening = None if self.dim is None else nn.Linear(channels, self.dim)
        return GeMNet(trunk, self.pooling.build(channels), whitening)


class EmbeddingSettings(Settings):
    """`resight.networks.Embedding`: trunk, pooling and a linear layer."""

    kind: Literal["embedding"]
    trunk: TrunkSettings
    pooling: PoolingSettings = _SPoC(kind="spoc")
    dim: PositiveInt
    bias: bool = True

    def build(self, classes: int | None) -> Embedding:
        """Returns the network; it has no classifier, so ``classes`` changes nothing."""
        del classes
        trunk = self.trunk.build()
        return Embedding(trunk, self.pooling.build(trunk.channels[-1]), self.dim, bias=self.bias)


class CGDSettings(Settings):
    """`resight.networks.CGD`.

    Attributes:
        configuration: One of the paper's twelve, or any other order of S, M and G.
        without_stride: The stage that keeps its resolution: ``conv5``, ``conv4`` or ``null``.
    """

    kind: Literal["cgd"]
    trunk: TrunkSettings
    configuration: str = "SG"
    dim: PositiveInt = 1536
    combine: Literal["concatenate", "sum"] = "concatenate"
    without_stride: Literal["conv4", "conv5"] | None = "conv5"
    learn_exponent: bool = False
    classifier_batch_norm: bool = False

    def build(self, classes: int | None) -> CGD:
        """Returns the network, with an auxiliary classifier of so many classes or without one."""
        return CGD(
            self.trunk.build(),
            self.configuration,
            self.dim,
            classes=classes,
            combine=self.combine,
            without_stride=self.without_stride,
            learn_exponent=self.learn_exponent,
            classifier_batch_norm=self.classifier_batch_norm,
        )


class DELGSettings(Settings):
    """`resight.networks.DELG`, which explains its settings; the trunk's last two maps are used.

    Attributes:
        without_stride: The stage that keeps its resolution: ``conv5``, ``conv4`` or ``null``.
    """

    kind: Literal["delg"]
    trunk: TrunkSettings
    dim: PositiveInt = 2048
    without_stride: Literal["conv4", "conv5"] | None = None
    pooling: PoolingSettings = _GeM(kind="gem", learnable=False)
    local_dim: PositiveInt = 128
    attention_dim: PositiveInt = 512
    autoencoder: bool = True
    attention_input: Shown = "reconstruction"
    attention_target: Shown = "reconstruction"
    attention_pooling: Sum = "sum"
    normalise_target: bool = False
    stop_gradient: bool = True
    subsample: bool = False

    def build(self, classes: int | None) -> DELG:
        """Returns the network, with a classifier of so many classes on attended features or without one.

        Raises:
            InvalidInput: What a cell of the trunk's shallow map sees cannot be computed.
        """
        trunk = _two_maps(self.trunk, self.without_stride)
        # Keypoints need it: a trunk without one is refused before the training, not after it.
        receptive_field(trunk, 0)
        return DELG(
            trunk,
            self.dim,
            local_dim=self.local_dim,
            attention_dim=self.attention_dim,
            classes=classes,
            pooling=self.pooling.build(trunk.channels[-1]),
            autoencoder=self.autoencoder,
            attention_input=self.attention_input,
            attention_target=self.attention_target,
            attention_pooling=self.attention_pooling,
            normalise_target=self.normalise_target,
            stop_gradient=self.stop_gradient,
            subsample=self.subsample,
        )


class DOLGSettings(Settings):
    """`resight.networks.DOLG`, which explains its settings; the trunk's last two maps are used.

    Attributes:
        without_stride: The stage that keeps its resolution: ``conv5``, ``conv4`` or ``null``.
    """

    kind: Literal["dolg"]
    trunk: TrunkSettings
    dim: PositiveInt = 512
    without_stride: Literal["conv4", "conv5"] | None = None
    pooling: PoolingSettings = _GeM(kind="gem", learnable=False)
    global_dim: PositiveInt | None = None
    local_branch: bool = True
    multi_atrous: bool = True
    dilations: tuple[PositiveInt, ...] = (6, 12, 18)
    self_attention: bool = True
    fusion: Fusion = "orthogonal"
    fuse_at: FuseAt = "shallow"

    def build(self, classes: int | None) -> DOLG:
        """Returns the network; it has no classifier, so ``classes`` changes nothing."""
        del classes
        trunk = _two_maps(self.trunk, self.without_stride)
        return DOLG(
            trunk,
            self.dim,
            global_dim=self.global_dim,
            pooling=self.pooling.build(trunk.channels[-1]),
            local_branch=self.local_branch,
            multi_atrous=self.multi_atrous,
            dilations=self.dilations,
            self_attention=self.self_attention,
            fusion=self.fusion,
            fuse_at=self.fuse_at,
        )


def _two_maps(settings: TrunkSettings, without_stride: Stage | None) -> Backbone:
    trunk = settings.build(maps=2)
    return trunk if without_stride is None else trunk.keeping_resolution(without_stride)


ModelSettings: TypeAlias = Annotated[
    GeMSettings | EmbeddingSettings | CGDSettings | DELGSettings | DOLGSettings, Field(discriminator="kind")
]
"""Any model that can be trained from labels: ``gem``, ``embedding``, ``cgd``, ``delg`` or ``dolg``."""
