"""``resight index``: photos into a collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.failures import SOME_UNREADABLE
from resight.cli.options import EngineOption, JsonOption, MaxPixelsOption, engine_named
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
    from resight.collection import IndexReport
    from resight.search.index import SearchChoice

__all__ = ["EXAMPLE", "index"]

EXAMPLE = (
    "Example:\n\n  resight index ~/Pictures ~/scans/old.jpg --collection photos.resight\n\n"
    "  resight index ~/Pictures --model efficientnet-lite0+sift --collection other.resight\n\n"
    "Run it again at any time: only what is new or has changed is described. "
    "Exit code 3 says that some files could not be read, each listed with its reason, "
    "or that no photo was found."
)
_MOST_LISTED = 20
_MOST_SUFFIXES = 8
_WORTH_ADVICE = 100
"""Photos from which on another model is recommended, where none is named."""


PhotosArgument = Annotated[
    list[Path], typer.Argument(metavar="PHOTOS", help="Photos, and folders of photos.")
]
CollectionOption = Annotated[
    Path, typer.Option("--collection", metavar="DIR", help="The collection; made if it is not there.")
]
ModelOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Model of a new collection; sift if not given. See: resight models."),
]
MetadataOption = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="Values to keep with photos: a column path, and any others."),
]
ForgetOption = Annotated[
    bool, typer.Option("--forget-missing", help="Remove photos that are no longer in the given folders.")
]

FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="Descriptors that this collection's model has made elsewhere: hloc's HDF5, a folder of "
        "clip-retrieval, a CSV file of open-metric-learning, a flat index of FAISS, Parquet, .npy; "
        "qdrant+PLACE#NAME or milvus+PLACE#NAME of a database.",
    ),
]
RegionsOption = Annotated[
    int | None,
    typer.Option(
        metavar="BYTES",
        min=0,
        help="Describe parts of each photo, too, so that small things in it are found: 4, 9, 25 or 50 parts, "
        "as many as fit in so many bytes a photo; 25600: 25 parts with sift. Kept from then on; 0 ends it.",
    ),
]

AgainOption = Annotated[
    bool, typer.Option("--again", help="Read every photo again, whatever its size and time say.")
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Leave out files and folders of this name, or of this path below PHOTOS, written as in "
        ".gitignore (*, ?, \\[ab], **, a slash at the end for folders alone, ! to take back); repeatable, "
        "and kept in the collection. An empty one forgets those kept so far.",
    ),
]


SearchIndexOption = Annotated[
    str | None,
    typer.Option(
        "--search-index",
        metavar="KIND",
        help="How the collection is searched from now on: exact; auto, which measures on its own photos and "
        "takes an approximate index where that is quicker; or milvus+URI, a Milvus server.",
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help="With --search-index auto: what the index may hold in memory, such as 2GB."
    ),
]
RecallOption = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="With --search-index auto: share of the ten nearest photos that it must find; 0.98 by default.",
    ),
]

SearchLabelOption = Annotated[
    str,
    typer.Option(
        "--search-label",
        metavar="COLUMN",
        help="With --search-index auto: metadata whose equal values are of one thing, to say what the index "
        "loses in mean average precision.",
    ),
]


OnOption = Annotated[
    str | None,
    typer.Option(
        metavar="ray[://ADDRESS]",
        help="Describe photos on the workers of a Ray cluster: that of this machine, or the one at "
        "ray://HOST:PORT. Photos and model are where all of them see them.",
    ),
]


WorkingMemoryOption = Annotated[
    str | None,
    typer.Option(
        "--working-memory",
        metavar="SIZE",
        help="What photos may take beside the model while they are decoded and described, such as 2GB: as "
        "many are under way at once as fit; a quarter of the machine's memory if not given.",
    ),
]


def index(
    photos: PhotosArgument,
    collection: CollectionOption = Path("photos.resight"),
    model: ModelOption = None,
    metadata: MetadataOption = None,
    forget_missing: ForgetOption = False,
    again: AgainOption = False,
    exclude: ExcludeOption = None,
    described: FromOption = None,
    regions: RegionsOption = None,
    search_index: SearchIndexOption = None,
    memory: MemoryOption = None,
    recall: RecallOption = None,
    search_label: SearchLabelOption = "",
    max_pixels: MaxPixelsOption = None,
    working_memory: WorkingMemoryOption = None,
    engine: EngineOption = "auto",
    on: OnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add what is new to a collection, update what changed, report what is broken."""
    from resight.images import MAX_PIXELS
    from resight.models.extract import NOTHING_SHOWN
    from resight.models.packaged import has_lite0
    from resight.pipelines.index import DEFAULT_MODEL, RECOMMENDED_MODEL, index_photos

    search = search_choice(search_index, memory, recall, search_label)
    with progress("Indexing") as report:
        indexed = index_photos(
            collection,
            photos,
            model=model,
            metadata=metadata,
            forget_missing=forget_missing,
            again=again,
            exclude=exclude or (),
            described=described,
            regions=regions,
            search=search,
            max_pixels=MAX_PIXELS if max_pixels is None else max_pixels,
            memory=None if working_memory is None else bytes_of(working_memory, "--working-memory"),
            engine=engine_named(engine),
            on=on,
            progress=report,
        )
    if search is not None and indexed.photos:
        with progress("Building the search index", "steps") as report:
            indexed.collection.choose_search(search, progress=report)
    if indexed.photos and indexed.collection.known_groups() is not None:
        with progress("Comparing") as report:
            indexed.collection.groups(progress=report)
    outcome = indexed.report
    for pattern in exclude or ():
        if pattern and not pattern.startswith("!") and pattern not in outcome.left_out:
            note(
                f"the pattern {pattern!r} leaves nothing out: it is compared with names, and if it holds a "
                "slash, with paths below the indexed folder"
            )
    if as_json:
        write_json(outcome)
    else:
        print_report(outcome, collection, indexed.photos)
        if model is None and outcome.added == indexed.photos >= _WORTH_ADVICE and has_lite0():
            note(
                f"{RECOMMENDED_MODEL} finds more than {DEFAULT_MODEL}, which this collection has, in about "
                f"twice the time: make another one with --model {RECOMMENDED_MODEL}"
            )
    known = outcome.added or outcome.updated or outcome.unchanged or outcome.missing
    nothing = not (known or outcome.broken)
    if nothing:
        note(f"no photos were found in {', '.join(shown_path(path) for path in photos)}")
    # A photo that shows nothing is reported, but neither it nor the command has failed.
    if nothing or any(photo.reason != NOTHING_SHOWN for photo in outcome.broken):
        raise typer.Exit(SOME_UNREADABLE)


