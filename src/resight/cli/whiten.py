"""``resight whiten``: a model with a whitening computed from photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from resight.cli.failures import SOME_UNREADABLE
from resight.cli.options import JsonOption, refuse_missing_folder, refuse_replacing, seed_option
from resight.cli.output import broken_table, command_line, console, count, plain_table, shown_path, write_json
from resight.cli.progress import progress

if TYPE_CHECKING:
    from resight.pipelines.whiten import WhitenOutcome

__all__ = ["EXAMPLE", "whiten"]

EXAMPLE = (
    "Example:\n\n  resight whiten sift ~/places --kind learned --shrinkage 0.1 --out whitened.safetensors\n\n"
    "  resight index ~/Pictures --model whitened.safetensors\n\n"
    "Photos of one folder match, unless --pairs names those that do. Give photos like those to be searched, "
    "never those a benchmark measures."
)


ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model's name or bundle. See: resight models.")
]
PhotosArgument = Annotated[
    list[Path], typer.Argument(metavar="PHOTOS", help="Photos to learn from, and folders of photos.")
]
OutOption = Annotated[Path, typer.Option(metavar="BUNDLE", help="Where the whitened model is written.")]
KindOption = Annotated[
    Literal["pca", "learned"],
    typer.Option(help="pca: from all photos; learned: from those that match.", show_default=True),
]
PairsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV", help="Matching photos, columns query and positive; else those of one folder match."
    ),
]
DimOption = Annotated[int | None, typer.Option(min=1, metavar="N", help="Keep so many dimensions.")]
ShrinkageOption = Annotated[
    float,
    typer.Option(min=0, max=1, metavar="S", help="0 to 1; above 0 where photos are fewer than dimensions."),
]
PowerOption = Annotated[
    float | None,
    typer.Option(min=0, max=1, metavar="P", help="pca: 0.5 whitens fully (default), 0.25 less, 0 not."),
]
RotationOption = Annotated[
    Literal["all", "non_matching"] | None,
    typer.Option(help="learned: rotation from all photos (default) or from pairs that do not match."),
]
HeldOutOption = Annotated[
    float,
    typer.Option(min=0, max=0.5, metavar="SHARE", help="Of matching photos, to show the effect on them."),
]
SeedOption = Annotated[int, seed_option("Of pairs and of what is held out.")]


def whiten(
    model: ModelArgument,
    photos: PhotosArgument,
    out: OutOption,
    kind: KindOption = "pca",
    pairs: PairsOption = None,
    dim: DimOption = None,
    shrinkage: ShrinkageOption = 0.0,
    power: PowerOption = None,
    rotation: RotationOption = None,
    held_out: HeldOutOption = 0.2,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compute a whitening from photos, and write the model with it."""
    _refuse_unfit(kind, power, rotation)
    refuse_missing_folder(out, option="--out")
    refuse_replacing(
        {"--out": out},
        {"the model that is whitened": model, "the table of pairs": pairs, "a photo that is read": photos},
    )
    from resight.pipelines import whiten as pipeline

    settings = pipeline.WhitenSettings(kind, dim, shrinkage, power, rotation, held_out, seed)
    with progress("Describing") as report:
        outcome = pipeline.whiten(model, photos, out, settings, pairs=pairs, progress=report)
    if as_json:
        write_json(outcome)
    else:
        _print_outcome(outcome)
    if outcome.broken:
        raise typer.Exit(SOME_UNREADABLE)


def _refuse_unfit(kind: str, power: float | None, rotation: str | None) -> None:
    if power is not None and kind != "pca":
        raise typer.BadParameter("it is for --kind pca", param_hint="--power")
    if rotation is not None and kind != "learned":
        raise typer.BadParameter("it is for --kind learned", param_hint="--rotation")


def _print_outcome(outcome: WhitenOutcome) -> None:
    """Prints what was computed, its effect on photos held out, and the next command to try."""
    printed, bundle = console(), shown_path(outcome.bundle)
    printed.print(outcome.provenance[0].upper() + outcome.provenance[1:] + ".", soft_wrap=True)
    printed.print(
        f"{outcome.inputs:,} to {outcome.dim:,} dimensions keep {outcome.variance_kept:.1%} of the variance "
        f"of {count(outcome.photos, 'photo')}.\n",
        soft_wrap=True,
    )
    before, after = outcome.before, outcome.after
    if before is None or after is None:
        printed.print("Nothing was held out to show its effect: that takes matching photos of four things.")
    else:
        table = plain_table(
            f"on {count(outcome.held_out, 'photo')} held out", "before", "after", right=("before", "after")
        )
        table.add_row("R@1", f"{before.recall_at_1:.4f}", f"{after.recall_at_1:.4f}")
        table.add_row("mean score of matching pairs", f"{before.matching:.4f}", f"{after.matching:.4f}")
        table.add_row("mean score of others", f"{before.non_matching:.4f}", f"{after.non_matching:.4f}")
        table.add_row("their distance, in deviations", f"{before.distance:.2f}", f"{after.distance:.2f}")
        printed.print(table)
    if outcome.broken:
        printed.print("", broken_table(outcome.broken))
    line = command_line("resight", "index", "PHOTOS", "--model", bundle)
    printed.print(f"\nThe model is in {bundle}\nNow use it:  {line}", soft_wrap=True)
