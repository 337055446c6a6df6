"""Query photos as the model sees them: what was described for one answer is not described for the next."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from resight.features import Box, ImageFeatures
from resight.images import PhotoSource

__all__ = ["SeenPhoto", "SeenPhotos"]


@dataclass(frozen=True, slots=True, eq=False)
class SeenPhoto:
    """A query photo, described.

    Attributes:
        width: Pixels of the whole photo.
        height: The same.
        region: What of it was described, its pixels; None for the whole photo.
        features: What the model sees there.
    """

    width: int
    height: int
    region: Box | None
    features: ImageFeatures


@final
class SeenPhotos:
    """The last photos that one model described, by their bytes: other forms may change, and are not kept.

    Safe to use from several threads.

    Args:
        most: So many are kept; those not asked for the longest go first. 0: none.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[object, SeenPhoto] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self, source: PhotoSource, box: Box | None, max_pixels: int, describe: Callable[[], SeenPhoto]
    ) -> SeenPhoto:
        """Returns what was seen in a photo, described now where that is not remembered.

        Args:
            source: The photo.
            box: The part that is wanted, None for the whole photo.
            max_pixels: Most pixels that are decoded; a larger photo is refused, remembered or not.
            describe: Describes it; what it raises is raised, and not remembered.
        """
        if not isinstance(source, bytes):
            return describe()
        key = (hashlib.blake2b(source, digest_size=16).digest(), box, max_pixels)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        # Described outside of the lock: others go on, and the same photo may be described twice.
        seen = describe()
        with self._lock:
            self._kept[key] = seen
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return seen
