"""``resight tuples``: unlabelled photos to training tuples."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from resight.cli.failures import SOME_UNREADABLE
from resight.cli.options import (
    JsonOption,
    command_of,
    refuse_missing_folder,
    refuse_replacing,
    refuse_unfit_folder,
    seed_option,
)
from resight.cli.output import (
    broken_table,
    command_line,
    console,
    count,
    note,
    plain_table,
    shown_path,
    write_json,
)
from resight.cli.progress import progress

if TYPE_CHECKING:
    from resight.pipelines.tuples import TuplesOutcome, TuplesSettings

__all__ = ["EXAMPLE", "tuples"]

EXAMPLE = (
    "Example:\n\n  resight tuples ~/Pictures --out tuples --html tuples.html\n\n"
    "  resight train small-gem-sfm data.root=tuples\n\n"
    "Photos that show one place from several viewpoints become a 3D model, and pairs that see the same "
    "points become a query and its positive. No labels are needed. Run the command again after an "
    "interruption: it goes on. Photos that COLMAP or hloc has reconstructed: --models FOLDER."
)
_MOST_CLUSTERS = 20
_LEAST_CLUSTERS = 5
"""For ``small-gem-sfm``: a query's own, three of its negatives, and one that is held out."""


@dataclass(frozen=True, slots=True)
class _Options:
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTOS", help="Photos, and folders of photos.")]
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Where the tables and the work on the way go."),
    ]
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL", help="Describes the photos, to find those that may show the same place."
        ),
    ] = "sift"
    models: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="3D models of the photos by COLMAP or hloc, instead of making them."
        ),
    ] = None
    positives: Annotated[
        Literal["random", "most-points", "nearest"],
        typer.Option(
            help="random: all photos within the limits; most-points: the one with the most points in common; "
            "nearest: the one with the nearest descriptor."
        ),
    ] = "random"
    min_points: Annotated[
        int, typer.Option(min=1, metavar="N", help="3D points that query and positive must both see.")
    ] = 10
    min_overlap: Annotated[
        float,
        typer.Option(min=0, max=1, metavar="SHARE", help="random: these as a share of the query's points."),
    ] = 0.2
    max_scale: Annotated[
        float, typer.Option(min=1, metavar="X", help="random: how much larger one may show them.")
    ] = 1.5
    max_angle: Annotated[
        float,
        typer.Option(min=0, max=180, metavar="DEGREES", help="random: between the two views of a point."),
    ] = 60.0
    neighbours: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Match each photo with so many most similar ones, and with as many that match the same.",
        ),
    ] = 30
    max_side: Annotated[
        int, typer.Option(min=64, metavar="PIXELS", help="Long side at which keypoints are found.")
    ] = 1600
    features: Annotated[int, typer.Option(min=16, metavar="N", help="Keypoints of a photo at most.")] = 4096
    seed: Annotated[int, seed_option("Of matching and mapping.")] = 0
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A page of every 3D model: photos, points and cameras, tuples."),
    ] = None
    as_json: JsonOption = False


def _tuples(options: _Options) -> None:
    """Make training tuples from unlabelled photos: 3D models say which photos show the same place."""
    if options.html is not None:
        refuse_missing_folder(options.html, option="--html")
    refuse_unfit_folder(options.out, option="--out")
    tables = [options.out / f"{name}.parquet" for name in ("photos", "pairs", "tuples")]
    refuse_replacing({"--html": options.html}, {"a photo that is read": options.photos, "a table": tables})
    from resight.pipelines.tuples import NoTuples, make_tuples

    try:
        outcome = make_tuples(
            options.photos, options.out, _settings(options), models=options.models, stage=progress
        )
    except NoTuples as error:
        if options.as_json:
            write_json(summary(error.outcome))
        raise
    if options.html is not None:
        from resight.reports.reconstruction import ShownTuples, write_reconstruction

        name = Path(os.path.realpath(options.out)).name
        parts = (outcome.reconstruction, outcome.pairs, outcome.chosen, outcome.seconds)
        write_reconstruction(ShownTuples(name, *parts), options.html)
    if options.as_json:
        write_json(summary(outcome))
    else:
        _print_outcome(outcome, options.html)
    if outcome.broken:
        raise typer.Exit(SOME_UNREADABLE)


