"""Times reading made photos: our own steps beside Pillow's bare decoder, and what a reduced decode gains.

    python benchmarks/decode.py benchmarks/results/decode.json

Times are the best of several rounds in one thread of this run, milliseconds; ratios are medians over rounds.
Differences are levels of 255 between a reduced decode and the whole photo decoded, then reduced; cosines are
those of the two descriptors of the `sift` model, the smallest over the photos. "at_twice" is what reading
does: a decode at twice the wanted side or more; "at_the_side" is a decode at just the wanted side or more.
"""

from __future__ import annotations

import io
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from resight.features import Box
from resight.images import Photo, read
from resight.images.resize import fit, fitted_size, reduce
from resight.models import Model, load_model
from resight.scenes.render import render_view

ROUNDS = 9


def jpeg(place: int, width: int, height: int) -> bytes:
    """A rendered view at any size as JPEG, with grain, so that it compresses as a camera's photo does."""
    picture = Image.fromarray(render_view(place, 0, side=640)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    grain = np.random.default_rng(place).normal(0, 4, (height, width, 1))
    pixels = np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def bare(data: bytes) -> None:
    """What Pillow alone takes to decode."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()


def whole_then_reduced(data: bytes, max_side: int) -> np.ndarray:
    return fit(read(data).pixels, max_side)


def read_pixels(data: bytes, max_side: int) -> np.ndarray:
    return read(data, max_side=max_side).pixels


def at_the_side(data: bytes, max_side: int) -> np.ndarray:
    """A decode at the fraction that is just the wanted side or more, then reduced."""
    image = Image.open(io.BytesIO(data))
    size = fitted_size(*image.size, max_side)
    drafted = image.draft(None, (max_side, 1))
    extent = drafted[1] if drafted else (0, 0, *image.size)
    return np.array(reduce(image, size, extent))


def compared(
    model: Model,
    photos: Sequence[bytes],
    max_side: int,
    whole: list[float],
    reduced: list[float],
    decode: Callable[[bytes, int], np.ndarray],
) -> dict[str, float]:
    """Time, gain and change of a reduced decode against a whole one."""
    differences, cosines = [], []
    for data in photos:
        first, second = decode(data, max_side), whole_then_reduced(data, max_side)
        differences.append(np.abs(first.astype(int) - second))
        one, other = (Photo(pixels, 4000, 3000, Box(0, 0, 4000, 3000)) for pixels in (first, second))
        left, right = model.extract([one, other])
        cosines.append(float(left.descriptor @ right.descriptor))
    return {
        "ms": round(min(reduced), 1),
        "times_faster": ratio(whole, reduced),
        "largest_difference": int(max(difference.max() for difference in differences)),
        "mean_difference": round(float(np.mean([difference.mean() for difference in differences])), 3),
        "smallest_cosine": round(min(cosines), 4),
    }


def rounds(*calls: Callable[[], object]) -> list[list[float]]:
    """Milliseconds of each call in each round, the calls taking turns."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS + 1):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(1000 * (time.perf_counter() - start))
    return [taken[1:] for taken in times]


def ratio(slow: list[float], fast: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(slow, fast, strict=True)), 3)


def main() -> None:
    small = jpeg(0, 640, 480)
    pillow, ours = rounds(lambda: [bare(small) for _ in range(20)], lambda: [read(small) for _ in range(20)])
    result: dict[str, object] = {
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "pillow": PIL.__version__,
        "rounds": ROUNDS,
        "vga": {
            "pillow_ms": round(min(pillow) / 20, 3),
            "read_ms": round(min(ours) / 20, 3),
            "read_over_pillow": ratio(ours, pillow),
        },
    }
    photos = [jpeg(place, 4000, 3000) for place in (0, 1, 2)]
    model = load_model("sift")
    for max_side in (1024, 640, 500, 480):
        whole, *reduced = rounds(
            lambda side=max_side: whole_then_reduced(photos[0], side),
            lambda side=max_side: read(photos[0], max_side=side),
            lambda side=max_side: at_the_side(photos[0], side),
        )
        result[f"12_megapixels_to_{max_side}"] = {
            "whole_ms": round(min(whole), 1),
            "at_twice": compared(model, photos, max_side, whole, reduced[0], read_pixels),
            "at_the_side": compared(model, photos, max_side, whole, reduced[1], at_the_side),
        }
    text = json.dumps(result, indent=2)
    print(text)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
