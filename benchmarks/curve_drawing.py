"""Pictures and tables of curves of recall and queries a second, as `search_curves.py` measures them.

    python benchmarks/curve_drawing.py

Draws those in ``benchmarks/results/search_curves_*.json`` into ``docs/pictures``, and writes the table below
each picture in ``docs/measurements.md`` anew. Both axes of a picture are logarithmic: the one of recall in
the share that is missed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

__all__ = ["drawn", "drawn_result", "rate_at", "table"]

TITLES = {
    "resight": "this index, three kinds of code tried",
    "faiss-ivf-sq8": "FAISS alone, IVF and SQ8",
    "hnswlib": "hnswlib",
    "usearch": "usearch, float16",
    "faiss-hnsw": "FAISS alone, HNSW, float16",
    "lance-ivf-hnsw-sq": "Lance, IVF_HNSW_SQ",
    "lance-ivf-pq": "Lance, IVF_PQ",
}
RECALLS = (0.9, 0.95, 0.98, 0.99, 0.999)
"""For which queries a second are told."""

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 400, 64, 170, 40, 48
COLOURS = ("#c2571a", "#1f5fa8", "#3b8132", "#7a3fa0", "#a8791f", "#2a8f8f", "#b03060")
TICKS = (0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 1.0)
LEAST_RECALL, LEAST_MISSED = TICKS[0], 1e-3
"""Recalls from 0.999 on are drawn as 1."""

Points = Sequence[tuple[float, float]]


def drawn(curves: Mapping[str, Points], *, title: str) -> str:
    """Returns an SVG of curves of recall and queries a second, without points that others of a curve beat."""
    best = {name: points for name, own in curves.items() if (points := frontier(own))}
    rates = [rate for points in best.values() for _, rate in points]
    low, high = math.floor(math.log10(min(rates))), math.ceil(math.log10(max(rates)))
    whole = math.log10((1.0 - LEAST_RECALL) / LEAST_MISSED)

    def x_of(recall: float) -> float:
        missed = max(1.0 - recall, LEAST_MISSED)
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log10((1.0 - LEAST_RECALL) / missed) / whole

    def y_of(rate: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (math.log10(rate) - low) / (high - low)

    parts = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10**power:,}</text>'
        for power in range(low, high + 1)
        for y in [y_of(10**power)]
    ]
    for recall in TICKS:
        x = x_of(recall)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#eee"/>'
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{recall:g}</text>'
        )
    for number, (name, points) in enumerate(best.items()):
        colour, y = COLOURS[number % len(COLOURS)], TOP + 14 + 20 * number
        places = [(x_of(recall), y_of(rate)) for recall, rate in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        wide = 3 if number == 0 else 1.6
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="{wide}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        parts.append(
            f'<circle cx="{WIDTH - RIGHT + 22}" cy="{y - 4}" r="5" fill="{colour}"/>'
            f'<text x="{WIDTH - RIGHT + 34}" y="{y}">{escape(name)}</text>'
        )
    above = f"Queries a second by recall of the ten nearest: {escape(title)}"
    below = "recall of the ten nearest; one query at a time, one thread"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#333">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n'
        f'<text x="{LEFT}" y="22" font-weight="600">{above}</text>\n'
        + "\n".join(parts)
        + f'\n<text x="{LEFT}" y="{HEIGHT - 10}">{below}</text>\n</svg>\n'
    )


def rate_at(points: Points, recall: float) -> float | None:
    """Returns the most queries a second at a recall or a higher one; None where it is not reached."""
    return max((rate for reached, rate in points if reached >= recall), default=None)


def frontier(points: Points) -> list[tuple[float, float]]:
    """Returns the points that no other has both more recall and more queries a second than, by recall.

    >>> frontier([(0.9, 100.0), (0.8, 50.0), (0.95, 20.0)])
    [(0.9, 100.0), (0.95, 20.0)]
    """
    kept: list[tuple[float, float]] = []
    for recall, rate in sorted(points, key=lambda point: (-point[0], -point[1])):
        if recall >= LEAST_RECALL and (not kept or rate > kept[-1][1]):
            kept.append((recall, rate))
    return kept[::-1]


def table(result: Mapping[str, Any]) -> str:
    """Returns a table of what `search_curves.py` measured, and a line of how, as Markdown."""
    lines = [
        "| index | built, processor time | on disk | queries a second at recall .9 "
        "| .95 | .98 | .99 | .999 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, index in result["indexes"].items():
        if not index:
            # Neither built nor tried.
            continue
        points = [(point[1], point[2]) for point in index.get("curve", ())]
        rates = [rate_at(points, recall) for recall in RECALLS]
        cells = [
            TITLES[name],
            f"{index['build_processor_seconds']:,.0f} s"
            if "build_processor_seconds" in index
            else "not built",
            f"{index['megabytes']:,} MB" if "megabytes" in index else "",
            *("" if rate is None else f"{rate:,.0f}" for rate in rates),
        ]
        lines.append(f"| {' | '.join(cells)} |".replace("|  ", "| "))
    rounds, loads = result["rounds"], result["loads"]
    times = f"medians of {rounds} rounds" if rounds > 1 else "one round"
    least, most = f"{min(loads):.0f}", f"{max(loads):.0f}"
    load = least if least == most else f"{least} to {most}"
    return "\n".join([*lines, "", f"In one run, {times}; the machine's load was {load}."])


def main() -> None:
    root = Path(__file__).parents[1]
    page = root / "docs/measurements.md"
    text = page.read_text(encoding="utf-8")
    for file in sorted((root / "benchmarks/results").glob("search_curves_*.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        picture = f"{file.stem.replace('_', '-')}.svg"
        (root / "docs/pictures" / picture).write_text(drawn_result(result), encoding="utf-8")
        before, line, after = text.partition(f"(pictures/{picture})\n\n")
        if not line:
            raise SystemExit(f"{page} does not show {picture}")
        # After the table that was there, and the line of how it was measured.
        rest = after.split("\n\n", 2)[2]
        text = f"{before}{line}{table(result)}\n\n{rest}"
        print(picture)
    page.write_text(text, encoding="utf-8")


def drawn_result(result: Mapping[str, Any]) -> str:
    """Returns an SVG of what `search_curves.py` measured."""
    curves = {
        name: [(point[1], point[2]) for point in index["curve"]]
        for name, index in result["indexes"].items()
        if "curve" in index
    }
    return drawn(curves, title=f"{result['rows']:,} descriptors")


if __name__ == "__main__":
    main()
