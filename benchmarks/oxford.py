"""Mean average precision on a set in the revisited format: global descriptor, query expansion, verification.

    python benchmarks/oxford.py FOLDER [--model sift] [--json FILE]

FOLDER holds ``gnd_*.json`` or ``gnd_*.pkl``, ``jpg/`` and ``queries/`` (or the queries in ``jpg/``). Queries
are cropped to their box at the database's pixel scale. Under each protocol its own junk leaves the ranking
before the first 100 are verified; re-ranked images sort by (inliers, score). Intervals: 95 %, bootstrap over
the queries, seed 0.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import resight
from resight import images
from resight.datasets.revisited import DIFFICULTIES, GroundTruth, read_ground_truth
from resight.descriptors import extract
from resight.evaluation import evaluate_revisited
from resight.features import ImageFeatures
from resight.models.model import Model
from resight.search import ExactIndex, Ranking, rerank, search_expanded

VERIFIED = 100


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="sift")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    truth = read_ground_truth(
        next(arguments.folder.glob("gnd_*.json"), None) or next(arguments.folder.glob("gnd_*.pkl"))
    )
    model = resight.load_model(arguments.model)

    started = time.perf_counter()
    paths = [arguments.folder / "jpg" / f"{name}.jpg" for name in truth.database]
    database = [row.features for row in extract(paths, model)]
    described = time.perf_counter() - started
    queries = [describe_query(model, arguments.folder, truth, query) for query in range(len(truth.queries))]

    index = ExactIndex(model.dim, fingerprint=model.fingerprint)
    index.add(np.arange(len(database)), np.stack([row.descriptor for row in database]))
    vectors = np.stack([query.descriptor for query in queries])
    rankings = {
        "global": index.search(vectors, len(index)),
        "global + average QE (10)": search_expanded(index, vectors, len(index), n=10, alpha=0.0),
        "global + alpha QE (10, alpha 3)": search_expanded(index, vectors, len(index), n=10, alpha=3.0),
    }
    result = {
        "set": arguments.folder.name,
        "database": len(database),
        "queries": len(queries),
        "model": model.name,
        "fingerprint": model.fingerprint,
        "max_side": model.max_side,
        "query": "cropped to its box, at the database's pixel scale",
        "average_precision": "trapezoidal, junk removed, queries without positives left out",
        "interval": "95 %, bootstrap over queries, 2000 draws, seed 0",
        "description_images_per_second": round(len(database) / described, 2),
        "mAP": {},
    }
    for name, ranking in rankings.items():
        rows = [ranking.row(query)[0] for query in range(len(queries))]
        result["mAP"][name] = report(name, dict.fromkeys(DIFFICULTIES, rows), truth)
    for name in ("global", "global + alpha QE (10, alpha 3)"):
        verified, seconds = verify(rankings[name], truth, queries, database)
        line = f"{name} + verification of {VERIFIED}"
        result["mAP"][line] = report(line, verified, truth)
        result["mAP"][line]["seconds_per_query"] = round(seconds, 3)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def describe_query(model: Model, folder: Path, truth: GroundTruth, query: int) -> ImageFeatures:
    name = f"{truth.queries[query]}.jpg"
    path = folder / "queries" / name
    if not path.exists():
        path = folder / "jpg" / name
    photo = images.read(path, max_side=model.max_side, box=truth.truths[query].box)
    return model.extract([photo])[0]


def verify(
    ranking: Ranking, truth: GroundTruth, queries: Sequence[ImageFeatures], database: Sequence[ImageFeatures]
) -> tuple[dict[str, list[np.ndarray]], float]:
    """Returns the re-ranked ids under each protocol, and seconds a query under one of them."""
    verified: dict[str, list[np.ndarray]] = {}
    started = time.perf_counter()
    for difficulty in DIFFICULTIES:
        verified[difficulty] = []
        for query, features in enumerate(queries):
            ids, scores = ranking.row(query)
            kept = ~np.isin(ids, list(truth.truths[query].ignored(difficulty)))
            one = Ranking(ids[kept][None], scores[kept][None])
            reranked, _ = rerank(
                one, [features.local], lambda rows: [database[i].local for i in rows], top=VERIFIED
            )
            verified[difficulty].append(reranked.row(0)[0])
    return verified, (time.perf_counter() - started) / len(DIFFICULTIES) / len(queries)


def report(name: str, rows: dict[str, list[np.ndarray]], truth: GroundTruth) -> dict[str, object]:
    random = np.random.default_rng(0)
    entry: dict[str, object] = {}
    for difficulty in DIFFICULTIES:
        outcome = evaluate_revisited(rows[difficulty], truth.truths, difficulty)
        values = np.array([ap for ap in outcome.average_precisions if not np.isnan(ap)])
        draws = random.choice(values, (2000, len(values))).mean(axis=1)
        low, high = np.quantile(draws, [0.025, 0.975])
        entry[difficulty] = {
            "mAP": round(outcome.mean_average_precision, 4),
            "interval": [round(float(low), 4), round(float(high), 4)],
            "queries": len(values),
        }
    figures = "  ".join(
        f"{d} {entry[d]['mAP']:.3f} [{entry[d]['interval'][0]:.3f}, {entry[d]['interval'][1]:.3f}]"
        for d in DIFFICULTIES
    )
    print(f"{name:56} {figures}", flush=True)
    return entry


if __name__ == "__main__":
    main()
