"""``resight search``: the photos that show the same thing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from resight.cli.options import CollectionArgument, JsonOption, MaxPixelsOption
from resight.cli.output import command_line, console, count, plain_table, shown_path, write_json

if TYPE_CHECKING:
    from resight.cli.output import Json
    from resight.collection import Answer, Hit
    from resight.features import Box

__all__ = ["EXAMPLE", "search"]

EXAMPLE = (
    "Example:\n\n  resight search photos.resight query.jpg --html answers.html --open\n\n"
    "  resight search photos.resight query.jpg --box 120,40,500,420\n\n"
    '  resight search photos.resight query.jpg --where "year >= 2020" --top 20 --json\n\n'
    "Two queries are two photos of one thing; what the answers must not show is given by --without."
)
QueryArgument = Annotated[list[Path], typer.Argument(metavar="QUERY...", help="Photos of the thing.")]
BoxOption = Annotated[
    str | None, typer.Option(metavar="X0,Y0,X1,Y1", help="Where the thing is in the query photo, in pixels.")
]
TopOption = Annotated[int, typer.Option(min=1, metavar="N", help="How many answers.")]
ExpandOption = Annotated[
    int, typer.Option(min=0, metavar="K", help="Search again with the K best answers added to the query.")
]
VerifyOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        help="How many of the best answers geometry checks; 0 for none. By default 100 with a model that has "
        "local features, else 0.",
    ),
]
RefineOption = Annotated[
    Literal["diffusion", "reciprocal", "superglobal"] | None,
    typer.Option(
        help="Order answers by their neighbours in the collection. reciprocal: the first 100, by how alike "
        "their neighbourhoods are; superglobal: the first 400 and the query, averaged with their neighbours; "
        "both take some milliseconds. diffusion: scores spread over the whole collection; it first builds "
        "a graph, in about a second for 5,000 photos and a hundred times that for ten times as many, and "
        "takes no --where or --expand.",
    ),
]
WithoutOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="PHOTO", help="A photo of what answers must not be; repeatable."),
]
WhereOption = Annotated[str | None, typer.Option(metavar="SQL", help="Condition on the photos' metadata.")]
HtmlOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a result sheet that shows why each answer is one.")
]
OpenOption = Annotated[bool, typer.Option("--open", help="Show the result sheet in the browser.")]


def search(
    collection: CollectionArgument,
    query: QueryArgument,
    box: BoxOption = None,
    top: TopOption = 10,
    expand: ExpandOption = 0,
    refine: RefineOption = None,
    verify: VerifyOption = None,
    without: WithoutOption = None,
    where: WhereOption = None,
    max_pixels: MaxPixelsOption = None,
    html: HtmlOption = None,
    show: OpenOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find the photos of a collection that show the same thing as a query photo."""
    region = _parse_box(box)
    _check_sheet(html, show=show)
    from resight.collection import Collection, Query
    from resight.images import MAX_PIXELS

    request = Query(
        query,
        top=top,
        box=region,
        without=without or (),
        where=where,
        expand=expand,
        refine=refine,
        verify="auto" if verify is None else verify,
        max_pixels=MAX_PIXELS if max_pixels is None else max_pixels,
    )
    answer = Collection.open(collection).answer(request)
    if html is not None:
        write_and_open(answer, html, show=show)
    if as_json:
        write_json(answer_json(answer))
    else:
        print_answer(answer)
        why = command_line("resight", "search", collection, *query, "--html", "answers.html")
        console().print(f"Result sheet: {shown_path(html)}" if html else f"See why:  {why}", soft_wrap=True)


def _check_sheet(html: Path | None, *, show: bool) -> None:
    if show and html is None:
        raise typer.BadParameter("it needs --html FILE, the sheet to open", param_hint="--open")


def _parse_box(text: str | None) -> Box | None:
    from resight.errors import InvalidInput
    from resight.features import Box

    try:
        return Box.parse(text) if text is not None else None
    except InvalidInput as error:
        raise typer.BadParameter(str(error), param_hint="--box") from None


def write_and_open(answer: Answer, path: Path, *, show: bool) -> None:
    """Writes the result sheet, and shows it in the browser if wanted.

    Raises:
        OSError: The sheet cannot be written.
    """
    from resight.reports.sheet import write_sheet

    write_sheet(answer, path)
    if show:
        typer.launch(path.resolve().as_uri())


def answer_json(answer: Answer) -> Json:
    """Returns everything an answer holds but keypoints, which are there to be drawn."""
    from resight.cli.output import as_json

    return {
        "queries": [
            {
                "path": query.path,
                "box": as_json(query.box),
                "width": query.width,
                "height": query.height,
                "wanted": query.wanted,
            }
            for query in answer.queries
        ],
        "hits": [_hit_json(hit) for hit in answer.hits],
        "searched": answer.searched,
        "seconds": as_json(answer.seconds),
    }


def _hit_json(hit: Hit) -> Json:
    from resight.cli.output import as_json

    match = hit.match
    return {
        "rank": hit.rank,
        "score": hit.score,
        "path": hit.path,
        "width": hit.width,
        "height": hit.height,
        "inliers": hit.inliers,
        "expected": None if match is None else match.expected,
        "query": hit.query,
        "query_points": None if match is None else as_json(match.query_points),
        "answer_points": None if match is None else as_json(match.answer_points),
        "transform": None if match is None else as_json(match.transform),
        "region": None if match is None else as_json(match.region),
        "box": as_json(hit.box),
        "metadata": as_json(hit.metadata),
        "similarity": hit.similarity,
        "verdict": hit.verdict,
    }


def print_answer(answer: Answer) -> None:
    """Prints the hits as a table, and how long the search took."""
    from rich.text import Text

    from resight.reports.verdict import VERDICT_WORDS

    out = console()
    styles = {"confirmed": "bold green", "likely": "yellow", "unchecked": "", "unlikely": "dim"}
    numbers = ("rank", "similarity", "inliers", "chance")
    table = plain_table(*numbers, "verdict", "photo", right=numbers)
    for hit in answer.hits:
        words = Text(VERDICT_WORDS[hit.verdict], style=styles[hit.verdict])
        inliers, chance = "", ""
        if hit.match is not None:
            inliers, chance = str(hit.match.inliers), f"{hit.match.expected:.0f}"
        values = str(hit.rank), f"{hit.similarity:.3f}", inliers, chance
        table.add_row(*values, words, shown_path(hit.path))
    if answer.hits:
        out.print(table, "")
    answers = count(len(answer.hits), "answer")
    out.print(f"{answers} from {count(answer.searched, 'photo')} searched in {answer.seconds.total:.2f} s.\n")
