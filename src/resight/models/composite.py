"""A global descriptor of one model and the local features of another: ``GLOBAL+LOCAL``. No torch here."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, final

import numpy as np
from jaxtyping import Float32, Shaped

from resight.errors import InvalidInput
from resight.features import ImageFeatures, LocalFeatures
from resight.files import typed_path
from resight.files.json import JSON
from resight.images import Photo
from resight.images.resize import fitted_size
from resight.models.bundle import Bundle, Preprocessing
from resight.models.describer import Traits
from resight.models.model import Model
from resight.models.parts import Parts, join, whole_network

__all__ = ["ARCHITECTURE", "SOURCES", "Composite", "PairName"]

ARCHITECTURE = "composite"
"""The architecture's name in a bundle."""

SOURCES = ("sift", "sift-fast", "xfeat")
"""What may stand behind the plus besides the path of a bundle with local features."""

_ALONE = ":local"
_PREFIXES = ("global", "local")


@dataclass(frozen=True, slots=True)
class PairName:
    """The name of a composite model in its parts.

    Attributes:
        whole: Name of the model whose descriptor is taken.
        local: Name of the model whose local features are taken.
        alone: Whether LOCAL's own descriptor is left out.
    """

    whole: str
    local: str
    alone: bool

    @classmethod
    def parse(cls, name: str) -> PairName | None:
        """Returns the parts of ``GLOBAL+LOCAL`` or ``GLOBAL+LOCAL:local``; ``None`` for one model's name.

        A file of that very name is one model's. Paths may hold a plus: the name is cut at the last one that
        is followed by a source of local features or by a file.
        """
        if typed_path(name).is_file():
            return None
        named = name.removesuffix(_ALONE)
        for place in reversed([number for number, sign in enumerate(name) if sign == "+"]):
            whole, local = named[:place], named[place + 1 :]
            if whole and (local in SOURCES or (local and typed_path(local).is_file())):
                return cls(whole, local, name != named)
        return None

    def __str__(self) -> str:
        return f"{self.whole}+{self.local}{_ALONE if self.alone else ''}"


