"""The report page of a result: its numbers with intervals, its protocol card, and queries one can look at."""

from __future__ import annotations

from html import escape
from pathlib import Path, PurePosixPath

from resight.evaluation.card import ProtocolCard
from resight.evaluation.result import Measure, PictureRow, Result, ShownAnswer, ShownPhoto
from resight.features import Box
from resight.files import write_whole
from resight.reports.embedded import embed
from resight.reports.evaluation_style import STYLE
from resight.reports.frame import page

__all__ = ["render_report", "write_report"]

_QUERY_SIDE, _ANSWER_SIDE = 320, 200
_HEADLINES = {"worst": "The worst queries", "median": "The median queries"}
_REASONS = {
    "worst": "Lowest {main}{spread}: what the model does not see.",
    "median": "In the middle of all queries by {main}: "
    "what the numbers above look like on an ordinary query.",
}
_SPREAD = ", of different labels as far as there are such"


def write_report(result: Result, path: str | Path, *, root: str | Path) -> None:
    """Writes the report: one HTML file that needs nothing else, whole or not at all.

    Args:
        result: What was measured.
        path: The file to write; one that is there is replaced.
        root: The benchmark's folder, for the photos; one that is gone is shown as an empty frame.

    Raises:
        OSError: The file cannot be written.
    """
    write_whole(path, render_report(result, root=root))


def render_report(result: Result, *, root: str | Path) -> str:
    """Returns the report as HTML."""
    card = result.card
    sections = "".join(_rows(result, kind, Path(root)) for kind in _HEADLINES)
    main = f'<div class="figures">{_table(result.measures)}{_card(card, result)}</div>{sections}'
    return page(
        title=f"{PurePosixPath(card.model).name} on {card.benchmark}, {card.folder}",
        summary=_summary(result),
        main=main,
        foot="".join(f"<p>{escape(sentence)}</p>" for sentence in card.conventions),
        style=STYLE,
    )


def _summary(result: Result) -> str:
    kind = result.main.split()[0]
    named = [one for one in result.measures if one.name == "R@1" or one.name.split()[0] == kind]
    first = " · ".join(
        f"<strong>{escape(measure.name)} {_number(measure.value)}</strong>"
        for measure in named or result.measures
    )
    queries = f"{result.card.queries:,} queries against {result.card.gallery:,} images"
    return f"{first} · {queries}" + (f", {result.card.classes:,} classes" if result.card.classes else "")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _table(measures: tuple[Measure, ...]) -> str:
    lines = "".join(
        f'<tr><th scope="row">{escape(measure.name)}</th><td class="value">{_number(measure.value)}</td>'
        f"<td>{_interval(measure)}</td><td>{_bar(measure)}</td><td>{measure.count:,}</td></tr>"
        for measure in measures
    )
    return (
        '<section class="panel"><h2>Measures</h2><div class="wide"><table><thead><tr>'
        '<th scope="col">measure</th><th scope="col">value</th><th scope="col">95 % interval</th>'
        '<th scope="col"><span class="unseen">drawn from 0 to 1</span></th><th scope="col">over</th>'
        f"</tr></thead><tbody>{lines}</tbody></table></div></section>"
    )


def _interval(measure: Measure) -> str:
    return "" if measure.low is None or measure.high is None else f"{measure.low:.4f} – {measure.high:.4f}"


def _bar(measure: Measure) -> str:
    """Returns the value as a bar from 0 to 1, its interval as a whisker."""
    if measure.value is None:
        return ""
    width = 100 * min(max(measure.value, 0.0), 1.0)
    whisker = ""
    if measure.low is not None and measure.high is not None:
        whisker = f'<rect class="whisker" x="{100 * measure.low:.2f}" y="2" height="8" '
        whisker += f'width="{max(100 * (measure.high - measure.low), 0.6):.2f}"/>'
    return (
        '<svg class="bar" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="ground" width="100" height="12"/>'
        f'<rect class="filled" width="{width:.2f}" height="12"/>'
        f"{whisker}</svg>"
    )


def _card(card: ProtocolCard, result: Result) -> str:
    classes = f", {card.classes:,} classes" if card.classes else ""
    boxes = "photos are cropped to them" if card.boxes else "not used, photos are whole"
    entries = {
        "set": f"{card.benchmark} in {card.folder}, {card.split}: {card.images:,} images{classes}",
        "queries": f"{card.queries:,} against {card.gallery:,} images",
        **({} if card.facts else {"boxes": boxes}),
        "model": card.model,
        "dimension": f"{card.dim:,}",
        "size": f"long side at most {card.max_side:,} px, never enlarged" if card.max_side else "not stated",
        "scales": ", ".join(f"{scale:.3g}" for scale in card.scales) or "not stated",
        **{fact.name: fact.text for fact in card.facts},
        "selection": card.selection,
        "seed": str(card.seed),
        **({} if card.facts else {"clusters": _clusters(result)}),
        "versions": ", ".join(f"{part.name} {part.version}" for part in card.versions),
        "model’s fingerprint": card.model_fingerprint[:16],
        "data’s fingerprint": card.data_fingerprint[:16],
    }
    lines = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in entries.items()
    )
    return f'<section class="panel"><h2>Protocol card</h2><dl class="protocol">{lines}</dl></section>'


