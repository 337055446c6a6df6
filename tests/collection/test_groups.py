"""Groups of a collection: which photos are one picture, what was done to them, and what is kept of that."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from grid_model import grid_model
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from resight.collection import Collection, groups
from resight.collection.groups import EdgeStore, GroupConfig, edges_of, finding
from resight.collection.groups.building import build_groups, is_copy
from resight.collection.groups.edges import Edge, Looked
from resight.collection.groups.inset import inset_of
from resight.collection.groups.pictures import Photo
from resight.collection.groups.registration import Thumbnail, register
from resight.collection.groups.shape import shape_of
from resight.collection.roots import Key, Root, Roots
from resight.errors import InvalidInput, NoLocalFeatures, StorageFailed
from resight.features import ImageFeatures
from resight.images import photo_of
from resight.scenes.render import render_view

SIDE = 480


def write_edits(folder: Path) -> None:
    """One picture and its edits, another view of the same place, and another place."""
    folder.mkdir()
    picture = Image.fromarray(render_view(3, 0, seed=5, side=SIDE))
    width, height = picture.size
    captioned = picture.copy()
    ImageDraw.Draw(captioned).rectangle((0, 0, width, height // 8), fill=(0, 0, 0))
    edits = {
        "picture.png": picture,
        "crop.jpg": picture.crop(
            (width // 4, height // 4, width // 4 + width // 2, height // 4 + height // 2)
        ),
        "quarter.jpg": picture.rotate(-90, expand=True),
        "half.jpg": picture.rotate(180),
        "mirror.jpg": ImageOps.mirror(picture),
        "small.jpg": picture.resize((width // 2, height // 2), Image.Resampling.LANCZOS),
        "grey.jpg": ImageOps.grayscale(picture),
        "border.jpg": ImageOps.expand(picture, 40, (250, 20, 120)),
        "caption.jpg": captioned,
        "view.jpg": Image.fromarray(render_view(3, 1, seed=5, side=SIDE)),
        "other.jpg": Image.fromarray(render_view(4, 0, seed=5, side=SIDE)),
    }
    for name, edit in edits.items():
        edit.save(folder / name, quality=88)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A collection of edits with its groups; not to be changed."""
    folder = tmp_path_factory.mktemp("edits")
    write_edits(folder / "photos")
    collection = Collection.create(folder / "edits.resight", model="sift")
    collection.add(folder / "photos")
    collection.groups()
    return folder


@pytest.fixture(scope="module")
def copies(made):
    return Collection.open(made / "edits.resight").groups()


@pytest.fixture
def copied(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "copy")


def members(group):
    return {Path(member.path).name: member for member in group}


def test_edits_of_one_picture_are_one_group_and_other_views_are_not(copies):
    assert len(copies) == 1
    assert copies.photos == 11
    assert members(copies[0]).keys() == {
        *("picture.png", "crop.jpg", "quarter.jpg", "half.jpg", "mirror.jpg", "small.jpg"),
        *("grey.jpg", "border.jpg", "caption.jpg"),
    }


def test_the_picture_itself_is_kept_and_each_edit_is_named(copies):
    group = members(copies[0])
    assert Path(copies[0].keep.path).name == "picture.png"
    assert copies[0].keep.edit is None
    width, height = copies[0].keep.width, copies[0].keep.height
    crop = group["crop.jpg"]
    np.testing.assert_allclose(
        crop.edit.crop.corners, (width / 4, height / 4, width * 0.75, height * 0.75), atol=2
    )
    assert crop.share == pytest.approx(0.25, abs=0.01)
    assert str(group["quarter.jpg"].edit) == "turned 90°"
    assert str(group["half.jpg"].edit) == "turned 180°"
    assert group["mirror.jpg"].edit.words == ["mirrored"]
    assert group["small.jpg"].edit.words == ["resized to 50 %"]
    assert group["grey.jpg"].edit.words == ["recoloured"]
    np.testing.assert_allclose(
        group["border.jpg"].edit.inside.corners, (40, 40, 40 + width, 40 + height), atol=2
    )
    assert 0.08 < group["caption.jpg"].edit.covered < 0.2