@final
class Composite:
    """A `Describer` of two models: the descriptor of one, the local features of the other.

    Where the second one's descriptor counts too, both are joined to one vector whose inner product is the
    weighted sum of both scores: with the weight w of the first, ``(√w g, √(1 - w) l)`` of unit length. All
    photos without a keypoint have one l, which is near no other photo's: among them g alone decides.

    A photo is decoded once, for the larger of both sizes. The model of the smaller size is shown it reduced.

    Attributes:
        whole: The model whose descriptor is taken.
        local: The model whose local features are taken.
        weight: Of the first one's score, between 0 and 1; ``None`` where the second one's does not count.
    """

    def __init__(self, whole: Model, local: Model, *, weight: float | None) -> None:
        """Joins two models.

        Args:
            whole: Gives the descriptor, whitened as it is there.
            local: Gives local features, and where there is a weight its descriptor.
            weight: Of the first one's score; the second one's has 1 less that.

        Raises:
            InvalidInput: A model is composite already, the second one has no local features or no descriptor
                that could count, or the weight does not lie between 0 and 1.
        """
        for model in (whole, local):
            if model.facts.kind == ARCHITECTURE:
                raise InvalidInput(f"the model {model.name} has its local features: put nothing behind it")
        if local.local is None:
            raise InvalidInput(
                f"the model {local.name} has no local features: put sift, xfeat or a DELG bundle behind the +"
            )
        if whole.facts.kind == local.facts.kind == local.local.kind:
            raise InvalidInput(
                f"the model {whole.name} has local features of kind {local.local.kind}: put nothing behind it"
            )
        if weight is not None and not (0 < weight < 1 and local.dim):
            raise InvalidInput(f"the weight of a global score lies between 0 and 1, not {weight}")
        self.whole, self.local, self.weight = whole, local, weight
        self._traits = Traits(
            ARCHITECTURE,
            dim=whole.dim + (0 if weight is None else local.dim),
            max_side=max(whole.max_side, local.max_side),
            batch_size=whole.batch_size,
            scales=whole.facts.scales,
            pooling=whole.facts.pooling,
            local=local.local,
            fingerprint=self._own_fingerprint(),
            memory=self._memory,
            turned=None if weight is None or local.describer.traits.turned is None else self._turned,
        )

    @property
    def traits(self) -> Traits:
        """What it is."""
        return self._traits

    def extract(self, photos: Sequence[Photo]) -> list[ImageFeatures]:
        """Returns the features of each photo, keypoints in pixels of the whole upright photo."""
        seen = self.whole.extract([photo.shown_at(self.whole.max_side) for photo in photos])
        local = self.local.extract([photo.shown_at(self.local.max_side) for photo in photos])
        return [self._joined(one, other) for one, other in zip(seen, local, strict=True)]

    def to_bundle(self) -> Bundle | None:
        """Returns both models' bundles in one; the codec of local features is not among them."""
        described: dict[str, JSON] = {"weight": self.weight}
        tensors: dict[str, Shaped[np.ndarray, "*shape"]] = {}
        for prefix, model in zip(_PREFIXES, (self.whole, self.local), strict=True):
            own = model.describer.to_bundle()
            if own is None:
                return None
            bundle = join(Parts(own, None, model.whitenings, "", ""))
            described[prefix] = {
                "architecture": bundle.architecture,
                "settings": bundle.settings,
                "preprocessing": asdict(bundle.preprocessing),
            }
            tensors |= {f"{prefix}.{name}": tensor for name, tensor in bundle.tensors.items()}
        return Bundle(ARCHITECTURE, described, Preprocessing(self._traits.max_side), "", "", tensors)

    @classmethod
    def from_bundle(cls, bundle: Bundle, name: str, load: Callable[[Bundle, str], Model]) -> Composite:
        """Returns the describer that `to_bundle` wrote.

        Args:
            bundle: Of this architecture.
            name: What messages call it.
            load: Makes a model of each part's bundle.

        Raises:
            InvalidBundle: A part is missing or does not fit.
        """
        with whole_network(name):
            settings: Any = bundle.settings  # JSON of a file: what is missing raises here
            weight = settings["weight"]
            models = [
                load(_part(bundle, prefix, settings[prefix]), f"{name} ({prefix})") for prefix in _PREFIXES
            ]
            return cls(*models, weight=None if weight is None else float(weight))

    def _joined(self, seen: ImageFeatures, local: ImageFeatures) -> ImageFeatures:
        if self.weight is None:
            return replace(seen, local=local.local)
        parts = (math.sqrt(self.weight) * seen.descriptor, math.sqrt(1 - self.weight) * local.descriptor)
        return ImageFeatures(
            np.concatenate(parts).astype(np.float32),
            local.local,
            recognisable=seen.recognisable or local.recognisable,
        )

    def _memory(self, rows: int, columns: int) -> float:
        """Returns what `Traits.memory` says: one model describes after the other."""
        taken = []
        for model in (self.whole, self.local):
            width, height = fitted_size(columns, rows, model.max_side)
            taken.append(model.memory_of(height, width))
        return max(taken)

    def _turned(self, features: LocalFeatures, long_side: float) -> Float32[np.ndarray, "4 dim"] | None:
        """Returns what `Traits.turned` says, by the second model's part alone.

        What the first one would see of the turned photo is not known. Without it the inner product with a
        joint descriptor is that of both second parts, so that scores are as with the second model alone.
        """
        known = self.local.turned(features, long_side)
        if known is None or self.weight is None:
            return None
        unknown = np.zeros((len(known), self.whole.dim), dtype=np.float32)
        return np.concatenate((unknown, known / np.float32(math.sqrt(1 - self.weight))), axis=1)

    def _own_fingerprint(self) -> str | None:
        """Returns digits of both models where one cannot be written to a bundle."""
        if all(each.describer.traits.fingerprint is None for each in (self.whole, self.local)):
            return None
        text = f"{self.whole.fingerprint} {self.local.fingerprint} {self.weight}"
        return hashlib.sha256(text.encode()).hexdigest()


def _part(bundle: Bundle, prefix: str, described: Mapping[str, Any]) -> Bundle:
    """Returns the bundle of one of both models."""
    if described["architecture"] == ARCHITECTURE:
        raise InvalidInput("a composite model holds another one")
    sizes = described["preprocessing"]
    tensors = {
        key.removeprefix(f"{prefix}."): tensor
        for key, tensor in bundle.tensors.items()
        if key.startswith(f"{prefix}.")
    }
    return Bundle(
        str(described["architecture"]),
        dict(described["settings"]),
        Preprocessing(*(sizes[each.name] for each in fields(Preprocessing))),
        bundle.licence,
        "",
        tensors,
    )
