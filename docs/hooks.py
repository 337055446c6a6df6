"""The pages of the site that are made from the code: commands, settings of a recipe, and the Python rooms."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.core import TyperArgument, TyperOption

from resight.cli.app import build
from resight.training.reference import Setting, all_settings

ROOT = Path(__file__).parents[1]
ROOMS = (
    "resight",
    "resight.collection",
    "resight.models",
    "resight.search",
    "resight.sfm",
    "resight.evaluation",
    "resight.datasets",
    "resight.training",
    "resight.networks",
    "resight.losses",
    "resight.images",
    "resight.scenes",
    "resight.pipelines",
    "resight.reports",
    "resight.features",
    "resight.errors",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages; MkDocs calls it by this name."""
    pages = {
        "reference/commands.md": _commands(),
        "reference/recipe.md": _recipe(),
        "changelog.md": _beside("CHANGELOG.md"),
        "contributing.md": _beside("CONTRIBUTING.md"),
        **{f"reference/{room.replace('.', '-')}.md": _room(room) for room in ROOMS},
    }
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Returns a page whose docstrings end an introduction to code with one colon, not with two."""
    del page, config, files
    return html.replace("::</p>", ":</p>")


def _beside(name: str) -> str:
    """Returns a page of the repository's top folder, its links as seen from the docs."""
    return (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")


def _room(room: str) -> str:
    """Returns the page of a room: what its face exports, or its modules where the face exports nothing."""
    modules = str(not import_module(room).__all__).lower()
    options = ("show_root_heading: false", "show_root_toc_entry: false", f"show_submodules: {modules}")
    return "\n".join(
        [f"# {room}", "", f"::: {room}", "    options:", *(f"      {each}" for each in options), ""]
    )


def _commands() -> str:
    app = typer.main.get_command(build())
    parts = [
        "# Command line",
        "Every verb prints this with `--help`; `--debug` shows the traceback of an error.",
    ]
    for name, command in app.commands.items():
        rows = ["| Argument or option | Meaning |", "|---|---|", *map(_row, command.params)]
        # A line of an epilog that begins with spaces is a command.
        examples = [
            f"    {line.strip()}" if line.startswith(" ") else line for line in command.epilog.split("\n")
        ]
        parts += [f"## resight {name}", command.help.strip(), "\n".join(rows), "\n".join(examples)]
    return "\n\n".join(parts) + "\n"


def _row(parameter: TyperArgument | TyperOption) -> str:
    value = parameter.metavar or ""
    if isinstance(parameter, TyperOption):
        value = f"{', '.join([*parameter.opts, *parameter.secondary_opts])} {value}".strip()
    meaning = parameter.help or ""
    if isinstance(parameter.default, str | int | float) and not isinstance(parameter.default, bool):
        meaning += f" Default: `{parameter.default}`."
    return f"| `{value}` | {meaning.replace('|', '&#124;')} |"


def _recipe() -> str:
    """Returns the page of a recipe's settings: a table for each key above them and each kind of part."""
    tables: dict[tuple[str, str], list[str]] = {}
    for setting in all_settings():
        above, _, name = setting.key.rpartition(".")
        tables.setdefault((above, setting.kind), []).append(_setting(name, setting))
    parts = ["# Settings of a recipe", _RECIPE]
    for (above, kind), rows in tables.items():
        title = " of kind ".join(f"`{word}`" for word in (above, kind) if word) or "At the top"
        parts.append(
            "\n".join([f"## {title}", "", "| Key | Takes | Default | Meaning |", "|---|---|---|---|", *rows])
        )
    return "\n\n".join(parts) + "\n"


def _setting(name: str, setting: Setting) -> str:
    takes = ", ".join(f"`{choice}`" for choice in setting.choices) or setting.type
    default = "needed" if setting.default is None else f"`{setting.default}`"
    return f"| `{name}` | {takes} | {default} | {setting.meaning.replace('``', '`').replace('|', '&#124;')} |"


_RECIPE = """\
Keys are joined by dots on the command line: `resight train small-gem optimiser.learning_rate=1e-3`. An entry
of a list is named by its `name` or number: `objective.ranking.loss.margin=0.2`. Where a part is chosen by
`kind`, its own keys stand beside it: `objective.ranking.loss='{kind: soft_triple, centres: 2}'`; instead of a
kind of ours, `package.module:Name` names a part [of your own](../how-to/own-loss.md).
`resight train --explain KEY` prints the same."""