def _clusters(result: Result) -> str:
    found = result.clusters
    if found is None:
        return "not asked for"
    starts = "1 start" if found.restarts == 1 else f"the best of {found.restarts} starts"
    return f"k-means, {found.clusters:,} clusters, {starts}"


def _rows(result: Result, kind: str, root: Path) -> str:
    rows = [row for row in result.rows if row.kind == kind]
    if not rows:
        return ""
    reason = _REASONS[kind].format(main=escape(result.main), spread=_SPREAD if result.card.classes else "")
    lines = "".join(_row(row, root) for row in rows)
    return (
        f'<section class="rows"><h2>{_HEADLINES[kind]}</h2><p class="why">{reason}</p>'
        f'<ol class="asked">{lines}</ol></section>'
    )


def _row(row: PictureRow, root: Path) -> str:
    right = sum(answer.right for answer in row.answers)
    facts = (
        f"{escape(row.measure)} {_number(row.map_at_r)} · {right} of the first {len(row.answers)} right · "
        f"{row.positives:,} to be found"
    )
    answers = "".join(_answer(rank, answer, root) for rank, answer in enumerate(row.answers, 1))
    missed = "".join(_missed(answer, root) for answer in row.missed)
    if missed:
        answers += f'</ol><p class="why">Missed: right answers and their ranks</p><ol class="found">{missed}'
    query = _boxed(row.query, root) if row.measure != "MAP@R" else None
    return (
        f'<li class="ask"><figure class="given">{query or _picture(row.query, root, _QUERY_SIDE, "Query")}'
        f"<figcaption><b>{escape(row.query.label)}</b><span>{escape(row.query.path)}</span>"
        f"<span>{facts}</span></figcaption></figure>"
        f'<div><ol class="found">{answers}</ol></div></li>'
    )


def _answer(rank: int, answer: ShownAnswer, root: Path) -> str:
    kind, mark, word = ("right", "✓", "right") if answer.right else ("wrong", "✗", "wrong")
    if answer.ignored:
        kind, mark, word = "ignored", "– ignored", "ignored"
    shown = "" if answer.ignored else str(answer.rank or rank)
    score = "" if answer.score is None else f"{answer.score:.3f}"
    return _shown(answer, root, kind, f"Answer {rank}, {word}", f"{mark} {shown}", score)


def _missed(answer: ShownAnswer, root: Path) -> str:
    place = f"rank {answer.rank:,}" if answer.rank is not None else "not ranked"
    return _shown(answer, root, "missed", f"Missed, {place}", place, "")


def _shown(answer: ShownAnswer, root: Path, kind: str, what: str, mark: str, score: str) -> str:
    title = escape(f"{answer.photo.label}: {answer.photo.path}")
    return (
        f'<li class="{kind}" title="{title}"><figure>{_picture(answer.photo, root, _ANSWER_SIDE, what)}'
        f'<figcaption><span class="mark">{mark}</span><span>{score}</span>'
        f'<span class="label">{escape(answer.photo.label)}</span></figcaption></figure></li>'
    )


def _boxed(photo: ShownPhoto, root: Path) -> str | None:
    """Returns the whole photo with its box drawn in, or nothing where there is no box or no photo."""
    if photo.box is None:
        return None
    whole = embed(str(root / photo.path), _QUERY_SIDE)
    if whole.uri is None:
        return None
    box = Box(*photo.box)
    size = f'width="{whole.width}" height="{whole.height}"'
    return (
        f'<svg class="boxed" viewBox="0 0 {whole.width} {whole.height}" role="img" '
        f'aria-label="Query: {escape(photo.label)}"><image href="{whole.uri}" {size}/>'
        f'<rect x="{box.x0:g}" y="{box.y0:g}" width="{box.width:g}" height="{box.height:g}"/></svg>'
    )


def _picture(photo: ShownPhoto, root: Path, side: int, what: str) -> str:
    box = None if photo.box is None else Box(*photo.box)
    embedded = embed(str(root / photo.path), side, box=box)
    alt = escape(f"{what}: {photo.label}, {photo.path}")
    if embedded.uri is None:
        reason = f"no photo to show: {escape(embedded.reason)}"
        return f'<div class="gone" role="img" aria-label="{alt}">{reason}</div>'
    return f'<img src="{embedded.uri}" alt="{alt}" loading="lazy">'
