"""One printed part that unrelated photos share confirms nothing; the same place under it still does."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from resight import images, load_model, scenes
from resight.search import verdict, verify
from resight.search.geometry.evidence import Evidence, outside_hulls, weigh, with_shared_parts
from resight.search.geometry.verification import verify_answers

SIDE = 512


@pytest.fixture(scope="module")
def model():
    return load_model("sift")


@pytest.fixture(scope="module")
def views():
    """Two views of each of three places."""
    return [
        [Image.fromarray(scenes.render_view(place, view, seed=4, side=SIDE)) for view in (0, 1)]
        for place in range(3)
    ]


def footer(photo):
    photo, draw_size = photo.copy(), photo.height * 12 // 100
    draw = ImageDraw.Draw(photo)
    draw.rectangle([0, photo.height - draw_size, *photo.size], fill=(25, 25, 25))
    text = "Example Archive  No. 1907  Photo Service"
    place = (8, photo.height - draw_size + 6)
    draw.text(place, text, font=ImageFont.load_default(draw_size * 0.5), fill="white")
    return photo


def caption(photo):
    """A caption above, as screenshots have it."""
    return footer(photo.rotate(180)).rotate(180)


def emblem(photo):
    rng, mark = np.random.default_rng(3), Image.new("RGB", (128, 128), (180, 20, 40))
    draw = ImageDraw.Draw(mark)
    for x, y, size in rng.integers([0, 0, 6], [110, 110, 40], (30, 3)).tolist():
        draw.ellipse([x, y, x + size, y + size], fill=tuple(rng.integers(0, 256, 3).tolist()))
    photo = photo.copy()
    photo.paste(mark, (photo.width - 136, 8))
    return photo


def local(model, photo):
    return model.extract([images.photo_of(photo, max_side=model.max_side)])[0].local


@pytest.mark.parametrize("overlay", [footer, caption, emblem])
def test_an_overlay_alone_confirms_nothing_and_hides_nothing(model, views, overlay):
    overlaid = [[local(model, overlay(view)) for view in place] for place in views]
    strangers = [verify(overlaid[a][0], overlaid[b][0]) for a, b in ((0, 1), (0, 2), (1, 2))]

    # By their inliers alone all of these would be confirmed.
    assert min(match.inliers for match in strangers) >= 20
    assert [verdict(match) for match in strangers] == ["partial"] * 3
    assert [verdict(verify(*place)) for place in overlaid] == ["confirmed"] * 3


@pytest.mark.parametrize(
    "edit",
    [
        lambda photo: photo.resize((photo.width // 2, photo.height // 2)),
        lambda photo: photo.crop((photo.width // 4, photo.height // 4, photo.width, photo.height)),
        lambda photo: photo.transpose(Image.Transpose.ROTATE_90),
        footer,
    ],
)
def test_an_edited_copy_is_confirmed(model, views, edit):
    photo = views[0][0]
    assert verdict(verify(local(model, edit(photo)), local(model, photo))) == "confirmed"


def test_a_part_that_many_answers_share_confirms_none_of_them():
    points = np.array([[x, 5.0] for x in range(30)], dtype=np.float32)
    other = points + 100
    partial = _evidence(area=0.02, agreeing=3, second=-5.0, epipolar=-2.0)
    whole = _evidence(area=0.6, agreeing=30, second=8.0, epipolar=30.0)
    assert partial.log_odds < 0 < whole.log_odds

    answers = [(points, partial)] * 3 + [(points, whole), (other, whole), (other, None)]
    noted = with_shared_parts(answers)

    assert [each.shared for each in noted[:5]] == [1, 1, 1, 1, 0]
    assert [each.whole for each in noted[:5]] == [False, False, False, False, True]
    assert noted[5] is None
    # Two are no custom.
    assert with_shared_parts(answers[1:])[2].whole


def test_answers_verified_together_know_what_they_share(model, views):
    query, *answers = [local(model, footer(photo)) for photo in (views[0][0], *views[1], *views[2])]
    matches = verify_answers(query, [*answers, None])
    assert [verdict(match) for match in matches] == ["partial"] * 4 + ["unlikely"]
    assert all(match.evidence.shared > 0.5 for match in matches[:4])


def test_measures_of_a_fit_by_hand():
    # A grid of features on either side; the left half agrees, the right half does not.
    grid = np.stack(np.meshgrid(np.arange(0, 100, 2), np.arange(0, 100, 2)), -1).reshape(-1, 2)
    features = grid.astype(np.float32)
    inliers = features[features[:, 0] < 50]
    wrong = features[features[:, 0] > 60]
    points = np.concatenate([inliers, wrong])
    moved = np.concatenate([inliers, wrong[::-1]])
    evidence = weigh(np.eye(3), (inliers, inliers), (points, moved), (features, features), second=-1.5)

    hull = cv2.contourArea(cv2.convexHull(inliers))
    assert evidence.area == pytest.approx(hull / 98**2)
    assert evidence.inliers == len(inliers)
    assert (evidence.testable, evidence.agreeing) == (100, 50)
    assert evidence.density == pytest.approx(1.0)
    assert evidence.residual == evidence.distortion == 0
    assert evidence.second == -1.5
    assert evidence.disagreeing == 0


def test_outside_means_outside_in_both_photos():
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], dtype=np.float32)
    points = np.array([[5, 5], [50, 50], [5, 5], [50, 50], [10.2, 5]], dtype=np.float32)
    moved = np.array([[5, 5], [5, 5], [50, 50], [50, 50], [90, 90]], dtype=np.float32)
    # The last lies within 1 % of the matches' span of the first hull.
    assert outside_hulls((square, square), (points, moved)).tolist() == [False, False, False, True, False]


def _evidence(**changes):
    values = {
        "inliers": 30,
        "area": 0.1,
        "agreeing": 5,
        "testable": 40,
        "covered": 0.1,
        "density": 0.6,
        "residual": 0.5,
        "distortion": 0.01,
        "second": 0.0,
        "epipolar": 0.0,
        "disagreeing": 0.3,
    }
    return Evidence(**{**values, **changes})