def test_views_of_one_place_are_one_thing(made):
    (things,) = Collection.open(made / "edits.resight").groups(of="things")
    assert {"view.jpg", "picture.png", "crop.jpg"} <= members(things).keys()
    assert "other.jpg" not in members(things)
    assert all(member.edit is None for member in things)


def test_places_of_equal_windows_are_two_things():
    """As measured of two rendered places: 7 of 64 pairs of their views agree, by few points."""
    photos = [
        Photo(bytes([n]) * 32, n, Key(0, f"place_{n // 8}_view_{n % 8}.jpg"), 480, 480, 1, 1)
        for n in range(16)
    ]

    def edge(one, other, inliers):
        return Edge(photos[one].hash, photos[other].hash, False, inliers, True, np.eye(3), 0.3, 0.3)

    own = [
        edge(p + a, p + b, 30 + 9 * (a + b))
        for p in (0, 8)
        for a in range(8)
        for b in range(a)
        if (a + b) % 4
    ]
    wrong = [(0, 10, 21), (3, 8, 21), (3, 9, 46), (3, 10, 21), (5, 9, 24), (6, 9, 20), (7, 9, 34)]
    for kind in ("things", "scenes"):
        some = [*own, *(edge(*each) for each in wrong)]
        looked = {
            photo.hash: Looked(photo.hash, 1.0, [e for e in some if e.first == photo.hash])
            for photo in photos
        }
        built = build_groups(
            photos, looked, Roots([Root(0, "/photos")], Path("/")), {}, of=kind, keep="first"
        )
        assert [len(group) for group in built] == [8, 8]
        assert all(len({Path(member.path).name[:7] for member in group}) == 1 for group in built)


def test_times_part_scenes(copied):
    collection = Collection.open(copied / "edits.resight")
    photos = copied / "photos"
    times = {"picture.png": "2026-05-01T10:00:00", "grey.jpg": "2026-05-01T10:00:40"}
    others = sorted(path.name for path in photos.iterdir() if path.name not in times)
    times |= {name: f"{2010 + number}-01-01" for number, name in enumerate(others)}
    collection.add(photos, metadata={str(photos / name): {"taken": time} for name, time in times.items()})
    (scene,) = collection.groups(of="scenes")
    assert members(scene).keys() == {"picture.png", "grey.jpg"}


def test_rules_of_what_to_keep(made):
    collection = Collection.open(made / "edits.resight")
    assert Path(collection.groups(keep="first")[0].keep.path).name == "border.jpg"
    assert Path(collection.groups(keep="largest")[0].keep.path).name == "border.jpg"
    with pytest.raises(InvalidInput, match="keep is one of best, largest, newest, oldest, first, not 'big'"):
        collection.groups(keep="big")
    with pytest.raises(InvalidInput, match="of is one of copies, things, scenes, not 'thing'"):
        collection.groups(of="thing")


