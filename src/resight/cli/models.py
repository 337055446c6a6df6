"""``resight models``: what can be typed after ``--model``."""

from __future__ import annotations

from resight.cli.options import JsonOption
from resight.cli.output import console, plain_table, write_json

__all__ = ["EXAMPLE", "models"]

EXAMPLE = "Example:\n\n  resight models\n\n  resight index ~/Pictures --model sift"


def models(as_json: JsonOption = False) -> None:
    """List the models, with dimension, size and licence."""
    from resight.models import available

    entries = available()
    if as_json:
        write_json(entries)
        return
    table = plain_table("model", "dim", "MB", "licence", "needs", "what it is", right=("dim", "MB"))
    for entry in entries:
        size = f"{entry.megabytes:.1f}" if entry.megabytes is not None else "?"
        needs = f"resight[{entry.needs}]" if entry.needs else ""
        table.add_row(entry.name, str(entry.dim), size, entry.licence, needs, entry.summary)
    console().print(table)
