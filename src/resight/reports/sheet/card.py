"""One answer of the sheet: its drawing, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import PurePath
from typing import TYPE_CHECKING

from resight.reports.embedded import EmbeddedPhoto, embed
from resight.reports.sheet.figure import MAX_LINES, pair_figure, photo_figure
from resight.reports.sheet.question import ShownQuery
from resight.reports.verdict import VERDICT_WORDS, verdict_reason

if TYPE_CHECKING:
    from resight.collection import Hit
    from resight.search import Verification

__all__ = ["answer_card"]

_MATCHED_SIDE, _PLAIN_SIDE = 800, 420


def answer_card(hit: Hit, queries: Sequence[ShownQuery]) -> str:
    """Returns a list item for one answer; a verified one is drawn beside its query, the matches joined."""
    words = VERDICT_WORDS[hit.verdict]
    trusted = hit.verdict in ("confirmed", "likely")
    photo = embed(hit.path, _MATCHED_SIDE if trusted else _PLAIN_SIDE, width=hit.width, height=hit.height)
    changed = _has_changed(hit, photo)
    matched = trusted and photo.uri is not None and not changed
    name = PurePath(hit.path).name
    alt = f"Answer {hit.rank}: {name}, {words}."
    if matched and hit.match is not None:
        alt = f"{alt} Query on the left, answer on the right, matched points joined by lines."
        drawing = _pair(hit, hit.match, queries[hit.query or 0], photo, alt)
    else:
        drawing = photo_figure(photo, alt, keypoints=None if changed else hit.keypoints)
    kind = f"{hit.verdict} matched" if matched else hit.verdict
    caption = f"{hit.rank}. {name} – {words}"
    return (
        f'<li class="answer {kind}" id="answer-{hit.rank}">{_facts(hit, photo)}'
        f'<div class="stage"><button type="button" data-caption="{escape(caption)}"'
        f' aria-label="Enlarge answer {hit.rank}">{drawing}</button></div></li>'
    )


def _has_changed(hit: Hit, photo: EmbeddedPhoto) -> bool:
    """Returns whether the file now has another size than what was indexed: its points lie elsewhere."""
    return photo.uri is not None and (photo.width, photo.height) != (hit.width, hit.height)


def _pair(hit: Hit, match: Verification, query: ShownQuery, photo: EmbeddedPhoto, alt: str) -> str:
    return pair_figure(
        query.photo,
        photo,
        alt,
        use=query.name,
        query_points=match.query_points,
        answer_points=match.answer_points,
        box=query.outline,
        region=match.region,
        query_keypoints=query.query.keypoints,
        answer_keypoints=hit.keypoints,
    )


def _facts(hit: Hit, photo: EmbeddedPhoto) -> str:
    path = PurePath(hit.path)
    folder = escape(str(path.parent)).replace("/", "/<wbr>") if path.parent != PurePath() else ""
    numbers = {"similarity": f"{hit.similarity:.3f}"}
    if hit.match is not None:
        numbers["inliers"] = str(hit.match.inliers)
        numbers["by chance"] = f"{hit.match.expected:.0f}"
    entries = "".join(f"<div><dt>{name}</dt><dd>{number}</dd></div>" for name, number in numbers.items())
    reason = (
        verdict_reason(hit.match) if photo.uri is not None else f"The photo cannot be shown: {photo.reason}."
    )
    if _has_changed(hit, photo):
        reason = (
            f"{reason} Nothing is drawn: the file now has {photo.width} × {photo.height} pixels and had "
            f"{hit.width} × {hit.height} when it was indexed."
        )
    elif hit.inliers is not None and hit.inliers > MAX_LINES:
        reason = f"{reason} {MAX_LINES} of them are drawn."
    return (
        f'<div class="facts"><p class="first"><span class="rank">{hit.rank}</span>'
        f'<span class="pill">{VERDICT_WORDS[hit.verdict]}</span></p>'
        f'<h3 class="name">{escape(path.name)}</h3><p class="folder">{folder}</p>'
        f'<dl class="numbers">{entries}</dl>'
        f'<p class="reason">{escape(reason)}</p>{_metadata(hit)}</div>'
    )


def _metadata(hit: Hit) -> str:
    entries = "".join(
        f"<div><dt>{escape(key)}</dt><dd>{escape(str(value))}</dd></div>"
        for key, value in hit.metadata.items()
    )
    return f'<dl class="more">{entries}</dl>' if entries else ""
