"""``resight classify``: which labelled thing a photo shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.failures import FAILED, SOME_UNREADABLE
from resight.cli.options import CollectionArgument, DownloadOption, JsonOption, refuse_replacing
from resight.cli.output import command_line, console, count, note, plain_table, shown_path, write_json
from resight.cli.progress import progress

if TYPE_CHECKING:
    from resight.cli.output import Json
    from resight.errors import UnreadableImage
    from resight.pipelines.classify import Classified, Classifier, Vote
    from resight.search.recognition import Calibration, VotingRule

__all__ = ["EXAMPLE", "classify"]

EXAMPLE = (
    "Example:\n\n  resight index PHOTOS --metadata labels.csv     (columns path,label)\n\n"
    "  resight classify photos.resight --calibrate validation.csv\n\n"
    "  resight classify photos.resight new.jpg other.jpg\n\n"
    "Each of the nearest labelled photos counts its cosine plus its inliers' share of the most that count; "
    "the label with the largest sum is the answer, or unknown where that sum is below the threshold."
)

_ELSE = "If not given: that of the kept threshold, else"

PhotosArgument = Annotated[
    list[Path] | None, typer.Argument(metavar="PHOTO", help="What is to be recognised.")
]
LabelOption = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help=f"Metadata that holds the labels. {_ELSE} label."),
]
NeighboursOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help=f"How many of the nearest photos vote. {_ELSE} 3.")
]
VerifyOption = Annotated[
    int | None,
    typer.Option(
        min=0, metavar="N", help=f"How many of the nearest geometry checks; 0 for none. {_ELSE} 10."
    ),
]
InliersOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help=f"More inliers count no more. {_ELSE} 70.")
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(metavar="X", help="Unknown below this confidence, whatever --calibrate has found."),
]
CalibrateOption = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="Choose the threshold on labelled photos that the collection does not hold, and keep it there. "
        "Columns path and the labels'; a photo of an unknown thing has an empty label.",
    ),
]
HtmlOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a sheet that shows the neighbours of one photo.")
]


def classify(
    collection: CollectionArgument,
    photos: PhotosArgument = None,
    label: LabelOption = None,
    neighbours: NeighboursOption = None,
    verify: VerifyOption = None,
    max_inliers: InliersOption = None,
    threshold: ThresholdOption = None,
    calibrate: CalibrateOption = None,
    html: HtmlOption = None,
    allow_download: DownloadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say which labelled thing of a collection a photo shows, or that it shows none of them."""
    files = photos or []
    _check(files, threshold, calibrate, html)
    refuse_replacing(
        {"--html": html},
        {
            "a photo that is read": files,
            "the labelled photos": calibrate,
            "a file of the collection": collection,
        },
    )
    from resight.collection import Collection
    from resight.pipelines.classify import (
        Classifier,
        classify_photos,
        default_label,
        default_rule,
        stored_calibration,
    )

    opened = Collection.open(collection, allow_download=allow_download)
    stored = stored_calibration(opened)
    usual = default_rule(stored, label or default_label(stored))
    rule = _changed(usual, neighbours, verify, max_inliers)
    classifier = Classifier(opened, label=label, rule=rule, threshold=threshold)
    chosen = None if calibrate is None else _calibrate(classifier, calibrate)
    with progress("Recognising") as report:
        results, unreadable = classify_photos(classifier, files, progress=report)
    sheet = html if results else None
    if sheet is not None:
        _write_sheet(results[0], sheet)
    if as_json:
        write_json(_result_json(classifier, chosen, results, unreadable))
    elif results or chosen is not None:
        _print_result(classifier, stored, chosen, results, collection)
        if sheet is not None:
            console().print(f"Sheet: {shown_path(sheet)}", soft_wrap=True)
    for error in unreadable:
        note(f"resight: {error}")
    if unreadable:
        raise typer.Exit(SOME_UNREADABLE if results else FAILED)


def _check(
    photos: Sequence[Path], threshold: float | None, calibrate: Path | None, html: Path | None
) -> None:
    if not photos and calibrate is None:
        raise typer.BadParameter("give a photo, or --calibrate CSV", param_hint="PHOTO")
    if threshold is not None and calibrate is not None:
        raise typer.BadParameter(
            "it is what --calibrate finds: give one of the two", param_hint="--threshold"
        )
    if html is not None and len(photos) != 1:
        raise typer.BadParameter(f"a sheet shows one photo, not {len(photos)}", param_hint="--html")


def _changed(
    usual: VotingRule, neighbours: int | None, verify: int | None, max_inliers: int | None
) -> VotingRule:
    """Returns the usual rule with the values of options in place of its own."""
    options = {"neighbours": neighbours, "verify": verify, "max_inliers": max_inliers}
    return replace(usual, **{name: value for name, value in options.items() if value is not None})


