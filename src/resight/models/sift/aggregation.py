"""One descriptor of a photo from its local descriptors: orientation-covariant VLAD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

__all__ = ["Codebook", "assign", "size_weights", "turned_vlad", "vlad"]

# Products of at most 2^18 multiplications stay in the calling thread: OpenBLAS starts threads above, and
# these spin while they wait. On two busy cores an aggregate took 79 ms of processor time with one large
# product and 3.4 ms with blocks of 32 features. The blocks also free the bits from the number of BLAS
# threads.
_BLOCK = 32


@dataclass(frozen=True, slots=True)
class Codebook:
    """What local descriptors are compared with before they are summed.

    Attributes:
        mean: float32 ``(128,)``, subtracted from a local descriptor.
        basis: float32 ``(128, reduced)``, principal axes onto which it is then projected.
        centres: float32 ``(centres, reduced)``, k-means centres of projected descriptors.
        neighbours: To how many nearest centres a local descriptor is assigned.
        softness: Inverse temperature of the assignment, per squared distance; larger is harder.
        angular: Weight of the first harmonic of the keypoint's orientation; 0 makes the aggregate invariant
            to rotation of the photo.
    """

    mean: Float32[np.ndarray, " full"]
    basis: Float32[np.ndarray, "full reduced"]
    centres: Float32[np.ndarray, "centres reduced"]
    neighbours: int
    softness: float
    angular: float

    @property
    def dim(self) -> int:
        """Length of an aggregate."""
        return 3 * self.centres.size


def assign(local: Float32[np.ndarray, "*n reduced"], codebook: Codebook) -> Float32[np.ndarray, "*n centres"]:
    """Returns how much each local descriptor belongs to each centre: sums of 1, zero beyond the nearest.

    The weight of one of the ``neighbours`` nearest centres at distance d is proportional to exp(-softness
    d²) (Philbin et al., "Lost in quantization", CVPR 2008, section 3.1). Of equally near centres the first
    counts.
    """
    centres = codebook.centres
    # Without the local descriptor's own norm, which is the same for all centres.
    distances = np.einsum("kd,kd->k", centres, centres) - 2 * (local @ centres.T)
    least = distances.min(axis=-1, keepdims=True)
    assignment = np.zeros_like(distances)
    for _ in range(min(codebook.neighbours, len(centres))):
        nearest = distances.argmin(axis=-1)[..., None]
        distance = np.take_along_axis(distances, nearest, axis=-1)
        weight = np.exp(np.float32(-codebook.softness) * (distance - least))
        np.put_along_axis(assignment, nearest, weight, axis=-1)
        np.put_along_axis(distances, nearest, np.float32(np.inf), axis=-1)
    return assignment / assignment.sum(axis=-1, keepdims=True)


def size_weights(
    scales: Float32[np.ndarray, " n"], long_side: float, full_size: float
) -> Float32[np.ndarray, " n"]:
    """Returns what each keypoint counts by its size: in proportion up to ``full_size``, 1 from there on.

    Small keypoints are many and are not found again from another distance.

    Args:
        scales: Diameters in pixels.
        long_side: Long side of the whole photo in the same pixels.
        full_size: Diameter from which a keypoint counts fully, as a share of the long side.
    """
    return np.minimum(scales / np.float32(full_size * long_side), np.float32(1))


def vlad(
    descriptors: Float32[np.ndarray, "n full"],
    orientations: Float32[np.ndarray, " n"],
    weights: Float32[np.ndarray, " n"],
    codebook: Codebook,
) -> Float32[np.ndarray, " aggregate"]:
    """Returns the aggregate of a photo's local descriptors, of unit L2 norm; all zero when there are none.

    Weighted residuals to the centres are summed per centre (VLAD: Jégou et al., "Aggregating local
    descriptors into a compact image representation", CVPR 2010, section 3.2), each three times: as they are,
    and times ``angular`` cos φ and ``angular`` sin φ of the keypoint's orientation φ (radians), so that a
    pair of features counts by 1 + angular² cos Δφ: fully where both photos are held alike (Tolias, Furon and
    Jégou, "Orientation covariant aggregation of local descriptors with embeddings", ECCV 2014, section 3;
    here with one harmonic). The sums of a centre are brought to unit norm together (Arandjelović and
    Zisserman, "All about VLAD", CVPR 2013, section 3.2), then each value to its signed square root (Jégou et
    al., "Aggregating local image descriptors into compact codes", TPAMI 2012, section 3.1).
    """
    return _aggregate(_sums(descriptors, orientations, weights, codebook))


def turned_vlad(
    descriptors: Float32[np.ndarray, "n full"],
    orientations: Float32[np.ndarray, " n"],
    weights: Float32[np.ndarray, " n"],
    codebook: Codebook,
) -> Float32[np.ndarray, "4 aggregate"]:
    """Returns the aggregates of a photo as it is and turned by one, two and three quarters, clockwise.

    A turn by θ adds θ to every orientation, so that the two sums of the harmonic change places.
    """
    whole, cosine, sine = _sums(descriptors, orientations, weights, codebook)
    turns = (cosine, sine), (-sine, cosine), (-cosine, -sine), (sine, -cosine)
    return np.stack([_aggregate([whole, *turn]) for turn in turns])


def _sums(
    descriptors: Float32[np.ndarray, "n full"],
    orientations: Float32[np.ndarray, " n"],
    weights: Float32[np.ndarray, " n"],
    codebook: Codebook,
) -> list[Float32[np.ndarray, "centres reduced"]]:
    """Returns the weighted sums of residuals: as they are, times the cosine, and times the sine."""
    full, centres = len(codebook.mean), codebook.centres
    blocks = -(-len(descriptors) // _BLOCK)
    padded = np.zeros((blocks * _BLOCK, full), dtype=np.float32)
    padded[: len(descriptors)] = descriptors - codebook.mean
    # What fills the last block has no weight.
    harmonics = np.zeros((3, blocks * _BLOCK, 1), dtype=np.float32)
    harmonics[0, : len(descriptors), 0] = weights
    harmonics[1, : len(descriptors), 0] = weights * np.float32(codebook.angular) * np.cos(orientations)
    harmonics[2, : len(descriptors), 0] = weights * np.float32(codebook.angular) * np.sin(orientations)

    local = padded.reshape(blocks, _BLOCK, full) @ codebook.basis
    assignment = assign(local, codebook)
    parts = []
    for harmonic in harmonics.reshape(3, blocks, _BLOCK, 1):
        shares = (assignment * harmonic).swapaxes(1, 2)
        # Σ w (x - c) = Σ w x - c Σ w: a matrix product instead of a residual per feature and centre.
        parts.append((shares @ local).sum(axis=0) - shares.sum(axis=(0, 2))[:, None] * centres)
    return parts


def _aggregate(
    parts: Sequence[Float32[np.ndarray, "centres reduced"]],
) -> Float32[np.ndarray, " aggregate"]:
    """Returns the sums of each centre at unit norm, square-rooted, and the whole at unit norm."""
    sums = np.concatenate(parts, axis=1)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    sums = (sums / np.where(norms > 0, norms, np.float32(1))).ravel()
    rooted = np.sign(sums) * np.sqrt(np.abs(sums))
    norm = np.linalg.norm(rooted)
    return rooted / norm if norm > 0 else rooted
