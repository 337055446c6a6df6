"""Share of the inliers of geometric verification that agree with the true homography, per pair of photos.

    python benchmarks/homography.py FOLDER [--model sift] [--max-side 640] [--settings default] [--json FILE]

FOLDER holds ``SEQUENCE/`` with ``img1.jpg`` to ``img6.jpg`` and ``H.json``, whose ``1_2`` to ``1_6`` are the
homographies from the first photo. An inlier agrees where the homography carries its point in the first photo
within 3, 5 or 10 pixels of its point in the other; so do matches, before any geometry. ``--model`` is a name
or the path of a bundle; ``--fit`` the model that is fitted.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
from delg_dolg_verdicts import at_side

import resight
from resight import images
from resight.features import LocalFeatures
from resight.models.model import Model
from resight.search import VerificationConfig, match_many, verification_config, verify

PIXELS = (3, 5, 10)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="sift")
    parser.add_argument("--max-side", type=int, help="of photos, pixels; what the model says if not given")
    parser.add_argument("--settings", default="default", help="a protocol: default or delg")
    parser.add_argument("--fit", choices=["similarity", "affine", "homography"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    settings = verification_config(options.settings)
    if options.fit:
        settings = dataclasses.replace(settings, model=options.fit)
    model = at_side(resight.load_model(options.model), options.max_side)
    pairs = [
        row
        for sequence in sorted(path for path in options.folder.iterdir() if path.is_dir())
        for row in judge_sequence(model, sequence, settings)
    ]
    result = {
        "model": Path(model.name).name,
        "fingerprint": model.fingerprint,
        "max_side": model.max_side,
        "settings": dataclasses.asdict(settings),
        "mean": mean(pairs),
        "pairs": pairs,
    }
    text = json.dumps(result, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


def judge_sequence(model: Model, sequence: Path, settings: VerificationConfig) -> list[dict[str, object]]:
    """Returns the figures of the first photo with each of the others."""
    truth = json.loads((sequence / "H.json").read_text())
    first = local(model, sequence / "img1.jpg")
    return [
        {"pair": f"{sequence.name} 1-{number}"}
        | judge(first, local(model, sequence / f"img{number}.jpg"), np.array(truth[f"1_{number}"]), settings)
        for number in range(2, 7)
    ]


def judge(
    first: LocalFeatures, second: LocalFeatures, truth: np.ndarray, settings: VerificationConfig
) -> dict[str, object]:
    """Returns the figures of one pair; a share of nothing is none."""
    matches = next(
        match_many(
            first,
            [second],
            rule=settings.rule_for(first),
            ratio=settings.ratio,
            max_distance=settings.max_distance,
        )
    )
    found = verify(first, second, config=settings)
    before = distances(first.positions[matches.query], second.positions[matches.answer], truth)
    after = distances(found.query_points, found.answer_points, truth)
    return {
        "matches": len(matches),
        "inliers": found.inliers,
        "expected_by_chance": round(found.expected, 1),
        "matches_agree": shares(before),
        "inliers_agree": shares(after),
    }


def distances(points: np.ndarray, others: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns how far in pixels the homography's image of each point lies from the other point."""
    moved = np.c_[points, np.ones(len(points))] @ truth.T
    return np.linalg.norm(moved[:, :2] / moved[:, 2:] - others, axis=1)


def shares(away: np.ndarray) -> dict[str, float | None]:
    return {f"{limit}px": round(float((away < limit).mean()), 3) if len(away) else None for limit in PIXELS}


def mean(pairs: list[dict[str, object]]) -> dict[str, object]:
    """Returns the means over pairs; a pair without inliers counts 0, for nothing right was found."""
    result: dict[str, object] = {
        name: round(float(np.mean([pair[name] for pair in pairs])), 1) for name in ("matches", "inliers")
    }
    for name in ("matches_agree", "inliers_agree"):
        result[name] = {
            f"{limit}px": round(float(np.mean([pair[name][f"{limit}px"] or 0.0 for pair in pairs])), 3)
            for limit in PIXELS
        }
    result["pairs_without_inliers"] = sum(pair["inliers"] == 0 for pair in pairs)
    return result


def local(model: Model, path: Path) -> LocalFeatures:
    """Returns the local features of a photo."""
    features = model.extract([images.read(path, max_side=model.max_side)])[0].local
    if features is None:
        raise SystemExit(f"{model.name} has no local features")
    return features


if __name__ == "__main__":
    main()