def search_choice(
    kind: str | None, memory: str | None, recall: float | None, label: str
) -> SearchChoice | None:
    """Returns how the collection shall be searched; None where nothing was said.

    Raises:
        typer.BadParameter: A value is wrong, or a budget has no index.
    """
    from resight.errors import InvalidInput
    from resight.search.index import SearchChoice

    if kind is None:
        for option, value in (("--memory", memory), ("--recall", recall), ("--search-label", label or None)):
            if value is not None:
                raise typer.BadParameter("it needs --search-index auto", param_hint=option)
        return None
    size = None if memory is None else bytes_of(memory, "--memory")
    try:
        return SearchChoice.parse(kind, memory=size, recall=recall, label=label)
    except InvalidInput as error:
        # Its sentences say of which option they are.
        raise typer.BadParameter(str(error)) from None


def bytes_of(size: str, option: str) -> int:
    """Returns the bytes of a size such as ``2GB`` or ``500 MB``; units are powers of a thousand.

    Raises:
        typer.BadParameter: It is no size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B", size.strip(), re.IGNORECASE)
    value = 0.0 if match is None else float(match[1]) * 1000.0 ** " KMGT".index(match[2].upper() or " ")
    if not 1.0 <= value < 1e18:
        raise typer.BadParameter(f"{size!r} is no size: write one such as 2GB or 500MB", param_hint=option)
    return int(value)


def print_report(report: IndexReport, collection: Path, photos: int) -> None:
    """Prints what indexing did, what is broken, and the next command to try."""
    out = console()
    is_there = photos > 0 or collection.is_dir()
    held = f"; {shown_path(collection)} holds {count(photos, 'photo')}" if is_there else ""
    out.print(
        f"{report.added:,} added, {report.updated:,} updated, {report.unchanged:,} unchanged, "
        f"{len(report.missing):,} missing, {len(report.broken):,} broken "
        f"in {report.seconds.total:.1f} s{held}.",
        soft_wrap=True,
    )
    if report.renamed:
        out.print(f"{count(len(report.renamed), 'photo')} of those added had another name before.")
    if report.forgotten:
        out.print(f"{count(len(report.forgotten), 'missing photo')} forgotten.")
    if report.passed_over:
        out.print(passed_over(report.passed_over), soft_wrap=True)
    if report.left_out:
        shown = ", ".join(f"{number:,} {pattern}" for pattern, number in report.left_out.items())
        total = sum(report.left_out.values())
        what = count(total, "file or folder", "files and folders")
        out.print(f"{what} left out: {shown}", soft_wrap=True)
    if report.annotated or report.unmatched:
        out.print(f"The metadata of {count(report.annotated, 'photo')} are kept.")
    for sentence in report.notes:
        note(sentence)
    if report.broken:
        out.print("", broken_table(report.broken[:_MOST_LISTED]))
        _print_rest(len(report.broken))
    if report.warned:
        table = plain_table("read with a warning", "what is wrong")
        for photo in report.warned[:_MOST_LISTED]:
            table.add_row(shown_path(photo.path), photo.reason)
        out.print("", table)
        _print_rest(len(report.warned))
    if report.unmatched:
        table = plain_table("metadata of a file that is not among the photos to index")
        for path in report.unmatched[:_MOST_LISTED]:
            table.add_row(shown_path(path))
        out.print("", table)
        _print_rest(len(report.unmatched))
    kept = sorted(set(report.missing) - set(report.forgotten))
    if kept:
        table = plain_table(
            "missing file (--forget-missing removes those whose folder is there, and not empty)"
        )
        for path in kept[:_MOST_LISTED]:
            table.add_row(shown_path(path))
        out.print("", table)
        _print_rest(len(kept))
    if photos:
        line = command_line(
            "resight", "search", shown_path(collection), "QUERY.jpg", "--html", "answers.html"
        )
        out.print(f"\nNow search it:  {line}", soft_wrap=True)


def passed_over(suffixes: Mapping[str, int]) -> str:
    """Returns which files were not taken for photos: ``5 files passed over: 3 .cr2, 2 .mp4``."""
    shown = [f"{number:,} {suffix or 'without a suffix'}" for suffix, number in suffixes.items()]
    rest = sum(list(suffixes.values())[_MOST_SUFFIXES:])
    if rest:
        shown = [*shown[:_MOST_SUFFIXES], f"{rest:,} others"]
    return f"{count(sum(suffixes.values()), 'file')} passed over: {', '.join(shown)}"


def _print_rest(total: int) -> None:
    if total > _MOST_LISTED:
        console().print(f"and {total - _MOST_LISTED:,} more (all of them with --json)")
