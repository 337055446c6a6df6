"""Recognition of labelled places with photos of unknown places mixed in: micro-AP, and what a threshold does.

    python benchmarks/recognition.py [--model sift] [--places 60]

A collection holds three views of each place of a town. Two further views of half of the places are for
validation, two of the other half are for testing. As many photos of unknown places are mixed into each: half
of the same town (its windows and doors, the harder ones), half of another town, a different one for each. The
rule of `resight.search.recognition` is applied with and without geometry. Its numbers are compared on the
validation photos, the threshold is chosen there, and the test photos are measured once with what
`resight classify` does by default. Intervals draw places: the photos of a known place together, each photo of
an unknown place alone. It writes ``benchmarks/results/recognition.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from resight.collection import Collection
from resight.evaluation.measures.recognition import micro_average_precision, micro_average_precision_interval
from resight.pipelines.classify import Classifier
from resight.scenes.render import write_collection
from resight.search.recognition import VotingRule, choose_threshold, neighbour_scores, recognise

INDEXED, ASKED = 3, 2
VERIFIED = 20
DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Question:
    """A photo, and its place's label; empty for a place that the collection does not hold."""

    path: Path
    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class Found:
    """The labelled neighbours of a question: up to ``VERIFIED``, all verified."""

    question: Question
    labels: tuple[str, ...]
    cosines: tuple[float, ...]
    inliers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Predictions:
    """Of each question its likeliest label and that label's score."""

    labels: tuple[str, ...]
    scores: np.ndarray


def render(
    folder: Path, places: int, seed: int, side: int
) -> tuple[dict[Path, str], list[Question], list[Question]]:
    """Returns the labels of the photos to index, and the validation and the test questions."""
    unknown = places * ASKED // 4
    photos = write_collection(
        folder / "town", places=places, views=INDEXED + ASKED, distractors=2 * unknown, seed=seed, side=side
    )
    index: dict[Path, str] = {}
    asked: tuple[list[Question], list[Question]] = ([], [])
    for photo in photos:
        if photo.place is None:
            half = int(int(photo.path.stem.split("_")[1]) >= unknown)
            asked[half].append(Question(photo.path, "", "unknown, same town"))
        elif photo.view < INDEXED:
            index[photo.path] = f"place {photo.place}"
        else:
            asked[photo.place % 2].append(Question(photo.path, f"place {photo.place}", "known"))
    for half in (0, 1):
        others = write_collection(
            folder / f"other-{half}", places=0, distractors=unknown, seed=seed + 1 + half, side=side
        )
        asked[half].extend(Question(photo.path, "", "unknown, other town") for photo in others)
    return index, *asked


def ask(collection: Collection, questions: Sequence[Question]) -> list[Found]:
    classifier = Classifier(collection, rule=VotingRule(verify=VERIFIED))
    found = []
    for question in questions:
        hits = sorted(
            classifier.classify(question.path).answer.hits, key=lambda hit: hit.similarity, reverse=True
        )
        found.append(
            Found(
                question,
                tuple(str(hit.metadata["label"]) for hit in hits),
                tuple(hit.similarity for hit in hits),
                tuple(hit.inliers or 0 for hit in hits),
            )
        )
    return found


def predict(found: Sequence[Found], rule: VotingRule) -> Predictions:
    """Returns what the rule says, which verifies the ``rule.verify`` nearest."""
    labels, scores = [], []
    for one in found:
        reach = max(rule.verify, rule.neighbours)
        inliers = [count if place < rule.verify else None for place, count in enumerate(one.inliers[:reach])]
        values = neighbour_scores(one.cosines[:reach], inliers, max_inliers=rule.max_inliers)
        best = recognise(one.labels[:reach], values, neighbours=rule.neighbours)[0]
        labels.append(best.label)
        scores.append(best.score)
    return Predictions(tuple(labels), np.array(scores))


def micro_ap(found: Sequence[Found], predictions: Predictions, drawn: np.ndarray | None = None) -> float:
    rows = np.arange(len(found)) if drawn is None else drawn
    names = [f"{place:05d}" for place in range(len(rows))]
    truth = {name: landmarks(found[row]) for name, row in zip(names, rows, strict=True)}
    return micro_average_precision(
        names, [predictions.labels[row] for row in rows], predictions.scores[rows], truth
    )


def landmarks(found: Found) -> frozenset[str]:
    return frozenset([found.question.label] if found.question.label else [])