def _calibrate(classifier: Classifier, table: Path) -> Calibration:
    from resight.pipelines.classify import calibrate_on_table

    with progress("Choosing the threshold") as report:
        chosen, strange = calibrate_on_table(classifier, table, progress=report)
    if strange:
        shown = [*strange[:3], *([f"{len(strange) - 3:,} more"] if len(strange) > 3 else [])]
        note(f"No photo of the collection has these labels, so they count as unknown: {', '.join(shown)}")
    return chosen


def _write_sheet(classified: Classified, path: Path) -> None:
    from resight.reports.sheet import write_sheet

    name = Path(classified.photo).name
    write_sheet(
        classified.answer,
        path,
        f"{name} shows {classified.label}" if classified.label else f"{name}: unknown",
    )


def _result_json(
    classifier: Classifier,
    chosen: Calibration | None,
    results: Sequence[Classified],
    unreadable: Sequence[UnreadableImage],
) -> Json:
    from resight.cli.output import as_json

    def as_votes(votes: Sequence[Vote]) -> list[Json]:
        return [
            {
                "path": vote.hit.path,
                "label": vote.label,
                "score": vote.score,
                "cosine": vote.cosine,
                "inliers": vote.hit.inliers,
                "expected": None if vote.hit.match is None else vote.hit.match.expected,
            }
            for vote in votes
        ]

    return {
        "label": classifier.label,
        "rule": as_json(classifier.rule),
        "threshold": classifier.threshold,
        "calibration": as_json(chosen),
        "photos": [
            {
                "photo": one.photo,
                "label": one.label,
                "best": one.best,
                "confidence": one.confidence,
                "verified": one.verified,
                "votes": as_votes(one.votes),
                "others": as_votes(one.others),
            }
            for one in results
        ],
        "unreadable": [str(error) for error in unreadable],
    }


def _print_result(
    classifier: Classifier,
    stored: Calibration | None,
    chosen: Calibration | None,
    results: Sequence[Classified],
    collection: Path,
) -> None:
    from resight.pipelines.classify import default_label, default_rule

    out = console()
    if chosen is not None:
        out.print(_chosen(chosen, collection), soft_wrap=True)
    for one in results:
        _print_one(one, classifier.threshold)
    if results and classifier.rule.verify and not results[0].verified:
        out.print("The model has no local features: cosines alone decide, without geometry.", soft_wrap=True)
    if classifier.threshold is None:
        own, usual = classifier.rule, default_rule(stored, classifier.label)
        options = {
            "--label": (classifier.label, default_label(stored)),
            "--neighbours": (own.neighbours, usual.neighbours),
            "--verify": (own.verify, usual.verify),
            "--max-inliers": (own.max_inliers, usual.max_inliers),
        }
        changes = [
            word for name, (value, other) in options.items() if value != other for word in (name, str(value))
        ]
        line = command_line("resight", "classify", collection, "--calibrate", "VALIDATION.csv", *changes)
        why = "The kept threshold is for another label or rule" if stored else "No threshold is chosen"
        out.print(f"{why}, so that nothing is ever unknown. Choose one:  {line}", soft_wrap=True)


def _chosen(chosen: Calibration, collection: Path) -> str:
    return (
        f"Threshold {chosen.threshold:.3f}, chosen on {count(chosen.known, 'photo')} of labelled and "
        f"{count(chosen.unknown, 'photo')} of unknown things, is kept in {shown_path(collection)}. There "
        f"{chosen.precision:.1%} of the labels given are right, {chosen.recall:.1%} of the labelled things "
        f"are recognised, and {chosen.rejected:.1%} of the unknown ones said to be unknown.\n"
    )


def _print_one(classified: Classified, threshold: float | None) -> None:
    """Prints what a photo shows and the neighbours that say so."""
    from resight.reports.verdict import VERDICT_WORDS

    out = console()
    needed = "" if threshold is None else f", at least {threshold:.3f} needed"
    sure = f"confidence {classified.confidence:.3f}{needed}"
    answer = (
        f"{classified.label} ({sure})"
        if classified.label
        else f"unknown (likeliest is {classified.best}: {sure})"
    )
    out.print(f"{shown_path(classified.photo)}: {answer}", soft_wrap=True, style="bold")
    numbers = ("score", "cosine", "inliers")
    table = plain_table("", *numbers, "label", "verdict", "photo", right=numbers)
    for word, votes in (("for it", classified.votes), ("other", classified.others)):
        for vote in votes:
            inliers = "" if vote.hit.inliers is None else str(vote.hit.inliers)
            table.add_row(
                word,
                f"{vote.score:.3f}",
                f"{vote.cosine:.3f}",
                inliers,
                vote.label,
                VERDICT_WORDS[vote.hit.verdict],
                shown_path(vote.hit.path),
            )
    out.print(table, "")
