"""Any trunk as feature maps that keep what they declare."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, final

from jaxtyping import Float
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.files.json import JSON
from resight.networks.trunks import bn_inception, foreign_trunk, lite0, timm_trunk, torchvision_trunk
from resight.networks.trunks.strides import STAGES, Stage, remove_stride_
from resight.networks.trunks.whole_trunk import Whole, read_whole
from resight.settings.foreign import is_dotted

__all__ = ["Backbone"]


@final
class Backbone(nn.Module):
    """A trunk: images to feature maps, shallow to deep.

    A map has ``channels[i]`` channels, and rows and columns of about the image's divided by ``strides[i]``
    (rounded up or down; trunks without padding lose a few more). In eval mode it is deterministic.

    Attributes:
        trunk: Name of the trunk without where its weights come from, ``resnet50.tv_in1k`` for example.
        options: timm's further arguments to build the trunk, JSON values.
        output_stride: The stride set for the deepest map, ``None`` for the trunk's own.
        without_stride: The stage whose down-sampling was removed, or ``None``.
        maps: Number of each map among all of the trunk, counted from its end: -1 is its last.
        deepest: Number of the deepest of them.
        channels: Channels of each map.
        strides: Pixels of the image per cell of each map.
        mean: What is subtracted from each channel of 0..1, in ``channel_order``.
        std: What divides it then.
        channel_order: Order of the channels in its input.
        licence: Licence of the published weights of that name; ``unknown`` where none is named.
        image_size: Rows and columns of the only size it takes; ``None`` where it takes any.
        signed: Whether it is a transformer or its like, whose maps are negative as often as positive.
        has_class_token: Whether `class_token` gives one.
        whole: Whether it has its last normalisation and its own pooling, for `read_whole`.
    """

    def __init__(
        self,
        name: str,
        *,
        pretrained: bool = False,
        download: bool = True,
        weights: str | Path | None = None,
        out_indices: Sequence[int] | None = None,
        output_stride: int | None = None,
        without_stride: Stage | None = None,
        options: Mapping[str, JSON] | None = None,
        whole: bool = False,
    ) -> None:
        """Builds the trunk, with random weights (torch's own generator) or with published ones.

        Args:
            name: A name in timm, possibly with a tag, or ``hf-hub:OWNER/NAME``, or ``local-dir:PATH`` for a
                folder with ``config.json`` and weights; ``torchvision:`` and a name of
                `resight.networks.trunks.torchvision_trunk.NAMES`; ``bn_inception``;
                ``efficientnet-lite0``, whose weights come with the extra ``lite0``; or
                ``package.module:Name``, a class of an imported module.
            pretrained: Load the published weights for that name, through the publisher's own code.
            download: Whether timm may fetch them; else they must be in the local cache.
            weights: A ``.pth`` or ``.safetensors`` file of them, for the trunks that are not timm's.
            out_indices: Which maps; negative ones count from the deepest; ``None`` for all.
            output_stride: Stride of the deepest map, where the trunk can dilate its convolutions.
            without_stride: A stage whose down-sampling is removed, see `remove_stride_`.
            options: Further arguments of timm to build the trunk.
            whole: Keep the last normalisation and the trunk's own pooling, for `read_whole`; its one map is
                then the last one, normalised. Of trunks of timm alone.

        Raises:
            UnknownModel: There is no trunk of that name.
            InvalidInput: The trunk gives no feature maps, or not with these indices, strides or options.
            WeightsUnavailable: The weights are not here and cannot be fetched, or do not fit.
            MissingExtra: timm is not installed.
        """
        super().__init__()
        # As models of it are named: timm:local-dir:PATH.
        name = name.removeprefix("timm:")
        source, _, rest = name.partition(":")
        if whole:
            self._check_whole(name, out_indices)
        if name == bn_inception.NAME:
            made = bn_inception.build(
                pretrained=pretrained,
                weights=weights,
                out_indices=out_indices,
                output_stride=output_stride,
                options=options,
            )
        elif name == lite0.NAME:
            made = lite0.build(
                pretrained=pretrained,
                weights=weights,
                out_indices=out_indices,
                output_stride=output_stride,
                options=options,
            )
        elif source == torchvision_trunk.SOURCE:
            made = torchvision_trunk.build(
                rest,
                pretrained=pretrained,
                weights=weights,
                out_indices=out_indices,
                output_stride=output_stride,
                options=options,
            )
        elif is_dotted(name):
            made = foreign_trunk.build(
                name, out_indices=out_indices, output_stride=output_stride, options=options
            )
        elif weights is not None:
            raise InvalidInput(
                f"the trunk {name} takes its weights from timm: put {weights} into a folder with a "
                "config.json and name that local-dir:PATH"
            )
        else:
            made = timm_trunk.build(
                name,
                pretrained=pretrained,
                download=download,
                out_indices=out_indices,
                output_stride=output_stride,
                options=options,
                whole=whole,
            )
        self.net = made.net
        self.trunk = made.name
        self.options: dict[str, JSON] = dict(made.options)
        self.output_stride = output_stride
        self.maps: tuple[int, ...] = tuple(number - len(made.taps) for number in made.chosen)
        self.deepest = self.maps[-1]
        self.channels: tuple[int, ...] = tuple(made.taps[number].channels for number in made.chosen)
        self.strides: tuple[int, ...] = tuple(made.taps[number].stride for number in made.chosen)
        self.mean, self.std = made.mean, made.std
        self.channel_order: Literal["RGB", "BGR"] = made.channel_order
        self.licence = made.licence
        self.image_size = made.image_size
        self.signed = made.signed
        self.has_class_token = made.has_class_token
        self.whole = whole
        self.without_stride: Stage | None = None
        self._taps = made.taps
        self._picks = made.picks
        self._whole_cells = made.whole_cells
        self._channels_last = made.channels_last
        if without_stride is not None:
            self._remove_stride(without_stride)

    def keeping_resolution(self, stage: Stage) -> Backbone:
        """Returns this trunk without the down-sampling of a stage: a copy, or itself where there is none.

        The weights are this trunk's. A trunk whose deepest map comes before that stage's stride, as VGG-16
        without its last pooling, keeps the resolution as it is.

        Raises:
            InvalidInput: The stage cannot keep its resolution, or another one does already.
        """
        if self.without_stride == stage:
            return self
        if stage in STAGES and self.strides[-1] < STAGES[stage] and self.without_stride is None:
            return self
        changed = copy.deepcopy(self)
        changed._remove_stride(stage)
        return changed

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> tuple[Tensor, ...]:
        """Returns the feature maps ``(batch, channels, rows, columns)``, shallow to deep.

        Raises:
            InvalidInput: The trunk takes one size only and these have another, or it gave another number of
                channels than it declares.
        """
        every = tuple(self.net(self._fitting(images)))
        maps = tuple(every[number] for number in self._picks)
        if self._channels_last:
            maps = tuple(each.permute(0, 3, 1, 2) for each in maps)
        for each, channels in zip(maps, self.channels, strict=True):
            if each.ndim != 4 or each.shape[1] != channels:
                raise InvalidInput(
                    f"the trunk {self.trunk} declares {channels} channels and gives {tuple(each.shape)}: "
                    "choose another trunk"
                )
        return maps

    def class_token(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channels"]:
        """Returns the class token of the last block, of zero mean and unit variance over its channels.

        Raises:
            InvalidInput: The trunk has none, or takes images of another size.
        """
        if not self.has_class_token:
            raise InvalidInput(
                f"the trunk {self.trunk} has no class token: take the pooling signed_gem, spoc or gem"
            )
        self._check_size(images)
        return timm_trunk.class_token(self.net, images)

    def read_whole(self, images: Float[Tensor, "batch 3 height width"]) -> Whole:
        """Returns the trunk's own descriptor of the images and its last map, normalised, in one pass.

        Raises:
            InvalidInput: The trunk was not built whole, or takes images of another size.
        """
        if not self.whole:
            raise InvalidInput(
                f"the trunk {self.trunk} was built without its own pooling: build it with whole=True, or "
                "take the pooling class_token, signed_gem, spoc or gem"
            )
        return read_whole(self.net, self._fitting(images), stride=self.strides[-1])

    def _fitting(self, images: Tensor) -> Tensor:
        """Returns images that the trunk takes: some take any number of whole cells, filled with zero."""
        self._check_size(images)
        if not self._whole_cells:
            return images
        # Zero is the mean colour.
        down, right = (-size % self.strides[-1] for size in images.shape[2:])
        return nn.functional.pad(images, (0, right, 0, down))

    @staticmethod
    def _check_whole(name: str, out_indices: Sequence[int] | None) -> None:
        source = name.partition(":")[0]
        is_timm = (
            name not in (bn_inception.NAME, lite0.NAME)
            and source != torchvision_trunk.SOURCE
            and not is_dotted(name)
        )
        if not is_timm or tuple(out_indices or ()) != (-1,):
            raise InvalidInput(
                f"the trunk {name} cannot be built whole: only timm's can, with their last map alone "
                "(out_indices=(-1,))"
            )

    def _check_size(self, images: Tensor) -> None:
        if self.image_size is not None and tuple(images.shape[2:]) != self.image_size:
            raise InvalidInput(
                f"the trunk {self.trunk} takes images of {self.image_size} rows and columns only, "
                f"got {tuple(images.shape[2:])}: choose another trunk"
            )

    def _remove_stride(self, stage: Stage) -> None:
        if stage not in STAGES:
            raise InvalidInput(f"without_stride must be one of {', '.join(STAGES)} or None, not {stage!r}")
        if self.without_stride is not None:
            raise InvalidInput(
                f"the trunk {self.trunk} is already without the stride of {self.without_stride}: build it "
                f"anew for {stage}"
            )
        step = STAGES[stage]
        if self.strides[-1] >= step:
            remove_stride_(self.net, self._taps, stage, trunk=self.trunk, size=self.image_size)
        self.strides = tuple(stride // 2 if stride >= step else stride for stride in self.strides)
        self.without_stride = stage