def interval(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return round(float(low), 4), round(float(high), 4)


def threshold(found: Sequence[Found], predictions: Predictions, rule: VotingRule) -> float:
    truth = np.array([one.question.label for one in found])
    right = np.array(predictions.labels) == truth
    return choose_threshold("label", rule, predictions.scores, right, truth != "").threshold


def measure(validation: Sequence[Found], test: Sequence[Found], rule: VotingRule) -> dict[str, object]:
    """Returns the figures of a rule on the test questions, its threshold from the validation questions."""
    least = threshold(validation, predict(validation, rule), rule)
    predictions = predict(test, rule)
    truth = np.array([one.question.label for one in test])
    kinds = np.array([one.question.kind for one in test])
    right, given = np.array(predictions.labels) == truth, predictions.scores >= least
    names = [str(one.question.path) for one in test]
    answered = {name: landmarks(one) for name, one in zip(names, test, strict=True)}
    micro = micro_average_precision_interval(
        names,
        predictions.labels,
        predictions.scores,
        answered,
        drawn_with=places(test).tolist(),
        draws=DRAWS,
    )
    return {
        "rule": asdict(rule),
        "micro_ap": round(micro.mean, 4),
        "micro_ap_interval": (round(micro.low, 4), round(micro.high, 4)),
        "known_with_right_likeliest_label": round(float(right[kinds == "known"].mean()), 4),
        "threshold": round(least, 4),
        "right_of_labels_given": round(float(right[given].mean()), 4),
        "known_recognised": round(float((right & given)[kinds == "known"].mean()), 4),
        "unknown_of_same_town_rejected": round(float((~given)[kinds == "unknown, same town"].mean()), 4),
        "unknown_of_other_town_rejected": round(float((~given)[kinds == "unknown, other town"].mean()), 4),
    }


def places(found: Sequence[Found]) -> np.ndarray:
    """Returns the number of each question's place; each photo of an unknown place has its own."""
    names = [one.question.label or str(one.question.path) for one in found]
    return np.unique(names, return_inverse=True)[1]


def difference(test: Sequence[Found], one: VotingRule, other: VotingRule) -> dict[str, object]:
    """Returns micro-AP of one rule less that of another over the same draws of places."""
    first, second, place = predict(test, one), predict(test, other), places(test)
    photos = [np.flatnonzero(place == number) for number in range(place.max() + 1)]
    drawn_places = np.random.default_rng(0).integers(len(photos), size=(DRAWS, len(photos)))
    draws = [np.concatenate([photos[number] for number in drawn]) for drawn in drawn_places]
    values = [micro_ap(test, first, drawn) - micro_ap(test, second, drawn) for drawn in draws]
    return {
        "micro_ap": round(micro_ap(test, first) - micro_ap(test, second), 4),
        "micro_ap_interval": interval(values),
    }


def grid(validation: Sequence[Found]) -> list[dict[str, object]]:
    """Returns micro-AP of rules on the validation questions."""
    return [
        {**asdict(rule), "micro_ap": round(micro_ap(validation, predict(validation, rule)), 4)}
        for neighbours in (1, 3, 5)
        for verify in (0, 3, 5, 10, VERIFIED)
        for most in ((70,) if verify == 0 else (35, 70))
        for rule in [VotingRule(neighbours, verify, most)]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="sift", help="a model's name or bundle")
    parser.add_argument("--places", type=int, default=60)
    parser.add_argument("--seed", type=int, default=301, help="the town; its two successors are the others")
    parser.add_argument("--side", type=int, default=320, help="long side of the photos, pixels")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "recognition.json")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        index, validation, test = render(Path(folder), options.places, options.seed, options.side)
        collection = Collection.create(Path(folder, "places.resight"), model=options.model)
        collection.add(list(index), metadata={str(path): {"label": label} for path, label in index.items()})
        chosen_on, asked = ask(collection, validation), ask(collection, test)
        classifier = Classifier(collection)
        started = time.perf_counter()
        said = [classifier.classify(question.path) for question in test]
        seconds = (time.perf_counter() - started) / len(test)
    usual = VotingRule()
    predictions = predict(asked, usual)
    same = [one.best == label for one, label in zip(said, predictions.labels, strict=True)]
    without = replace(usual, verify=0)
    result = {
        "model": Path(options.model).name,
        "places": options.places,
        "seed": options.seed,
        "side": options.side,
        "indexed": len(index),
        "validation": len(validation),
        "test": len(test),
        "seconds_a_photo": round(seconds, 4),
        "classifier_agrees": all(same),
        "with_geometry": measure(chosen_on, asked, usual),
        "without_geometry": measure(chosen_on, asked, without),
        "difference": difference(asked, usual, without),
        "rules_on_validation": grid(chosen_on),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
