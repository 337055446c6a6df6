"""The configurations that `paired_experiments.py` trains, fixed before any of them was run on test classes.

One of them alone is chosen, and not on test classes: the study ``baseline`` trains triplets in every way
below on 29 of the 41 training classes of grocery and measures on the other 12. The best of it by MAP@R, with
its sampler and schedule, is what the other studies, on every set, call triplets.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, final

import torch
from delg_dolg_experiments import AS_THE_CODE, DELG_LOSSES, RECONSTRUCTION, delg
from experiment_runs import Values
from label_experiments import auxiliary, cgd, embedding, part
from torch import Tensor, nn

BATCH, PER_CLASS = 112, 4
SIDE, PACKED = 64, 72
# timm's smallest residual network: 0.4 million weights, a quarter of the time of ResNet-10-t. At its own
# stride of 32 a photo would have four cells, and all poolings of four numbers are alike.
TRUNK: Values = {"name": "test_resnet", "pretrained": False, "output_stride": 16}

PROXIES_LEARN_FASTER: Values = {"groups": [{"pattern": "objective.*", "rate": 10.0}]}

AS_BEFORE: Values = {"kind": "batch_hard_triplet", "margin": 0.1}
MULTI_SIMILARITY: Values = {"kind": "multi_similarity"}


@dataclass(frozen=True)
class Configuration:
    """One way of training; ``changes`` replace sections of its study's recipe."""

    name: str
    model: Values
    objective: list[Values]
    changes: Values = field(default_factory=dict)


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
    return chosen


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


STUDIES = ("baseline", "losses", "auxiliary", "pooling", "delg")


def configurations(study: str, results: Path) -> list[Configuration]:
    """Returns those of a study; two of them need what `baseline` wrote into the folder of results."""
    match study:
        case "baseline":
            return baseline()
        case "losses":
            return losses(results)
        case "auxiliary":
            return auxiliaries(results)
        case "pooling":
            return poolings()
    return stops()


def recipe(study: str, configuration: Configuration, *, seed: int, epochs: int) -> Values:
    """Returns the recipe of a run: what its study shares, and what is its own."""
    of_delg = study == "delg"
    side = SIDE * 3 // 4 if of_delg else SIDE
    shared: Values = {
        "data": {
            "benchmark": "table",
            "root": "given on the command line",
            "packed": {"side": PACKED},
            "train_transform": {"kind": "resize_random_crop", "size": side, "resize": PACKED},
            "test_transform": {"kind": "stretch", "size": PACKED if of_delg else side},
        },
        "training": {"epochs": epochs, "workers": 1, "precision": "bf16"},
    }
    if of_delg:
        shared |= {
            "sampler": {"kind": "plain", "batch": 32},
            "optimiser": {"kind": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-2},
            "schedule": {"kind": "linear", "warm_up": 1.0},
        }
        shared["training"] |= {"clip": 10.0}  # type: ignore[operator]
    else:
        shared |= {
            **sampler(BATCH, PER_CLASS),
            "optimiser": {"kind": "adam", "learning_rate": 1e-3, "weight_decay": 1e-4},
            "schedule": {"kind": "cosine", "warm_up": 1.0},
        }
    return (
        shared
        | {
            "name": "paired",
            "seed": seed,
            "model": configuration.model | {"trunk": TRUNK},
            "objective": configuration.objective,
        }
        | configuration.changes
    )
