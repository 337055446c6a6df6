"""What is searched for in a collection, and how: one value, checked once."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Literal, cast, get_args

from resight.collection.lance_errors import asking
from resight.errors import InvalidInput
from resight.features import Box
from resight.files import is_address, spelled
from resight.images import MAX_PIXELS, PhotoSource, several_photos

__all__ = ["VERIFY_DEPTH", "Query", "RefineMethod"]

RefineMethod = Literal["diffusion", "reciprocal", "superglobal"]
"""How a ranking is refined by the descriptors of the collection alone:

- ``diffusion`` spreads the scores over the graph of the whole collection (`resight.search.Diffusion`). It
  finds what resembles the answers without resembling the query. The graph is built at the first such search
  after each change of the collection, in time that grows with the square of its size.
- ``reciprocal`` orders the first 100 by how alike their neighbourhoods are
  (`resight.search.rerank_reciprocal`).
- ``superglobal`` refines the first 400 and the query by their neighbours
  (`resight.search.rerank_super_global`).
"""

VERIFY_DEPTH = 100
"""Answers that ``verify="auto"`` verifies with a model that has local features: the usual depth of the
field's protocols."""


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Query:
    """A query: what is searched for, where, and how the answers are ordered.

    Args:
        photos: A photo of the thing, or a list of several, which are combined to one query; each a path, a
            file's bytes, an open file (which is read at once, from its start), a PIL image or an RGB uint8
            array. Any iterable of photos will do.
        top: How many answers to return at most.
        box: Where the thing is in the query photo: a `Box`, or x0, y0, x1, y1 in pixels; only for a single
            photo.
        without: Photos of what the answers must not show: they are subtracted from the query, and they, their
            copies and what geometry confirms to show the same as one of them are left out of the answers.
        where: SQL condition on the user's metadata (and on path, width, height, file_size, modified_ns); only
            photos that fulfil it are searched.
        expand: Best answers that enrich the query before it is searched again; 0 for none.
        refine: Orders the answers by their neighbours in the collection, before verification; the refined
            scores replace the inner products. ``diffusion`` takes neither ``where`` nor ``expand``.
        verify: Best answers that geometry verifies and orders by evidence; 0 for none. ``"auto"``:
            `VERIFY_DEPTH` with a model that has local features, 0 with one that has none.
        max_pixels: Most pixels of a query photo that is decoded, see `resight.images.read`.

    Raises:
        InvalidInput: A value is out of its range, or two of them contradict each other.
    """

    photos: tuple[PhotoSource, ...]
    top: int
    box: Box | None
    without: tuple[PhotoSource, ...]
    where: str | None
    expand: int
    refine: RefineMethod | None
    verify: int | Literal["auto"]
    max_pixels: int

    def __init__(
        self,
        photos: PhotoSource | Iterable[PhotoSource],
        *,
        top: int = 10,
        box: Box | Iterable[float] | None = None,
        without: PhotoSource | Iterable[PhotoSource] = (),
        where: str | None = None,
        expand: int = 0,
        refine: RefineMethod | None = None,
        verify: int | Literal["auto"] = "auto",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        values = {
            "photos": _as_tuple(photos),
            "top": _whole("top", top),
            "box": _as_box(box),
            "without": _as_tuple(without),
            "where": where,
            "expand": _whole("expand", expand),
            "refine": refine,
            "verify": verify if isinstance(verify, str) else _whole("verify", verify),
            "max_pixels": _whole("max_pixels", max_pixels),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check_values()
        self._check_contradictions()

    def _check_values(self) -> None:
        if not self.photos:
            raise InvalidInput("a search needs at least one query photo")
        numbers = (("top", self.top, 1), ("expand", self.expand, 0), ("max_pixels", self.max_pixels, 1))
        for name, number, least in numbers:
            if number < least:
                raise InvalidInput(f"{name} must be at least {least}, not {number}")
        if self.verify != "auto" and (isinstance(self.verify, str) or self.verify < 0):
            raise InvalidInput(f"verify must be 'auto' or a number of at least 0, not {self.verify!r}")
        if self.where is not None and not isinstance(self.where, str):
            raise InvalidInput(f"where is an SQL condition as text, not {type(self.where).__name__}")
        if self.where is not None and not self.where.strip():
            raise InvalidInput('the filter is empty: write an SQL condition such as "year >= 2020"')
        if self.refine is not None and self.refine not in get_args(RefineMethod):
            raise InvalidInput(f"refine is one of {', '.join(get_args(RefineMethod))}, not {self.refine!r}")

    def _check_contradictions(self) -> None:
        if self.box is not None and len(self.photos) > 1:
            raise InvalidInput(
                f"a box belongs to one query photo, not to {len(self.photos)}: crop the others beforehand"
            )
        if self.refine == "diffusion" and self.where is not None:
            raise InvalidInput(
                "diffusion runs over the graph of the whole collection and cannot be confined by a filter: "
                "leave the filter out, or refine by reciprocal or superglobal"
            )
        if self.refine == "diffusion" and self.expand:
            raise InvalidInput(
                "diffusion already starts from the query's neighbours and takes no expanded query: "
                "use either diffusion or query expansion"
            )


def _whole(name: str, number: int) -> int:
    """Returns a whole number of any type: of Python, of numpy."""
    try:
        if isinstance(number, bool):
            raise TypeError
        return operator.index(number)
    except TypeError:
        words = (
            "verify is 'auto' or a whole number, 0 for none"
            if name == "verify"
            else f"{name} is a whole number"
        )
        raise InvalidInput(f"{words}, not {number!r:.40}") from None


def _as_tuple(photos: PhotoSource | Iterable[PhotoSource]) -> tuple[PhotoSource, ...]:
    return tuple(map(_kept, several_photos(photos)))


def _kept(photo: PhotoSource) -> PhotoSource:
    """Returns a photo that can be read more than once: a query is answered and then drawn."""
    if isinstance(photo, str | os.PathLike):
        with asking():
            address = spelled(photo)
        return address if is_address(address) else photo
    if not hasattr(photo, "read"):
        return photo
    stream = cast("BinaryIO", photo)
    try:
        if stream.seekable():
            stream.seek(0)
        content = stream.read()
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidInput(f"the open file of a photo cannot be read: {error}") from None
    if not isinstance(content, bytes):
        raise InvalidInput("a photo is read from a binary file, and this one gives text: open it with 'rb'")
    return content


def _as_box(box: Box | Iterable[float] | None) -> Box | None:
    if box is None or isinstance(box, Box):
        return box
    if isinstance(box, str | bytes) or not isinstance(box, Iterable):
        raise InvalidInput(f"a box is four numbers x0, y0, x1, y1 in pixels, not {box!r:.40}")
    corners = list(box)
    if len(corners) != 4:
        raise InvalidInput(f"a box is four numbers x0, y0, x1, y1 in pixels, not {len(corners)}")
    try:
        return Box(*corners)
    except TypeError:
        raise InvalidInput(f"a box is four numbers x0, y0, x1, y1 in pixels, not {corners!r:.60}") from None
