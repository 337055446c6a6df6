"""One printed part that unrelated photos share confirms nothing; the same place under it still does."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from resight import images, load_model, scenes
from resight.features import LocalFeatures
from resight.search import verdict, verify
from resight.search.geometry.evidence import (
    Evidence,
    Group,
    common_points,
    outside_hulls,
    weigh,
    with_shared_parts,
)
from resight.search.geometry.fitting import apply
from resight.search.geometry.guided import guided
from resight.search.geometry.verification import Verification, verify_answers

SIDE = 512
NO_POINTS = np.empty((0, 2), dtype=np.float32)


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
    partial = _evidence(area=0.02, lowest=(0.0, 0.01), extent=0.1, beyond=0.1, epipolar=-2.0)
    whole = _evidence(area=0.6, lowest=(0.4, 0.5), extent=0.9, beyond=0.4, epipolar=30.0)
    assert partial.log_odds < 0 < whole.log_odds

    answers = [(points, partial)] * 3 + [(points, whole), (other, whole), (other, None)]
    noted = with_shared_parts(answers, common_points(answers))

    assert [each.shared for each in noted[:5]] == [1, 1, 1, 1, 0]
    assert [each.whole for each in noted[:5]] == [False, False, False, False, True]
    assert noted[5] is None
    # Two are no custom.
    assert with_shared_parts(answers[1:], common_points(answers[1:]))[2].whole


def test_answers_verified_together_know_what_they_share(model, views):
    query, *answers = [local(model, footer(photo)) for photo in (views[0][0], *views[1], *views[2])]
    matches = verify_answers(query, [*answers, None])
    assert [verdict(match) for match in matches] == ["partial"] * 4 + ["unlikely"]
    assert all(match.evidence.shared > 0.5 for match in matches[:4])


def test_what_many_answers_share_does_not_hide_what_agrees_without_it(model, views):
    # An emblem so large that two views of one place agree on it best.
    def marked(photo):
        mark = emblem(photo).crop((photo.width - 136, 8, photo.width - 8, 136)).resize((200, 200))
        photo = photo.copy()
        photo.paste(mark, (photo.width - 200, 0))
        return photo

    query, *photos = [marked(photo) for photo in (views[0][0], views[0][1], *views[1], *views[2])]
    features, answers = local(model, query), [local(model, photo) for photo in photos]
    matches = verify_answers(features, [*answers, answers[0]])

    assert [verdict(match) for match in matches] == ["confirmed", *["partial"] * 4, "confirmed"]
    # What other answers share counts for neither.
    x, y = matches[0].query_points.T
    within = (x > query.width - 200) & (y < 200)
    assert within.mean() < 0.3
    assert min(match.evidence.shared for match in matches[1:5]) > 0.5
    assert max(match.beyond for match in matches[1:5]) < matches[0].beyond
    # The outline is that of the whole query.
    whole = verify_answers(features, [features])[0]
    assert np.ptp(whole.region, axis=0) == pytest.approx(np.ptp(features.positions, axis=0), abs=2)


def test_inliers_count_beyond_chance_and_beyond_what_others_share():
    match = Verification(40, NO_POINTS, NO_POINTS, None, None, expected=8.0)
    assert match.beyond == 40 - 1.25 * 8
    shared = replace(_evidence(area=0.1, lowest=(0.1, 0.1), extent=0.1, beyond=0.1, epipolar=0.0), shared=0.5)
    assert replace(match, evidence=shared).beyond == 40 * 0.5 - 1.25 * 8
    assert replace(match, evidence=replace(shared, shared=0.9)).beyond == 0


def test_measures_of_a_fit_by_hand():
    # Features on a lattice in either photo, each with a descriptor of its own; those of the left half are the
    # same in both, those of the right half are others.
    lattice = np.stack(np.meshgrid(np.arange(0, 100, 2), np.arange(0, 100, 2)), -1).reshape(-1, 2)
    positions = lattice.astype(np.float32)
    rng, left = np.random.default_rng(0), positions[:, 0] < 50
    query, other = (rng.integers(0, 256, (len(positions), 128), dtype=np.uint8) for _ in range(2))
    same = np.flatnonzero(left)
    features = [
        LocalFeatures(positions, *np.ones((3, len(positions)), np.float32), descriptors)
        for descriptors in (query, np.where(left[:, None], query, other))
    ]
    group = Group(np.eye(3), same[::2], same[::2])
    every = np.arange(len(positions))
    evidence = weigh(*features, [group], (every, every), 0.95)

    hull = cv2.contourArea(cv2.convexHull(positions[same[::2]]))
    assert evidence.area == pytest.approx(hull / 98**2)
    assert evidence.inliers == len(same) // 2
    assert evidence.residual == 0
    assert evidence.overlap == pytest.approx(1)
    assert evidence.extent == pytest.approx(0.5, abs=0.08)
    # Half of the places see the right half alone; of the 70 % where least agrees two sevenths do not.
    assert evidence.lowest[0] == pytest.approx(0, abs=0.05)
    assert evidence.lowest[1] == pytest.approx(2 / 7, abs=0.08)
    assert evidence.beyond == pytest.approx(0, abs=0.08)
    # Where more likeness is asked for than there is, only the inliers themselves agree: every second one.
    assert weigh(*features, [group], (every, every), 1.1).lowest[1] == pytest.approx(1 / 7, abs=0.06)


@pytest.mark.parametrize(("size", "turn"), [(0.5, 0.0), (1.0, 1.2), (2.0, -2.5)])
def test_a_feature_agrees_at_its_place_size_and_turn_alone(size, turn):
    rng = np.random.default_rng(1)
    positions = rng.uniform(0, 640, (300, 2)).astype(np.float32)
    scales = rng.uniform(2, 20, 300).astype(np.float32)
    orientations = rng.uniform(0, 2 * np.pi, 300).astype(np.float32)
    codes = rng.integers(0, 256, (300, 128), dtype=np.uint8)
    cos, sin = size * np.cos(turn), size * np.sin(turn)
    transform = np.array([[cos, -sin, 50.0], [sin, cos, -20.0], [0.0, 0.0, 1.0]])
    query = LocalFeatures(positions, scales, orientations, scales, codes)
    moved = apply(transform, positions).astype(np.float32)

    def agreeing(**changes):
        values = {
            "positions": moved,
            "scales": scales * size,
            "orientations": (orientations + turn) % (2 * np.pi),
        }
        values = {name: value.astype(np.float32) for name, value in (values | changes).items()}
        answer = LocalFeatures(scores=scales, descriptors=codes, **values)
        near, alike = guided(query, answer, transform, 24.0 * size, 0.99)
        assert near.all() or "positions" in changes
        return alike.mean()

    assert agreeing() == 1
    assert agreeing(scales=scales * size * 2) == 0
    assert agreeing(orientations=(orientations + turn + 1) % (2 * np.pi)) == 0
    assert agreeing(positions=moved + 25 * size) == 0
    # Depth moves a feature a little.
    assert agreeing(positions=moved + 10 * size) == 1


def test_outside_means_outside_in_both_photos():
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], dtype=np.float32)
    points = np.array([[5, 5], [50, 50], [5, 5], [50, 50], [10.2, 5]], dtype=np.float32)
    moved = np.array([[5, 5], [5, 5], [50, 50], [50, 50], [90, 90]], dtype=np.float32)
    # The last lies within 1 % of the matches' span of the first hull.
    assert outside_hulls((square, square), (points, moved)).tolist() == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("name", "worse", "better"),
    [
        ("lowest", (0.02, 0.1), (0.2, 0.3)),
        ("extent", 0.2, 0.6),
        ("residual", 0.2, 2.0),
        ("epipolar", 0.0, 20.0),
    ],
)
def test_what_speaks_for_an_answer_never_speaks_against_it(name, worse, better):
    assert _evidence(**{name: worse}).log_odds <= _evidence(**{name: better}).log_odds


def _evidence(**changes):
    values = {
        "inliers": 30,
        "lowest": (0.2, 0.3),
        "beyond": 0.2,
        "extent": 0.5,
        "overlap": 1.0,
        "area": 0.1,
        "residual": 0.5,
        "epipolar": 0.0,
    }
    return Evidence(**{**values, **changes})
