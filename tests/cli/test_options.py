"""A command of a dataclass: its fields are the options."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer
from typer.testing import CliRunner

from resight.cli.options import command_of


@dataclass(frozen=True)
class Group:
    depth: Annotated[int, typer.Option(min=1, help="How deep.")] = 3


@dataclass(frozen=True)
class Settings:
    name: Annotated[str, typer.Argument(help="What to call it.")]
    loud: Annotated[bool, typer.Option("--loud", help="Shout.")] = False
    group: Group = field(default_factory=Group)


def run(*line):
    filled = []

    def command(settings: Settings) -> None:
        """Dig a hole."""
        filled.append(settings)

    app = typer.Typer()
    app.command()(command_of(Settings, command))
    result = CliRunner().invoke(app, line)
    return result, filled


def test_fields_of_groups_stand_beside_the_others():
    result, filled = run("well", "--depth", "7", "--loud")
    assert (result.exit_code, filled) == (0, [Settings("well", loud=True, group=Group(7))])
    assert run("well")[1] == [Settings("well")]


def test_what_a_field_demands_is_checked():
    result, filled = run("well", "--depth", "0")
    assert (result.exit_code, filled) == (2, [])


def test_the_help_is_that_of_the_function_and_the_fields():
    result, _ = run("--help")
    for words in ("Dig a hole.", "What to call it.", "How deep.", "--loud"):
        assert words in result.output
