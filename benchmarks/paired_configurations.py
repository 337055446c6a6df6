"""The configurations that `paired_experiments.py` trains, fixed before any of them was run on test classes.

What is chosen is not chosen on test classes. The study ``baseline`` trains triplets in every way below on 29
of the 41 training classes of grocery and measures on the other 12. The best of it by MAP@R, with its sampler
and schedule, is what the other studies, on every set, call triplets. From ImageNet the studies ``rates`` and
``placerates`` choose one learning rate for all studies by labels and one for those of places: the best mean
MAP@R of the networks below, on classes held out of the training classes in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, final

import torch
from delg_dolg_experiments import AS_THE_CODE, DELG_LOSSES, DOLG_LOSSES, RECONSTRUCTION, delg, dolg
from experiment_runs import Values
from label_experiments import auxiliary, cgd, embedding, part
from paired_starts import Start
from torch import Tensor, nn

BATCH, PER_CLASS = 112, 4

PROXIES_LEARN_FASTER: Values = {"groups": [{"pattern": "objective.*", "rate": 10.0}]}

AS_BEFORE: Values = {"kind": "batch_hard_triplet", "margin": 0.1}
MULTI_SIMILARITY: Values = {"kind": "multi_similarity"}


@dataclass(frozen=True)
class Configuration:
    """One way of training; ``changes`` replace sections of its study's recipe, ``rate`` its learning rate."""

    name: str
    model: Values
    objective: list[Values]
    changes: Values = field(default_factory=dict)
    rate: float | None = None


@final
class SemiHardTriplet(nn.Module):
    """Schroff, Kalenichenko and Philbin 2015: of each positive pair the nearest negative that is farther.

    Squared distances; where all negatives are nearer than the positive, the farthest of them.
    """

    kind: ClassVar = "semi_hard_triplet"

    def __init__(self, *, margin: float = 0.2) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, descriptors: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean over all positive pairs."""
        apart = 2 - 2 * descriptors @ descriptors.T
        same = labels[:, None] == labels[None, :]
        itself = torch.eye(len(labels), dtype=torch.bool)
        anchors, positives = (same & ~itself).nonzero(as_tuple=True)
        near, all_far = apart[anchors, positives], apart[anchors]
        negatives = ~same[anchors]
        farther = all_far.masked_fill(~negatives | (all_far <= near[:, None]), torch.inf).amin(dim=1)
        farthest = all_far.masked_fill(~negatives, -torch.inf).amax(dim=1)
        far = torch.where(farther.isinf(), farthest, farther)
        return (near - far + self.margin).clamp(min=0).mean()


def sampler(batch: int, per_class: int) -> Values:
    return {"sampler": {"kind": "m_per_class", "batch": batch, "per_class": per_class}}


def baseline() -> list[Configuration]:
    """Returns the ways of training with triplets alone; the first is how they were trained before."""

    def ranked(name: str, loss: Values, **changes: object) -> Configuration:
        return Configuration(name, embedding(), [part(loss)], changes)

    slow: Values = {"kind": "adam", "learning_rate": 1e-4, "weight_decay": 1e-4}
    every: Values = {"kind": "triplet", "margin": 0.1}
    return [
        ranked("batch-hard, margin 0.1", AS_BEFORE),
        ranked("batch-hard, margin 0.3", AS_BEFORE | {"margin": 0.3}),
        ranked("batch-hard, soft margin", {"kind": "batch_hard_triplet", "soft": True}),
        ranked("batch-hard, a tenth of the rate", AS_BEFORE, optimiser=slow),
        ranked("batch-hard, warm-up of 2 epochs", AS_BEFORE, schedule={"kind": "cosine", "warm_up": 2.0}),
        ranked("batch-hard, 28 classes of 2", AS_BEFORE, **sampler(56, 2)),
        ranked("batch-hard, 7 classes of 4", AS_BEFORE, **sampler(28, 4)),
        ranked("all triplets, margin 0.1", every),
        ranked("all triplets, margin 0.3", every | {"margin": 0.3}),
        ranked("all triplets, margin 0.2, squared", every | {"margin": 0.2, "distance": "squared"}),
        ranked("semi-hard, margin 0.2, squared", {"kind": "paired_configurations:SemiHardTriplet"}),
    ]


def triplets(results: Path) -> list[Configuration]:
    """Returns the best way of `baseline` on the validation classes; none while it has not been run."""
    file = results / "baseline-grocery.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    if {line["name"] for line in lines} < {each.name for each in baseline()}:
        return []
    best = max(lines, key=lambda line: line["ways"]["descriptor"]["map_at_r"])["name"]
    return [each for each in baseline() if each.name == best]


def losses(results: Path) -> list[Configuration]:
    """Returns what SoftTriple is compared with, in 64 dimensions, on the same batches."""
    chosen = [
        Configuration("multi-similarity", embedding(), [part(MULTI_SIMILARITY)]),
        Configuration("batch-hard as before", embedding(), [part(AS_BEFORE)]),
    ]
    for name, kind in (
        ("SoftTriple", "soft_triple"),
        ("HardTriple", "hard_triple"),
        ("normalised softmax", "normalised_softmax"),
        ("ProxyNCA", "proxy_nca"),
    ):
        chosen.append(Configuration(name, embedding(), [part({"kind": kind})], PROXIES_LEARN_FASTER))
    return [*chosen, *(replace(best, name="triplets") for best in triplets(results))]


def auxiliaries(results: Path) -> list[Configuration]:
    """Returns CGD's SG with and without the auxiliary classifier, and the classifier alone."""
    rankings: list[tuple[str, Values, Values]] = [
        ("triplets", best.objective[0], best.changes) for best in triplets(results)
    ]
    chosen = []
    for name, ranking, changes in (*rankings, ("multi-similarity", part(MULTI_SIMILARITY), {})):
        chosen.append(Configuration(f"SG {name}", cgd("SG"), [ranking], changes))
        chosen.append(Configuration(f"SG {name} + auxiliary", cgd("SG"), [ranking, auxiliary()], changes))
    chosen.append(Configuration("SG auxiliary alone", cgd("SG"), [auxiliary()]))
    for best in triplets(results):
        for name, temperature, smoothing in (("temperature", 1.0, 0.1), ("smoothing", 0.5, 0.0)):
            objective = [best.objective[0], auxiliary(temperature, smoothing)]
            name = f"SG triplets + auxiliary without {name}"
            chosen.append(Configuration(name, cgd("SG"), objective, best.changes))
    return chosen


