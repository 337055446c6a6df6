"""The verbs together, and the way from a command line to an exit code."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, NoReturn, final

import typer
from typer.core import TyperGroup

from resight.cli import (
    classify,
    collection,
    compact,
    convert,
    demo,
    describe,
    doctor,
    evaluate,
    explain,
    index,
    models,
    rerank,
    search,
    train,
    whiten,
)
from resight.cli.failures import exit_code, leave
from resight.settings.foreign import import_named

__all__ = ["build", "main", "run"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code after doing what a command line asks.

    0 done, 1 failed, 2 wrong command line, 3 indexed but some photos could not be read, 4 no answer (with
    ``--fail-if-none``), 130 interrupted.

    Args:
        arguments: The command line without the program's name; that of the process by default.
    """
    words = _with_homes(list(sys.argv[1:] if arguments is None else arguments))
    # A name that the terminal's encoding lacks is escaped; it must not end the command.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    command = typer.main.get_command(build())
    return exit_code(
        lambda: command.main(words, prog_name="resight", standalone_mode=False), debug="--debug" in words
    )


def run() -> NoReturn:
    """Does what the process's command line asks, and ends the process."""
    leave(main())


def _with_homes(words: list[str]) -> list[str]:
    """Returns the words with the home folder in them, which shells leave to the command in places.

    They do so after an equals sign and in quotes; other programs that start this one know nothing of it.
    """
    home = str(Path("~").expanduser())
    return [_HOME.sub(lambda match: match["option"] + home, word) for word in words]


def build() -> typer.Typer:
    """Returns the application with all its verbs."""
    app = typer.Typer(
        cls=_Verbs,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=_EXAMPLE,
    )
    app.callback(invoke_without_command=True)(_resight)
    app.command("index", epilog=index.EXAMPLE)(index.index)
    app.command("search", epilog=search.EXAMPLE)(search.search)
    app.command("rerank", epilog=rerank.EXAMPLE)(rerank.rerank)
    app.command("remove", epilog=collection.REMOVE_EXAMPLE)(collection.remove)
    app.command("info", epilog=collection.INFO_EXAMPLE)(collection.info)
    app.command("check", epilog=collection.CHECK_EXAMPLE)(collection.check)
    app.command("evaluate", epilog=evaluate.EXAMPLE)(evaluate.evaluate)
    app.command("classify", epilog=classify.EXAMPLE)(classify.classify)
    app.command("describe", epilog=describe.EXAMPLE)(describe.describe)
    app.command("explain", epilog=explain.EXAMPLE)(explain.explain)
    app.command("models", epilog=models.EXAMPLE)(models.models)
    app.command("recipes", epilog=models.RECIPES_EXAMPLE)(models.recipes)
    app.command("convert", epilog=convert.EXAMPLE)(convert.convert)
    app.command("doctor", epilog=doctor.EXAMPLE)(doctor.doctor)
    app.command("train", epilog=train.EXAMPLE)(train.train)
    app.command("whiten", epilog=whiten.EXAMPLE)(whiten.whiten)
    app.command("compact", epilog=compact.EXAMPLE)(compact.compact)
    app.command("demo", epilog=demo.EXAMPLE)(demo.demo)
    return app


_EXAMPLE = (
    "Example:\n\n  resight index ~/Pictures\n\n"
    "  resight search photos.resight query.jpg --html answers.html\n\n"
    "No photos at hand: resight demo"
)


_HOME = re.compile(r"^(?P<option>((--[a-z-]+|\w+(\.\w+)+)=)?)(~|\$HOME|\$\{HOME\})(?=/|$)")


@final
class _Verbs(TyperGroup):
    """Takes ``--debug`` and ``--import`` anywhere: people add them to the line that has just failed."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # Typer's own
        """Returns what is left for the verb, the options of all verbs moved to the front."""
        options = args[: args.index("--")] if "--" in args else args
        first: list[str] = []
        rest: list[str] = []
        words = iter(options)
        for word in words:
            if word == "--debug" or word.startswith("--import="):
                first.append(word)
            elif word == "--import":
                # Without a module after it, the parser says what is missing.
                first += [word, *islice(words, 1)]
            else:
                rest.append(word)
        return super().parse_args(ctx, [*first, *rest, *args[len(options) :]])


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from resight import __version__

        typer.echo(f"resight {__version__}")
        raise typer.Exit


def _resight(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    modules: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="MODULE",
            help="Import a module of yours first, whose parts a model's file names. It may stand anywhere.",
        ),
    ] = None,
) -> None:
    """Finds the same building, painting, product or place again in other photos of it."""
    del version, debug
    for module in modules or ():
        import_named(module)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
