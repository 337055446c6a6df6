"""When does "confirmed" mean the same thing, and not one printed part? Fits and measures the evidence.

    python benchmarks/confirmation.py --data FOLDER [--json FILE] [--fit] [--pairs FILE]

FOLDER holds ``sfm/SCENE/`` with overlapping photos in order of their names, and ``homography/SEQUENCE/``.
Right pairs are views of one scene or rendered place; a photo with its edited copies (smaller, cropped,
turned, grey, seen from aside); close-ups of a sixteenth to a third of a photo; photos by night; and each
with an overlay on one photo, on both, or on a copy. Wrong pairs show different scenes or places: plain, and
with one overlay on both, of each kind of ``overlays.py`` and of 5, 10 or 15 % of the area; and labels of
one layout with another name and picture, a quarter of which is the same. Such labels on a shelf, half of a
photo each, are counted on their own: no fit has seen them.

The regression of `resight.search.geometry.evidence` is fitted to the pairs that have enough inliers and are
no layout alone (``--fit`` writes its weights into the package). What is measured comes from scenes and places
that a fit has not seen: right answers that lose "confirmed" against inliers alone, and false confirmations in
1000 wrong pairs; the latter also for fits that have not seen this kind of overlay. ``--pairs`` keeps what was
measured of each pair, to fit again without describing the photos again.

"in one search" is what people meet: other places, that no fit has seen, all with one overlay; the first view
of each is searched among the second views of all, and what many answers share is seen as such. The weights
are those of the package, after ``--fit`` the new ones.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from overlays import OVERLAYS, label, on_a_shelf
from PIL import Image, ImageFilter
from scipy.optimize import minimize

import resight
from resight import images, scenes
from resight.features import LocalFeatures
from resight.search import verify, verify_answers
from resight.search.geometry import evidence
from resight.search.geometry.verdict import CONFIRMED_INLIERS, verdict
from resight.search.geometry.verification import Verification

SHARED = {"fountain-P11", "entry-P10", "castle-P30"}
"""Scenes that share views: never wrong answers of each other."""
SEED, PLACES, VIEWS, PHOTOS = 77, 18, 4, 5
OVERLAID_PLACES, WRONG_PAIRS, LABELS, LABEL_PAIRS, FOLDS = 12, 500, 40, 200, 5
LOST = 0.03
"""Share of right pairs that may lose "confirmed": the threshold is put there."""
SEARCH_SEED, SEARCHED_PLACES = 2011, 24
SHELF, SHELF_PAIRS = "label on a shelf", 800
WEIGHTS = Path(evidence.__file__).with_name("evidence.json")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photos, and what their fit has to say.

    Attributes:
        kind: Overlay or edit.
        group: Scene or place of the first photo; photos of one are never split between folds.
        right: Whether both show the same thing.
        enough: Whether inliers alone would confirm it.
        measures: Of `Evidence`; empty where there is none.
        layout: Whether the two share their layout alone, which no regression is asked about.
    """

    kind: str
    group: str
    right: bool
    enough: bool
    measures: tuple[float, ...]
    layout: bool

    @classmethod
    def of(cls, kind: str, group: str, match: Verification, *, right: bool) -> Pair:
        """Returns what is kept of a pair."""
        enough = match.inliers >= CONFIRMED_INLIERS and match.inliers > match.expected
        measured = () if match.evidence is None else tuple(match.evidence.measures.tolist())
        layout = match.evidence is not None and match.evidence.between < evidence.HOLLOW
        return cls(kind, group, right, enough, measured, layout)


SHARES = (0.05, 0.10, 0.15)


