"""``resight doctor``: whether a copy of a benchmark can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resight.cli.failures import FAILED
from resight.cli.options import JsonOption
from resight.cli.output import console, count, shown_path, write_json
from resight.cli.progress import progress

__all__ = ["EXAMPLE", "doctor"]

EXAMPLE = (
    "Example:\n\n  resight doctor cub200 --root ~/data/CUB_200_2011\n\n"
    "  resight doctor roxford5k --root ~/data/roxford5k\n\n"
    "Every listed photo is read and decoded once. Exit code 1 says that there are problems."
)


def doctor(
    benchmark: Annotated[
        str,
        typer.Argument(metavar="BENCHMARK", help="Its name, as for resight evaluate, such as roxford5k."),
    ],
    root: Annotated[Path, typer.Option(metavar="DIR", help="Where your copy of it is.")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Say what is missing, broken or duplicated in your copy of a benchmark."""
    from resight.datasets import examine

    with progress("Examining") as report:
        findings = examine(benchmark, root, progress=report)
    problems = sum(finding.problem for finding in findings)
    if as_json:
        write_json(findings)
    else:
        out = console()
        for finding in findings:
            mark = "problem" if finding.problem else "note"
            out.print(f"{mark:8} {finding.kind:14} {finding.sentence}", soft_wrap=True)
        verdict = "sound" if not problems else f"not sound: {count(problems, 'problem')}"
        out.print(f"{benchmark} in {shown_path(root)} is {verdict}.", soft_wrap=True)
    if problems:
        raise typer.Exit(FAILED)
