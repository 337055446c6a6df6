"""A whitening of descriptors: subtract a mean, multiply by a matrix, bring to unit norm.

A `Whitening` needs no torch. How one is computed from descriptors is in `resight.models.whitening_fit`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from jaxtyping import Float32, Float64

from resight.errors import InvalidInput

if TYPE_CHECKING:
    from resight.networks.gem import GeMNet

__all__ = ["Whitening", "initialise_whitening"]

_BLOCK = 4096
"""Rows projected at once: float64 copies of more would take more memory than the descriptors themselves."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Whitening:
    """``x -> P (x - m)``, brought to unit L2 norm.

    Attributes:
        mean: float64 ``(inputs,)``, m.
        matrix: float64 ``(dim, inputs)``, P; what matters most in its first rows, so that it can be cut.
        kind: How it was computed, ``pca`` or ``learned``.
        pairs_or_images: From how many matching pairs (``learned``) or descriptors (``pca``).
        provenance: What it was computed from and with which settings, for people.

    Raises:
        InvalidInput: The shapes do not fit or a number is not finite.
    """

    mean: Float64[np.ndarray, " inputs"]
    matrix: Float64[np.ndarray, "dim inputs"]
    kind: str
    pairs_or_images: int
    provenance: str

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or not self.matrix.size or self.mean.shape != self.matrix.shape[1:]:
            raise InvalidInput(
                f"a whitening needs a mean (inputs,) and a matrix (dim, inputs), "
                f"not {self.mean.shape} and {self.matrix.shape}"
            )
        for name in ("mean", "matrix"):
            values = np.array(getattr(self, name), dtype=np.float64, order="C")
            if not np.isfinite(values).all():
                raise InvalidInput(f"the {name} of a whitening must be finite")
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    @property
    def dim(self) -> int:
        """Length of a descriptor afterwards."""
        return self.matrix.shape[0]

    @property
    def inputs(self) -> int:
        """Length of a descriptor before."""
        return self.matrix.shape[1]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over mean and matrix, 64 hexadecimal digits: what decides the descriptors."""
        digest = hashlib.sha256(f"{self.dim} {self.inputs}".encode())
        for values in (self.mean, self.matrix):
            digest.update(values.astype("<f8").tobytes())
        return digest.hexdigest()

    def apply(self, descriptors: Float32[np.ndarray, "n inputs"]) -> Float32[np.ndarray, "n dim"]:
        """Returns the whitened descriptors, float32 of unit L2 norm; computed in float64.

        One that projects to zero, as the mean itself, has no direction and gets the one without a preference.

        Raises:
            InvalidInput: They have another length, or a number is not finite.
        """
        if descriptors.ndim != 2 or descriptors.shape[1] != self.inputs:
            raise InvalidInput(
                f"this whitening takes descriptors (n, {self.inputs}), not {descriptors.shape}: "
                f"use it with the model it was computed for"
            )
        if not np.isfinite(descriptors).all():
            raise InvalidInput("descriptors to be whitened must be finite, and some hold NaN or infinity")
        whitened = np.empty((len(descriptors), self.dim), dtype=np.float32)
        for start in range(0, len(descriptors), _BLOCK):
            rows = slice(start, start + _BLOCK)
            projected = self._project(descriptors[rows].astype(np.float64) - self.mean)
            projected[~projected.any(axis=1)] = 1.0
            # Scaled first: squares of very small numbers would vanish.
            projected /= np.abs(projected).max(axis=1, keepdims=True)
            whitened[rows] = projected / np.linalg.norm(projected, axis=1, keepdims=True)
        return whitened

    def reduced(self, dim: int) -> Whitening:
        """Returns the whitening to the first ``dim`` dimensions.

        Raises:
            InvalidInput: It has not as many.
        """
        if not 1 <= dim <= self.dim:
            raise InvalidInput(
                f"a whitening to {self.dim} dimensions can be cut to 1 to {self.dim}, not {dim}"
            )
        provenance = f"{self.provenance}, cut to {dim} dimensions"
        return Whitening(self.mean, self.matrix[:dim], self.kind, self.pairs_or_images, provenance)

    def _project(self, centred: Float64[np.ndarray, "n inputs"]) -> Float64[np.ndarray, "n dim"]:
        if len(centred) == 1:
            # A photo on its own not by BLAS: it would split the product among threads that spin while they
            # wait for busy cores, and the bits would depend on their number.
            return np.einsum("da,na->nd", self.matrix, centred)
        return centred @ self.matrix.T


def initialise_whitening(net: GeMNet, whitening: Whitening) -> None:
    """Sets the network's whitening layer, in place, to ``weight = P, bias = -P m``, as the authors of GeM do.

    Its descriptors at one scale are then those it gave without the layer, whitened, up to float32 rounding.

    Raises:
        InvalidInput: The network has no whitening layer, one of other sizes, or one without a bias.
    """
    import torch

    layer = net.whitening
    if layer is None:
        raise InvalidInput(
            f"the network has no whitening layer: make it with dim={whitening.dim} in its GeMNetConfig"
        )
    sizes = (layer.in_features, layer.out_features)
    if sizes != (whitening.inputs, whitening.dim) or layer.bias is None:
        bias = "" if layer.bias is not None else " without a bias"
        raise InvalidInput(
            f"the whitening goes from {whitening.inputs} to {whitening.dim} dimensions and the network's "
            f"layer from {sizes[0]} to {sizes[1]}{bias}: give it dim={whitening.dim} in its GeMNetConfig"
        )
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(whitening.matrix.copy()))
        layer.bias.copy_(torch.from_numpy(-whitening.matrix @ whitening.mean))
