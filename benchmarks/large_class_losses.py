"""Memory and time of a step of the losses with class weights, beside pytorch-metric-learning's same losses.

    python benchmarks/large_class_losses.py [--small] [--only LOSS] [--threads 2] [--json FILE]

A step is the loss of one batch and its gradient for descriptors and weights, on a CPU in float32. Each loss
of each library runs in a process of its own, on the same weights and descriptors, the two taking turns case
by case. Time is the median of the steps after a first one; CPU seconds are those of all threads, which a
busy machine blurs less. Memory is the peak of the resident set during those steps less what was resident
before the loss was made, its weights and their gradient: what the library needs on top. Linux only: the
peak is read from /proc. CurricularFace has no counterpart there. ``--small`` takes a tenth of the classes.
The full run takes about a quarter of an hour on two quiet cores, and 8 GB.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from memory import resident_bytes
from torch import Tensor, nn

LANDMARKS, PRODUCTS = 81_313, 11_318
"""Classes of GLDv2-clean and of the training split of Stanford Online Products."""

BATCHES = (128, 1024)
MOST_STEPS, LONG_ENOUGH = 5, 20.0
"""Steps measured, fewer once they have taken this many seconds."""

RADIANS = math.radians(28.6)


@dataclass(frozen=True, slots=True)
class Case:
    """A loss at a size, as both libraries have it."""

    loss: str
    classes: int
    dim: int
    centres: int = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """One library's figures for a case and a batch."""

    seconds: float
    cpu_seconds: float
    steps: int
    beyond_mb: float
    value: float
    gradient_norm: float


CASES = (
    Case("normalised softmax", LANDMARKS, 512),
    Case("arcface", LANDMARKS, 512),
    Case("arcface", LANDMARKS, 2048),
    Case("sub-centre arcface", LANDMARKS, 512, centres=3),
    Case("proxy nca", LANDMARKS, 512),
    Case("proxy anchor", LANDMARKS, 512),
    Case("curricular", LANDMARKS, 512),
    Case("soft triple", PRODUCTS, 512, centres=2),
    Case("soft triple with regulariser", PRODUCTS, 512, centres=2),
)


def ours(case: Case) -> nn.Module:
    from resight import losses

    make: dict[str, Callable[[int, int], nn.Module]] = {
        "normalised softmax": lambda c, d: losses.NormalisedSoftmax(c, d),
        "arcface": lambda c, d: losses.ArcFace(c, d, margin=RADIANS),
        "sub-centre arcface": lambda c, d: losses.SubCentreArcFace(
            c, d, centres=case.centres, margin=RADIANS
        ),
        "proxy nca": lambda c, d: losses.ProxyNCA(c, d, positive_in_denominator=True),
        "proxy anchor": lambda c, d: losses.ProxyAnchor(c, d),
        "curricular": lambda c, d: losses.CurricularFace(c, d),
        "soft triple": lambda c, d: losses.SoftTriple(c, d, centres=case.centres, tau=0.0),
        "soft triple with regulariser": lambda c, d: losses.SoftTriple(c, d, centres=case.centres),
    }
    return make[case.loss](case.classes, case.dim)


def theirs(case: Case) -> nn.Module:
    from pytorch_metric_learning import losses, regularizers

    make: dict[str, Callable[[int, int], nn.Module]] = {
        "normalised softmax": lambda c, d: losses.NormalizedSoftmaxLoss(c, d),
        "arcface": lambda c, d: losses.ArcFaceLoss(c, d),
        "sub-centre arcface": lambda c, d: losses.SubCenterArcFaceLoss(
            num_classes=c, embedding_size=d, sub_centers=case.centres
        ),
        "proxy nca": lambda c, d: losses.ProxyNCALoss(c, d, softmax_scale=9),
        "proxy anchor": lambda c, d: losses.ProxyAnchorLoss(c, d),
        "soft triple": lambda c, d: losses.SoftTripleLoss(c, d, centers_per_class=case.centres),
        "soft triple with regulariser": lambda c, d: losses.SoftTripleLoss(
            c,
            d,
            centers_per_class=case.centres,
            weight_regularizer=regularizers.SparseCentersRegularizer(c, case.centres),
            weight_reg_weight=0.2,
        ),
    }
    return make[case.loss](case.classes, case.dim)


SIDES = {"resight": ours, "pytorch-metric-learning": theirs}


def weights_of(loss: nn.Module) -> Tensor:
    """The parameter that holds the classes."""
    return max(loss.parameters(), key=Tensor.numel)


