"""A model on disk: everything that decides its descriptors, in one safetensors file.

The format is described in ``docs/formats.md``. Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Shaped

from resight.errors import InvalidBundle, InvalidInput, StorageFailed
from resight.files import JSON, parse_json, reading, whole_file

__all__ = [
    "FORMAT_VERSION",
    "METADATA_KEY",
    "Bundle",
    "Header",
    "Preprocessing",
    "read",
    "read_header",
    "write",
]

FORMAT_VERSION = 1
"""Version of the file format that this code writes, and the newest it reads."""

METADATA_KEY = "resight"
"""The entry of a safetensors file's metadata that makes it a bundle."""

_DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a photo becomes the input of a model.

    Attributes:
        max_side: Long side in pixels to which whole photos are reduced; smaller ones are not enlarged.
        mean: Subtracted from each channel after its values were divided by 255, in ``channel_order``.
        std: Divides each channel after that, in ``channel_order``.
        channel_order: Order of the channels in the model's input.
        interpolation: How photos are reduced; ``lanczos`` is what `resight.images.read` does.

    Raises:
        InvalidInput: A number is not finite or not positive where it must be, or a word is unknown.
    """

    max_side: int
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channel_order: Literal["RGB", "BGR"] = "RGB"
    interpolation: Literal["lanczos"] = "lanczos"

    def __post_init__(self) -> None:
        if not isinstance(self.max_side, int) or self.max_side < 1:
            raise InvalidInput(f"max_side must be a positive number of pixels, not {self.max_side!r}")
        for name in ("mean", "std"):
            values = tuple(float(value) for value in getattr(self, name))
            if len(values) != 3 or not all(math.isfinite(value) for value in values):
                raise InvalidInput(f"{name} must be three finite numbers, not {getattr(self, name)!r}")
            object.__setattr__(self, name, values)
        if min(self.std) <= 0:
            raise InvalidInput(f"std must be positive, not {self.std}")
        if self.channel_order not in ("RGB", "BGR"):
            raise InvalidInput(f"channel_order must be RGB or BGR, not {self.channel_order!r}")
        if self.interpolation != "lanczos":
            raise InvalidInput(f"interpolation must be lanczos, not {self.interpolation!r}")


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a bundle: everything but the tensors' values.

    Attributes:
        architecture: Kind of the model, for example ``sift`` or ``gem``; it decides what the rest means.
        settings: The architecture's own settings, JSON values.
        preprocessing: How a photo becomes the model's input.
        licence: Licence of the weights, an SPDX name or a short sentence.
        provenance: Where the weights come from.
        fingerprint: SHA-256, 64 hexadecimal digits: equal exactly when architecture, settings,
            preprocessing and tensors are.
        shapes: Shape of each tensor by name.
        training: As in `Bundle`.
    """

    architecture: str
    settings: Mapping[str, JSON]
    preprocessing: Preprocessing
    licence: str
    provenance: str
    fingerprint: str
    shapes: Mapping[str, tuple[int, ...]]
    training: Mapping[str, JSON]


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A model as plain values; two are the same model exactly when their fingerprints are equal.

    Attributes:
        architecture: Kind of the model; it decides what the rest means.
        settings: The architecture's own settings, JSON values (tuples become lists).
        preprocessing: How a photo becomes the model's input.
        licence: Licence of the weights; not part of the fingerprint.
        provenance: Where the weights come from; not part of the fingerprint.
        tensors: The weights by name, read-only.
        training: How training measured the model: ``transform``, that of the photos it was measured on, and
            ``selection``, how the weights were chosen. Empty where no training of ours wrote it; not part of
            the fingerprint.

    Raises:
        InvalidInput: A setting is no JSON value, or a tensor has another type than bool, integer or float,
            or holds NaN or infinity.
    """

    architecture: str
    settings: Mapping[str, JSON]
    preprocessing: Preprocessing
    licence: str
    provenance: str
    tensors: Mapping[str, Shaped[np.ndarray, "*shape"]]
    training: Mapping[str, JSON] = field(default_factory=dict)
    _fingerprint: str | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        try:
            settings = json.loads(_canonical(self.settings))
            training = json.loads(_canonical(self.training))
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"settings of a bundle must be JSON values: {error}") from None
        tensors = {name: _checked(name, self.tensors[name]) for name in sorted(self.tensors)}
        object.__setattr__(self, "settings", settings)
        object.__setattr__(self, "training", training)
        object.__setattr__(self, "tensors", tensors)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over architecture, settings, preprocessing and tensors, 64 hexadecimal digits.

        Computed when it is first needed, and once: all weights are hashed.
        """
        if self._fingerprint is None:
            object.__setattr__(self, "_fingerprint", _hash_of(self))
        return cast("str", self._fingerprint)


