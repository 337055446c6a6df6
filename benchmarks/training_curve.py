"""Draws a training run: every part of the objective, and the measure on the validation classes, by epoch.

    python benchmarks/training_curve.py RUN --out FILE.svg

RUN is the folder of a run of ``resight train``; the drawing comes from its ``log.jsonl``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM, GAP = 760, 210, 64, 24, 34, 34, 16
COLOURS = ("#1f5fa8", "#c2571a", "#3b8132", "#7a3fa0")

Points = list[tuple[float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    lines = [json.loads(line) for line in (arguments.run / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "step"]
    checks = [line for line in lines if line["kind"] == "validation"]
    per_epoch = steps[-1]["step"] / max(line["epoch"] for line in checks)
    charts = {
        name: [(line["step"] / per_epoch, line["parts"][name]) for line in steps]
        for name in steps[0]["parts"]
    }
    for name in ("recall_at_1", "map_at_r"):
        charts[name] = [(line["epoch"], line[name]) for line in checks]
    arguments.out.write_text(page(charts), encoding="utf-8")


def page(charts: dict[str, Points]) -> str:
    height = len(charts) * (HEIGHT + GAP)
    last = max(x for points in charts.values() for x, _ in points)
    drawn = [
        chart(name, points, last, number * (HEIGHT + GAP), COLOURS[number % len(COLOURS)])
        for number, (name, points) in enumerate(charts.items())
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#333">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def chart(name: str, points: Points, last: float, top: float, colour: str) -> str:
    values = [y for _, y in points]
    low, high = min(0.0, *values), max(values) * 1.05 or 1.0

    def x_of(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * x / last

    def y_of(y: float) -> float:
        return top + HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - low) / (high - low)

    ticks = [low + (high - low) * part / 4 for part in range(5)]
    grid = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_of(y):.1f}" y2="{y_of(y):.1f}" stroke="#ddd"/>'
        f'<text x="{LEFT - 8}" y="{y_of(y) + 4:.1f}" text-anchor="end">{y:.3g}</text>'
        for y in ticks
    ]
    below = [
        f'<text x="{x_of(x):.1f}" y="{top + HEIGHT - 12:.1f}" text-anchor="middle">{x}</text>'
        for x in whole_numbers(last)
    ]
    path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)
    return "\n".join(
        [
            f'<text x="{LEFT}" y="{top + 20:.1f}" font-weight="600">{escape(name)}, by epoch</text>',
            *grid,
            *below,
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        ]
    )


def whole_numbers(last: float) -> Sequence[int]:
    return range(0, int(last) + 1, max(1, round(last / 10)))


if __name__ == "__main__":
    main()
