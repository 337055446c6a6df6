"""What the limits of a positive let through: a table of counts, and a sheet of pairs on both sides of each.

    python benchmarks/tuple_limits.py MADE [--json FILE] [--sheet FILE]

MADE is a folder of ``resight tuples``; its ``pairs.parquet`` holds every pair, whatever the limits were. One
limit is varied at a time, the others have their defaults. The sheet shows, for each limit, pairs from far
within to far beyond it that all other limits let through.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq

from resight import images
from resight.sfm import PositiveConfig

VARIED: dict[str, tuple[float, ...]] = {
    "least_points": (1, 5, 10, 20, 50, 100),
    "least_overlap": (0.0, 0.1, 0.2, 0.3, 0.5),
    "largest_scale": (1.2, 1.5, 2.0, 3.0, 1000.0),
    "largest_angle": (10.0, 20.0, 30.0, 60.0, 180.0),
}
SHOWN = {
    "least_points": ("points", (5, 10, 20, 50, 150)),
    "least_overlap": ("overlap", (0.05, 0.15, 0.25, 0.4, 0.7)),
    "largest_scale": ("scale", (2.6, 1.9, 1.6, 1.4, 1.05)),
    "largest_angle": ("angle", (75, 50, 35, 20, 5)),
}
SIDE = 150


@dataclass(frozen=True)
class Row:
    """One limit at one value.

    Attributes:
        limit: Of `PositiveConfig`.
        value: Its value, the others at their defaults.
        tuples: Pairs of a query and a positive.
        queries: Photos that have a positive.
        angle: Between the two views, degrees, median over the tuples.
        scale: By how much one is larger, median over the tuples.
    """

    limit: str
    value: float
    tuples: int
    queries: int
    angle: float
    scale: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("made", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    table = pq.read_table(arguments.made / "pairs.parquet")
    pairs = {
        "query": np.array(table["photo"].to_pylist(), dtype=object),
        "other": np.array(table["other"].to_pylist(), dtype=object),
        "points": table["co_observed_points"].to_numpy(),
        "overlap": table["overlap"].to_numpy(),
        "scale": np.maximum(table["scale_change"].to_numpy(), 1 / table["scale_change"].to_numpy()),
        "angle": table["angle"].to_numpy(),
    }
    rows = [row(pairs, limit, value) for limit, values in VARIED.items() for value in values]
    print("| limit | value | tuples | queries | angle | scale |\n|---|---|---|---|---|---|")
    for each in rows:
        print(
            f"| {each.limit} | {each.value:g} | {each.tuples} | {each.queries} | {each.angle:.0f} | "
            f"{each.scale:.2f} |"
        )
    if arguments.json is not None:
        content = {"photos": len(set(pairs["query"])), "rows": [asdict(each) for each in rows]}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if arguments.sheet is not None:
        cv2.imwrite(str(arguments.sheet), sheet(pairs), [cv2.IMWRITE_JPEG_QUALITY, 82])


def within(pairs: dict[str, np.ndarray], config: PositiveConfig) -> np.ndarray:
    return (
        (pairs["points"] >= config.least_points)
        & (pairs["overlap"] >= config.least_overlap)
        & (pairs["scale"] <= config.largest_scale)
        & (pairs["angle"] <= config.largest_angle)
    )


def row(pairs: dict[str, np.ndarray], limit: str, value: float) -> Row:
    chosen = within(pairs, replace(PositiveConfig(), **{limit: value}))  # type: ignore[arg-type]
    queries = len(set(pairs["query"][chosen]))
    angle, scale = (float(np.median(pairs[name][chosen])) for name in ("angle", "scale"))
    return Row(limit, value, int(chosen.sum()), queries, round(angle, 1), round(scale, 3))


def sheet(pairs: dict[str, np.ndarray]) -> np.ndarray:
    """Returns a picture, BGR uint8: a row a limit, a pair a column, loosest first."""
    lines = []
    open_ended = {
        name: values[0] if name.startswith("least") else values[-1] for name, values in VARIED.items()
    }
    for limit, (name, values) in SHOWN.items():
        others = within(pairs, replace(PositiveConfig(), **{limit: open_ended[limit]}))  # type: ignore[arg-type]
        rows, cells = np.flatnonzero(others), []
        for value in values:
            apart = np.abs(np.log(pairs[name][rows] + 1e-9) - np.log(value))
            nearest = rows[np.argmin(apart)]
            cells.append(cell(pairs, int(nearest), f"{name} {pairs[name][nearest]:.3g}"))
        lines.append(np.concatenate(cells, axis=1))
    return np.concatenate(lines)


def cell(pairs: dict[str, np.ndarray], row: int, words: str) -> np.ndarray:
    framed = np.full((SIDE + 30, 2 * SIDE + 18, 3), 255, np.uint8)
    for number, side in enumerate(("query", "other")):
        photo = images.read(pairs[side][row], max_side=SIDE).pixels[:, :, ::-1]
        height, width = photo.shape[:2]
        left, top = 6 + number * (SIDE + 4) + (SIDE - width) // 2, 4 + (SIDE - height) // 2
        framed[top : top + height, left : left + width] = photo
    place = (8, SIDE + 21)
    cv2.putText(framed, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA)
    return framed


if __name__ == "__main__":
    main()