def orders(results: Path) -> list[Configuration]:
    """Returns CGD's descriptors alone and in several orders, with triplets and the classifier."""
    return [
        Configuration(order, cgd(order), [best.objective[0], auxiliary()], best.changes)
        for best in triplets(results)
        for order in ("S", "M", "G", "SG", "GM", "MG")
    ]


def poolings() -> list[Configuration]:
    """Returns GeM and what it is compared with: the same trunk and loss, no layer behind the pooling."""
    exponents: dict[str, Values] = {
        "SPoC": {"kind": "spoc"},
        "MAC": {"kind": "mac"},
        "GeM, p = 3": {"kind": "gem", "learnable": False},
        "GeM, p learned": {"kind": "gem"},
        "GeM, p learned per channel": {"kind": "gem", "per_channel": True},
    }
    return [
        Configuration(name, {"kind": "gem", "pooling": pooling}, [part(MULTI_SIMILARITY)])
        for name, pooling in exponents.items()
    ]


def stops() -> list[Configuration]:
    """Returns DELG with and without its gradient stop, as the paper's text and as the authors' code.

    The text adds up the attended features of all locations, the code takes the mean of unit features. The
    weights are the same: attention 1, reconstruction 10 (a mean over channels and locations).
    """
    chosen = []
    for normalisation, options in (("text", {}), ("code", AS_THE_CODE)):
        for name, stop in (("with the stop", True), ("without", False)):
            model = delg({**options, "stop_gradient": stop})
            chosen.append(Configuration(f"{normalisation}, {name}", model, DELG_LOSSES))
    alone = delg({**AS_THE_CODE, "stop_gradient": False, "autoencoder": False})
    objective = [each for each in DELG_LOSSES if each is not RECONSTRUCTION]
    return [*chosen, Configuration("code, without, no autoencoder", alone, objective)]