def _settings(options: _Options) -> TuplesSettings:
    from resight.pipelines.tuples import TuplesSettings
    from resight.sfm import PositiveConfig, ReconstructionConfig

    ways: dict[str, Literal["random", "most_points", "nearest"]] = {
        "random": "random",
        "most-points": "most_points",
        "nearest": "nearest",
    }
    return TuplesSettings(
        model=options.model,
        reconstruction=ReconstructionConfig(
            max_side=options.max_side,
            features=options.features,
            neighbours=options.neighbours,
            seed=options.seed,
        ),
        positives=PositiveConfig(
            way=ways[options.positives],
            least_points=options.min_points,
            least_overlap=options.min_overlap,
            largest_scale=options.max_scale,
            largest_angle=options.max_angle,
        ),
    )


def summary(outcome: TuplesOutcome) -> dict[str, object]:
    """Returns what programs read: numbers, and paths by cluster, the largest first, and of no cluster."""
    photos = outcome.reconstruction.photos
    clusters = [[str(photos[row]) for row in cluster.photos] for cluster in outcome.reconstruction.clusters]
    return {
        "photos": len(photos),
        "reconstructed": sum(map(len, clusters)),
        "clusters": clusters,
        "alone": [str(photo) for photo in outcome.alone],
        "broken": [{"path": photo.path, "reason": photo.reason} for photo in outcome.broken],
        "tuples": len(outcome.chosen),
        "seconds": round(outcome.seconds, 3),
    }


def _print_outcome(outcome: TuplesOutcome, html: Path | None) -> None:
    """Prints what was found, and the next command to try."""
    out, photos = console(), outcome.reconstruction.photos
    clusters = outcome.reconstruction.clusters
    reconstructed = sum(len(cluster) for cluster in clusters)
    out.print(
        f"{reconstructed:,} of {count(len(photos), 'photo')} in {count(len(clusters), '3D model')}, "
        f"{count(len(outcome.chosen), 'tuple')}, in {outcome.seconds:.1f} s.\n",
        soft_wrap=True,
    )
    table = plain_table(
        "model", "photos", "points", "tuples", "first photo", right=("photos", "points", "tuples")
    )
    of_cluster = outcome.pairs.cluster[outcome.chosen]
    for number, cluster in enumerate(clusters[:_MOST_CLUSTERS]):
        first = photos[cluster.photos[0]]
        pairs = int((of_cluster == number).sum())
        table.add_row(
            str(number), f"{len(cluster):,}", f"{len(cluster.points):,}", f"{pairs:,}", shown_path(first)
        )
    out.print(table)
    if len(clusters) > _MOST_CLUSTERS:
        out.print(f"and {len(clusters) - _MOST_CLUSTERS:,} more (all of them with --json)")
    if outcome.alone:
        out.print(f"\n{count(len(outcome.alone), 'photo')} in no 3D model (all of them with --json).")
    if outcome.broken:
        out.print("", broken_table(outcome.broken))
    if len(clusters) < _LEAST_CLUSTERS:
        note(
            f"small-gem-sfm needs {_LEAST_CLUSTERS} 3D models or more, for three negatives a query and one "
            "model to test on: add photos of other places, or, with three or four, sampler.negatives=1"
        )
    written = [outcome.folder / "tuples.parquet", *([html] if html is not None else [])]
    out.print(f"\nWritten: {', '.join(shown_path(path) for path in written)}", soft_wrap=True)
    line = command_line("resight", "train", "small-gem-sfm", f"data.root={shown_path(outcome.folder)}")
    out.print(f"Now train by them:  {line}", soft_wrap=True)


tuples = command_of(_Options, _tuples)
