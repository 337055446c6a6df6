"""Groups of photos as values: what they are, which member to keep, and what was done to the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, final, get_args

import numpy as np
from jaxtyping import Float64

from resight.errors import InvalidInput
from resight.features import Box
from resight.images.content import Content

__all__ = ["Edit", "Group", "GroupKind", "Groups", "KeepRule", "Member", "check_words"]

GroupKind = Literal["copies", "things", "scenes"]
"""- ``copies``: one picture, edited: cropped, turned, mirrored, resized, recoloured, captioned, framed.
- ``things``: photos of one thing or place, from wherever.
- ``scenes``: photos of one view, taken shortly after each other: a burst."""

KeepRule = Literal["best", "largest", "newest", "oldest", "first"]
"""- ``best``: the least edited one; of these the one of most pixels, the sharpest, in the better format.
- ``largest``: the one of most pixels.
- ``newest``, ``oldest``: by the time at which the photo was taken, or else its file changed.
- ``first``: the first by path."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What leads from the photo that is kept to another member.

    Attributes:
        same_file: The files have the same bytes.
        crop: Part of the kept photo that the member shows, in its pixels; None where it shows all.
        inside: Where in the member the picture lies, in its pixels, where there is a border or a page around
            it; None where there is none.
        angle: By which the member is turned, clockwise, degrees in [0, 360).
        mirrored: Left and right are exchanged; before it is turned.
        scale: Pixels of the member for one of the kept photo, along a side.
        stretch: How much wider than high the member's pixels are than the kept photo's.
        tilted: Seen aslant, as in a photo of a screen or a print.
        covered: Share of the common part in which something else is to be seen, such as a caption.
        recoloured: Brightness, contrast or colours are others.
    """

    same_file: bool = False
    crop: Box | None = None
    inside: Box | None = None
    angle: float = 0.0
    mirrored: bool = False
    scale: float = 1.0
    stretch: float = 1.0
    tilted: bool = False
    covered: float = 0.0
    recoloured: bool = False

    @property
    def words(self) -> list[str]:
        """What was done, a few words each; one that says so where nothing is to be seen."""
        if self.same_file:
            return ["the same file"]
        words = []
        if self.crop is not None:
            words.append(f"cropped to {_numbers(self.crop)}")
        if self.mirrored:
            words.append("mirrored")
        if abs((self.angle + 180) % 360 - 180) >= 0.5:
            words.append(f"turned {self.angle:.0f}°")
        if self.tilted:
            words.append("photographed")
        if not 0.98 < self.scale < 1.02:
            words.append(f"resized to {100 * self.scale:.0f} %")
        if not 0.97 < self.stretch < 1.03:
            words.append(f"stretched {self.stretch:.2f}")
        if self.inside is not None:
            words.append(f"with something around it, at {_numbers(self.inside)}")
        if self.covered >= 0.04:
            words.append(f"{100 * self.covered:.0f} % covered")
        if self.recoloured:
            words.append("recoloured")
        return words or ["stored anew"]

    def __str__(self) -> str:
        return ", ".join(self.words)


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A photo of a group.

    Attributes:
        path: Its file, absolute.
        width: Of the whole upright photo, pixels.
        height: Of the whole upright photo, pixels.
        file_size: Bytes.
        edit: What leads to it from the photo that is kept; None for that one, and in groups of other kinds
            than copies.
        inliers: Matches with the member by which it belongs to the group; of the kept one its most.
        share: Share of the kept photo that it shows, 0 to 1.
        transform: float64 ``(3, 3)``, pixels of the kept photo to its own; None where nothing says.
        missing: The file is not there, or may not be shown.
        content: What identified its bytes when it was indexed; None where nothing says.
    """

    path: str
    width: int
    height: int
    file_size: int
    edit: Edit | None
    inliers: int
    share: float
    transform: Float64[np.ndarray, "3 3"] | None
    missing: bool = False
    content: Content | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Photos that belong together, the one to keep first.

    Attributes:
        kind: How they belong together.
        members: Two or more; after the first by their share of it and path.
    """

    kind: GroupKind
    members: Sequence[Member]

    @property
    def keep(self) -> Member:
        """The member to keep."""
        return self.members[0]

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Groups:
    """The groups of a collection, the largest first; iterated and indexed, it is its groups.

    Attributes:
        groups: Each photo is in one of them at most.
        photos: Photos of the collection that were looked at.
        seconds: Time that it took.
        notes: What could not be done, a sentence each.
        waiting: Photos that have not been compared yet, in `resight.Collection.known_groups`.
    """

    groups: Sequence[Group]
    photos: int
    seconds: float
    notes: tuple[str, ...] = ()
    waiting: int = 0

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, place: int) -> Group:
        return self.groups[place]

    def __repr__(self) -> str:
        return f"<Groups: {len(self.groups)} among {self.photos} photos>"


def check_words(of: str, keep: str) -> None:
    """Returns if both words are known.

    Raises:
        InvalidInput: One is not.
    """
    for name, word, known in (("of", of, get_args(GroupKind)), ("keep", keep, get_args(KeepRule))):
        if word not in known:
            raise InvalidInput(f"{name} is one of {', '.join(known)}, not {word!r}")


def _numbers(box: Box) -> str:
    return ",".join(f"{value:.0f}" for value in box.corners)