def fusions() -> list[Configuration]:
    """Returns DOLG with each fusion, and without local features."""
    alone = Configuration("GeM alone", dolg({"local_branch": False}), DOLG_LOSSES)
    ways = {"orthogonal": "orthogonal", "concatenation": "concatenate", "Hadamard": "hadamard"}
    return [alone, *(Configuration(name, dolg({"fusion": way}), DOLG_LOSSES) for name, way in ways.items())]


def at_rates(chosen: Sequence[Configuration], start: Start) -> list[Configuration]:
    """Returns some configurations at every rate of a start."""
    return [
        replace(each, name=f"{each.name}, {rate:g}", rate=rate) for each in chosen for rate in start.rates
    ]


def rates(results: Path, start: Start) -> list[Configuration]:
    """Returns the losses and a CGD that choose the rate of the studies by labels."""
    names = ("triplets", "SoftTriple", "multi-similarity", "SG triplets + auxiliary")
    chosen = [each for each in (*losses(results), *auxiliaries(results)) if each.name in names]
    return at_rates(chosen, start)


def place_rates(start: Start) -> list[Configuration]:
    """Returns a DELG and a DOLG that choose the rate of the studies of places."""
    return at_rates([stops()[0], fusions()[1]], start)


def rate_of(study: str, start: Start, results: Path) -> float:
    """Returns the learning rate of a study: the only one of a start, or the best on classes held out.

    Raises:
        SystemExit: The study that chooses it has not been run.
    """
    if len(start.rates) == 1 or study in CHOOSING:
        return start.rates[0]
    chooses = "placerates" if study in OF_PLACES else "rates"
    found: dict[float, list[float]] = {rate: [] for rate in start.rates}
    for file in results.glob(f"{chooses}-*.jsonl"):
        for line in map(json.loads, file.read_text().splitlines()):
            found[float(line["name"].rpartition(", ")[2])].append(line["ways"]["descriptor"]["map_at_r"])
    if not all(found.values()):
        raise SystemExit(f"the learning rate of {study} is not chosen yet: run the study {chooses} first")
    return max(found, key=lambda rate: sum(found[rate]) / len(found[rate]))


OF_PLACES = ("delg", "dolg", "placerates")
CHOOSING = ("baseline", "rates", "placerates")
"""Studies that are measured on classes held out of the training classes, by which things are chosen."""


def configurations(study: str, results: Path, start: Start) -> list[Configuration]:
    """Returns those of a study; some need what `baseline` wrote into the folder of results.

    Raises:
        KeyError: There is no such study.
    """
    made: dict[str, Callable[[], list[Configuration]]] = {
        "baseline": baseline,
        "rates": lambda: rates(results, start),
        "placerates": lambda: place_rates(start),
        "losses": lambda: losses(results),
        "auxiliary": lambda: auxiliaries(results),
        "orders": lambda: orders(results),
        "pooling": poolings,
        "delg": stops,
        "dolg": fusions,
    }
    return made[study]()


def recipe(
    study: str, configuration: Configuration, start: Start, *, rate: float, seed: int, epochs: int
) -> Values:
    """Returns the recipe of a run: what its study shares, and what is its own."""
    of_places = study in OF_PLACES
    shown, crop = start.sides(of_places=of_places)
    shared: Values = {
        "data": {
            "benchmark": "table",
            "root": "given on the command line",
            "packed": {"side": start.packed},
            "train_transform": {"kind": "resize_random_crop", "size": crop, "resize": start.packed},
            "test_transform": {"kind": "stretch", "size": shown},
        },
        "training": {
            "epochs": epochs,
            "workers": 1,
            "precision": start.precision,
            "batch_norm": start.batch_norm,
        },
    }
    if of_places:
        shared |= {
            "sampler": {"kind": "plain", "batch": 32},
            "optimiser": {"kind": "adamw", "learning_rate": rate, "weight_decay": 1e-2},
            "schedule": {"kind": "linear", "warm_up": 1.0},
        }
        shared["training"] |= {"clip": 10.0}  # type: ignore[operator]
    else:
        shared |= {
            **sampler(BATCH, PER_CLASS),
            "optimiser": {"kind": "adam", "learning_rate": rate, "weight_decay": 1e-4},
            "schedule": {"kind": "cosine", "warm_up": 1.0},
        }
    return (
        shared
        | {
            "name": "paired",
            "seed": seed,
            "model": configuration.model | {"trunk": start.trunk},
            "objective": configuration.objective,
        }
        | configuration.changes
    )
