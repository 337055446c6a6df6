"""A labelled set checks itself, can be cut in parts and told apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resight import images
from resight.datasets import Benchmark, LabelledImages, labelled, validation_split
from resight.errors import InvalidInput, UnreadableImage
from resight.features import Box


def made(**changes):
    values = {
        "name": "made",
        "root": Path("photos"),
        "paths": ("a.jpg", "b.jpg", "c.jpg", "d.jpg"),
        "labels": np.array([0, 2, 1, 2]),
        "label_names": ("cat", "dog", "fox"),
        "boxes": (Box(0, 0, 9, 9), None, Box(1, 2, 3, 4), None),
        "queries": np.array([True, False, True, True]),
        "gallery": np.array([False, True, True, True]),
    }
    return LabelledImages(**(values | changes))


def test_a_subset_keeps_order_and_numbers_labels_anew():
    part = made().subset(np.array([3, 0]), name="part")
    assert (part.name, part.paths, part.label_names) == ("part", ("d.jpg", "a.jpg"), ("cat", "fox"))
    assert part.labels.tolist() == [1, 0]
    assert part.labels.dtype == np.int64
    assert part.boxes == (None, Box(0, 0, 9, 9))
    assert (part.queries.tolist(), part.gallery.tolist()) == ([True, True], [True, False])
    assert (len(part), part.classes) == (2, 2)


def test_the_fingerprint_follows_the_lists_and_not_the_place():
    base = made()
    assert base.fingerprint == replace(made(), root=Path("/elsewhere"), name="other").fingerprint
    changed = [
        made(paths=("a.jpg", "b.jpg", "c.jpg", "e.jpg")),
        made(labels=np.array([0, 2, 1, 1])),
        made(label_names=("cat", "dog", "wolf")),
        made(boxes=None),
        made(boxes=(Box(0, 0, 9, 8), None, Box(1, 2, 3, 4), None)),
        made(queries=None),
        made(gallery=None),
        made(queries=made().gallery, gallery=made().queries),
        made().subset(np.array([1, 0, 2, 3])),
    ]
    assert len({base.fingerprint, *(other.fingerprint for other in changed)}) == 10
    assert (
        Benchmark("x", base, changed[0], (1,)).fingerprint
        != Benchmark("x", changed[0], base, (1,)).fingerprint
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"paths": ()}, "made holds no photos"),
        ({"labels": np.array([0, 1, 2])}, "one int64 label for each of 4 photos"),
        ({"labels": np.array([0, 1, 2, 2], dtype=np.int32)}, "not int32"),
        ({"labels": np.array([0, 2, 2, 2])}, "must be 0 to 2 .* without gaps"),
        ({"labels": np.array([1, 2, 3, 3])}, "must be 0 to 2 .* without gaps"),
        ({"boxes": (None,)}, "4 photos, but 1 boxes"),
        ({"queries": np.ones(3, dtype=bool)}, r"queries of made must be bool \(4,\)"),
        ({"gallery": np.ones(4)}, "gallery of made must be bool"),
    ],
)
def test_wrong_lists_are_refused_in_a_sentence(change, words):
    with pytest.raises(InvalidInput, match=words):
        made(**change)


@pytest.mark.parametrize("indices", [[], [-1], [0, 4]])
def test_a_subset_needs_indices_that_exist(indices):
    with pytest.raises(InvalidInput, match="indices from 0 to 3"):
        made().subset(np.array(indices, dtype=np.int64))


def test_numbers_are_labels_in_their_order():
    part = labelled("made", Path(), ["a", "b", "c"], [10, 9, 10])
    assert (part.labels.tolist(), part.label_names) == ([1, 0, 1], ("9", "10"))


def test_reads_a_photo_whole_or_in_its_box(tmp_path, write_photo):
    path = write_photo(tmp_path / "a.png", seed=3)
    boxed = labelled(
        "made", tmp_path, ["a.png"] * 3, [0, 0, 0], boxes=[None, Box(5, 6, 25, 20), Box(50, 50, 60, 60)]
    )
    assert np.array_equal(boxed.photo(0).pixels, images.read(path).pixels)
    assert np.array_equal(boxed.photo(1).pixels, images.read(path).pixels[6:20, 5:25])
    with pytest.raises(UnreadableImage, match=r"a\.png: the box .* lies outside the photo"):
        boxed.photo(2)


@pytest.mark.parametrize(
    ("classes", "share", "held"), [(50, 0.2, 10), (41, 0.2, 8), (2, 0.01, 1), (3, 0.9, 2)]
)
def test_validation_takes_whole_classes(classes, share, held):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(classes), 3))
    whole = labelled("made", Path(), [f"{number}.jpg" for number in range(len(labels))], labels.tolist())
    train, validation = validation_split(whole, share=share, seed=1)
    assert (train.classes, validation.classes) == (classes - held, held)
    assert not set(train.label_names) & set(validation.label_names)
    assert sorted(train.paths + validation.paths) == sorted(whole.paths)
    for part in (train, validation):
        numbers = [int(path[:-4]) for path in part.paths]
        assert numbers == sorted(numbers)
        assert [part.label_names[label] for label in part.labels] == [
            str(labels[number]) for number in numbers
        ]


def test_the_seed_decides_the_validation_classes():
    whole = labelled("made", Path(), [f"{number}.jpg" for number in range(60)], list(range(30)) * 2)
    first, again, other = (validation_split(whole, seed=seed)[1].label_names for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert len(first) == 6


def test_a_split_that_cannot_be_is_refused():
    one = labelled("made", Path(), ["a", "b"], [0, 0])
    with pytest.raises(InvalidInput, match="needs two or more"):
        validation_split(one, seed=0)
    with pytest.raises(InvalidInput, match="share between 0 and 1"):
        validation_split(made(), share=1.0, seed=0)
    with pytest.raises(InvalidInput, match="seed from 0"):
        validation_split(made(), seed=-1)