def write(bundle: Bundle, path: str | Path) -> None:
    """Writes a bundle, whole or not at all: what was at ``path`` stays until the new file is on the disk.

    Raises:
        StorageFailed: The disk refused.
    """
    header: dict[str, JSON] = {
        "format_version": FORMAT_VERSION,
        "architecture": bundle.architecture,
        "settings": bundle.settings,
        "preprocessing": asdict(bundle.preprocessing),
        "licence": bundle.licence,
        "provenance": bundle.provenance,
        "fingerprint": bundle.fingerprint,
    }
    if bundle.training:
        # Only where there is something, so that older bundles keep their bytes.
        header["training"] = bundle.training
    # One metadata entry, for safetensors does not promise an order of several: equal bundles, equal bytes.
    content = safetensors.numpy.save(dict(bundle.tensors), {METADATA_KEY: _canonical(header)})
    try:
        with whole_file(path, device=False) as stream:
            stream.write(content)
    except OSError as error:
        raise StorageFailed(f"cannot write the model bundle {path}: {error.strerror or error}") from None


def read(path: str | Path) -> Bundle:
    """Returns the bundle in a file, after checking that its content has the fingerprint it was written with.

    Raises:
        InvalidBundle: There is no file, it is no bundle, truncated, changed, or of a newer format version.
    """
    header = read_header(path)
    with reading(path, f"the tensors of the model bundle {path} cannot be read", refusal=InvalidBundle):
        with safetensors.safe_open(str(path), framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        bundle = Bundle(
            header.architecture,
            header.settings,
            header.preprocessing,
            header.licence,
            header.provenance,
            tensors,
            header.training,
        )
    if bundle.fingerprint != header.fingerprint:
        raise InvalidBundle(
            f"the model bundle {path} was changed or damaged after it was written "
            f"(its fingerprint should begin with {header.fingerprint[:12]} and begins with "
            f"{bundle.fingerprint[:12]}): get a fresh copy"
        )
    return bundle


def read_header(path: str | Path) -> Header:
    """Returns the header of a bundle, without reading or checking its tensors.

    Raises:
        InvalidBundle: There is no file, it is no bundle, truncated, or of a newer format version.
    """
    if not Path(path).is_file():
        raise InvalidBundle(f"there is no model bundle at {path}")
    sentence = f"{path} is no model bundle, or a truncated one: it is no whole safetensors file"
    with (
        reading(path, sentence, refusal=InvalidBundle),
        safetensors.safe_open(str(path), framework="numpy") as file,
    ):
        metadata = file.metadata() or {}
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    if METADATA_KEY not in metadata:
        raise InvalidBundle(f"{path} is a safetensors file, but no model bundle of Resight: it has no header")
    with reading(path, f"the header of the model bundle {path} is damaged", refusal=InvalidBundle):
        values: Any = parse_json(metadata[METADATA_KEY])
        version = values["format_version"]
        if version > FORMAT_VERSION:
            raise InvalidBundle(
                f"the model bundle {path} has format version {version} and this Resight reads versions up to "
                f"{FORMAT_VERSION}: upgrade Resight"
            )
        return Header(
            _text(values["architecture"]),
            dict(values["settings"]),
            Preprocessing(*(values["preprocessing"][each.name] for each in fields(Preprocessing))),
            _text(values["licence"]),
            _text(values["provenance"]),
            _text(values["fingerprint"]),
            shapes,
            dict(values.get("training", {})),
        )


def _canonical(value: JSON) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, not {value!r}")
    return value


def _checked(name: str, tensor: Shaped[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "*shape"]:
    if tensor.dtype.name not in _DTYPES:
        raise InvalidInput(f"the tensor {name} of a bundle has type {tensor.dtype}; accepted are {_DTYPES}")
    # Whole numbers are finite, and many.
    if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
        raise InvalidInput(f"the tensor {name} of a bundle holds NaN or infinity")
    tensor = np.asarray(tensor, dtype=tensor.dtype.newbyteorder("<"), order="C").view()
    tensor.flags.writeable = False
    return tensor


def _hash_of(bundle: Bundle) -> str:
    digest = hashlib.sha256()
    described: list[JSON] = [bundle.architecture, bundle.settings, asdict(bundle.preprocessing)]
    digest.update(_canonical(described).encode())
    for name, tensor in bundle.tensors.items():
        digest.update(_canonical([name, tensor.dtype.name, list(tensor.shape)]).encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()
