"""When does "confirmed" mean the same thing, and not one printed part? Fits and measures the evidence.

    python benchmarks/confirmation.py --data FOLDER [--json FILE] [--fit] [--pairs FILE]

FOLDER holds ``sfm/SCENE/`` with overlapping photos in order of their names. Right pairs are views of one
scene or rendered place, plain or with an overlay on one or both photos, and a photo with its edited copies
(smaller, cropped to a half and a quarter, turned). Wrong pairs show different scenes or places: plain, and
with one overlay on both: a footer, a date stamp, a logo, the frame of a chat, a watermark, an ornamented
border, each of up to 15 % of the area; one sign in different places and perspectives; labels of one layout
with another name and picture. Overlays are drawn here.

The regression of `resight.search.geometry.evidence` is fitted to the pairs that have enough inliers
(``--fit`` writes its weights into the package). What is measured comes from scenes and places that a fit
has not seen: right answers that lose "confirmed" against inliers alone, and false confirmations in 1000
wrong pairs; the latter also for fits without the overlay in question. ``--pairs`` keeps what was measured
of each pair, to fit again without describing the photos again.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from sklearn.linear_model import LogisticRegression

import resight
from resight import images, scenes
from resight.features import LocalFeatures
from resight.search import verify
from resight.search.geometry import evidence
from resight.search.geometry.verdict import CONFIRMED_INLIERS
from resight.search.geometry.verification import Verification

SHARED = {"fountain-P11", "entry-P10", "castle-P30"}
"""Scenes that share views: never wrong answers of each other."""
SEED, PLACES, VIEWS, PHOTOS = 77, 40, 5, 8
WRONG_PAIRS, FOLDS = 400, 5
LOST = 0.03
"""Share of right pairs that may lose "confirmed": the threshold is put there."""
WEIGHTS = Path(evidence.__file__).with_name("evidence.json")
Overlay = Callable[[Image.Image, float, np.random.Generator], Image.Image]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photos, and what their fit has to say.

    Attributes:
        kind: Overlay or edit.
        group: Scene or place of the first photo; photos of one are never split between folds.
        right: Whether both show the same thing.
        enough: Whether inliers alone would confirm it.
        measures: Of `Evidence`; empty where there is none.
    """

    kind: str
    group: str
    right: bool
    enough: bool
    measures: tuple[float, ...]

    @classmethod
    def of(cls, kind: str, group: str, match: Verification, *, right: bool) -> Pair:
        """Returns what is kept of a pair."""
        enough = match.inliers >= CONFIRMED_INLIERS and match.inliers > match.expected
        measured = () if match.evidence is None else tuple(match.evidence.measures.tolist())
        return cls(kind, group, right, enough, measured)


def font(pixels: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(8, int(pixels)))


