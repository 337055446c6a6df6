"""Draws the picture of the how-to page on `resight explain`: two rendered views of one place.

python benchmarks/explanation_picture.py [--out docs/pictures/explanation.jpg]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from resight import load_model
from resight.images import photo_of
from resight.models.explain.explanation import explain
from resight.reports.explanation_drawing import draw
from resight.scenes.render import render_view

PLACE, VIEWS = 3, (2, 0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/pictures/explanation.jpg"))
    arguments = parser.parse_args()
    model = load_model("sift")
    query, answer = (photo_of(render_view(PLACE, view), max_side=model.max_side, box=None) for view in VIEWS)
    draw(explain(model, query, answer), query, answer).save(arguments.out, quality=85, optimize=True)


if __name__ == "__main__":
    main()
