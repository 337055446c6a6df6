"""The whole sheet, from an answer to a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from resight.files import write_whole
from resight.reports.frame import page
from resight.reports.sheet.card import answer_card
from resight.reports.sheet.figure import HEATS, definition
from resight.reports.sheet.question import ShownQuery, query_figures, show_queries
from resight.reports.sheet.style import SCRIPT, STYLE
from resight.reports.verdict import VERDICT_WORDS
from resight.search.geometry.verdict import CONFIRMED_INLIERS, LIKELY_INLIERS, Verdict

if TYPE_CHECKING:
    from resight.collection import Answer

__all__ = ["render_sheet", "write_sheet"]

_LEGEND: Mapping[Verdict, str] = {
    "confirmed": f"{CONFIRMED_INLIERS} or more inliers: points of the query were found again in the same "
    "arrangement.",
    "likely": f"{LIKELY_INLIERS} to {CONFIRMED_INLIERS - 1} inliers: more than chance, too few to be sure.",
    "unchecked": "The descriptors were compared; the geometry was not checked.",
    "unlikely": f"Fewer than {LIKELY_INLIERS} inliers, or no more than chance gives: checked, nothing speaks "
    "for it.",
}

_NUMBERS = (
    "Similarity is the inner product of the two photos’ descriptors: 1 for the same photo, "
    "larger is more alike. "
    "Inliers are matched points that agree on one geometric transform; "
    "by chance so many would agree if no match meant anything. "
    "Answers that geometry has checked come first, those with most inliers at the top; the rest follow by "
    "similarity."
)
_KEYPOINTS = "keypoints, from low to high attention" + "".join(
    f' <i class="a{number}"></i>' for number in range(HEATS)
)
_NO_ANSWER = "No photo answers this query: the collection, or what the filter leaves of it, is empty."


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
    headline = title or _headline(answer)
    queries = show_queries(answer.queries)
    library = "".join(definition(query.name, query.photo) for query in queries)
    cards = "".join(answer_card(hit, queries) for hit in answer.hits)
    main = f"""<svg class="library" aria-hidden="true"><defs>{library}</defs></svg>
<section class="query" aria-label="Query" style="--ratio:{_shape(queries):.4f}">
{query_figures(queries)}
{_legend()}
</section>
{_answers(answer, cards)}
<dialog aria-label="Enlarged answer"><div class="bar"><p></p>\
<button type="button" data-step="-1">← Previous</button><button type="button" data-step="1">Next →</button>\
<button type="button" data-close>Close</button></div><div class="view"></div></dialog>"""
    return page(
        title=headline,
        summary=_summary(answer),
        main=main,
        foot=f"<p>{_NUMBERS}</p>",
        style=STYLE,
        script=SCRIPT,
    )


def _shape(queries: Sequence[ShownQuery]) -> float:
    """Returns width by height of what stands beside the legend; several photos take the room there is."""
    if len(queries) > 1:
        return 2.0
    return queries[0].photo.width / queries[0].photo.height


def _headline(answer: Answer) -> str:
    first, *others = (Path(query.path).name for query in answer.queries if query.wanted)
    if not others:
        return f"The same thing as in {first}"
    return f"The same thing as in {first} and {len(others)} more photo{'s' if len(others) > 1 else ''}"


def _summary(answer: Answer) -> str:
    confirmed = sum(hit.verdict == "confirmed" for hit in answer.hits)
    count = len(answer.hits)
    words = f"{count} answer{'' if count == 1 else 's'} from {answer.searched:,} searched photos"
    if any(hit.match is not None for hit in answer.hits):
        return f"<strong>{confirmed} confirmed by geometry</strong> · {words}"
    return words


def _legend() -> str:
    entries = "".join(
        f'<div><dt><span class="pill {verdict}">{VERDICT_WORDS[verdict]}</span></dt><dd>{meaning}</dd></div>'
        for verdict, meaning in _LEGEND.items()
    )
    return f'<section class="legend"><h2>How to read the answers</h2><dl>{entries}</dl></section>'


def _has_keypoints(answer: Answer) -> bool:
    shown = [*(query.keypoints for query in answer.queries), *(hit.keypoints for hit in answer.hits)]
    return any(keypoints is not None for keypoints in shown)


def _answers(answer: Answer, cards: str) -> str:
    if not answer.hits:
        return f'<p class="empty">{_NO_ANSWER}</p>'
    boxes = "".join(
        f'<label><input type="checkbox" id="{name}"{state}> {words}</label>'
        for name, state, words in (
            ("show-matches", " checked", "matched points"),
            ("show-outlines", " checked", "outlines"),
            *([("show-keypoints", " checked", _KEYPOINTS)] if _has_keypoints(answer) else []),
            ("only-confirmed", "", "only confirmed"),
        )
    )
    return f'<div class="toolbar"><h2>Answers</h2>{boxes}</div><ol class="answers">{cards}</ol>'
