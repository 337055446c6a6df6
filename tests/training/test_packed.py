"""Packed photos: what is read is what was packed, whole or not at all, and nothing else is accepted."""

from __future__ import annotations

import hashlib
import json
import struct

import numpy as np
import pytest
from PIL import Image

from resight import images
from resight.datasets.dataset import LabelledImages, labelled
from resight.errors import InvalidInput
from resight.features import Box
from resight.images.augment import CentreCrop, Stretch
from resight.training.packed import PackedImages, pack, photo_digests


def photos(folder, count=6, *, boxes=None):
    rng = np.random.default_rng(1)
    for number in range(count):
        small = rng.integers(0, 256, (5, 6 + number, 3), dtype=np.uint8)
        Image.fromarray(small).resize((60 + 10 * number, 50)).save(folder / f"{number}.png")
    names = [f"{number}.png" for number in range(count)]
    return labelled("made", folder, names, [number // 2 for number in range(count)], boxes=boxes)


@pytest.mark.parametrize(("rule", "transform"), [("stretch", Stretch(32)), ("crop", CentreCrop(32, 32))])
def test_holds_each_photo_as_the_transform_shows_it(tmp_path, rule, transform):
    made = photos(tmp_path)
    steps = []
    packed = pack(
        made, tmp_path / "sub" / "p.packed", side=32, rule=rule, progress=lambda *step: steps.append(step)
    )
    assert packed.pixels.shape == (6, 32, 32, 3)
    assert packed.pixels.dtype == np.uint8
    assert (packed.side, packed.rule, len(packed)) == (32, rule, 6)
    assert type(packed.pixels[[0, 2]]) is np.ndarray
    for row, name in enumerate(made.paths):
        expected = transform(images.read(tmp_path / name).pixels, np.random.default_rng())
        assert np.array_equal(packed.pixels[row], expected)
    assert steps == [(done, 6) for done in range(1, 7)]
    assert not packed.pixels.flags.writeable


def test_boxes_are_cropped_to_and_tell_photos_apart(tmp_path):
    boxes = [Box(5, 5, 40, 45), None, *[Box(0, 0, 20, 20 + n) for n in range(4)]]
    made = photos(tmp_path, boxes=boxes)
    packed = pack(made, tmp_path / "p", side=16)
    part = images.read(tmp_path / "0.png", box=boxes[0]).pixels
    assert np.array_equal(packed.pixels[0], Stretch(16)(part, np.random.default_rng()))
    assert packed.rows(made).tolist() == [0, 1, 2, 3, 4, 5]
    whole = LabelledImages("whole", tmp_path, made.paths, made.labels, made.label_names)
    with pytest.raises(InvalidInput, match=r"lacks 5 of 6 photos of whole, such as 0.png whole"):
        packed.rows(whole)


def test_finds_the_rows_of_any_part(tmp_path):
    made = photos(tmp_path)
    packed = pack(made, tmp_path / "p", side=8)
    part = made.subset(np.array([4, 1, 0]))
    assert packed.rows(part).tolist() == [4, 1, 0]
    other = labelled("other", tmp_path, ["0.png", "new.png"], [0, 1])
    with pytest.raises(InvalidInput, match=r"lacks 1 of 2 photos of other, such as new.png"):
        packed.rows(other)


def test_opens_again_without_the_photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    made = photos(folder)
    first = pack(made, tmp_path / "p", side=8)
    held = first.pixels.copy()
    for path in folder.iterdir():
        path.unlink()
    again = PackedImages(tmp_path / "p", verify=True)
    assert np.array_equal(again.pixels, held)
    assert again.fingerprint == first.fingerprint
    assert again.rows(made).tolist() == list(range(6))


def test_the_fingerprint_tells_settings_and_pixels_apart(tmp_path):
    made = photos(tmp_path)
    prints = [
        pack(made, tmp_path / "a", side=8).fingerprint,
        pack(made, tmp_path / "b", side=9).fingerprint,
        pack(made, tmp_path / "c", side=8, rule="crop").fingerprint,
        pack(made.subset(np.arange(5)), tmp_path / "d", side=8).fingerprint,
    ]
    assert pack(made, tmp_path / "e", side=8, workers=1).fingerprint == prints[0]
    Image.new("RGB", (60, 50), "red").save(tmp_path / "0.png")
    prints.append(pack(made, tmp_path / "f", side=8).fingerprint)
    assert len(set(prints)) == 5
    assert all(len(text) == 64 for text in prints)


def test_a_broken_photo_leaves_no_file_and_an_old_one_untouched(tmp_path):
    made = photos(tmp_path)
    pack(made, tmp_path / "p", side=8)
    before = (tmp_path / "p").read_bytes()
    (tmp_path / "2.png").write_bytes(b"no image at all")
    (tmp_path / "4.png").unlink()
    with pytest.raises(
        InvalidInput, match=r"2 of 6 photos of made cannot be packed: .*2\.png.*4\.png.* no such file"
    ):
        pack(made, tmp_path / "p", side=8)
    assert (tmp_path / "p").read_bytes() == before
    with pytest.raises(InvalidInput, match="cannot be packed"):
        pack(made, tmp_path / "new", side=8)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "0.png",
        "1.png",
        "2.png",
        "3.png",
        "5.png",
        "p",
    ]


def test_an_interruption_leaves_no_file(tmp_path):
    made = photos(tmp_path)

    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(made, tmp_path / "p", side=8, progress=interrupt)
    assert len(list(tmp_path.iterdir())) == 6


def test_cut_altered_and_foreign_files_are_refused(tmp_path):
    pack(photos(tmp_path), tmp_path / "p", side=8)
    good = (tmp_path / "p").read_bytes()
    assert len(good) == 4096 + 6 * 8 * 8 * 3
    altered = good[:60] + bytes([good[60] ^ 1]) + good[61:]
    cases = {
        good[:20]: "is no file of packed photos",
        b"": "is no file of packed photos",
        b"PNG" * 999: "is no file of packed photos",
        good[:100]: "header of .* is cut off or altered",
        altered: "header of .* is cut off or altered",
        good[:-1]: "has 5,247 bytes instead of 5,248",
        good + b"\0": "has 5,249 bytes instead of 5,248",
        good[:8] + b"\xff" * 8 + good[16:]: "header of .* is cut off or altered",
    }
    for content, words in cases.items():
        (tmp_path / "q").write_bytes(content)
        with pytest.raises(InvalidInput, match=words):
            PackedImages(tmp_path / "q")
    (tmp_path / "q").write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    PackedImages(tmp_path / "q")
    with pytest.raises(InvalidInput, match="have been altered"):
        PackedImages(tmp_path / "q", verify=True)
    with pytest.raises(InvalidInput, match=r"nothing: No such file"):
        PackedImages(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["paths", "boxes", "digests"])
def test_a_header_whose_lists_are_of_different_lengths_is_refused(tmp_path, name):
    pack(photos(tmp_path), tmp_path / "p", side=8)
    good = (tmp_path / "p").read_bytes()
    # Magic, length, hash, then JSON.
    (length,) = struct.unpack_from("<Q", good, 8)
    fields = json.loads(good[48 : 48 + length])
    fields[name] = [*(fields[name] or [None] * 6), None]
    content = json.dumps(fields).encode()
    opening = good[:8] + struct.pack("<Q32s", len(content), hashlib.sha256(content).digest()) + content
    (tmp_path / "p").write_bytes(opening.ljust(4096, b"\0") + good[4096:])
    with pytest.raises(InvalidInput, match="is no header of packed photos: its lists are not as long"):
        PackedImages(tmp_path / "p")


def test_wrong_settings_are_refused(tmp_path):
    made = photos(tmp_path)
    with pytest.raises(InvalidInput, match="stretch or crop, not 'pad'"):
        pack(made, tmp_path / "p", side=8, rule="pad")
    with pytest.raises(InvalidInput, match="size from 1 pixel"):
        pack(made, tmp_path / "p", side=0)
    assert not (tmp_path / "p").exists()


def test_a_pack_is_of_the_bytes_it_was_made_from(tmp_path):
    made = photos(tmp_path)
    digests = photo_digests(made)
    packed = pack(made, tmp_path / "p", side=8)
    assert digests[3] == hashlib.sha256((tmp_path / "3.png").read_bytes()).hexdigest()
    assert packed.is_of(made, digests, side=8, rule="stretch")
    assert packed.is_of(made.subset(np.array([5, 2])), (digests[5], digests[2]), side=8, rule="stretch")
    assert not packed.is_of(made, digests, side=9, rule="stretch")
    assert not packed.is_of(made, digests, side=8, rule="crop")
    assert not packed.is_of(made, (*digests[:5], digests[0]), side=8, rule="stretch")
    larger = labelled("larger", tmp_path, [*made.paths, "p"], [0, 0, 1, 1, 2, 2, 2])
    assert not packed.is_of(larger, photo_digests(larger), side=8, rule="stretch")


def test_photos_that_cannot_be_read_are_named(tmp_path):
    made = photos(tmp_path)
    (tmp_path / "4.png").unlink()
    with pytest.raises(InvalidInput, match=r"1 of 6 photos of made cannot be read: .*4\.png"):
        photo_digests(made)