@torch.no_grad()
def fill(weights: Tensor, case: Case) -> None:
    """The same weights for both, in whichever layout; a million at a time, so that no copy of all is made."""
    rows = weights.view(-1, case.dim) if weights.shape[-1] == case.dim else weights.T
    generator = torch.Generator().manual_seed(0)
    for part in rows.split(max(1, 2**20 // case.dim)):
        part.copy_(torch.randn(part.shape, generator=generator))


def step(loss: nn.Module, descriptors: Tensor, labels: Tensor) -> Tensor:
    descriptors.grad = None
    loss.zero_grad(set_to_none=True)
    value: Tensor = loss(descriptors, labels)
    value.backward()
    return value.detach()


def measure(case: Case, side: str, batch: int) -> Measured:
    generator = torch.Generator().manual_seed(1)
    descriptors = torch.nn.functional.normalize(torch.randn(batch, case.dim, generator=generator), dim=1)
    descriptors.requires_grad_()
    labels = torch.randint(0, case.classes, (batch,), generator=generator)
    # What the libraries load and allocate once, whatever the size, is no part of a step.
    tiny = Case(case.loss, 64, case.dim, case.centres)
    step(SIDES[side](tiny), descriptors, labels % 64)

    before = resident_bytes("VmRSS") / 1e6
    loss = SIDES[side](case)
    weights = weights_of(loss)
    fill(weights, case)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    value = step(loss, descriptors, labels)
    taken: list[float] = []
    busy: list[float] = []
    while len(taken) < MOST_STEPS and sum(taken) < LONG_ENOUGH:
        start, start_busy = time.perf_counter(), time.process_time()
        step(loss, descriptors, labels)
        taken.append(time.perf_counter() - start)
        busy.append(time.process_time() - start_busy)
    beyond = resident_bytes("VmHWM") / 1e6 - before - 2 * weights.numel() * weights.element_size() / 1e6
    gradient = weights.grad
    if gradient is None:
        raise RuntimeError(f"{side}: {case.loss} gave its weights no gradient")
    return Measured(
        statistics.median(taken),
        statistics.median(busy),
        len(taken),
        beyond,
        value.item(),
        gradient.norm().item(),
    )


def in_own_process(case: Case, side: str, batch: int, threads: int) -> Measured:
    job = json.dumps({"case": asdict(case), "side": side, "batch": batch, "threads": threads})
    done = subprocess.run(
        [sys.executable, __file__, "--one", job], check=True, stdout=subprocess.PIPE, text=True
    )
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def compare(case: Case, batch: int, threads: int) -> dict[str, object]:
    """One row: both libraries' figures, and how many times less of each we need."""
    row: dict[str, object] = {"batch": batch, **asdict(case)}
    mine = in_own_process(case, "resight", batch, threads)
    row["resight"] = asdict(mine)
    line = f"{case.loss:30} {case.classes:6} x {case.centres} x {case.dim:4} batch {batch:4}  "
    line += f"{mine.seconds:7.3f} s {mine.beyond_mb:7.0f} MB"
    if case.loss != "curricular":
        other = in_own_process(case, "pytorch-metric-learning", batch, threads)
        row["pytorch-metric-learning"] = asdict(other)
        row["time_ratio"] = mine.seconds / other.seconds
        row["cpu_time_ratio"] = mine.cpu_seconds / other.cpu_seconds
        row["memory_ratio"] = mine.beyond_mb / other.beyond_mb
        row["value_difference"] = abs(mine.value - other.value)
        row["gradient_norm_relative_difference"] = abs(mine.gradient_norm / other.gradient_norm - 1)
        line += f"   theirs {other.seconds:7.3f} s {other.beyond_mb:7.0f} MB"
        line += f"   ratios: time {row['time_ratio']:.3f}, CPU {row['cpu_time_ratio']:.3f}"
        line += f", memory {row['memory_ratio']:.3f}"
    print(line, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="a tenth of the classes")
    parser.add_argument("--only", choices=sorted({case.loss for case in CASES}), help="this loss alone")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        job = json.loads(options.one)
        torch.set_num_threads(job["threads"])
        print(json.dumps(asdict(measure(Case(**job["case"]), job["side"], job["batch"]))))
        return
    rows: list[dict[str, object]] = []
    for given in CASES:
        if options.only not in (None, given.loss):
            continue
        case = Case(given.loss, given.classes // 10, given.dim, given.centres) if options.small else given
        for batch in BATCHES:
            rows.append(compare(case, batch, options.threads))
            if options.json:
                write(options.json, rows, options.threads)


def write(path: Path, rows: list[dict[str, object]], threads: int) -> None:
    """Keeps the rows so far, and what they were measured on."""
    from importlib.metadata import version

    environment = {
        "torch": torch.__version__,
        "pytorch-metric-learning": version("pytorch-metric-learning"),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": threads,
        "load_of_the_last_15_minutes": os.getloadavg()[2],
    }
    path.write_text(json.dumps({"environment": environment, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
