"""``resight models`` and ``recipes``: what can be typed after ``--model`` and ``resight train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resight.cli.failures import FAILED
from resight.cli.options import JsonOption, refuse_missing_folder, refuse_replacing
from resight.cli.output import console, note, plain_table, shown_path, write_json
from resight.cli.progress import progress

__all__ = ["EXAMPLE", "RECIPES_EXAMPLE", "models", "recipes"]

EXAMPLE = (
    "Example:\n\n  resight models\n\n  resight index ~/Pictures --model sift\n\n"
    "  resight models --measure ~/products --plot models.svg"
)
RECIPES_EXAMPLE = (
    "Example:\n\n  resight recipes\n\n  resight recipes softtriple\n\n"
    "  resight train softtriple data.root=~/CUB_200_2011"
)

_ALSO = (
    "\nAlso: NAME-gem and NAME-both for those with a pooling of their own, timm:NAME for any trunk of timm, "
    "and a bundle's path."
)

NameArgument = Annotated[
    str | None, typer.Argument(metavar="NAME", help="One recipe, with its command and results.")
]


MeasureOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="DIR",
        help="Compare the models whose weights are here on your own photos: what they find, ms, bytes.",
    ),
]
LabelsOption = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="Columns path and label; else folders, or what sift confirms."),
]
ModelsOption = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="MODEL", help="With --measure: this model instead; repeatable."),
]
PlotOption = Annotated[
    Path | None, typer.Option(metavar="FILE.svg", help="With --measure: write a picture of the table.")
]


def models(
    measure: MeasureOption = None,
    labels: LabelsOption = None,
    model: ModelsOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the models, with size, licence and published figures, or measure those at hand on your photos."""
    for option, value in (("--labels", labels), ("--model", model), ("--plot", plot)):
        if value and not measure:
            raise typer.BadParameter("it needs --measure", param_hint=option)
    from resight.models import available

    entries = available(look=True)
    if measure:
        _measure(
            list(dict.fromkeys(model or ())) or [entry.name for entry in entries if entry.local],
            measure,
            labels,
            plot,
            as_json,
        )
        return
    if as_json:
        write_json(entries)
        return
    columns = ("model", "dim", "MB", "licence", "needs", "here", "what it is", "published")
    table = plain_table(*columns, right=("dim", "MB"))
    for entry in entries:
        size = f"{entry.megabytes:.1f}" if entry.megabytes is not None else "?"
        needs = f"resight[{entry.needs}]" if entry.needs else ""
        facts = (str(entry.dim), size, entry.licence, needs, "yes" if entry.local else "")
        table.add_row(entry.name, *facts, entry.summary, entry.published or "")
    console().print(table)
    console().print(_ALSO, soft_wrap=True)


def _measure(
    names: list[str], photos: list[Path], labels: Path | None, plot: Path | None, as_json: bool
) -> None:
    if plot is not None:
        if plot.suffix != ".svg":
            raise typer.BadParameter(f"it must end in .svg, not {plot.name!r}", param_hint="--plot")
        refuse_missing_folder(plot, option="--plot")
        refuse_replacing({"--plot": plot}, {"a photo that is read": photos, "the table": labels})
    from resight.pipelines.measure import draw_models, measure_models

    with progress("Describing") as report:
        measured, failed = measure_models(names, photos, labels=labels, progress=report)
    for sentence in failed:
        note(sentence)
    if measured and plot is not None:
        draw_models(measured, plot)
    if as_json:
        write_json(measured)
    else:
        right = ("dim", "MAP@R", "95 % interval", "recall at 1", "ms a photo", "bytes a photo")
        table = plain_table("model", *right, "best", right=right)
        for each in sorted(measured, key=lambda each: -each.map_at_r.mean):
            value = each.map_at_r
            interval = f"{value.low:.3f} to {value.high:.3f}"
            figures = (f"{value.mean:.3f}", interval, f"{each.recall_at_1:.3f}")
            cost = (f"{each.milliseconds:.0f}", f"{each.stored_bytes:,.0f}")
            table.add_row(each.name, str(each.dim), *figures, *cost, "yes" if each.best else "")
        console().print(table)
        console().print("\nbest: none is at least as good in MAP@R, time and bytes, and better in one.")
    if not measured:
        raise typer.Exit(FAILED)


def recipes(name: NameArgument = None, as_json: JsonOption = False) -> None:
    """List the recipes of the package, or say what one of them trains and reproduces."""
    from resight.pipelines.recipes import packaged_recipe, packaged_recipes

    chosen = packaged_recipes() if name is None else [packaged_recipe(name)]
    if as_json:
        write_json(chosen)
        return
    if name is not None:
        console().print(f"{chosen[0].about}\n\nIts file:  {shown_path(chosen[0].path)}", soft_wrap=True)
        return
    table = plain_table("recipe", "what it trains")
    for recipe in chosen:
        table.add_row(recipe.name, recipe.title)
    console().print(table)
