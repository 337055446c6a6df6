"""Mean average precision on a set in the revisited format: global descriptor, query expansion, verification.

    python benchmarks/oxford.py FOLDER [--model sift] [--json FILE]

What ``resight evaluate MODEL revisited --root FOLDER`` measures, several times over one description of the
photos: FOLDER holds ``gnd_*.json`` or ``gnd_*.pkl``, ``jpg/`` and ``queries/`` (or the queries in ``jpg/``).
Intervals draw landmarks; the file keeps the value of each query, so that others can be computed from it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import resight
from resight.datasets import open_landmarks
from resight.evaluation import Refinement, Result, describe_landmarks, measure_descriptors
from resight.evaluation.card import source_of
from resight.evaluation.landmarks import query_view

VERIFIED = 100
REFINEMENTS = {
    "global": Refinement(),
    "global + average QE (10)": Refinement(expand=10, alpha=0.0),
    "global + alpha QE (10, alpha 3)": Refinement(expand=10),
    f"global + verification of {VERIFIED}": Refinement(verify=VERIFIED),
    f"global + alpha QE (10, alpha 3) + verification of {VERIFIED}": Refinement(expand=10, verify=VERIFIED),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="sift")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    folder, model = open_landmarks("revisited", arguments.folder), resight.load_model(arguments.model)
    described = describe_landmarks(model, folder, keep_local=True)
    source = source_of(model, view=query_view(folder.truth, crop=True), root=arguments.folder.name)
    found: dict[str, object] = {}
    for name, refinement in REFINEMENTS.items():
        result = measure_descriptors(folder.truth, described, source, refinement=refinement)
        found[name] = report(name, result)
    summary = {
        "set": arguments.folder.name,
        "database": len(folder.database),
        "queries": len(folder.queries),
        "model": model.name,
        "fingerprint": model.fingerprint,
        "max_side": model.max_side,
        "protocol": {fact.name: fact.text for fact in result.card.facts if fact.name != "re-ranking"},
        "landmark_of_each_query": dict(zip(result.queries, result.classes, strict=True)),
        "mAP": found,
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(summary, indent=1) + "\n")


def report(name: str, result: Result) -> dict[str, object]:
    """Prints one line and returns the mean average precisions with their intervals."""
    values = {column.name: column.values for column in result.columns}
    means = [measure for measure in result.measures if measure.name.startswith("mAP")]
    figures = "  ".join(
        f"{one.name.removeprefix('mAP ')} {one.value:.4f} [{one.low:.4f}, {one.high:.4f}]" for one in means
    )
    print(f"{name:56} {figures}", flush=True)
    return {
        one.name.removeprefix("mAP "): {
            "mAP": round(one.value, 4),
            "interval": [round(one.low, 4), round(one.high, 4)],
            "queries": one.count,
            "per_query": [None if value is None else round(value, 4) for value in values[one.name]],
        }
        for one in means
    }


if __name__ == "__main__":
    main()
