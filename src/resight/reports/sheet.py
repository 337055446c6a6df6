"""The result sheet: one HTML file that shows a search and why its answers are answers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from resight.files import is_address, typed_path, write_whole
from resight.reports.embedded import EmbeddedPhoto, embed
from resight.reports.figure import LEVELS, MAX_LINES, Figure, box_corners, pair_figure, photo_figure
from resight.reports.page import render
from resight.reports.verdict import VERDICT_WORDS, nothing_words, probability_words, verdict_reason
from resight.search.geometry.verdict import CONFIRMED_INLIERS, LIKELY_INLIERS, Verdict

if TYPE_CHECKING:
    from resight.collection import Answer, Hit, QueryPhoto
    from resight.search import Verification

__all__ = ["render_sheet", "write_sheet"]

_QUERY_SIDE, _MATCHED_SIDE, _PLAIN_SIDE = 900, 800, 420
"""Long sides of the embedded photos, pixels."""


@dataclass(frozen=True, slots=True)
class _Query:
    """A query photo, the id of its SVG definition, and the address of its file."""

    name: str
    query: QueryPhoto
    link: str | None
    photo: EmbeddedPhoto
    figure: Figure
    where: str

    @property
    def wanted(self) -> bool:
        """Whether answers are to show it; else they must not."""
        return self.query.wanted

    @property
    def path(self) -> str:
        """The file as the caller named it."""
        return self.query.path

    @property
    def size(self) -> str:
        """Its size in words; why there is none for a photo that is gone."""
        return (
            f"{self.photo.width} × {self.photo.height} pixels"
            if self.photo.uri is not None
            else self.photo.reason
        )


@dataclass(frozen=True, slots=True)
class _Card:
    """One answer: its drawing and what is known of it; ``link`` is the address of its file."""

    rank: int
    verdict: Verdict
    words: str
    matched: bool
    name: str
    link: str | None
    folder: Sequence[str]
    numbers: Mapping[str, str]
    reason: str
    metadata: Mapping[str, object]
    figure: Figure


@dataclass(frozen=True, slots=True)
class _Page:
    """What ``sheet.html`` shows.

    Attributes:
        title: The headline.
        queries: The query photos.
        ratio: Width by height of what stands beside the legend.
        cards: The answers, best first.
        searched: Photos that were searched.
        confirmed: How many answers geometry confirms; None where none was checked.
        levels: Colours of keypoints; 0 where there are none to show.
        words: A few words for each verdict.
        confirmed_inliers: From how many inliers on an answer is confirmed.
        likely_inliers: From how many inliers on it is likely.
        is_calibrated: Whether answers say how likely they show the same thing.
        nothing: That no answer shows the thing, in a sentence; None where one may.
    """

    title: str
    queries: Sequence[_Query]
    ratio: float
    cards: Sequence[_Card]
    searched: int
    confirmed: int | None
    levels: int
    words: Mapping[Verdict, str]
    confirmed_inliers: int
    likely_inliers: int
    is_calibrated: bool
    nothing: str | None


def write_sheet(answer: Answer, path: str | Path, title: str | None = None) -> None:
    """Writes the result sheet of a search: one HTML file that needs nothing else, whole or not at all.

    Args:
        answer: Of `resight.Collection.answer`.
        path: The file to write; one that is there is replaced.
        title: Headline of the sheet; a sentence with the query's name by default.

    Raises:
        OSError: The file cannot be written.
    """
    write_whole(path, render_sheet(answer, title))


def render_sheet(answer: Answer, title: str | None = None) -> str:
    """Returns the sheet as HTML."""
    queries = [_query(query, number) for number, query in enumerate(answer.queries)]
    shown = [*(query.keypoints for query in answer.queries), *(hit.keypoints for hit in answer.hits)]
    page = _Page(
        title or _headline(answer),
        queries,
        # Several photos take the room there is.
        2.0 if len(queries) > 1 else queries[0].photo.width / queries[0].photo.height,
        [_card(hit, queries) for hit in answer.hits],
        answer.searched,
        sum(hit.verdict == "confirmed" for hit in answer.hits)
        if any(hit.match is not None for hit in answer.hits)
        else None,
        LEVELS if any(keypoints is not None for keypoints in shown) else 0,
        VERDICT_WORDS,
        CONFIRMED_INLIERS,
        LIKELY_INLIERS,
        any(hit.probability is not None for hit in answer.hits),
        nothing_words(answer),
    )
    return render("sheet.html", page)


def _headline(answer: Answer) -> str:
    first, *others = (Path(query.path).name for query in answer.queries if query.wanted)
    if not others:
        return f"The same thing as in {first}"
    return f"The same thing as in {first} and {len(others)} more photo{'s' if len(others) > 1 else ''}"


def _query(query: QueryPhoto, number: int) -> _Query:
    name = f"query-{number}"
    photo = embed(query.source, _QUERY_SIDE, width=query.width, height=query.height)
    where = " The box marks what was searched for." if query.box is not None else ""
    role = "Query" if query.wanted else "Not this"
    figure = photo_figure(
        photo,
        f"{role}: {PurePath(query.path).name}.{where}",
        outline=None if query.box is None else box_corners(query.box),
        use=name,
        keypoints=query.keypoints,
    )
    is_file = isinstance(query.source, str | os.PathLike) and not is_address(query.path)
    link = _address(typed_path(query.path)) if is_file and photo.uri is not None else None
    return _Query(name, query, link, photo, figure, where)


def _card(hit: Hit, queries: Sequence[_Query]) -> _Card:
    """Returns the card of an answer; a trusted one is drawn beside its query."""
    trusted = hit.verdict in ("confirmed", "partial", "likely")
    side = _MATCHED_SIDE if trusted else _PLAIN_SIDE
    photo = embed(hit.path, side, width=hit.width, height=hit.height, missing=hit.missing)
    path, words = PurePath(hit.path), VERDICT_WORDS[hit.verdict]
    alt = f"Answer {hit.rank}: {path.name}, {words}."
    matched = trusted and photo.uri is not None and not _has_changed(hit, photo)
    if matched and hit.match is not None:
        figure = _pair(hit, hit.match, queries[hit.query or 0], photo, alt)
    else:
        figure = photo_figure(photo, alt, keypoints=None if _has_changed(hit, photo) else hit.keypoints)
    numbers = {"similarity": f"{hit.similarity:.3f}"}
    if hit.match is not None:
        numbers |= {"inliers": str(hit.match.inliers), "by chance": f"{hit.match.expected:.0f}"}
    if hit.probability is not None:
        numbers["likely"] = probability_words(hit.probability)
    return _Card(
        hit.rank,
        hit.verdict,
        words,
        matched,
        path.name,
        None if photo.uri is None else _address(Path(hit.path)),
        str(path.parent).split("/") if path.parent != PurePath() else (),
        numbers,
        _reason(hit, photo),
        hit.metadata,
        figure,
    )


def _address(path: Path) -> str:
    """Returns the address of a file for a browser: whatever its name holds, byte for byte."""
    return path.absolute().as_uri()


def _pair(hit: Hit, match: Verification, query: _Query, photo: EmbeddedPhoto, alt: str) -> Figure:
    box = query.query.box
    return pair_figure(
        query.photo,
        photo,
        f"{alt} Query on the left, answer on the right, matched points joined by lines.",
        use=query.name,
        query_points=match.query_points,
        answer_points=match.answer_points,
        box=None if box is None else box_corners(box),
        region=match.region,
        query_keypoints=query.query.keypoints,
        answer_keypoints=hit.keypoints,
    )


def _has_changed(hit: Hit, photo: EmbeddedPhoto) -> bool:
    """Returns whether the file is another than what was indexed: its points lie elsewhere."""
    return photo.uri is not None and (hit.changed or _is_resized(hit, photo))


def _is_resized(hit: Hit, photo: EmbeddedPhoto) -> bool:
    return (photo.width, photo.height) != (hit.width, hit.height)


def _reason(hit: Hit, photo: EmbeddedPhoto) -> str:
    if photo.uri is None:
        return f"The photo cannot be shown: {photo.reason}."
    reason = verdict_reason(hit.match)
    if _has_changed(hit, photo) and not _is_resized(hit, photo):
        return f"{reason} Nothing is drawn: the file has changed since it was indexed."
    if _has_changed(hit, photo):
        return (
            f"{reason} Nothing is drawn: the file now has {photo.width} × {photo.height} pixels and had "
            f"{hit.width} × {hit.height} when it was indexed."
        )
    if hit.match is not None and hit.match.inliers > MAX_LINES:
        return f"{reason} {MAX_LINES} of them are drawn."
    return reason