def edits(photo: Image.Image) -> dict[str, Image.Image]:
    width, height = photo.size
    return {
        "smaller": photo.resize((width // 2, height // 2), Image.Resampling.LANCZOS),
        "half": photo.crop((width // 4, 0, width // 4 + width // 2, height)),
        "quarter": photo.crop((width // 4, height // 3, width // 4 + width // 2, height // 3 + height // 2)),
        "turned": photo.transpose(Image.Transpose.ROTATE_90),
        "tilted": tilted(photo, 0.28),
        "grey": photo.convert("L").convert("RGB").filter(ImageFilter.GaussianBlur(1.2)),
    }


def tilted(photo: Image.Image, by: float) -> Image.Image:
    """A flat picture seen from far aside: one side shortened by twice ``by``, the width by ``by``."""
    width, height = photo.size
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    near = width * (1 - by)
    seen = np.array([[0, 0], [near, height * by], [near, height * (1 - by)], [0, height]], dtype=np.float32)
    turn = cv2.getPerspectiveTransform(flat, seen)
    return Image.fromarray(cv2.warpPerspective(np.asarray(photo), turn, (width, height)))


def night(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Darkened by gamma and colour, with lamps and the noise of a sensor."""
    light = (np.asarray(photo) / 255.0) ** 1.6 * [0.27, 0.27, 0.36]
    rows, columns = np.mgrid[: photo.height, : photo.width]
    for x, y, size, power in rng.uniform([0, 0, 20, 0.2], [photo.width, photo.height, 80, 0.6], (5, 4)):
        lamp = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * size**2))
        light += power * lamp[..., None] * [1.0, 0.85, 0.5]
    noisy = light + rng.normal(0, 0.02, light.shape)
    return Image.fromarray(np.clip(255 * noisy, 0, 255).astype(np.uint8))


def zoom(photo: Image.Image, part: float, rng: np.random.Generator) -> Image.Image:
    """A close-up: ``part`` of either side near the middle, enlarged to 640 pixels."""
    size = np.array(photo.size)
    wide, high = (size * part).astype(int).tolist()
    left, top = (rng.uniform(0.25, 0.75, 2) * (size - [wide, high])).astype(int).tolist()
    factor = 640 / max(wide, high)
    cut = photo.crop((left, top, left + wide, top + high))
    return cut.resize((int(wide * factor), int(high * factor)), Image.Resampling.BICUBIC)


def random(*name: object) -> np.random.Generator:
    """Returns the random numbers of a photo's name."""
    return np.random.default_rng(zlib.crc32(repr(name).encode()))


class Described:
    """Local features of photos as their JPEG files give them, each described once."""

    def __init__(self) -> None:
        self.model = resight.load_model("sift")
        self.known: dict[str, LocalFeatures] = {}

    def of(self, name: str, photo: Image.Image) -> LocalFeatures:
        """Returns the features of the photo of that name."""
        if name not in self.known:
            stream = io.BytesIO()
            photo.convert("RGB").save(stream, "JPEG", quality=88)
            read = images.photo_of(stream.getvalue(), max_side=self.model.max_side)
            local = self.model.extract([read])[0].local
            if local is None:
                raise SystemExit("the model has no local features")
            self.known[name] = local
        return self.known[name]


def sources(data: Path) -> dict[str, list[Image.Image]]:
    """Returns photos by scene or rendered place, in order."""
    photos = {
        folder.name: [Image.open(path).convert("RGB") for path in sorted(folder.glob("**/*.jpg"))[:PHOTOS]]
        for folder in sorted((data / "sfm").iterdir())
        if folder.is_dir()
    }
    for place in range(PLACES):
        views = [scenes.render_view(place, view, seed=SEED, side=640) for view in range(VIEWS)]
        photos[f"place {place:02d}"] = [Image.fromarray(view) for view in views]
    return photos


def right_pairs(described: Described, photos: dict[str, list[Image.Image]]) -> Iterator[Pair]:
    for name, views in photos.items():
        plain = [described.of(f"{name} {number}", view) for number, view in enumerate(views)]
        for first, second in itertools.combinations(range(len(views)), 2):
            if name.startswith("place") or second - first <= 3:
                yield Pair.of("plain", name, verify(plain[first], plain[second]), right=True)
        for kind, edited in edits(views[0]).items():
            yield Pair.of(kind, name, verify(described.of(f"{name} {kind}", edited), plain[0]), right=True)
        others = {f"zoom {part}": zoom(views[1], part, random(name, part)) for part in (0.6, 0.4, 0.25)}
        others |= {"night": night(views[1], random(name, "night")), "tilted": tilted(views[1], 0.22)}
        for kind, edited in others.items():
            features = described.of(f"{name} {kind} 1", edited)
            yield Pair.of(kind, name, verify(features, plain[1]), right=True)
            yield Pair.of(f"{kind}, other view", name, verify(features, plain[0]), right=True)


def sequences(described: Described, data: Path) -> Iterator[Pair]:
    """Yields the pairs of each sequence of extreme viewpoints or light."""
    for folder in sorted((data / "homography").iterdir()):
        paths = sorted(folder.glob("*.jpg"))
        views = [described.of(f"{folder.name} {path.name}", Image.open(path)) for path in paths]
        for first, second in itertools.combinations(views, 2):
            yield Pair.of("homography", folder.name, verify(first, second), right=True)


def overlaid_pairs(described: Described, photos: dict[str, list[Image.Image]]) -> Iterator[Pair]:
    """Yields right and wrong pairs of each overlay."""
    names = [name for name in photos if not name.startswith("place")][::2]
    names += [name for name in photos if name.startswith("place")][:OVERLAID_PLACES]
    share = {name: SHARES[number % len(SHARES)] for number, name in enumerate(names)}
    strangers = [
        pair
        for pair in itertools.combinations(names, 2)
        if not set(pair) <= SHARED and share[pair[0]] == share[pair[1]]
    ]
    for kind, overlay in OVERLAYS.items():
        drawn: dict[str, LocalFeatures] = {}
        for name in names:
            both = [overlay(photos[name][n], share[name], random(name, n, kind)) for n in (0, 1)]
            first, second = (described.of(f"{name} {n} {kind}", photo) for n, photo in enumerate(both))
            yield Pair.of(f"{kind} on one", name, verify(first, described.known[f"{name} 1"]), right=True)
            yield Pair.of(f"{kind} on both", name, verify(first, second), right=True)
            yield Pair.of(f"{kind} on a copy", name, verify(first, described.known[f"{name} 0"]), right=True)
            drawn[name] = first
        for first_name, second_name in strangers:
            yield Pair.of(kind, first_name, verify(drawn[first_name], drawn[second_name]), right=False)


def wrong_pairs(described: Described, photos: dict[str, list[Image.Image]]) -> Iterator[Pair]:
    rng = np.random.default_rng(2)
    strangers = [pair for pair in itertools.combinations(photos, 2) if not set(pair) <= SHARED]
    for number in rng.permutation(len(strangers))[:WRONG_PAIRS].tolist():
        first, second = strangers[number]
        match = verify(described.known[f"{first} 0"], described.known[f"{second} 0"])
        yield Pair.of("plain", first, match, right=False)
    labels = [described.of(f"label {number}", label(number)) for number in range(LABELS)]
    pairs = list(itertools.combinations(range(LABELS), 2))
    for number in rng.permutation(len(pairs))[:LABEL_PAIRS].tolist():
        first, second = pairs[number]
        yield Pair.of("label", f"label {first}", verify(labels[first], labels[second]), right=False)


def shelf_pairs(described: Described) -> Iterator[Pair]:
    """Yields pairs of labels on a shelf: three photos of each, and of other labels."""
    rng, names = np.random.default_rng(5), [(n, photo) for n in range(LABELS) for photo in range(3)]
    local = {name: described.of(f"shelf {name}", on_a_shelf(name[0], rng)) for name in names}
    pairs = list(itertools.combinations(names, 2))
    for first, second in (pair for pair in pairs if pair[0][0] == pair[1][0]):
        yield Pair.of(SHELF, f"label {first[0]}", verify(local[first], local[second]), right=True)
    strangers = [pair for pair in pairs if pair[0][0] != pair[1][0]]
    for number in np.random.default_rng(3).permutation(len(strangers))[:SHELF_PAIRS].tolist():
        first, second = strangers[number]
        yield Pair.of(SHELF, f"label {first[0]}", verify(local[first], local[second]), right=False)


def searches(described: Described) -> dict[str, dict[str, int]]:
    """Returns, for each overlay, how many right and wrong answers of searches are confirmed."""
    places = range(SEARCHED_PLACES)
    views = {
        (place, view): Image.fromarray(scenes.render_view(place, view, seed=SEARCH_SEED, side=640))
        for place in places
        for view in (0, 1)
    }
    counts: dict[str, dict[str, int]] = {}
    for kind, overlay in {"no overlay": None, **OVERLAYS}.items():
        local = {
            name: described.of(
                f"search {name} {kind}",
                photo if overlay is None else overlay(photo, SHARES[name[0] % 3], random(name, kind)),
            )
            for name, photo in views.items()
        }
        row = counts[kind] = dict.fromkeys(("right", "confirmed", "by inliers alone", "wrong"), 0)
        row |= dict.fromkeys(("wrong confirmed", "wrong by inliers alone"), 0)
        for place in places:
            answers = verify_answers(local[place, 0], [local[other, 1] for other in places])
            for other, match in enumerate(answers):
                which = "" if other == place else "wrong "
                row["right" if other == place else "wrong"] += 1
                row[f"{which}confirmed"] += verdict(match) == "confirmed"
                row[f"{which}by inliers alone"] += (
                    match.inliers >= CONFIRMED_INLIERS and match.inliers > match.expected
                )
    return counts


@dataclass(frozen=True, slots=True)
class Fit:
    """A logistic regression over standardised measures."""

    centre: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: float

    @classmethod
    def of(cls, pairs: list[Pair]) -> Fit:
        """Returns the fit that rises in the first `evidence.RISING`; right and wrong pairs weigh alike."""
        measures, right = (
            np.stack([pair.measures for pair in pairs]),
            np.array([pair.right for pair in pairs]),
        )
        centre, scale = measures.mean(axis=0), measures.std(axis=0)
        rows = np.column_stack([(measures - centre) / scale, np.ones(len(pairs))])
        sign = np.where(right, 1.0, -1.0)
        share = np.where(right, 0.5 / right.mean(), 0.5 / (1 - right.mean()))

        def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
            odds, own = sign * (rows @ weights), np.append(weights[:-1], 0.0)
            slope = rows.T @ (-share * sign / (1 + np.exp(odds))) + own
            return float((share * np.logaddexp(0, -odds)).sum() + (own**2).sum() / 2), slope

        free = rows.shape[1] - evidence.RISING
        bounds = [(0, None)] * evidence.RISING + [(None, None)] * free
        best = minimize(loss, np.zeros(rows.shape[1]), jac=True, bounds=bounds, method="L-BFGS-B").x
        return cls(centre, scale, best[:-1], float(best[-1]))

    def log_odds(self, pairs: list[Pair]) -> np.ndarray:
        """Returns the log odds of each pair."""
        return (
            np.stack([pair.measures for pair in pairs]) - self.centre
        ) / self.scale @ self.weights + self.bias


def held_out(pairs: list[Pair], *, without_overlay: bool) -> np.ndarray:
    """Returns the log odds of each pair by fits without its scene and, if wanted, without its overlay.

    They are minus infinity where two share their layout alone.
    """
    folds = {group: number % FOLDS for number, group in enumerate(sorted({pair.group for pair in pairs}))}
    fold = np.array([folds[pair.group] for pair in pairs])
    kind = np.array([pair.kind.split()[0] if without_overlay and not pair.right else "" for pair in pairs])
    fitted = np.array([pair.kind != SHELF and not pair.layout for pair in pairs])
    odds = np.zeros(len(pairs))
    for number, left_out in itertools.product(range(FOLDS), sorted(set(kind))):
        test = (fold == number) & (kind == left_out)
        train = fitted & (fold != number) & ((kind != left_out) | (kind == ""))
        if test.any():
            chosen = [[pairs[n] for n in np.flatnonzero(mask)] for mask in (train, test)]
            odds[test] = Fit.of(chosen[0]).log_odds(chosen[1])
    odds[[pair.layout for pair in pairs]] = -np.inf
    return odds


def table(pairs: list[Pair], enough: list[Pair], odds: dict[str, np.ndarray], threshold: float) -> object:
    rows: dict[str, dict[str, int]] = {}
    for pair in pairs:
        row = rows.setdefault(f"{'right' if pair.right else 'wrong'}: {pair.kind}", {"pairs": 0})
        row["pairs"] += 1
        row["by inliers alone"] = row.get("by inliers alone", 0) + pair.enough
    for name, values in odds.items():
        for row in rows.values():
            row[name] = 0
        for pair, value in zip(enough, values, strict=True):
            rows[f"{'right' if pair.right else 'wrong'}: {pair.kind}"][name] += int(value >= threshold)
    return rows


def measured_pairs(data: Path, kept: Path | None) -> list[Pair]:
    """Returns all pairs, from a file of an earlier run where there is one."""
    if kept is not None and kept.is_file():
        return [Pair(**{**row, "measures": tuple(row["measures"])}) for row in json.loads(kept.read_text())]
    described, photos = Described(), sources(data)
    pairs = [*right_pairs(described, photos), *sequences(described, data)]
    pairs += [*overlaid_pairs(described, photos), *wrong_pairs(described, photos), *shelf_pairs(described)]
    if kept is not None:
        kept.write_text(json.dumps([asdict(pair) for pair in pairs]), encoding="utf-8")
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pairs", type=Path, help="file of measured pairs, written where it is not there")
    parser.add_argument("--fit", action="store_true", help="write the weights into the package")
    arguments = parser.parse_args()
    pairs = measured_pairs(arguments.data, arguments.pairs)
    enough = [pair for pair in pairs if pair.enough]
    odds = {
        "confirmed": held_out(enough, without_overlay=False),
        "confirmed, overlay unseen": held_out(enough, without_overlay=True),
    }
    on_a_shelf = np.array([pair.kind == SHELF for pair in enough])
    right = np.array([pair.right for pair in enough]) & ~on_a_shelf
    wrong = ~right & ~on_a_shelf
    threshold = float(np.quantile(odds["confirmed"][right], LOST, method="higher"))
    counted = [pair for pair in pairs if pair.kind != SHELF]
    count = sum(not pair.right for pair in counted)
    false = {
        name: round(1000 * int((values[wrong] >= threshold).sum()) / count, 2)
        for name, values in odds.items()
    }
    result = {
        "right pairs": len(counted) - count,
        "wrong pairs": count,
        "right confirmed by inliers alone": int(right.sum()),
        "of these still confirmed": round(float((odds["confirmed"][right] >= threshold).mean()), 4),
        "false in 1000": {
            "by inliers alone": round(1000 * int(wrong.sum()) / count, 2),
            **false,
        },
        "kinds": table(pairs, enough, odds, threshold),
    }
    if arguments.fit:
        write_weights(enough, threshold)
        evidence._fit.cache_clear()
    result["in one search"] = searches(Described())
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


def write_weights(enough: list[Pair], threshold: float) -> None:
    """Writes the regression of all pairs into the package, its log odds moved by the threshold."""
    fit = Fit.of([pair for pair in enough if pair.kind != SHELF and not pair.layout])
    content = {
        "centre": fit.centre.round(6).tolist(),
        "scale": fit.scale.round(6).tolist(),
        "weights": fit.weights.round(6).tolist(),
        "bias": [round(fit.bias - threshold, 6)],
    }
    WEIGHTS.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