def footer(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    del rng
    (width, height), photo = photo.size, photo.copy()
    band, draw = int(height * share), ImageDraw.Draw(photo)
    draw.rectangle([0, height - band, width, height], fill=(20, 20, 20))
    place = (int(0.02 * width), height - int(band * 0.8))
    draw.text(place, "Example Archive  No. 1907  Photo Service", font=font(band * 0.45), fill="white")
    return photo


def stamp(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    (width, height), photo = photo.size, photo.copy()
    size = height * share * 0.6
    text = f"2007/0{rng.integers(1, 9)}/{rng.integers(10, 28)} {rng.integers(10, 23)}:{rng.integers(10, 59)}"
    place = (width - int(size * len(text) * 0.55) - 10, height - int(size * 1.5))
    ImageDraw.Draw(photo).text(place, text, font=font(size), fill=(255, 150, 20))
    return photo


def logo(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    del rng
    (width, height), photo = photo.size, photo.copy()
    side = int((width * height * share) ** 0.5)
    photo.paste(emblem(5, "RESEARCH CLUB").resize((side, side)), (width - side - 8, 8))
    return photo


def emblem(seed: int, text: str) -> Image.Image:
    picture, rng = Image.new("RGB", (256, 256), (200, 30, 40)), np.random.default_rng(seed)
    draw = ImageDraw.Draw(picture)
    for x, y, size in rng.integers([0, 0, 8], [230, 230, 50], (25, 3)).tolist():
        draw.ellipse([x, y, x + size, y + size], fill=tuple(rng.integers(0, 256, 3).tolist()))
    draw.text((10, 100), text, font=font(34), fill="white")
    return picture


def chat(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    del rng
    (width, height), photo = photo.size, photo.copy()
    bar, draw = int(height * share / 2), ImageDraw.Draw(photo)
    for top in (0, height - bar):
        draw.rectangle([0, top, width, top + bar], fill=(240, 240, 245))
    draw.text((10, int(bar * 0.2)), "9:41   Anna Example   online", font=font(bar / 2), fill=(10, 10, 10))
    place = (10, height - int(bar * 0.8))
    draw.text(place, "Type a message ...   Send", font=font(bar / 2), fill=(90, 90, 90))
    for number in range(1, 7):
        left = width - bar * number
        outline = [left, int(bar * 0.2), left + int(bar * 0.6), int(bar * 0.8)]
        draw.ellipse(outline, outline=(30, 120, 220), width=3)
    return photo


def watermark(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    del share, rng
    width, height = photo.size
    mask = Image.new("L", photo.size, 0)
    draw = ImageDraw.Draw(mask)
    draw.text(
        (int(0.06 * width), int(height * 0.42)), "PREVIEW stock.example", font=font(width / 9), fill=160
    )
    return Image.composite(Image.new("RGB", photo.size, "white"), photo, mask)


def border(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    del rng
    (width, height), photo = photo.size, photo.copy()
    edge = int(min(width, height) * share / 2.4)
    ornaments, draw = np.random.default_rng(9), ImageDraw.Draw(photo)
    for box in ([0, 0, width, edge], [0, height - edge, width, height], [0, 0, edge, height]):
        draw.rectangle(box, fill=(120, 85, 30))
    draw.rectangle([width - edge, 0, width, height], fill=(120, 85, 30))
    for number in range(0, width, max(edge, 6)):
        size = int(ornaments.integers(edge // 3 + 1, edge + 2))
        for top in (0, height - edge):
            shade = tuple(ornaments.integers(60, 256, 3).tolist())
            draw.ellipse([number, top, number + size, top + size // 2 + 2], fill=shade)
    return photo


def sign(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """One sign, in another place, size and perspective in each photo."""
    width, height = photo.size
    board = Image.new("RGB", (320, 200), (0, 110, 60))
    draw = ImageDraw.Draw(board)
    draw.rectangle([6, 6, 313, 193], outline="white", width=5)
    draw.text((24, 30), "EMERGENCY EXIT", font=font(34), fill="white")
    draw.text((24, 90), "Keep this door clear", font=font(26), fill="white")
    arrow = [(220, 150), (270, 150), (270, 130), (300, 160), (270, 188), (270, 170), (220, 170)]
    draw.polygon(arrow, fill="white")
    draw.ellipse([30, 140, 60, 170], fill="white")
    draw.line([45, 170, 80, 190], fill="white", width=8)
    scale = (width * height * share / (320 * 200)) ** 0.5 * rng.uniform(0.8, 1.0)
    wide, high = 320 * scale, 200 * scale
    left, top = rng.integers(10, max(11, width - wide - 10)), rng.integers(10, max(11, height - high - 10))
    flat = np.array([[0, 0], [320, 0], [320, 200], [0, 200]], dtype=np.float32)
    seen = np.array([left, top]) + flat * scale + rng.uniform(-0.08, 0.08, (4, 2)) * [wide, high]
    turn = cv2.getPerspectiveTransform(flat, seen.astype(np.float32))
    pixels, size = np.asarray(photo).copy(), (width, height)
    mask = cv2.warpPerspective(np.full((200, 320), 255, np.uint8), turn, size) > 127
    pixels[mask] = cv2.warpPerspective(np.asarray(board), turn, size, flags=cv2.INTER_AREA)[mask]
    return Image.fromarray(pixels)


def label(number: int) -> Image.Image:
    """A product's label: the brand's emblem, bands and small print are every label's, the rest its own."""
    picture, own = Image.new("RGB", (480, 640), (245, 240, 225)), np.random.default_rng(1000 + number)
    draw = ImageDraw.Draw(picture)
    draw.rectangle([0, 0, 480, 120], fill=(30, 60, 40))
    picture.paste(emblem(5, "NORTH FARM").resize((110, 110)), (8, 5))
    draw.text((140, 40), "North Farm", font=font(44), fill="white")
    draw.rectangle([0, 590, 480, 640], fill=(30, 60, 40))
    draw.text((12, 600), "Net weight 500 g   Keep cool   EU organic", font=font(20), fill="white")
    syllables = ["ka", "mo", "ri", "te", "su", "va", "lo", "nim", "dar", "fe"]
    name = "".join(own.choice(syllables, 4)).title()
    draw.text((30, 140), name, font=font(52), fill=tuple(own.integers(0, 120, 3).tolist()))
    for x, y, size in own.integers([30, 220, 20], [380, 480, 120], (40, 3)).tolist():
        draw.ellipse([x, y, x + size, y + size // 2], fill=tuple(own.integers(0, 256, 3).tolist()))
    return picture


OVERLAYS: dict[str, Overlay] = {
    "footer": footer,
    "stamp": stamp,
    "logo": logo,
    "chat": chat,
    "watermark": watermark,
    "border": border,
    "sign": sign,
}
SHARES = (0.05, 0.10, 0.15)


def edits(photo: Image.Image) -> dict[str, Image.Image]:
    width, height = photo.size
    return {
        "smaller": photo.resize((width // 2, height // 2), Image.Resampling.LANCZOS),
        "half": photo.crop((width // 4, 0, width // 4 + width // 2, height)),
        "quarter": photo.crop((width // 4, height // 3, width // 4 + width // 2, height // 3 + height // 2)),
        "turned": photo.transpose(Image.Transpose.ROTATE_90),
    }


class Described:
    """Local features of photos as their JPEG files give them, each described once."""

    def __init__(self) -> None:
        self.model = resight.load_model("sift")
        self.known: dict[tuple[object, ...], LocalFeatures] = {}

    def of(self, key: tuple[object, ...], photo: Image.Image) -> LocalFeatures:
        """Returns the features of a photo; the key says which photo it is."""
        if key not in self.known:
            stream = io.BytesIO()
            photo.convert("RGB").save(stream, "JPEG", quality=88)
            read = images.photo_of(stream.getvalue(), max_side=self.model.max_side)
            local = self.model.extract([read])[0].local
            if local is None:
                raise SystemExit("the model has no local features")
            self.known[key] = local
        return self.known[key]


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
    rng = np.random.default_rng(1)
    for name, views in photos.items():
        plain = [described.of((name, number), view) for number, view in enumerate(views)]
        for first, second in itertools.combinations(range(len(views)), 2):
            if name.startswith("place") or second - first <= 2:
                yield Pair.of("plain", name, verify(plain[first], plain[second]), right=True)
        for kind, edited in edits(views[0]).items():
            yield Pair.of(kind, name, verify(described.of((name, kind), edited), plain[0]), right=True)
        for kind, overlay in OVERLAYS.items():
            share = float(rng.choice(SHARES))
            both = [described.of((name, n, kind, share), overlay(views[n], share, rng)) for n in (0, 1)]
            yield Pair.of(kind, name, verify(both[0], plain[1]), right=True)
            yield Pair.of(kind, name, verify(*both), right=True)


def wrong_pairs(described: Described, photos: dict[str, list[Image.Image]]) -> Iterator[Pair]:
    rng = np.random.default_rng(2)
    strangers = [pair for pair in itertools.combinations(photos, 2) if not set(pair) <= SHARED]
    for kind, overlay in OVERLAYS.items():
        for share in SHARES if kind != "watermark" else (0.1,):
            overlaid = {
                name: described.of((name, 0, kind, share), overlay(views[0], share, rng))
                for name, views in photos.items()
            }
            for number in rng.permutation(len(strangers))[:WRONG_PAIRS].tolist():
                first, second = strangers[number]
                match = verify(overlaid[first], overlaid[second])
                yield Pair.of(f"{kind} {share:.0%}", first, match, right=False)
    plain = {name: described.of((name, 0), views[0]) for name, views in photos.items()}
    for number in rng.permutation(len(strangers))[:WRONG_PAIRS].tolist():
        first, second = strangers[number]
        yield Pair.of("plain", first, verify(plain[first], plain[second]), right=False)
    labels = {f"label {number}": described.of(("label", number), label(number)) for number in range(30)}
    for first, second in list(itertools.combinations(labels, 2))[:WRONG_PAIRS]:
        yield Pair.of("label", first, verify(labels[first], labels[second]), right=False)


def regression(pairs: list[Pair]) -> tuple[LogisticRegression, np.ndarray, np.ndarray]:
    """Returns the regression over standardised measures and their products, and centre and scale of these."""
    measures = np.stack([pair.measures for pair in pairs])
    centre, scale = measures.mean(axis=0), measures.std(axis=0)
    fitted = LogisticRegression(C=0.3, class_weight="balanced", max_iter=10_000)
    fitted.fit(evidence.terms(measures, centre, scale), [pair.right for pair in pairs])
    return fitted, centre, scale


def scored(train: list[Pair], test: list[Pair]) -> np.ndarray:
    fitted, centre, scale = regression(train)
    measures = np.stack([pair.measures for pair in test])
    return fitted.decision_function(evidence.terms(measures, centre, scale))


def held_out(pairs: list[Pair], *, without_overlay: bool) -> np.ndarray:
    """Returns the log odds of each pair by fits without its scene and, if wanted, without its overlay."""
    folds = {group: number % FOLDS for number, group in enumerate(sorted({pair.group for pair in pairs}))}
    fold = np.array([folds[pair.group] for pair in pairs])
    kind = np.array([pair.kind.split()[0] if without_overlay and not pair.right else "" for pair in pairs])
    odds = np.zeros(len(pairs))
    for number, left_out in itertools.product(range(FOLDS), sorted(set(kind))):
        test = (fold == number) & (kind == left_out)
        train = (fold != number) & ((kind != left_out) | (kind == ""))
        if test.any():
            chosen = [[pairs[n] for n in np.flatnonzero(mask)] for mask in (train, test)]
            odds[test] = scored(*chosen)
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
    pairs = [*right_pairs(described, photos), *wrong_pairs(described, photos)]
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
    right = np.array([pair.right for pair in enough])
    odds = {
        "confirmed": held_out(enough, without_overlay=False),
        "confirmed, overlay unseen": held_out(enough, without_overlay=True),
    }
    threshold = float(np.quantile(odds["confirmed"][right], LOST))
    wrong = [pair for pair in pairs if not pair.right]
    false = {
        name: round(1000 * int((values[~right] >= threshold).sum()) / len(wrong), 2)
        for name, values in odds.items()
    }
    result = {
        "right pairs": len(pairs) - len(wrong),
        "wrong pairs": len(wrong),
        "right confirmed by inliers alone": int(right.sum()),
        "of these still confirmed": round(float((odds["confirmed"][right] >= threshold).mean()), 4),
        "false in 1000": {
            "by inliers alone": round(1000 * int((~right).sum()) / len(wrong), 2),
            **false,
        },
        "kinds": table(pairs, enough, odds, threshold),
    }
    if arguments.fit:
        write_weights(enough, threshold)
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


def write_weights(enough: list[Pair], threshold: float) -> None:
    """Writes the regression of all pairs into the package, its log odds moved by the threshold."""
    fitted, centre, scale = regression(enough)
    content = {
        "centre": centre.round(6).tolist(),
        "scale": scale.round(6).tolist(),
        "weights": fitted.coef_[0].round(6).tolist(),
        "bias": [round(float(fitted.intercept_[0]) - threshold, 6)],
    }
    WEIGHTS.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
