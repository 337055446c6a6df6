"""``resight plan``: what a number of photos comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.options import JsonOption
from resight.cli.output import console, count, plain_table, write_json

if TYPE_CHECKING:
    from resight.pipelines.plan import Figure, Plan

__all__ = ["EXAMPLE", "plan"]

EXAMPLE = (
    "Example:\n\n  resight plan --photos 1e9 --qps 500 --recall 0.95\n\n"
    "  resight plan --photos 2e7 --qps 5 --recall 1 --verify 0 --cores 8 --memory 64 --json\n\n"
    "Each figure says whether it rests on what was measured in this project, or on assumptions; --json lists "
    "all of these constants with their sources."
)
_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def whole_number(text: str) -> int:
    """Returns a whole number written with digits or as 1e9.

    Raises:
        typer.BadParameter: It is none.
    """
    try:
        number = float(text)
        if number.is_integer():
            return int(text) if text.isdecimal() else int(number)
    except (ValueError, OverflowError):
        pass
    raise typer.BadParameter(f"{text!r} is no whole number; write 1000000 or 1e6")


def plan(
    photos: Annotated[
        int, typer.Option(parser=whole_number, metavar="N", help="Photos to keep and search: 1000000 or 1e6.")
    ],
    qps: Annotated[float, typer.Option(metavar="RATE", help="Queries a second.")] = 10.0,
    recall: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Of the ten exact neighbours, how many are found; 1 is exact."),
    ] = 0.95,
    dim: Annotated[int, typer.Option(metavar="N", help="Numbers of a descriptor.")] = 512,
    verify: Annotated[
        int, typer.Option(metavar="N", help="Answers of each query that geometry looks at; 0 for none.")
    ] = 100,
    days: Annotated[float, typer.Option(metavar="N", help="In which all photos are described.")] = 7.0,
    cores: Annotated[int, typer.Option(metavar="N", help="Of a machine.")] = 16,
    memory: Annotated[float, typer.Option(metavar="GB", help="Of a machine.")] = 128.0,
    as_json: JsonOption = False,
) -> None:
    """Compute what photos cost to keep, describe and search: bytes, machines, hours, money."""
    from resight.pipelines import plan as pipeline

    need = pipeline.Need(photos, qps, recall, dim, verify, days, cores, memory)
    computed = pipeline.plan(need)
    if as_json:
        write_json(computed)
    else:
        _print(computed)


def _print(computed: Plan) -> None:
    need, out = computed.need, console()
    out.print(
        f"{count(need.photos, 'photo')}, {need.qps:g} queries a second, recall {need.recall:g}: "
        f"{count(computed.machines, 'machine')} of {need.cores} cores and {need.memory:g} GB for search; "
        f"index {computed.index}, {count(computed.shards, 'shard')} "
        f"in {count(computed.replicas, 'replica')}.\n",
        soft_wrap=True,
    )
    table = plain_table("part", "figure", "value", "unit", "basis", right=("value",))
    for figure in computed.figures:
        table.add_row(figure.part, figure.name, *_shown(figure), figure.basis)
    out.print(table)
    out.print()
    constants = plain_table("constant", "value", "unit", "basis", "source", right=("value",))
    for constant in computed.constants:
        constants.add_row(
            constant.name, f"{constant.value:,g}", constant.unit, constant.basis, constant.source
        )
    out.print(constants)


def _shown(figure: Figure) -> tuple[str, str]:
    """Returns a figure's value and unit: bytes with a prefix, other numbers with three digits."""
    if figure.unit.startswith("bytes"):
        for size, prefix in _PREFIXES:
            if figure.value >= size:
                return f"{figure.value / size:,.1f}", figure.unit.replace("bytes", f"{prefix}B")
    whole = figure.value >= 100 or figure.value == int(figure.value)
    return (f"{figure.value:,.0f}" if whole else f"{figure.value:.3g}"), figure.unit
