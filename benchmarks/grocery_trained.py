"""A trained model beside ``sift`` and the untrained network on the same classes, query by query.

    resight train small-gem data.root=GROCERY use.max_side=144 training.epochs=15 --into RUN
    python benchmarks/grocery_trained.py RUN GROCERY --json FILE

GROCERY is a table of photos; its test classes are measured. Networks are shown photos as in training, as
``resight evaluate`` does; ``sift`` sees them at its own size. Intervals and tests draw classes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch

import resight
from resight.datasets import load
from resight.evaluation import Result, compare, evaluate_benchmark
from resight.evaluation.card import NOT_STATED
from resight.models import bundle
from resight.training import Recipe
from resight.training.network import Network, build_model
from resight.training.recipe_file import read_values

KEPT = ("MAP@R", "R@1")
"""Measures whose values are kept query by query."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("grocery", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    benchmark = load("table", arguments.grocery)
    with tempfile.TemporaryDirectory() as folder:
        untrained = Path(folder, "untrained.safetensors")
        write_untrained(arguments.run / "recipe.yaml", untrained)
        models = {"untrained": untrained, "trained": arguments.run / "model.safetensors", "sift": "sift"}
        results = {
            name: evaluate_benchmark(
                resight.load_model(path),
                benchmark,
                clusters=False,
                selection="none: random weights" if name == "untrained" else NOT_STATED,
            )
            for name, path in models.items()
        }
    for name, result in results.items():
        print(
            name, *(f"{one.name} {one.value:.4f} [{one.low:.4f}, {one.high:.4f}]" for one in result.measures)
        )
    card = results["trained"].card
    summary = {
        "set": "grocery, test classes",
        "photos": card.images,
        "classes": card.classes,
        "intervals": "95 %, bootstrap over classes, 1000 draws, seed 0",
        "class_of_each_query": results["trained"].classes,
        "models": {name: entry(result) for name, result in results.items()},
        "trained minus": {
            name: differences(results[name], results["trained"]) for name in ("untrained", "sift")
        },
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(summary) + "\n")


def write_untrained(recipe: Path, path: Path) -> None:
    """Writes the bundle of a recipe's network with the weights it starts from."""
    settings = Recipe.from_values(read_values(recipe))
    torch.manual_seed(settings.seed)
    network = Network(build_model(settings, classes=1), ("descriptor",))
    bundle.write(network.to_bundle(settings, None, chosen_on="nothing"), path)


def entry(result: Result) -> dict[str, object]:
    """Returns the measures of a model with their intervals, and the values of each query."""
    card = result.card
    return {
        "fingerprint": card.model_fingerprint,
        "selection": card.selection,
        "protocol": {fact.name: fact.text for fact in card.facts},
        "measures": {
            one.name: [round(one.value, 4), round(one.low, 4), round(one.high, 4)] for one in result.measures
        },
        "per_query": {
            column.name: [None if value is None else round(value, 4) for value in column.values]
            for column in result.columns
            if column.name in KEPT
        },
    }


def differences(first: Result, second: Result) -> dict[str, list[float]]:
    """Returns second minus first of each measure, its interval and p."""
    return {
        one.name: [
            round(number, 4)
            for number in (
                one.test.difference.mean,
                one.test.difference.low,
                one.test.difference.high,
                one.test.p_value,
            )
        ]
        for one in compare(first, second).measures
    }


if __name__ == "__main__":
    main()
