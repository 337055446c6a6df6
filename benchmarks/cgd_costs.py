"""What each CGD configuration costs: parameters, training speed, peak memory, description latency.

    python benchmarks/cgd_costs.py [--json FILE]

ResNet-18 at 80 pixels, batches of 112, batch-hard triplet and auxiliary loss, float32, one thread: the
setting of ``benchmarks/label_experiments.py``, on made pixels. Each configuration has a process of its own,
one at a time; the rate is the median of steps after a first one, memory the highest resident set, latency
the median of describing one photo.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from memory import resident_bytes

STEPS, PHOTOS, BATCH, SIDE, CLASSES = 3, 15, 112, 80, 41
CONFIGURATIONS = [
    *((order, 384, "concatenate") for order in ("S", "M", "G", "SM", "MS", "SG", "GS", "MG", "GM")),
    *((order, 384, "concatenate") for order in ("SMG", "MSG", "GSM")),
    *((order, dim, "concatenate") for order in "SMG" for dim in (192, 128)),
    *((order, 384, "sum") for order in ("SG", "MG", "SMG")),
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("ORDER", "DIM", "COMBINE"))
    arguments = parser.parse_args()
    if arguments.one:
        order, dim, combine = arguments.one
        print(json.dumps(measured(order, int(dim), combine)))
        return
    rows = []
    for one in CONFIGURATIONS:
        command = [sys.executable, __file__, "--one", *map(str, one)]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        print(json.dumps(rows[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


def measured(order: str, dim: int, combine: str) -> dict[str, object]:
    import torch

    from resight.losses import BatchHardTriplet, Classification
    from resight.networks import CGD, Backbone
    from resight.networks.cgd import CGDConfig

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = CGDConfig(order, dim, combine=combine)  # type: ignore[arg-type]  # one of the two words
    net = CGD(Backbone("resnet18", out_indices=(-1,)), config, classes=CLASSES)
    ranking, auxiliary = BatchHardTriplet(margin=0.1), Classification(temperature=0.5, smoothing=0.1)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    images, labels = torch.randn(BATCH, 3, SIDE, SIDE), torch.arange(BATCH) // 4
    seconds = []
    for _ in range(STEPS + 1):
        started = time.perf_counter()
        said = net(images)
        loss = ranking(said.descriptor, labels) + auxiliary(said.logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seconds.append(time.perf_counter() - started)
    peak = resident_bytes("VmHWM") / 1024**2
    net.eval()
    latencies = []
    with torch.inference_mode():
        for _ in range(PHOTOS):
            started = time.perf_counter()
            net.describe_at(images[:1], (1.0,))
            latencies.append(time.perf_counter() - started)
    return {
        "configuration": order,
        "dim": dim,
        "combine": combine,
        "parameters": sum(each.numel() for each in net.parameters()),
        "images_per_second": round(BATCH / statistics.median(seconds[1:]), 1),
        "peak_megabytes": round(peak),
        "milliseconds_a_photo": round(1000 * statistics.median(latencies), 2),
    }


if __name__ == "__main__":
    main()
