"""The arguments of ``resight evaluate``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "BenchmarkArgument",
    "BoxesOption",
    "ClustersOption",
    "CompareOption",
    "DescriptorsOption",
    "DistractorsOption",
    "ExpandOption",
    "Files",
    "GroundTruthOption",
    "HtmlOption",
    "LandmarkOptions",
    "ModelArgument",
    "NamesOption",
    "OutOption",
    "Output",
    "PredictionsOption",
    "ProtocolOption",
    "RootOption",
    "SeedOption",
    "SelectionOption",
    "SimilaritiesOption",
    "VerifyOption",
    "WaterfallOption",
    "WhiteningOption",
    "WholeQueriesOption",
    "check",
]

_LANDMARKS, _GIVEN = "Landmark benchmarks", "Descriptors of others"

ModelArgument = Annotated[
    str | None, typer.Argument(metavar="[MODEL]", help="A model's name or bundle. See: resight models.")
]
BenchmarkArgument = Annotated[str | None, typer.Argument(metavar="[BENCHMARK]", help="The benchmark's name.")]
RootOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where your copy of the benchmark is (table: its CSV file)."),
]
BoxesOption = Annotated[bool, typer.Option("--boxes", help="Crop photos to their boxes, as CGD does.")]
ClustersOption = Annotated[
    bool, typer.Option("--clusters/--no-clusters", help="Measure NMI and AMI; minutes above 2000 classes.")
]
SelectionOption = Annotated[
    str, typer.Option(metavar="TEXT", help="How the model was chosen; goes on the protocol card.")
]
SeedOption = Annotated[int, typer.Option(min=0, metavar="N", help="Of k-means and the intervals.")]
HtmlOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write a report page with the worst and the median queries."),
]
OutOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the whole result as JSON, for --compare.")
]
CompareOption = Annotated[
    tuple[Path, Path] | None,
    typer.Option(metavar="A B", help="Compare two written results instead: is B better than A?"),
]
WholeQueriesOption = Annotated[
    bool,
    typer.Option("--whole-queries", help="Do not crop queries to their boxes.", rich_help_panel=_LANDMARKS),
]
DistractorsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="NPY", help="Descriptors added to the database, always wrong.", rich_help_panel=_LANDMARKS
    ),
]
ExpandOption = Annotated[
    int,
    typer.Option(
        min=0, metavar="N", help="Expand queries by their N best answers.", rich_help_panel=_LANDMARKS
    ),
]
VerifyOption = Annotated[
    int,
    typer.Option(
        min=0, metavar="N", help="Verify the first N answers by geometry.", rich_help_panel=_LANDMARKS
    ),
]
ProtocolOption = Annotated[
    Literal["default", "delg"],
    typer.Option(help="How --verify does it; delg: as the DELG paper.", rich_help_panel=_LANDMARKS),
]
WaterfallOption = Annotated[
    bool,
    typer.Option(
        "--waterfall", help="Show what each step after the descriptor adds.", rich_help_panel=_LANDMARKS
    ),
]
WhiteningOption = Annotated[
    Path | None,
    typer.Option(
        metavar="BUNDLE",
        help="The model whitened (resight whiten), for --waterfall.",
        rich_help_panel=_LANDMARKS,
    ),
]
DescriptorsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Descriptors: .npy, .npz, .h5 (hloc), .mat, .pkl.", rich_help_panel=_GIVEN
    ),
]
NamesOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Names of a .npy's rows, one a line.", rich_help_panel=_GIVEN),
]
SimilaritiesOption = Annotated[
    Path | None,
    typer.Option(metavar="NPY", help="Scores: a row a query, a column an image.", rich_help_panel=_GIVEN),
]
PredictionsOption = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="Predictions for Google Landmarks v2.", rich_help_panel=_GIVEN),
]
GroundTruthOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="gnd_*.pkl, .mat, .json or a solution's CSV.", rich_help_panel=_GIVEN),
]


@dataclass(frozen=True, slots=True)
class LandmarkOptions:
    """How a landmark benchmark is measured."""

    crop: bool
    distractors: Path | None
    expand: int
    verify: int
    waterfall: bool
    whitening: Path | None
    protocol: str = "default"


@dataclass(frozen=True, slots=True)
class Files:
    """What somebody else computed, and what is right."""

    descriptors: Path | None
    names: Path | None
    similarities: Path | None
    predictions: Path | None
    ground_truth: Path | None

    @property
    def any(self) -> bool:
        """Whether a file is given."""
        paths = (self.descriptors, self.names, self.similarities, self.predictions, self.ground_truth)
        return any(path is not None for path in paths)

    def check(self, options: LandmarkOptions) -> None:
        """Passes files that belong together.

        Raises:
            BadParameter: They do not.
        """
        kinds = [path for path in (self.descriptors, self.similarities, self.predictions) if path is not None]
        if len(kinds) != 1 or self.ground_truth is None:
            raise typer.BadParameter(
                "give one of --descriptors, --similarities and --predictions, with --ground-truth",
                param_hint="--ground-truth",
            )
        if self.names is not None and self.descriptors is None:
            raise typer.BadParameter("names belong to --descriptors", param_hint="--names")
        if options.verify or options.waterfall or options.whitening or not options.crop:
            raise typer.BadParameter(
                "without photos nothing can be verified, whitened or cropped", param_hint="--descriptors"
            )
        if self.descriptors is None and (options.expand or options.distractors):
            raise typer.BadParameter("this needs --descriptors", param_hint="--expand, --distractors")


@dataclass(frozen=True, slots=True)
class Output:
    """Where photos are and where results go."""

    root: Path | None
    html: Path | None
    out: Path | None
    selection: str
    seed: int
    as_json: bool


def check(
    model: str | None,
    benchmark: str | None,
    output: Output,
    files: Files,
    options: LandmarkOptions,
    compare: tuple[Path, Path] | None,
    *,
    boxes: bool,
) -> None:
    """Passes a command line whose parts belong together.

    Raises:
        BadParameter: They do not.
    """
    from resight.cli.evaluate_landmarks import is_landmark

    for file in (output.html, output.out):
        if file is not None and not file.parent.is_dir():
            raise typer.BadParameter(f"there is no folder {file.parent}", param_hint="--html, --out")
    landmark = options != LandmarkOptions(True, None, 0, 0, False, None)
    if compare is not None:
        if files.any or landmark or any((model, output.root, output.html, output.out)):
            raise typer.BadParameter("it takes two results and nothing to measure", param_hint="--compare")
    elif files.any:
        if model is not None:
            raise typer.BadParameter("give a model or files, not both", param_hint="MODEL")
        files.check(options)
    elif model is None or benchmark is None or output.root is None:
        raise typer.BadParameter(
            "give MODEL, BENCHMARK and --root DIR, or --compare A B, or --descriptors and --ground-truth",
            param_hint="MODEL BENCHMARK",
        )
    elif is_landmark(benchmark) and boxes:
        raise typer.BadParameter("landmark queries are cropped by themselves", param_hint="--boxes")
    elif not is_landmark(benchmark) and landmark:
        raise typer.BadParameter(
            "whole queries, distractors, expansion, verification, waterfall and whitening are for landmarks",
            param_hint="BENCHMARK",
        )
    elif options.waterfall and (options.distractors or output.html or output.out):
        raise typer.BadParameter("it takes no --distractors, --html or --out", param_hint="--waterfall")
    elif options.protocol != "default" and (options.waterfall or not options.verify):
        raise typer.BadParameter("give --verify N with it, and no --waterfall", param_hint="--protocol")
    elif options.whitening and not options.waterfall:
        raise typer.BadParameter(
            "it is a step of --waterfall; give the bundle as MODEL", param_hint="--whitening"
        )
