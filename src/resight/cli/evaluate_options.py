"""What ``resight evaluate`` takes on its command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from resight.cli.options import JsonOption, seed_option

if TYPE_CHECKING:
    from resight.pipelines.evaluate import Computed, Kind, Protocol

__all__ = ["Files", "Landmarks", "Options", "Output"]

_LANDMARKS, _COMPUTED = "Landmark benchmarks", "Descriptors of others"


@dataclass(frozen=True, slots=True)
class Output:
    """Where the result goes."""

    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a page: measures and queries to look at; of --compare both results side by side; of "
            "--waterfall the steps as a chart.",
        ),
    ] = None
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the whole result as JSON, for --compare.")
    ] = None
    as_json: JsonOption = False


@dataclass(frozen=True, slots=True)
class Landmarks:
    """How a landmark benchmark is measured."""

    whole_queries: Annotated[
        bool,
        typer.Option(
            "--whole-queries", help="Do not crop queries to their boxes.", rich_help_panel=_LANDMARKS
        ),
    ] = False
    distractors: Annotated[
        Path | None,
        typer.Option(
            metavar="NPY", help="Descriptors added to the database, always wrong.", rich_help_panel=_LANDMARKS
        ),
    ] = None
    expand: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Expand queries by their N best answers.", rich_help_panel=_LANDMARKS
        ),
    ] = 0
    verify: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Verify the first N answers by geometry.", rich_help_panel=_LANDMARKS
        ),
    ] = 0
    protocol: Annotated[
        Literal["default", "delg"],
        typer.Option(help="How --verify does it; delg: as the DELG paper.", rich_help_panel=_LANDMARKS),
    ] = "default"
    waterfall: Annotated[
        bool,
        typer.Option(
            "--waterfall", help="Show what each step after the descriptor adds.", rich_help_panel=_LANDMARKS
        ),
    ] = False
    whitening: Annotated[
        Path | None,
        typer.Option(
            metavar="BUNDLE",
            help="The model whitened (resight whiten), for --waterfall.",
            rich_help_panel=_LANDMARKS,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Files:
    """What another program computed, and what is right."""

    descriptors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Descriptors: .npy, .npz, .h5 (hloc), .parquet, .mat, .pkl; with BENCHMARK --root, or "
            "--ground-truth.",
            rich_help_panel=_COMPUTED,
        ),
    ] = None
    names: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Names of a .npy's rows, one a line.", rich_help_panel=_COMPUTED),
    ] = None
    similarities: Annotated[
        Path | None,
        typer.Option(
            metavar="NPY", help="Scores: a row a query, a column an image.", rich_help_panel=_COMPUTED
        ),
    ] = None
    predictions: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Predictions for Google Landmarks v2.", rich_help_panel=_COMPUTED),
    ] = None
    ground_truth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="gnd_*.pkl, .mat, .json or a solution's CSV.", rich_help_panel=_COMPUTED
        ),
    ] = None

    def computed(self) -> Computed:
        """Returns the files as one value.

        Raises:
            BadParameter: Not exactly one of the three is there, or no ground truth.
        """
        from resight.pipelines.evaluate import Computed

        paths: dict[Kind, Path | None] = {
            "descriptors": self.descriptors,
            "similarities": self.similarities,
            "predictions": self.predictions,
        }
        present = [(kind, path) for kind, path in paths.items() if path is not None]
        if len(present) != 1 or self.ground_truth is None:
            raise typer.BadParameter(
                "give one of --descriptors, --similarities and --predictions, with --ground-truth",
                param_hint="--ground-truth",
            )
        ((kind, path),) = present
        return Computed(kind, path, self.ground_truth, self.names)


@dataclass(frozen=True, slots=True)
class Options:
    """The whole command line."""

    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="A model's name or bundle. See: resight models.")
    ] = None
    benchmark: Annotated[str | None, typer.Argument(metavar="BENCHMARK", help="The benchmark's name.")] = None
    root: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where your copy of the benchmark is (table: its CSV file); with --compare and --html: for "
            "photos of the queries.",
        ),
    ] = None
    split: Annotated[
        Literal["test", "validation"],
        typer.Option(help="Which photos of a labelled set are measured, where it has validation photos."),
    ] = "test"
    boxes: Annotated[bool, typer.Option("--boxes", help="Crop photos to their boxes, as CGD does.")] = False
    long_side: Annotated[
        bool,
        typer.Option(
            "--long-side", help="Reduce photos to the model's long side, however training measured it."
        ),
    ] = False
    clusters: Annotated[
        bool,
        typer.Option("--clusters/--no-clusters", help="Measure NMI and AMI; minutes above 2000 classes."),
    ] = True
    selection: Annotated[
        str,
        typer.Option(metavar="TEXT", help="How the model was chosen, for the card; its bundle may say it."),
    ] = "not stated"
    intervals: Annotated[
        Literal["classes", "landmarks", "queries"] | None,
        typer.Option(
            help="What is drawn for intervals and tests: classes of a labelled set and landmarks of others "
            "by default, each with all its queries; or single queries."
        ),
    ] = None
    seed: Annotated[int, seed_option("Of k-means and the intervals.")] = 0
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Compare two written results instead: is B better than A?"),
    ] = None
    output: Output = field(default_factory=Output)
    landmarks: Landmarks = field(default_factory=Landmarks)
    files: Files = field(default_factory=Files)

    def protocol(self) -> Protocol:
        """Returns how is measured."""
        from resight.evaluation import Refinement
        from resight.pipelines.evaluate import Protocol

        landmarks = self.landmarks
        return Protocol(
            as_trained=not self.long_side,
            boxes=self.boxes,
            clusters=self.clusters,
            crop=not landmarks.whole_queries,
            distractors=landmarks.distractors,
            refinement=Refinement(landmarks.expand, verify=landmarks.verify, protocol=landmarks.protocol),
            selection=self.selection,
            intervals=self.intervals,
            seed=self.seed,
            split=self.split,
        )