def test_of_equal_copies_one_stored_at_low_quality_or_without_its_time_is_not_kept(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = Image.fromarray(render_view(7, 0, seed=5, side=480))
    for quality in (92, 40, 85):
        picture.save(folder / f"{quality}.jpg", quality=quality)
    collection = Collection.create(tmp_path / "equal.resight", model="sift")
    collection.add(folder)
    (group,) = collection.groups()
    looked = edges_of(collection._store).read()
    sharpness = {one.steps: one.sharpness for one in looked.values()}
    assert sorted(round(steps, 1) for steps in sharpness) == [9.2, 17.3, 72.1]
    assert max(sharpness, key=sharpness.__getitem__) > 70, "the blocks count as sharp"
    assert Path(group.keep.path).name != "40.jpg"
    for name in ("92.jpg", "85.jpg"):
        times = {
            str(folder / each): {"taken": "2024-05-01T10:00:00" if each == name else None}
            for each in ("92.jpg", "85.jpg")
        }
        collection.add(folder, metadata=times)
        assert Path(collection.groups()[0].keep.path).name == name
    picture.save(folder / "lossless.png")
    collection.add(folder, metadata={str(folder / "85.jpg"): {"taken": None}})
    assert Path(collection.groups()[0].keep.path).name == "lossless.png"


def test_what_was_found_is_kept_and_new_photos_alone_are_looked_at(copied, monkeypatch):
    collection = Collection.open(copied / "edits.resight")
    seen = []
    monkeypatch.setattr(finding, "register", lambda *_: pytest.fail("nothing is new"))
    assert len(collection.groups(progress=lambda *counts: seen.append(counts))[0]) == 9
    assert seen == [(0, 0)]
    monkeypatch.undo()
    Image.open(copied / "photos" / "other.jpg").rotate(90, expand=True).save(copied / "photos" / "late.jpg")
    collection.add(copied / "photos")
    assert collection.known_groups().waiting == 1
    found = collection.groups(progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (1, 1)
    assert [len(group) for group in found] == [9, 2]


def test_a_disk_that_takes_nothing_costs_time_and_nothing_else(copied, monkeypatch, caplog):
    collection = Collection.open(copied / "edits.resight")
    found = [members(group).keys() for group in collection.groups()]
    shutil.rmtree(collection.path / "groups")
    before = sorted(collection.path.rglob("*"))

    def refuse(*_, **__):
        raise StorageFailed("the collection cannot be written")

    monkeypatch.setattr(finding, "writer_lock", refuse)
    assert [members(group).keys() for group in collection.groups()] == found
    assert sorted(collection.path.rglob("*")) == before
    assert caplog.text.count("what was found is not kept for the next time: the collection cannot") == 1


def test_renamed_removed_and_equal_files(copied):
    collection = Collection.open(copied / "edits.resight")
    photos = copied / "photos"
    (photos / "grey.jpg").rename(photos / "renamed.jpg")
    shutil.copy(photos / "other.jpg", photos / "same.jpg")
    collection.add(photos)
    known = len(edges_of(collection._store).read())
    collection.remove(photos / "crop.jpg")
    assert len(edges_of(collection._store).read()) == known - 1
    first, second = collection.groups()
    assert {"renamed.jpg"} <= members(first).keys()
    assert "crop.jpg" not in members(first)
    assert members(second).keys() == {"other.jpg", "same.jpg"}
    assert str(members(second)["same.jpg"].edit) == "the same file"


def test_damaged_and_foreign_files_of_edges_count_for_nothing(copied):
    collection = Collection.open(copied / "edits.resight")
    (file,) = (copied / "edits.resight" / "groups").glob("*.edges")
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 0xFF
    file.write_bytes(content)
    (file.parent / "00000099.edges").write_bytes(b"no table")
    assert len(collection.groups()[0]) == 9


def test_other_settings_and_models_are_looked_at_anew(made):
    path = made / "edits.resight"
    fingerprint = Collection.open(path).model.fingerprint
    assert len(EdgeStore(path, fingerprint, GroupConfig()).read()) == 11
    assert EdgeStore(path, fingerprint, GroupConfig(neighbours=3)).read() == {}
    assert EdgeStore(path, "another", GroupConfig()).read() == {}


def test_photos_that_are_not_here_are_compared_once_they_are(copied, monkeypatch):
    shutil.rmtree(copied / "edits.resight" / "groups")
    collection = Collection.open(copied / "edits.resight")
    with monkeypatch.context() as away:
        away.setattr(Roots, "is_here", lambda *_: False)
        assert len(collection.groups()) == 0
        (things,) = collection.groups(of="things")
        assert all(member.missing for member in things)
    assert len(collection.groups()[0]) == 9


def test_the_same_bytes_with_another_time_are_compared_and_other_bytes_are_told(copied):
    shutil.rmtree(copied / "edits.resight" / "groups")
    collection = Collection.open(copied / "edits.resight")
    for path in (copied / "photos").iterdir():
        os.utime(path, (1, 1))
    with (copied / "photos" / "grey.jpg").open("ab") as stream:
        stream.write(b"more")
    found = collection.groups()
    assert len(found[0]) == 8
    (note,) = found.notes
    assert "pairs the pixels could not be compared: a file is not there, or has changed" in note


def test_noise_is_no_sharpness():
    """Otherwise a copy with noise would be the one to keep."""
    rng = np.random.default_rng(0)
    for place in range(4):
        picture = Image.fromarray(render_view(place, 0, seed=5, side=480))
        blurred = picture.filter(ImageFilter.GaussianBlur(1.5))
        sharp, soft = sharpness_of(picture), sharpness_of(blurred)
        assert sharp > 1.5 * soft
        for level in (10, 25, 50):
            pixels = np.asarray(picture) + rng.normal(0, level, np.asarray(picture).shape)
            assert sharpness_of(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))) < sharp
    assert sharpness_of(Image.new("RGB", (3, 1))) == 0.0
    assert sharpness_of(Image.new("RGB", (40, 30), (255, 255, 255))) == 0.0


