"""Prints of one layout with other contents are told apart; one print from two sides is not doubted."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from resight import images, load_model
from resight.search import verdict, verify
from resight.search.geometry.evidence import HOLLOW
from resight.search.geometry.layout import agreement_between


def shapes(size, seed, count=45):
    rng, picture = np.random.default_rng(seed), Image.new("RGB", size, (225, 225, 215))
    draw = ImageDraw.Draw(picture)
    for x, y, wide, high in rng.integers(0, [*size, 70, 50], (count, 4)).tolist():
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape([x, y, x + wide + 8, y + high + 8], fill=tuple(rng.integers(0, 256, 3).tolist()))
    return picture


def text(picture, place, words, size, fill="black"):
    ImageDraw.Draw(picture).text(place, words, font=ImageFont.load_default(size), fill=fill)


def magazine(number):
    """A title above, a price below, another picture on each cover."""
    cover = Image.new("RGB", (420, 560), "white")
    cover.paste(shapes((420, 400), number), (0, 100))
    text(cover, (10, 10), "WEEKLY HILLS & LAKES", 38, (180, 20, 20))
    text(cover, (10, 64), "travel   walks   maps   huts", 22)
    text(cover, (10, 515), "No. 3  EUR 4.80  www.example.org  ISSN 1234", 20)
    return cover


def card(number):
    """A trading card: the frame and the lower text are the same, the picture and the name are not."""
    whole = shapes((420, 560), 7, count=110)
    whole.paste(shapes((340, 360), 100 + number), (40, 40))
    ImageDraw.Draw(whole).rectangle([40, 420, 380, 520], fill="white")
    text(whole, (50, 430), f"Beast {number * 37 % 91}", 34)
    text(whole, (50, 480), "Series two, thirty cards", 24)
    return whole


def parcel(number):
    """A label of a carrier: head and codes alike, the address and the marks of the sender not."""
    whole = Image.new("RGB", (420, 560), "white")
    whole.paste(shapes((420, 110), 8), (0, 0))
    whole.paste(shapes((420, 80), 9), (0, 480))
    whole.paste(shapes((400, 340), 200 + number), (10, 125))
    return whole


def photographed(print_, number):
    """The print on a table, from a side of its own."""
    rng = np.random.default_rng(number)
    flat = np.array([[0, 0], [420, 0], [420, 560], [0, 560]], np.float32)
    seen = (flat + np.array([100, 30]) + rng.uniform(-40, 40, (4, 2))).astype(np.float32)
    turn = cv2.getPerspectiveTransform(flat, seen)
    table = np.full((640, 640, 3), rng.integers(90, 200, 3), np.uint8)
    mask = cv2.warpPerspective(np.full((560, 420), 255, np.uint8), turn, (640, 640)) > 127
    table[mask] = cv2.warpPerspective(np.asarray(print_), turn, (640, 640), flags=cv2.INTER_AREA)[mask]
    return Image.fromarray(table)


@pytest.fixture(scope="module")
def model():
    return load_model("sift")


def local(model, photo):
    return model.extract([images.photo_of(photo, max_side=model.max_side)])[0].local


@pytest.mark.parametrize("kind", [magazine, card, parcel])
def test_another_print_of_one_layout_is_only_a_part(model, kind):
    first, other, again = (local(model, photographed(kind(n), side)) for n, side in ((1, 1), (2, 2), (1, 3)))
    match = verify(first, other)
    assert match.inliers >= 20
    assert verdict(match) == "partial"
    assert verdict(verify(first, again)) == "confirmed"


def test_what_lies_between_is_asked_on_a_plane_alone(model):
    """Features moved by hand: agreement between the inliers is what a count says."""
    features = local(model, shapes((480, 480), 3))
    every = np.arange(len(features))
    turn = np.array([[0.9, 0.1, 5.0], [-0.08, 0.95, 40.0], [1e-4, 0.0, 1.0]])
    moved = cv2.perspectiveTransform(features.positions[None], turn)[0]
    noise = np.random.default_rng(0).normal(0, 0.5, moved.shape)

    def between(positions, inliers):
        answer = replace(features, positions=positions.astype(np.float32))
        return agreement_between(features, answer, (inliers, inliers), 0.75)

    assert between(moved + noise, every) > 0.95
    # The lower and the upper fifth are inliers; what lies between carries other descriptors.
    y = features.positions[:, 1]
    outer = np.flatnonzero((y < np.quantile(y, 0.2)) | (y > np.quantile(y, 0.8)))
    strangers = moved + noise
    inner = np.setdiff1d(every, outer)
    strangers[inner] = strangers[np.random.default_rng(1).permutation(inner)]
    assert between(strangers, outer) < HOLLOW
    # Exact to a tenth of a pixel is drawn, far off is depth: neither is asked.
    assert between(np.where(np.isin(every, outer)[:, None], moved, strangers), outer) == 1.0
    depth = strangers + np.random.default_rng(2).normal(0, 6, moved.shape)
    assert between(depth, outer) == 1.0
