"""``resight explain``: which regions of two photos make their score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.options import JsonOption, refuse_replacing
from resight.cli.output import console, count, plain_table, shown_path, write_json

if TYPE_CHECKING:
    from resight.features import Box
    from resight.images import Photo
    from resight.models.explain.explanation import Explanation

__all__ = ["EXAMPLE", "explain"]

EXAMPLE = (
    "Example:\n\n  resight explain query.jpg answer.jpg --html why.html\n\n"
    "  resight explain query.jpg answer.jpg --box 120,40,500,420 --model trained.safetensors --out why.png"
)

QueryArgument = Annotated[Path, typer.Argument(metavar="QUERY", help="A photo of the thing.")]
AnswerArgument = Annotated[Path, typer.Argument(metavar="ANSWER", help="The photo it is compared with.")]
ModelOption = Annotated[
    str, typer.Option(metavar="NAME", help="A model's name or bundle. See: resight models.")
]
BoxOption = Annotated[
    str | None, typer.Option(metavar="X0,Y0,X1,Y1", help="Where the thing is in the query photo, in pixels.")
]
HtmlOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with both photos.")]
OutOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the picture alone, a PNG.")]


def explain(
    query: QueryArgument,
    answer: AnswerArgument,
    model: ModelOption = "sift",
    box: BoxOption = None,
    html: HtmlOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which regions of two photos make their score."""
    region = _parse_box(box)
    refuse_replacing(
        {"--html": html, "--out": out},
        {"the query": query, "the answer": answer, "the model": model},
        pictures=["--out"],
    )
    from resight import images
    from resight.models import load_model
    from resight.models.explain.explanation import explain as explain_photos

    loaded = load_model(model)
    first = images.read(query, max_side=loaded.max_side, box=region)
    second = images.read(answer, max_side=loaded.max_side)
    explanation = explain_photos(loaded, first, second)
    if html is not None:
        from resight.reports.explanation import write_explanation

        names = shown_path(query), shown_path(answer)
        write_explanation(explanation, first, second, html, names=names, model=model)
    if out is not None:
        _write_picture(explanation, first, second, out)
    if as_json:
        write_json(explanation)
    else:
        _print(explanation, html=html, out=out)


def _parse_box(text: str | None) -> Box | None:
    from resight.errors import InvalidInput
    from resight.features import Box

    try:
        return Box.parse(text) if text is not None else None
    except InvalidInput as error:
        raise typer.BadParameter(str(error), param_hint="--box") from None


def _write_picture(explanation: Explanation, query: Photo, answer: Photo, path: Path) -> None:
    from resight.files import whole_file
    from resight.reports.explanation_drawing import draw

    with whole_file(path) as stream:
        draw(explanation, query, answer).save(stream, "PNG", optimize=True)


def _print(explanation: Explanation, *, html: Path | None, out: Path | None) -> None:
    """Prints the score, how much of it lies in places of either photo, and where the drawings are."""
    from resight.reports.explanation import METHODS

    printed = console()
    printed.print(
        f"score {explanation.score:.4f}; shares are {METHODS[explanation.method]}\n", soft_wrap=True
    )
    table = plain_table("photo", "cells", "in places", "elsewhere", right=("cells", "in places", "elsewhere"))
    for name, shares, rest in (
        ("query", explanation.query_map, explanation.query_rest),
        ("answer", explanation.answer_map, explanation.answer_rest),
    ):
        rows, columns = shares.shape
        table.add_row(name, f"{rows} x {columns}", f"{shares.sum():+.4f}", f"{rest:+.4f}")
    printed.print(table)
    pairs = count(len(explanation.links), "pair")
    together = sum(link.share for link in explanation.links)
    printed.print(f"\nThe {pairs} of regions that add most add {together:.4f}.")
    for what, path in (("Page, open it in a browser", html), ("Picture", out)):
        if path is not None:
            printed.print(f"{what}:  {shown_path(path)}", soft_wrap=True)