@pytest.mark.parametrize(
    ("inliers", "exactness", "is_one"),
    [(300, 0.7, True), (480, 0.7, False), (480, 0.95, True), (300, 0.95, True), (15, 0.7, False)],
)
def test_two_sharp_photos_a_moment_apart_are_no_copies(inliers, exactness, is_one):
    edge = Edge(b"a" * 20, b"b" * 20, False, inliers, True, np.eye(3), 0.95, exactness)
    assert is_copy(edge, shape_of(np.eye(3), (640, 480), (640, 480))) == is_one


def sharpness_of(picture: Image.Image) -> float:
    return Thumbnail.of(photo_of(picture)).sharpness


def test_many_equal_black_photos_make_no_group(tmp_path):
    (tmp_path / "photos").mkdir()
    for number in range(60):
        Image.new("RGB", (64, 48)).save(tmp_path / "photos" / f"{number}.png", compress_level=number % 9)
    collection = Collection.create(tmp_path / "black.resight", model="sift")
    collection.add(tmp_path / "photos")
    assert len(collection.groups()) == 0


def test_strangers_with_one_frame_are_none_and_one_picture_with_two_captions_is(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    banner = Image.fromarray(render_view(8, 1, seed=5, side=400)).resize((400, 90))
    for number in range(4):
        stranger = Image.fromarray(render_view(20 + number, 0, seed=5, side=400))
        stranger.paste(banner, (0, stranger.height - 90))
        ImageOps.expand(stranger, 15, (200, 30, 30)).save(folder / f"frame{number}.jpg")
    picture = Image.fromarray(render_view(3, 0, seed=5, side=400))
    for number, top in enumerate((0, picture.height - 60)):
        captioned = picture.copy()
        draw = ImageDraw.Draw(captioned)
        draw.rectangle((0, top, picture.width, top + 60), fill=(255, 255, 255))
        draw.text((10, top + 10), "some words and others"[number * 4 :], fill=(0, 0, 0))
        captioned.save(folder / f"caption{number}.jpg")
    ImageOps.flip(picture).save(folder / "flipped.jpg")
    collection = Collection.create(tmp_path / "c", model="sift")
    collection.add(folder)
    (group,) = collection.groups()
    assert members(group).keys() == {"caption0.jpg", "caption1.jpg", "flipped.jpg"}


def test_descriptors_made_elsewhere_are_in_no_group_and_this_is_said(made, tmp_path):
    held = Collection.open(made / "edits.resight").exported()
    collection = Collection.create(tmp_path / "rows.resight", model="sift")
    described = {
        path: ImageFeatures(descriptor) for path, descriptor in zip(held.paths, held.descriptors, strict=True)
    }
    collection.add(made / "photos", described=described)
    found = collection.groups()
    assert list(found) == []
    assert found.notes == (
        "11 of 11 photos have no local features, by which photos are compared, and are in no group: "
        "index them without --from",
    )
    assert Collection.open(tmp_path / "rows.resight").groups().notes == found.notes
    collection.remove(list(held.paths))
    collection.add(made / "photos")
    found = Collection.open(tmp_path / "rows.resight").groups()
    assert found.notes == ()
    groups = Collection.open(made / "edits.resight").groups()
    assert [members(group).keys() for group in found] == [members(group).keys() for group in groups]


def test_nothing_and_one_photo_are_no_group(tmp_path):
    collection = Collection.create(tmp_path / "one.resight", model="sift")
    assert list(collection.groups()) == []
    Image.fromarray(render_view(3, 0, seed=5, side=240)).save(tmp_path / "one.png")
    collection.add(tmp_path / "one.png")
    found = collection.groups(of="things")
    assert (list(found), found.photos, found.notes) == ([], 1, ())


def test_a_model_without_local_features_is_refused(tmp_path):
    collection = Collection.create(tmp_path / "c", model=grid_model(with_local=False))
    with pytest.raises(NoLocalFeatures, match="has no local features, by which photos are compared"):
        collection.groups()


def test_killed_while_comparing_it_goes_on(copied, monkeypatch):
    path = copied / "edits.resight"
    shutil.rmtree(path / "groups")
    program = (
        "import sys; from resight.collection import Collection;"
        "from resight.collection.groups import finding;"
        "finding.BLOCK = 2; Collection.open(sys.argv[1]).groups()"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(path)])
    while not list((path / "groups").glob("*.edges")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    seen = []
    found = Collection.open(path).groups(progress=lambda *counts: seen.append(counts))
    assert 0 < seen[0][1] < 11
    assert [len(group) for group in found] == [9]
    assert len(list((path / "groups").iterdir())) == 1


def page_with(picture: Image.Image, place, size=(960, 720), paper=(245, 245, 245), text=4) -> Image.Image:
    """A page full of words with a picture on it."""
    page = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(page)
    words = np.random.default_rng(text)
    for line in range(8, size[1] - 20, 26):
        letters = "".join(chr(97 + letter) if letter < 26 else " " for letter in words.integers(0, 30, 150))
        draw.text((6, line), letters, fill=(60, 60, 60), font_size=13)
    page.paste(picture, place)
    return page


@pytest.mark.parametrize("paper", [(245, 245, 245), (0, 0, 0), (250, 240, 120)])
@pytest.mark.parametrize("place", [(300, 200), (0, 0), (720, 540)])
def test_a_picture_on_a_page_is_seen_where_it_is(paper, place):
    picture = Image.fromarray(render_view(3, 0, seed=5, side=240))
    page = page_with(picture, place, paper=paper)
    box = inset_of(np.asarray(page))
    expected = (*place, place[0] + picture.width, place[1] + picture.height)
    # A line of words that touches it may count.
    np.testing.assert_allclose(box.corners, expected, atol=16)


def test_photos_and_pages_of_words_alone_show_no_picture_on_a_page():
    photo = render_view(3, 0, seed=5, side=480)
    words = page_with(Image.new("RGB", (1, 1)), (0, 0))
    ring = Image.new("RGB", (300, 300), (255, 255, 255))
    ImageDraw.Draw(ring).line((30, 30, 270, 270), fill=(0, 0, 0), width=40)
    one_colour = np.full((200, 300, 3), 77, np.uint8)
    for pixels in (photo, words, ring, one_colour, one_colour[:1, :1], one_colour[:, :3]):
        assert inset_of(np.asarray(pixels)) is None


def test_a_picture_on_a_screen_is_found_and_two_letters_with_one_picture_are_no_copies(tmp_path):
    (tmp_path / "photos").mkdir()
    one, other, logo = (Image.fromarray(render_view(place, 0, seed=5, side=320)) for place in (3, 4, 5))
    photos = {
        "picture.jpg": one,
        "screen.png": page_with(one, (420, 330)),
        "stranger.png": page_with(other, (420, 330), text=5),
        "letter.png": page_with(logo, (320, 90), text=6),
        "another letter.png": page_with(logo, (320, 90), text=7),
    }
    for name, photo in photos.items():
        photo.save(tmp_path / "photos" / name, quality=90)
    collection = Collection.create(tmp_path / "screens.resight", model="sift")
    collection.add(tmp_path / "photos")
    (group,) = collection.groups()
    found = members(group)
    assert found.keys() == {"picture.jpg", "screen.png"}
    assert Path(group.keep.path).name == "picture.jpg"
    place = (420, 330, 420 + one.width, 330 + one.height)
    np.testing.assert_allclose(found["screen.png"].edit.inside.corners, place, atol=2)
    # By the picture on the page alone geometry confirms nothing: two pages may share a logo.
    edges = [edge for one in edges_of(collection._store).read().values() for edge in one.edges]
    closest = max(edges, key=lambda edge: edge.inliers)
    assert (closest.inliers > 150, closest.confirmed) == (True, False)


def test_a_page_as_bright_as_the_picture_is_seen_by_its_colour():
    """Magenta has a grey level of 105."""
    texture = np.random.default_rng(0).normal(105, 4, (240, 320, 1)).repeat(3, axis=2)
    whole = Image.fromarray(np.clip(texture, 0, 255).astype(np.uint8))
    inner = whole.crop((60, 60, 260, 180))
    page = Image.new("RGB", whole.size, (255, 0, 255))
    page.paste(inner, (60, 60))
    moved = np.array([[1.0, 0, 60], [0, 1, 60], [0, 0, 1]])
    thumbnails = [Thumbnail(np.asarray(each), *each.size, sharpness=1.0) for each in (inner, page, whole)]
    points = np.random.default_rng(1).uniform(5, 115, (30, 2)).astype(np.float32)
    around, crop = (
        register(thumbnails[0], outer, (points, points + 60), moved).first_framed for outer in thumbnails[1:]
    )
    assert around > 0.9
    assert crop < 0.2


def test_the_shape_of_a_crop_turned_and_mirrored():
    # A part of 100 x 60 at (30, 20) of a photo of 200 x 100, turned a quarter clockwise, twice as large.
    crop = np.array([[1.0, 0, -30], [0, 1, -20], [0, 0, 1]])
    turned = np.array([[0.0, -1, 59], [1, 0, 0], [0, 0, 1]])
    larger = np.array([[2.0, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
    shape = shape_of(larger @ turned @ crop, (200, 100), (120, 200))
    assert shape.part.corners == pytest.approx((30, 20, 130, 80))
    assert (shape.share, shape.other_share) == pytest.approx((0.3, 1.0))
    assert (shape.angle, shape.scale) == pytest.approx((90, 2))
    assert (shape.mirrored, shape.tilted, shape.stretch) == (False, False, 1.0)
    mirror = np.array([[-1.0, 0, 199], [0, 1, 0], [0, 0, 1]])
    assert shape_of(mirror, (200, 100), (200, 100)).mirrored
    wide = shape_of(np.diag([0.6, 1.0, 1.0]), (200, 100), (120, 100))
    assert (wide.stretch, wide.tilted) == (pytest.approx(0.6), False)
    aslant = np.array([[1.0, 0.1, 0], [0, 1, 0], [0.0008, 0, 1]])
    assert shape_of(aslant, (200, 100), (200, 100)).tilted
    assert shape_of(np.array([[1.0, 0, 500], [0, 1, 0], [0, 0, 1]]), (200, 100), (200, 100)) is None


def test_the_face_names_what_there_is():
    assert set(groups.__all__) >= {"Group", "Groups", "Member", "Edit"}
