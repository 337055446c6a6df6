"""``resight adapt``: a linear layer of one's own behind a frozen model, if it finds more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from resight.cli.failures import FAILED
from resight.cli.options import JsonOption, refuse_missing_folder, refuse_replacing, seed_option
from resight.cli.output import command_line, console, count, note, plain_table, shown_path, write_json
from resight.cli.progress import progress

if TYPE_CHECKING:
    from resight.pipelines.adapt import AdaptOutcome

__all__ = ["EXAMPLE", "adapt"]

EXAMPLE = (
    "Example:\n\n  resight adapt efficientnet-lite0 ~/products --out products.safetensors\n\n"
    "  resight adapt dinov2-small --labels labels.csv --out mine.safetensors\n\n"
    "Photos of one folder are of one class, unless --labels names classes. Some classes are held out; the "
    "layer is kept if it finds more among them than the frozen model."
)

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model's name or bundle. See: resight models.")
]
PhotosArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[PHOTOS]", help="Photos and folders; those of a folder are of one class."),
]
OutOption = Annotated[Path, typer.Option(metavar="BUNDLE", help="Where the adapted model is written.")]
LabelsOption = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="Columns path and label; paths relative to the table's folder."),
]
TuplesOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="What resight tuples wrote: its photos, and its clusters as classes."),
]
KindOption = Annotated[
    Literal["layer", "whitening"],
    typer.Option(help="layer: learned from classes; whitening: from photos that match, without a loss."),
]
DimOption = Annotated[int, typer.Option(min=1, metavar="N", help="Length of a descriptor afterwards.")]
LossOption = Annotated[
    str, typer.Option(metavar="KIND", help="A loss with proxies: proxy_anchor, arcface, soft_triple, ...")
]
ScaleOption = Annotated[
    float, typer.Option(min=0.1, max=1e4, metavar="S", help="Of the logits of normalised_softmax.")
]
HeldOutOption = Annotated[
    float, typer.Option(min=0.05, max=0.5, metavar="SHARE", help="Of the classes, to compare on.")
]
SeedOption = Annotated[int, seed_option("Of what is held out, batches and proxies.")]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Write the model even if it is not better; its header says so.")
]


def adapt(
    model: ModelArgument,
    photos: PhotosArgument = None,
    *,
    out: OutOption,
    labels: LabelsOption = None,
    tuples: TuplesOption = None,
    kind: KindOption = "layer",
    dim: DimOption = 512,
    loss: LossOption = "normalised_softmax",
    scale: ScaleOption = 16.0,
    held_out: HeldOutOption = 0.3,
    seed: SeedOption = 0,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Learn a linear layer of your own behind a frozen model, in minutes, and keep it if it finds more."""
    if not photos and labels is None and tuples is None:
        raise typer.BadParameter("name photos, or a table with --labels, or a folder with --tuples")
    if tuples is not None and (photos or labels is not None):
        raise typer.BadParameter("it names photos and classes: leave out others", param_hint="--tuples")
    refuse_missing_folder(out, option="--out")
    refuse_replacing({"--out": out}, {"the model": model, "the table": labels})
    from resight.networks.trunks._timm import require_torch

    require_torch("learning a layer")
    from resight.pipelines.adapt import AdaptSettings, adapt_model
    from resight.training.layer import LayerSettings

    layer = LayerSettings(dim=dim, loss=loss, scale=scale, seed=seed)
    settings = AdaptSettings(kind, layer, held_out, seed)
    with progress("Describing") as report:
        outcome = adapt_model(
            model,
            photos or [],
            out,
            settings,
            labels=labels,
            tuples=tuples,
            force=force,
            progress=report,
        )
    if as_json:
        write_json(outcome)
    else:
        _print(outcome)
    if outcome.bundle is None:
        note(
            f"resight: {shown_path(out)} is not written: on {count(outcome.held_out, 'photo')} held out the "
            f"{outcome.ways[-1].name} does not beat the frozen model; --force writes it all the same"
        )
        raise typer.Exit(FAILED)


def _print(outcome: AdaptOutcome) -> None:
    printed = console()
    printed.print(
        f"{outcome.model}: learned from {count(outcome.photos, 'photo')} of "
        f"{count(outcome.classes, 'class', 'classes')}, compared on {count(outcome.held_out, 'photo')} of "
        f"{outcome.held_out_classes:,} others",
        soft_wrap=True,
    )
    right = ("dim", "MAP@R", "95 % interval", "recall at 1", "gain")
    table = plain_table("held out", *right, right=right)
    for way in outcome.ways:
        value, gain = way.map_at_r, way.gain
        interval = f"{value.low:.3f} to {value.high:.3f}"
        change = (
            ""
            if gain is None
            else f"{gain.difference.mean:+.3f} ({gain.difference.low:+.3f} to {gain.difference.high:+.3f})"
        )
        table.add_row(way.name, str(way.dim), f"{value.mean:.3f}", interval, f"{way.recall_at_1:.3f}", change)
    printed.print(table)
    printed.print(f"\n{outcome.advice}", soft_wrap=True)
    if outcome.bundle is not None:
        printed.print(f"written to {shown_path(outcome.bundle)}", soft_wrap=True)
        line = command_line("resight", "index", "PHOTOS", "--model", shown_path(outcome.bundle))
        printed.print(f"\nUse it:  {line}", soft_wrap=True)
