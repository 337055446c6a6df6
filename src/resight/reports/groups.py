"""The page of groups: of each the photo to keep with the crops drawn, and the members laid over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from resight import images
from resight.errors import UnreadableImage
from resight.files import write_whole
from resight.reports.embedded import EmbeddedPhoto, embed
from resight.reports.page import render as render_page

if TYPE_CHECKING:
    from resight.collection.groups import Group, Groups, Member

__all__ = ["render", "write_groups"]

_KEPT, _THUMBNAIL, _OVERLAY = 640, 240, 320
"""Long sides of the embedded photos, pixels."""
_MOST_GROUPS, _MOST_MEMBERS = 100, 24
_HUES = 8

_TITLES = {
    "copies": "Copies of one picture",
    "things": "Photos of one thing",
    "scenes": "Photos of one scene",
}


@dataclass(frozen=True, slots=True)
class _Outline:
    """What a member shows of the kept photo, as SVG writes points; its colour, its number and where."""

    points: str
    hue: int
    number: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class _Shown:
    """A member as the page shows it.

    Attributes:
        number: From 1; that of its outline.
        hue: Colour of its outline.
        name: Its file.
        folder: Where it lies.
        link: Address of the file; None where it is not here.
        size: In words.
        photo: Its pixels.
        overlay: It in one colour over the kept photo in another; None where nothing says how.
        words: What was done to it.
        numbers: What is known of it, in words.
    """

    number: int
    hue: int
    name: str
    folder: str
    link: str | None
    size: str
    photo: EmbeddedPhoto
    overlay: EmbeddedPhoto | None
    words: Sequence[str]
    numbers: str


@dataclass(frozen=True, slots=True)
class _ShownGroup:
    """A group as the page shows it: the kept photo, outlines in its pixels, the other members."""

    number: int
    photos: int
    kept: _Shown
    width: int
    height: int
    stroke: float
    outlines: Sequence[_Outline]
    members: Sequence[_Shown]


@dataclass(frozen=True, slots=True)
class _Page:
    """What ``groups.html`` shows."""

    title: str
    photos: int
    grouped: int
    count: int
    seconds: float
    groups: Sequence[_ShownGroup]


def write_groups(groups: Groups, path: Path) -> None:
    """Writes the page: one HTML file that needs nothing else, whole or not at all.

    Raises:
        OSError: The file cannot be written.
    """
    write_whole(path, render(groups))


def render(groups: Groups) -> str:
    """Returns the page as HTML."""
    kinds = {group.kind for group in groups}
    page = _Page(
        _TITLES[kinds.pop()] if len(kinds) == 1 else "Groups of photos",
        groups.photos,
        sum(map(len, groups)),
        len(groups),
        groups.seconds,
        [_group(group, number) for number, group in enumerate(list(groups)[:_MOST_GROUPS], 1)],
    )
    return render_page("groups.html", page)


def _group(group: Group, number: int) -> _ShownGroup:
    kept, others = group.keep, group.members[1:_MOST_MEMBERS]
    grey = _grey(kept)
    members = [_shown(member, place, grey, kept) for place, member in enumerate(others, 1)]
    outlines = [_outline(member, place, kept) for place, member in enumerate(others, 1)]
    return _ShownGroup(
        number,
        len(group),
        _shown(kept, 0, None, kept),
        kept.width,
        kept.height,
        max(kept.width, kept.height) / 200,
        [outline for outline in outlines if outline is not None],
        members,
    )


def _shown(
    member: Member, number: int, kept_grey: UInt8[np.ndarray, "rows columns"] | None, kept: Member
) -> _Shown:
    path = PurePath(member.path)
    side = _THUMBNAIL if number else _KEPT
    photo = embed(member.path, side, width=member.width, height=member.height, missing=member.missing)
    overlay = None
    if kept_grey is not None and member.transform is not None and photo.uri is not None:
        laid = _laid_over(kept_grey, kept, member, member.transform)
        overlay = None if laid is None else embed(laid, _OVERLAY)
    return _Shown(
        number,
        number % _HUES,
        path.name,
        str(path.parent),
        None if photo.uri is None else Path(member.path).as_uri(),
        f"{member.width} × {member.height}, {member.file_size / 1000:,.0f} kB",
        photo,
        overlay,
        () if member.edit is None else member.edit.words,
        f"{100 * member.share:.0f} % of the picture, {member.inliers:,} inliers" if number else "",
    )


def _grey(member: Member) -> UInt8[np.ndarray, "rows columns"] | None:
    """Returns the photo in grey, at the size of an overlay; None where it is not here."""
    if member.missing:
        return None
    try:
        return cv2.cvtColor(images.read(member.path, max_side=_OVERLAY).pixels, cv2.COLOR_RGB2GRAY)
    except UnreadableImage:
        return None


def _laid_over(
    kept_grey: UInt8[np.ndarray, "rows columns"],
    kept: Member,
    member: Member,
    transform: Float64[np.ndarray, "3 3"],
) -> UInt8[np.ndarray, "rows columns 3"] | None:
    """Returns the kept photo in red and the member in cyan: where both agree, it is grey."""
    grey = _grey(member)
    if grey is None:
        return None
    shown = _scaled(grey, member) @ transform @ np.linalg.inv(_scaled(kept_grey, kept))
    size = kept_grey.shape[::-1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpPerspective(grey, shown, size, flags=flags)
    inside = cv2.warpPerspective(np.full_like(grey, 255), shown, size, flags=flags) > 250
    if not inside.any():
        return None
    # In the member's own range, so that a faded or brightened copy is grey as well.
    ours, theirs = kept_grey[inside].astype(np.float32), laid[inside].astype(np.float32)
    levels = (laid - theirs.mean()) * (ours.std() / max(float(theirs.std()), 1.0)) + ours.mean()
    cyan = np.clip(np.where(inside, levels, kept_grey * 0.35 + 150), 0, 255).astype(np.uint8)
    red = np.where(inside, kept_grey, cyan).astype(np.uint8)
    return np.stack([red, cyan, cyan], axis=-1)


def _scaled(pixels: UInt8[np.ndarray, "rows columns"], member: Member) -> Float64[np.ndarray, "3 3"]:
    """Returns pixels of the whole photo to those of this one."""
    across, down = pixels.shape[1] / member.width, pixels.shape[0] / member.height
    return np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1.0]])


def _outline(member: Member, number: int, kept: Member) -> _Outline | None:
    """Returns the member's frame in the kept photo; None where it shows all of it, or nothing says."""
    if member.transform is None or member.share > 0.96:
        return None
    right, low = member.width - 0.5, member.height - 0.5
    corners = np.array([[-0.5, -0.5, 1], [right, -0.5, 1], [right, low, 1], [-0.5, low, 1]])
    moved = corners @ np.linalg.inv(member.transform).T
    if not (moved[:, 2] > 0).all() and not (moved[:, 2] < 0).all():
        return None
    places = moved[:, :2] / moved[:, 2:] + 0.5
    size = np.array([kept.width, kept.height])
    places = np.clip(places, 0, size)
    # Along the upper side, each number a step further: parts that begin at one corner have theirs apart.
    start, end = places[0], places[1]
    spot = start + (end - start) * (0.1 + 0.8 * (number * 0.382 % 1))
    x, y = np.clip(spot, size.max() / 45, size - size.max() / 45).tolist()
    return _Outline(" ".join(f"{x:.1f},{y:.1f}" for x, y in places.tolist()), number % _HUES, number, x, y)
