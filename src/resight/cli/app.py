"""The verbs together, and the way from a command line to an exit code."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Annotated, NoReturn, final

import typer
from typer.core import TyperGroup

from resight.cli.failures import exit_code, leave
from resight.cli.progress import said
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
    for name in ("stdout", "stderr"):
        # Closed by who started the command: what is written goes nowhere.
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (stays open)
    # A name that the terminal's encoding lacks is escaped; it must not end the command.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    command = typer.main.get_command(build(words[0] if words else ""))
    with said("resight.models"):
        return exit_code(
            lambda: command.main(words, prog_name="resight", standalone_mode=False), debug="--debug" in words
        )


def run() -> NoReturn:
    """Does what the process's command line asks, and ends the process."""
    # OpenBLAS's second thread waits by spinning: a third of a millisecond instead of 0.14 s of a search.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")
    sys.meta_path.insert(0, _WithoutPandas())
    leave(main())


@final
class _WithoutPandas:
    """Hides pandas while PyArrow's datasets are imported, which Lance stands on.

    They bring it where it is installed: a third of a second, as long as a third of a search, for what no
    command uses. Whoever imports it later gets it.
    """

    def find_spec(self, name: str, _path: object, _target: object = None, /) -> None:
        """Raises where pandas is imported by them; any other import is others' affair."""
        importing = sys.modules.get("pyarrow.dataset")
        if name == "pandas" and importing is not None and not hasattr(importing, "Dataset"):
            raise ModuleNotFoundError("pandas is not needed", name=name)


def _with_homes(words: list[str]) -> list[str]:
    """Returns the words with the home folder in them, which shells leave to the command in places.

    They do so after an equals sign and in quotes; other programs that start this one know nothing of it.
    """
    # Where there is none, as in containers, the mark stays as it is.
    home = os.path.expanduser("~")  # noqa: PTH111 (Path.expanduser raises)
    return [_HOME.sub(lambda match: match["option"] + home, word) for word in words]


def build(verb: str = "") -> typer.Typer:
    """Returns the application with one verb; with all of them where there is none of that name."""
    app = typer.Typer(
        cls=_Verbs,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=_EXAMPLE,
    )
    app.callback(invoke_without_command=True)(_resight)
    for name in [verb] if verb in _HOMES else _HOMES:
        # Imported here: all of them would take longer than what most of them do.
        home, example = import_module(f"resight.cli.{_HOMES[name][0]}"), _HOMES[name][1]
        app.command(name, epilog=getattr(home, example))(getattr(home, name))
    return app


_HOMES = {
    "index": ("index", "EXAMPLE"),
    "search": ("search", "EXAMPLE"),
    "serve": ("serve", "EXAMPLE"),
    "groups": ("groups", "EXAMPLE"),
    "mcp": ("mcp", "EXAMPLE"),
    "calibrate": ("calibrate", "EXAMPLE"),
    "export": ("export", "EXAMPLE"),
    "rerank": ("rerank", "EXAMPLE"),
    "remove": ("collection", "REMOVE_EXAMPLE"),
    "info": ("collection", "INFO_EXAMPLE"),
    "check": ("collection", "CHECK_EXAMPLE"),
    "evaluate": ("evaluate", "EXAMPLE"),
    "classify": ("classify", "EXAMPLE"),
    "describe": ("describe", "EXAMPLE"),
    "explain": ("explain", "EXAMPLE"),
    "models": ("models", "EXAMPLE"),
    "recipes": ("models", "RECIPES_EXAMPLE"),
    "convert": ("convert", "EXAMPLE"),
    "doctor": ("doctor", "EXAMPLE"),
    "train": ("train", "EXAMPLE"),
    "tuples": ("tuples", "EXAMPLE"),
    "adapt": ("adapt", "EXAMPLE"),
    "whiten": ("whiten", "EXAMPLE"),
    "compact": ("compact", "EXAMPLE"),
    "plan": ("plan", "EXAMPLE"),
    "demo": ("demo", "EXAMPLE"),
}
"""Module of each verb, with a function of its name, and what its example is called there."""

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
