"""``resight search``: the photos that show the same thing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from resight.cli.failures import NO_ANSWER, SOME_UNREADABLE
from resight.cli.options import (
    CollectionArgument,
    DownloadOption,
    JsonOption,
    MaxPixelsOption,
    command_of,
    refuse_replacing,
    refuse_unfit_folder,
)
from resight.cli.output import command_line, console, note, shown_path, write_json
from resight.cli.search_output import answer_json, outdated, print_answer, write_lines, write_paths

if TYPE_CHECKING:
    from resight.collection import Answer, Query
    from resight.features import Box

__all__ = ["EXAMPLE", "search"]

EXAMPLE = (
    "Example:\n\n  resight search photos.resight query.jpg --html answers.html --open\n\n"
    "  resight search photos.resight query.jpg --box 120,40,500,420\n\n"
    '  resight search photos.resight query.jpg --where "year >= 2020" --top 20 --json\n\n'
    "  resight search photos.resight query.jpg --only confirmed --copy-to same/\n\n"
    "Two queries are two photos of one thing, unless --each makes them queries of their own. What the "
    "answers must not show is given by --without."
)
_TOP = 10

QueryArgument = Annotated[list[Path], typer.Argument(metavar="QUERY", help="Photos of the thing.")]
EachOption = Annotated[
    bool, typer.Option("--each", help="The photos are queries of their own, each with its own answers.")
]
SeveralOption = Annotated[
    bool,
    typer.Option(
        "--several",
        help="The photo shows several things of the collection: answer each by itself, confirmed.",
    ),
]
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
    typer.Option(
        metavar="PHOTO",
        help="A photo of what answers must not show; repeatable. It is left out, and so is what geometry "
        "confirms to show the same.",
    ),
]
WhereOption = Annotated[
    str | None,
    typer.Option(
        metavar="SQL",
        help="Condition on metadata, width, height, file_size, and path (below the indexed folder), such as "
        "\"label = 'church' AND taken >= '2024-05'\". Text stands in single quotes.",
    ),
]
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
PathsOption = Annotated[
    bool,
    typer.Option(
        "--paths",
        help="Print the answers' paths alone, one a line; with --each an empty line ends each query's.",
    ),
]
NullOption = Annotated[
    bool, typer.Option("-0", "--null", help="Print paths with a zero byte after each, for xargs -0.")
]
LinesOption = Annotated[bool, typer.Option("--json-lines", help="Print an answer a line, as compact JSON.")]
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
    json_lines: LinesOption = False


@dataclass(frozen=True, slots=True)
class Options:
    """What is searched for, and what becomes of the answers."""

    collection: CollectionArgument
    query: QueryArgument
    each: EachOption = False
    several: SeveralOption = False
    box: BoxOption = None
    top: TopOption = _TOP
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
    queries = _queries(options)
    _check_outputs(options)
    from resight.collection import Collection
    from resight.errors import UnreadableImage
    from resight.pipelines.answers import only
    from resight.pipelines.several import answer_several

    collection = Collection.open(options.collection, allow_download=options.allow_download)
    answers: list[Answer] = []
    unread = 0
    for query in queries:
        try:
            found = answer_several(collection, query) if options.several else [collection.answer(query)]
        except UnreadableImage as error:
            if not options.each:
                raise
            note(str(error))
            unread += 1
            continue
        for answer in found:
            answers.append(answer if options.only is None else only(answer, options.only))
            _write(answers[-1], options.output)
            _print(answers[-1], options)
    if options.several and not answers:
        note("nothing in the photo is confirmed to be in the collection")
    notes = [
        sentence for answer in answers for sentence in (*answer.notes, *outdated(answer, collection.path))
    ]
    if options.where is not None and answers and not any(answer.searched for answer in answers):
        notes.append(f"no photo of the collection meets the condition {options.where!r:.200}")
    for sentence in dict.fromkeys(notes):
        note(sentence)
    if options.output.as_json:
        records = [answer_json(answer, collection) for answer in answers]
        write_json(records if options.each or options.several else records[0])
    if unread:
        raise typer.Exit(SOME_UNREADABLE)
    if options.fail_if_none and not (answers and all(answer.hits for answer in answers)):
        raise typer.Exit(NO_ANSWER)


search = command_of(Options, _search)


def _queries(options: Options) -> list[Query]:
    """Returns the one query of all photos, or one of each."""
    region = _parse_box(options.box)
    from resight.collection import Query
    from resight.images import MAX_PIXELS

    return [
        Query(
            photos,
            top=options.top,
            box=region,
            without=options.without or (),
            where=options.where,
            expand=options.expand,
            refine=options.refine,
            verify="auto" if options.verify is None else options.verify,
            max_pixels=MAX_PIXELS if options.max_pixels is None else options.max_pixels,
        )
        for photos in ([[photo] for photo in options.query] if options.each else [options.query])
    ]


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
    """Prints an answer in any form but as one JSON document, which holds all answers."""
    output = options.output
    if output.json_lines:
        write_lines(answer)
    elif output.paths or output.null:
        write_paths(answer, end=b"\0" if output.null else b"\n", closed=options.each)
    elif not output.as_json:
        query = answer.queries[0].path
        if options.several and answer.queries[0].box is not None:
            console().print(f"{shown_path(query)}, at {_whole_box(answer)}:", soft_wrap=True)
        elif options.each:
            console().print(f"{shown_path(query)}:", soft_wrap=True)
        print_answer(answer)
        html = output.html
        see = f"Result sheet: {shown_path(html)}" if html else f"See why:  {_repeated(options, answer)}"
        console().print(see, soft_wrap=True)
        if options.each or options.several:
            console().print()


def _whole_box(answer: Answer) -> str:
    """Returns where in its photo a thing was found, in whole pixels."""
    box = answer.queries[0].box
    return "" if box is None else ",".join(f"{value:.0f}" for value in box.corners)


def _repeated(options: Options, answer: Answer) -> str:
    """Returns the command line of the same search with a result sheet."""
    photos = [answer.queries[0].path] if options.each else options.query
    settings = {
        "--box": _whole_box(answer) if options.several else options.box,
        "--top": options.top if options.top != _TOP else None,
        "--expand": options.expand or None,
        "--refine": options.refine,
        "--verify": options.verify,
        "--where": options.where,
        "--max-pixels": options.max_pixels,
        "--only": options.only,
    }
    words = [word for name, value in settings.items() if value is not None for word in (name, str(value))]
    words += [word for photo in options.without or () for word in ("--without", str(photo))]
    words += ["--allow-download"] if options.allow_download else []
    return command_line("resight", "search", options.collection, *photos, *words, "--html", "answers.html")


def _check_outputs(options: Options) -> None:
    output = options.output
    forms = {
        "--json": output.as_json,
        "--json-lines": output.json_lines,
        "--paths": output.paths or output.null,
    }
    wanted = [name for name, is_wanted in forms.items() if is_wanted]
    if len(wanted) > 1:
        raise typer.BadParameter(f"give one of {' and '.join(wanted)}", param_hint=wanted[0])
    if output.show and output.html is None:
        raise typer.BadParameter("it needs --html FILE, the sheet to open", param_hint="--open")
    photos = [*options.query, *(options.without or ())]
    refuse_replacing(
        {"--html": output.html, "--csv": output.csv},
        {"a photo that is read": photos, "a file of the collection": options.collection},
    )
    refuse_unfit_folder(output.copy_to, option="--copy-to")
    refuse_unfit_folder(output.link_to, option="--link-to")
    files = (output.html, output.csv, output.copy_to, output.link_to)
    for option, is_given in (("--each", options.each), ("--several", options.several)):
        if is_given and any(file is not None for file in files):
            raise typer.BadParameter(
                "its answers are printed: --html, --csv, --copy-to and --link-to take one query",
                param_hint=option,
            )
    if options.several and len(options.query) > 1 and not options.each:
        raise typer.BadParameter("several things are looked for in one photo", param_hint="--several")


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
