"""``resight search``: the photos that show the same thing."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from resight.cli.failures import NO_ANSWER
from resight.cli.options import CollectionArgument, DownloadOption, JsonOption, MaxPixelsOption, command_of
from resight.cli.output import command_line, console, count, note, plain_table, shown_path, write_json

if TYPE_CHECKING:
    from resight.cli.output import Json
    from resight.collection import Answer, Hit
    from resight.features import Box

__all__ = ["EXAMPLE", "search"]

EXAMPLE = (
    "Example:\n\n  resight search photos.resight query.jpg --html answers.html --open\n\n"
    "  resight search photos.resight query.jpg --box 120,40,500,420\n\n"
    '  resight search photos.resight query.jpg --where "year >= 2020" --top 20 --json\n\n'
    "  resight search photos.resight query.jpg --only confirmed --copy-to same/\n\n"
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


OnlyOption = Annotated[
    Literal["confirmed"] | None, typer.Option(help="Keep the answers alone that geometry confirms.")
]
FailOption = Annotated[
    bool, typer.Option("--fail-if-none", help="Exit with code 4 where there is no answer.")
]
PathsOption = Annotated[bool, typer.Option("--paths", help="Print the answers' paths alone, one a line.")]
NullOption = Annotated[
    bool, typer.Option("-0", "--null", help="Print paths with a zero byte after each, for xargs -0.")
]
CsvOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the answers as a table.")]
CopyOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Copy the answers' files into a folder, by rank.")
]
LinkOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Make links to the answers' files in a folder, by rank.")
]


@dataclass(frozen=True, slots=True)
class Output:
    """Where the answers go."""

    html: HtmlOption = None
    show: OpenOption = False
    csv: CsvOption = None
    copy_to: CopyOption = None
    link_to: LinkOption = None
    paths: PathsOption = False
    null: NullOption = False
    as_json: JsonOption = False


@dataclass(frozen=True, slots=True)
class Options:
    """What is searched for, and what becomes of the answers."""

    collection: CollectionArgument
    query: QueryArgument
    box: BoxOption = None
    top: TopOption = 10
    expand: ExpandOption = 0
    refine: RefineOption = None
    verify: VerifyOption = None
    without: WithoutOption = None
    where: WhereOption = None
    max_pixels: MaxPixelsOption = None
    allow_download: DownloadOption = False
    only: OnlyOption = None
    fail_if_none: FailOption = False
    output: Output = Output()


def _search(options: Options) -> None:
    """Find the photos of a collection that show the same thing as a query photo."""
    region = _parse_box(options.box)
    _check_outputs(options.output)
    from resight.collection import Collection, Query
    from resight.images import MAX_PIXELS
    from resight.pipelines.answers import only

    query = Query(
        options.query,
        top=options.top,
        box=region,
        without=options.without or (),
        where=options.where,
        expand=options.expand,
        refine=options.refine,
        verify="auto" if options.verify is None else options.verify,
        max_pixels=MAX_PIXELS if options.max_pixels is None else options.max_pixels,
    )
    collection = Collection.open(options.collection, allow_download=options.allow_download)
    answer = collection.answer(query)
    if options.only is not None:
        answer = only(answer, options.only)
    _write(answer, options.output)
    _print(answer, options)
    if options.fail_if_none and not answer.hits:
        raise typer.Exit(NO_ANSWER)


search = command_of(Options, _search)


def _write(answer: Answer, output: Output) -> None:
    from resight.pipelines import answers

    if output.html is not None:
        write_and_open(answer, output.html, show=output.show)
    if output.csv is not None:
        answers.write_table(answer.hits, output.csv)
    for folder, place in ((output.copy_to, answers.copy_photos), (output.link_to, answers.link_photos)):
        if folder is not None:
            for missing in place(answer.hits, folder):
                note(f"not there any more: {shown_path(missing)}")


def _print(answer: Answer, options: Options) -> None:
    output = options.output
    if output.as_json:
        write_json(answer_json(answer))
    elif output.paths or output.null:
        end = b"\0" if output.null else b"\n"
        # As the disk has them: another program takes them.
        sys.stdout.buffer.write(b"".join(os.fsencode(hit.path) + end for hit in answer.hits))
        sys.stdout.buffer.flush()
    else:
        print_answer(answer)
        why = command_line("resight", "search", options.collection, *options.query, "--html", "answers.html")
        sheet = f"Result sheet: {shown_path(output.html)}" if output.html else f"See why:  {why}"
        console().print(sheet, soft_wrap=True)


def _check_outputs(output: Output) -> None:
    if output.as_json and (output.paths or output.null):
        raise typer.BadParameter("give one of --json and --paths", param_hint="--json")
    if output.show and output.html is None:
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
