"""``resight serve``: a collection as a page for people and an API for programs."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.options import EngineOption, command_of, engine_named, refuse_unfit_folder
from resight.cli.output import console, count, note, shown_path
from resight.cli.progress import progress
from resight.serving.settings import Limits

if TYPE_CHECKING:
    from resight.collection import Collection

__all__ = ["EXAMPLE", "serve"]

EXAMPLE = (
    "Example:\n\n  resight serve photos.resight\n\n"
    "  resight serve ~/Pictures\n\n"
    "  resight serve photos.resight --host 0.0.0.0 --token-file token.txt\n\n"
    "The first opens a page at http://127.0.0.1:8000/ for this machine alone; the second "
    "indexes the folder first. Ctrl-C ends the server when the requests that it took are answered."
)


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments and options of ``resight serve``."""

    collection: Annotated[
        Path, typer.Argument(metavar="COLLECTION", help="The collection's folder, or a folder of photos.")
    ]
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address; any but 127.0.0.1 needs --token-file.")
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Port; 0 takes a free one.")] = 8000
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with a secret word that every request must carry."),
    ] = None
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="A name that this machine is called by; repeatable."),
    ] = None
    watch: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Follow the changes of a folder; repeatable.")
    ] = None
    uploads: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where added photos are put; beside the collection by default."),
    ] = None
    cache: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where thumbnails are kept; ~/.cache by default."),
    ] = None
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="The collection's model, or that of a new one.")
    ] = None
    engine: EngineOption = "auto"
    open: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False
    limits: Limits = field(default_factory=Limits)


def _serve(options: Options) -> None:
    """Serve a collection: a page to search it in the browser, and an API for programs."""
    from resight.serving import Access, Service
    from resight.serving import serve as run
    from resight.serving.settings import read_token

    refuse_unfit_folder(options.cache, option="--cache")
    refuse_unfit_folder(options.uploads, option="--uploads")
    token, notes = (None, []) if options.token_file is None else read_token(options.token_file)
    access = Access(options.host, token, tuple(options.name or ()))
    for sentence in notes:
        note(sentence)
    service = Service.of(
        _collection(options),
        access=access,
        limits=options.limits,
        cache=options.cache or _cache_folder(),
        uploads=options.uploads,
    )
    for folder in options.watch or ():
        service.follow(folder)

    def ready(url: str) -> None:
        held = count(len(service.collection), "photo")
        out = console()
        out.print(f"{shown_path(service.collection.path)}, {held}, at {url}", soft_wrap=True)
        out.print(f"API: {url}api/v1/openapi.json", soft_wrap=True)
        out.print(f"Limits: {', '.join(service.limits.lines())}", soft_wrap=True)
        out.print("Ctrl-C ends the server.")
        sys.stdout.flush()
        if options.open:
            import webbrowser

            webbrowser.open(url)

    run(service, options.port, on_ready=ready)


serve = command_of(Options, _serve)


def _collection(options: Options) -> Collection:
    """Returns the collection that is named, or that of the folder of photos that is named, indexed."""
    from resight.collection import Collection
    from resight.collection.own_files import TABLE_NAME
    from resight.errors import InvalidInput
    from resight.files import object_path
    from resight.models.engines import engine_for
    from resight.pipelines.index import index_photos

    path, engine = options.collection, engine_named(options.engine)
    if object_path(path) or (path / TABLE_NAME).exists() or not path.is_dir() or path.suffix == ".resight":
        if engine == "auto":
            engine = engine_for(engine, len(Collection.open(path)))
        return Collection.open(path, model=options.model, engine=engine)
    place = path.absolute().with_name(f"{path.absolute().name}.resight")
    with progress("Indexing") as report:
        indexed = index_photos(place, [path], model=options.model, engine=engine, progress=report)
    if not indexed.photos:
        raise InvalidInput(
            f"{path} is no collection and holds no photo that can be read: name a collection's folder, such "
            "as photos.resight, or a folder of photos"
        )
    done = indexed.report
    note(
        f"Indexed {path} into {place}: {done.added:,} added, {done.updated:,} updated, "
        f"{done.unchanged:,} unchanged, {len(done.broken):,} broken"
    )
    return indexed.collection


def _cache_folder() -> Path:
    import os

    from resight.errors import StorageFailed
    from resight.models.checkpoints import cache_folder

    if home := os.environ.get("XDG_CACHE_HOME"):
        return Path(home) / "resight" / "thumbnails"
    try:
        return cache_folder().parent / "thumbnails"
    except StorageFailed:
        raise typer.BadParameter(
            "name a folder for thumbnails: this user has no home folder", param_hint="--cache"
        ) from None
