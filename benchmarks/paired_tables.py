"""Prints the tables of docs/experiments.md in which configurations are compared in pairs, seed by seed.

    python benchmarks/paired_tables.py [STUDY-SET ...] [--results benchmarks/results]

Of a comparison: the difference of MAP@R (of the studies of tuples: of mAP) seed by seed; their mean with half
of its 95 % t-interval; the 95 % interval by class (whole test classes drawn with replacement, of each query's
mean over the seeds); p by random signs of the classes; of rendered places a class is a place. *Holds* and
*the other way*: both intervals lie on one side of 0. *Does not show*: neither interval reaches `LEAST`, a
gain that would matter. *Not told apart*: all else. With one seed the interval by class decides alone. What
was measured before values of queries were kept (``label_experiments.jsonl``) has the first interval alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resight.evaluation.statistics import paired

LEAST = 0.01
T95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
ALONE = "descriptor"
MEASURES = ("map_at_r", "recall_at_1")
TITLES = {"map_at_r": "MAP@R", "recall_at_1": "R@1", "map": "mAP", "oxford medium": "Oxford, Medium"}

Compared = tuple[str, str]
COMPARED: dict[str, list[Compared]] = {
    "baseline": [],
    "rates": [],
    "placerates": [],
    "losses": [
        ("SoftTriple", "triplets"),
        ("SoftTriple", "batch-hard as before"),
        ("SoftTriple", "multi-similarity"),
        ("SoftTriple", "normalised softmax"),
        ("SoftTriple", "HardTriple"),
        ("normalised softmax", "ProxyNCA"),
        ("multi-similarity", "triplets"),
        ("triplets", "batch-hard as before"),
    ],
    "auxiliary": [
        ("SG triplets + auxiliary", "SG triplets"),
        ("SG multi-similarity + auxiliary", "SG multi-similarity"),
        ("SG triplets + auxiliary", "SG auxiliary alone"),
        ("SG multi-similarity + auxiliary", "SG auxiliary alone"),
        ("SG triplets + auxiliary", "SG triplets + auxiliary without temperature"),
        ("SG triplets + auxiliary", "SG triplets + auxiliary without smoothing"),
    ],
    "orders": [
        *(("SG", "S"), ("GM", "G"), ("MG", "M"), ("SG", "G")),
        *(("GM", "MG"), ("G", "M"), ("S", "M"), ("G", "S")),
    ],
    "pooling": [
        ("GeM, p = 3", "SPoC"),
        ("GeM, p = 3", "MAC"),
        ("GeM, p learned", "GeM, p = 3"),
        ("GeM, p learned per channel", "GeM, p learned"),
    ],
    "delg": [
        ("code, with the stop", "code, without"),
        ("text, with the stop", "text, without"),
        ("code, with the stop", "code, without, no autoencoder"),
        ("code, with the stop", "text, with the stop"),
    ],
    "dolg": [
        ("orthogonal", "GeM alone"),
        ("orthogonal", "concatenation"),
        ("orthogonal", "Hadamard"),
        ("Hadamard", "GeM alone"),
    ],
}
WAYS: list[tuple[str, str, str]] = [
    ("GeM, p learned", "three scales, by p", "descriptor"),
    ("GeM, p learned", "three scales, by p", "three scales, mean"),
    ("GeM, p learned", "PCA whitening, shrinkage 0.5", "descriptor"),
    ("GeM, p learned", "learned whitening, shrinkage 0.5", "descriptor"),
    ("GeM, p learned", "learned whitening, shrinkage 0.5", "PCA whitening, shrinkage 0.5"),
    ("GeM, p learned", "learned whitening, shrinkage 0.1", "PCA whitening, shrinkage 0.1"),
]
_W = "learned whitening"
TUPLES: list[tuple[str, str, str, str]] = [
    *((name, way, "untrained", way) for name in ("tuples", "labels") for way in (ALONE, _W)),
    *(("tuples", way, "labels", way) for way in (ALONE, _W)),
    *(
        ("tuples", ALONE, name, ALONE)
        for name in ("any of the model", "most points", "nearest", "easy negatives", "MAC", "SPoC", "p = 3")
    ),
    ("p per channel", ALONE, "tuples", ALONE),
    ("tuples", _W, "tuples", ALONE),
    ("tuples", _W, "tuples", "PCA whitening"),
    *(("tuples", f"{_W}, {dim}", "tuples", _W) for dim in (16, 32, 64)),
    *(("tuples", f"{_W}, {dim}", "tuples", f"PCA whitening, {dim}") for dim in (16, 32, 64)),
    ("tuples", "three scales, by p", "tuples", ALONE),
    ("tuples", "three scales, by p", "tuples", "three scales, mean"),
    ("tuples", f"three scales, by p, {_W}", "tuples", _W),
    ("whitening layer", ALONE, "longer", _W),
    ("longer", ALONE, "tuples", ALONE),
]
BEFORE: list[tuple[Compared, Compared]] = [
    *((("cgd", f"{a} 384"), ("cgd", f"{b} 384")) for a, b in (("GM", "MG"), ("SM", "MS"), ("SMG", "MSG"))),
    *((("cgd", f"{a} 384"), ("cgd", "G 384")) for a in ("SG", "GM", "GS", "SMG", "GSM")),
    *((("cgd", f"{a} 384"), ("cgd", "M 384")) for a in "GS"),
    (("cgd", "G 384"), ("cgd", "S 384")),
    *((("cgd", f"{a} 384"), ("cgd", f"{a} 128")) for a in "SGM"),
    *((("cgd", f"{a} 384"), ("sum", f"{a} sum")) for a in ("SG", "MG", "SMG")),
    *((("branch losses", f"{a} a loss a branch"), ("cgd", f"{a} 384")) for a in ("SG", "SMG")),
    *(
        (("cgd", "SG 384"), ("auxiliary", f"SG auxiliary, {a}"))
        for a in ("temperature only", "smoothing only", "no temperature, no smoothing")
    ),
    *((("pair losses", f"SM {a}"), ("pair losses", f"S {a}")) for a in ("multi_similarity", "contrastive")),
    *((("centres", f"K={k} tau=0.2"), ("centres", "K=1 tau=0.2")) for k in (2, 5, 10)),
    (("centres", "K=10 tau=0.2"), ("centres", "K=10 tau=0.0")),
    (("centres", "K=10 tau=0.2"), ("softtriple", "normalised_softmax")),
    (("softtriple", "normalised_softmax"), ("softtriple", "proxy_nca")),
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", nargs="*", help="as its files are called; all of them by default")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    files = sorted((arguments.results / "paired").glob("*.jsonl"))
    for file in files:
        if not arguments.study or file.stem in arguments.study:
            print_study(file)
    if not arguments.study:
        print_before(arguments.results / "label_experiments.jsonl")
        for name in ("delg_verdicts", "dolg_verdicts"):
            print_verdicts(arguments.results / f"{name}.json")


def print_study(file: Path) -> None:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    values = dict(np.load(file.with_suffix(".npz")))
    classes = values.pop("classes").astype(np.int64)
    print(f"\n## {file.stem}: {len(classes)} photos of {len(np.unique(classes))} test classes\n")
    of_tuples = "map" in next(iter(lines[0]["ways"].values()))
    measure, beside = ("map", "oxford medium") if of_tuples else MEASURES
    titles = f"{TITLES[measure]} by seed | mean | {TITLES[beside]}"
    print(f"| configuration | way | {titles} |\n|---|---|---|---|---|")
    for name in dict.fromkeys(line["name"] for line in lines):
        runs = sorted((line for line in lines if line["name"] == name), key=lambda line: line["seed"])
        for way in runs[0]["ways"]:
            found = [run["ways"][way] for run in runs]
            maps = [one[measure] for one in found]
            also = np.mean([one[beside] for one in found])
            print(f"| {name} | {way} | {spelled(maps)} | {np.mean(maps):.3f} | {also:.3f} |")
    print_comparisons(file.stem.split("-")[0], lines, values, classes)
    if file.stem.startswith("baseline"):
        print_watch(lines)


def print_comparisons(
    study: str, lines: Sequence[dict[str, object]], values: dict[str, np.ndarray], classes: np.ndarray
) -> None:
    heads("difference of", "by class", "p")
    pairs = TUPLES if study == "tuples" else [(a, ALONE, b, ALONE) for a, b in COMPARED[study]]
    if study == "pooling":
        pairs += [(name, first, name, second) for name, first, second in WAYS]
    for name, way, other, other_way in pairs:
        seeds = [
            line["seed"]
            for line in lines
            if line["name"] == name
            and {f"{name}|{way}|{line['seed']}", f"{other}|{other_way}|{line['seed']}"} <= set(values)
        ]
        if not seeds:
            continue
        ours, theirs = (
            np.stack([values[f"{one}|{how}|{seed}"] for seed in seeds]) / 65535
            for one, how in ((name, way), (other, other_way))
        )
        by_seed = (ours - theirs).mean(axis=1)
        test = paired(theirs.mean(axis=0), ours.mean(axis=0), classes=classes)
        shown = f"{name} − {other}" if way == other_way else f"{name}: {way} − {other_way}"
        if way == other_way != ALONE:
            shown = f"{shown}, {way}"
        if name != other and way != other_way:
            shown = f"{name}, {way} − {other}, {other_way}"
        found = test.difference
        ends = [(found.low, found.high)]
        print(
            f"| {shown} | {spelled(by_seed, signed=True)} | {of_seeds(by_seed)} | "
            f"[{found.low:+.3f}, {found.high:+.3f}] | {test.p_value:.4f} | {verdict(by_seed, ends)} |"
        )


def print_watch(lines: Sequence[dict[str, object]]) -> None:
    print("\n| configuration | step | objective | mean similarity | active anchors |\n|---|---|---|---|---|")
    for line in lines:
        watch: list[list[float]] = line["watch"]  # type: ignore[assignment]
        for step, objective, similarity, active in (watch[0], watch[len(watch) // 2], watch[-1]):
            print(f"| {line['name']} | {step} | {objective:.3f} | {similarity:.3f} | {active:.2f} |")


def print_before(file: Path) -> None:
    """Prints what three paired seeds say, of runs whose values of single queries were not kept."""
    runs: dict[tuple[str, str], dict[int, float]] = {}
    for line in map(json.loads, file.read_text().splitlines()):
        if line["set"] == "grocery":
            runs.setdefault((line["table"], line["name"]), {})[line["seed"]] = line["map_at_r"]
    variances = [np.var(list(seeds.values()), ddof=1) for seeds in runs.values() if len(seeds) > 1]
    print("\n## label_experiments, grocery")
    spread = np.mean(variances) ** 0.5
    print(f"\nStandard deviation of a seed, over {len(variances)} configurations: {spread:.4f}")
    heads("difference of")
    for first, second in BEFORE:
        by_seed = np.array([runs[first][seed] - runs[second][seed] for seed in sorted(runs[first])])
        print(
            f"| {first[1]} − {second[1]} | {spelled(by_seed, signed=True)} | {of_seeds(by_seed)} | "
            f"{verdict(by_seed, [])} |"
        )


def print_verdicts(file: Path) -> None:
    """Prints the comparisons of `delg_dolg_verdicts.py`; a place has one query, so they go by place."""
    found = json.loads(file.read_text())
    seeds = {(row["group"], row["way"]): np.array(row["seeds"]) for row in found["rows"]}
    print(f"\n## {file.stem}, {sum(found['queries'])} places")
    heads("difference of", "by place", "p")
    for one in found["differences"]:
        by_seed = seeds[one["group"], one["way"]] - seeds[one["than"], one["than_way"]]
        low, high = one["low"], one["high"]
        print(
            f"| {one['group']}, {one['way']} − {one['than']}, {one['than_way']} | "
            f"{spelled(by_seed, signed=True)} | {of_seeds(by_seed)} | [{low:+.3f}, {high:+.3f}] | "
            f"{one['p_value']:.4f} | {verdict(by_seed, [(low, high)])} |"
        )


def heads(*columns: str) -> None:
    titles = [columns[0], "by seed", "mean", *columns[1:], "verdict"]
    print(f"\n| {' | '.join(titles)} |\n|{'---|' * len(titles)}")


def half(by_seed: np.ndarray) -> float:
    """Returns half of the 95 % t-interval of the mean."""
    count = len(by_seed)
    return float("nan") if count < 2 else T95[count] * float(by_seed.std(ddof=1)) / count**0.5


def of_seeds(by_seed: np.ndarray) -> str:
    mean = f"{by_seed.mean():+.3f}"
    return mean if len(by_seed) == 1 else f"{mean} ± {half(by_seed):.3f}"


def verdict(by_seed: np.ndarray, ends: Sequence[tuple[float, float]]) -> str:
    """Returns what the intervals together say of the claim that the difference is above 0."""
    mean, width = float(by_seed.mean()), half(by_seed)
    every = [*([] if len(by_seed) == 1 else [(mean - width, mean + width)]), *ends]
    if all(low > 0 for low, _ in every):
        return "holds"
    if all(high < 0 for _, high in every):
        return "the other way"
    return "does not show" if all(high < LEAST for _, high in every) else "not told apart"


def spelled(values: Sequence[float] | np.ndarray, *, signed: bool = False) -> str:
    return " ".join(f"{value:+.3f}" if signed else f"{value:.3f}" for value in values)


if __name__ == "__main__":
    main()
