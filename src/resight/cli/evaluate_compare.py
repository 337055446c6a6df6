"""Two written results side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from resight.cli.output import console, plain_table, shown_path, write_json

if TYPE_CHECKING:
    from resight.evaluation import Comparison

__all__ = ["compare_results"]


def compare_results(results: tuple[Path, Path], *, seed: int, as_json: bool) -> None:
    """Prints how the second result differs from the first."""
    from resight.evaluation import compare, read_result

    outcome = compare(read_result(results[0]), read_result(results[1]), seed=seed)
    if as_json:
        write_json(outcome)
    else:
        _print_comparison(outcome, results)


def _print_comparison(outcome: Comparison, results: tuple[Path, Path]) -> None:
    """Prints both means, their difference with interval and p-value, and the most changed queries."""
    printed = console()
    first, second = (shown_path(path) for path in results)
    printed.print(f"A  {outcome.first} ({first})\nB  {outcome.second} ({second})\n", soft_wrap=True)
    numbers = ("A", "B", "B - A", "95 % interval", "p", "better", "worse")
    table = plain_table("measure", *numbers, right=numbers)
    for measure in outcome.measures:
        test = measure.test
        table.add_row(
            measure.name,
            f"{measure.first:.4f}",
            f"{measure.second:.4f}",
            f"{test.difference.mean:+.4f}",
            f"{test.difference.low:+.4f} to {test.difference.high:+.4f}",
            f"{test.p_value:.4f}",
            f"{test.better:,}",
            f"{test.worse:,}",
        )
    printed.print(table)
    if outcome.changed:
        changes = plain_table(f"most changed query, by {outcome.main.name}", "A", "B", right=("A", "B"))
        for query in outcome.changed:
            changes.add_row(query.path, f"{query.first:.3f}", f"{query.second:.3f}")
        printed.print("", changes)
    if outcome.differences:
        printed.print("\nThe protocols differ in " + "; ".join(outcome.differences) + ".", soft_wrap=True)
