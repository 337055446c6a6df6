"""Which photos a folder holds, and a folder with everything that goes wrong."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_photos import picture, write_photo
from PIL import Image

from resight.collection import Collection, find_photos
from resight.collection.scan import printable, scan
from resight.errors import InvalidInput
from resight.images import MAX_PIXELS


def names(folder: Path, paths) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_photos(paths)]


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(path.name.encode())


def test_folders_are_walked_sorted_and_only_photos_taken(tmp_path):
    for name in ("b/z.jpg", "b/y.PNG", "a.tiff", "notes.txt", ".hidden.jpg", ".thumbs/t.jpg", "b/c/d/e.webp"):
        touch(tmp_path / name)
    assert names(tmp_path, [tmp_path]) == ["a.tiff", "b/c/d/e.webp", "b/y.PNG", "b/z.jpg"]
    assert names(tmp_path, [tmp_path / "notes.txt", tmp_path / "b" / "z.jpg", tmp_path / "b"]) == [
        "b/c/d/e.webp",
        "b/y.PNG",
        "b/z.jpg",
        "notes.txt",
    ]
    with pytest.raises(InvalidInput, match=r"no file or folder .*nothing"):
        find_photos([tmp_path / "nothing"])


def test_relative_and_dotted_paths_are_one(tmp_path, monkeypatch):
    touch(tmp_path / "a" / "p.jpg")
    monkeypatch.chdir(tmp_path / "a")
    assert names(tmp_path, [".", "../a", "p.jpg", tmp_path / "a"]) == ["a/p.jpg"]


def test_links_are_followed_loops_survived_and_files_taken_once(tmp_path):
    touch(tmp_path / "z" / "real.jpg")
    touch(tmp_path / "outside" / "other.jpg")
    folder = tmp_path / "z"
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "a link.jpg").symlink_to(folder / "real.jpg")
    (folder / "there").symlink_to(tmp_path / "outside", target_is_directory=True)
    (folder / "again").symlink_to(tmp_path / "outside", target_is_directory=True)
    (folder / "dangling.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "itself.jpg").symlink_to(folder / "itself.jpg")
    found = scan([folder])
    assert [Path(photo.path).relative_to(folder).as_posix() for photo in found.photos] == [
        "again/other.jpg",
        "real.jpg",
    ]
    assert [photo.target for photo in found.photos] == [
        str(tmp_path / "outside" / "other.jpg"),
        str(folder / "real.jpg"),
    ]
    assert {Path(file.path).name for file in found.broken} == {"dangling.jpg", "itself.jpg"}


def test_files_that_are_no_photos_are_counted_by_suffix(tmp_path):
    for name in ("a.CR2", "b.cr2", "in/c.cr2", "d.mp4", "in/e.MP4", "f", ".hidden", "g.jpg", "h.jpg_large"):
        touch(tmp_path / name)
    touch(tmp_path / "elsewhere.txt")
    (tmp_path / "in" / "link.txt").symlink_to(tmp_path / "elsewhere.txt")
    looked = scan([tmp_path])
    assert looked.passed_over == {".cr2": 3, ".mp4": 2, "": 1, ".jpg_large": 1, ".txt": 2}
    assert next(iter(looked.passed_over)) == ".cr2"
    assert [Path(photo.path).name for photo in looked.photos] == ["g.jpg"]
    # What is given by itself is taken, whatever its suffix.
    assert scan([tmp_path / "d.mp4"]).passed_over == {}


@pytest.mark.parametrize("name", ["a.HIF", "b.mpo", "c.jpe", "d.JFIF", "e.avif", "f.heif", "g.heic", "h.ppm"])
def test_suffixes_of_cameras_and_browsers_are_photos(tmp_path, name):
    touch(tmp_path / name)
    assert names(tmp_path, [tmp_path]) == [name]


def test_a_link_to_a_pipe_or_a_device_does_not_hang(collection, tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(folder / "plain.jpg")
    (folder / "live.jpg").symlink_to(tmp_path / "pipe")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    with (folder / "sparse.jpg").open("wb") as stream:
        stream.truncate(1 << 40)
    report = collection.add([folder, tmp_path / "pipe"])
    reasons = {Path(photo.path).name: photo.reason for photo in report.broken}
    assert reasons.keys() == {"pipe", "zero.jpg", "sparse.jpg"}
    assert reasons["pipe"] == reasons["zero.jpg"] == "it is a pipe, a socket or a device, not a file"
    assert reasons["sparse.jpg"] == "its 1,099,511,627,776 bytes are more than the limit of 4,294,967,296"


def test_a_raised_limit_reads_what_was_refused(collection, tmp_path):
    folder = write_photo(tmp_path / "large" / "a.png", 333).parent
    (broken,) = collection.add(folder, max_pixels=96 * 64 - 1).broken
    assert "are more than the limit of" in broken.reason
    # It is known as broken, and read again only where the limit is raised.
    assert len(collection.add(folder).broken) == 1
    report = collection.add(folder, max_pixels=MAX_PIXELS + 1)
    assert (report.added + report.updated + report.unchanged, report.broken) == (1, [])
    assert len(collection) == 13


def test_a_collection_beside_its_photos_is_not_passed_over(collection, photos):
    assert scan([photos.parent]).passed_over == {}


def test_a_link_to_a_photo_that_is_there_already_is_not_added(collection, photos, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "l.png").symlink_to(photos / "a" / "p00.png")
    assert collection.add(tmp_path / "links").added == 0
    assert len(collection) == 12


def test_a_folder_given_through_a_link_is_the_same_folder(collection, photos, tmp_path):
    (tmp_path / "door").symlink_to(photos, target_is_directory=True)
    assert collection.add(tmp_path / "door").unchanged == 12
    assert collection.remove(tmp_path / "door" / "a" / "p00.png") == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no names of undecodable bytes")
def test_undecodable_names_are_listed(tmp_path, model):
    write_photo(tmp_path / "photos" / "good.png", 1)
    strange = tmp_path / "photos" / os.fsdecode(b"str\xffnge.png")
    write_photo(tmp_path / "photos" / "x.png", 2).rename(strange)
    collection = Collection.create(tmp_path / "c", model=model)
    report = collection.add(tmp_path / "photos")
    assert report.added == 1
    (file,) = report.broken
    assert file.path.endswith("str\\xffnge.png")
    assert "rename" in file.reason
    file.path.encode()
    assert printable(str(strange)) == file.path


@pytest.mark.skipif(os.name == "nt", reason="making links takes a permission there")
@pytest.mark.parametrize("name", ["link.jpg", "link", "link.txt"])
def test_a_link_that_cannot_be_looked_at_does_not_stop_the_walk(tmp_path, name):
    touch(tmp_path / "a.jpg")
    # As one into a folder that may not be entered: the system refuses to say what is there.
    (tmp_path / name).symlink_to("x" * 300)
    found = scan([tmp_path])
    assert [photo.path for photo in found.photos] == [str(tmp_path / "a.jpg")]
    assert found.unlisted == [str(tmp_path / name)]
    assert [Path(file.path).name for file in found.broken] == ([name] if name == "link.jpg" else [])


def test_a_folder_that_cannot_be_listed_does_not_stop_the_walk(tmp_path, monkeypatch):
    touch(tmp_path / "closed" / "p.jpg")
    touch(tmp_path / "open" / "p.jpg")
    listing = os.scandir

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = scan([tmp_path])
    assert [photo.path for photo in found.photos] == [str(tmp_path / "open" / "p.jpg")]
    assert [(file.path, file.reason) for file in found.broken] == [
        (str(tmp_path / "closed"), "this folder cannot be listed (Permission denied)")
    ]


def write_bomb(path: Path, side: int) -> None:
    """Writes a black PNG of one bit a pixel."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def write_horrors(folder: Path) -> set[str]:
    """Writes a folder of everything that goes wrong and returns the names of what cannot be read."""
    whole = write_photo(folder / "good.jpg", 1, width=320, height=240).read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 3])
    (folder / "empty.png").write_bytes(b"")
    scrambled = bytearray(write_photo(folder / "scrambled.png", 2).read_bytes())
    scrambled[60:200] = bytes(140)
    (folder / "scrambled.png").write_bytes(scrambled)
    for orientation in (6, 8):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(picture(3 + orientation)).save(folder / f"phone {orientation}.jpg", exif=exif)
    Image.fromarray(picture(20)).convert("CMYK").save(folder / "cmyk.jpg")
    cv2.imwrite(str(folder / "sixteen.png"), picture(21).astype(np.uint16) * 257)
    frames = [Image.fromarray(picture(number)) for number in (22, 23, 24)]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    cv2.imwrite(
        str(folder / "panorama.jpg"), cv2.resize(picture(25), (20_000, 400), interpolation=cv2.INTER_LINEAR)
    )
    write_bomb(folder / "bomb.png", 30_000)
    (folder / "text.jpg").write_text("this is no picture")
    write_photo(folder / "Straße über München.png", 26)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    return {"truncated.jpg", "empty.png", "scrambled.png", "bomb.png", "text.jpg"}


def test_folder_of_horrors(tmp_path, model):
    folder = tmp_path / "a folder with spaces"
    unreadable = write_horrors(folder)
    collection = Collection.create(tmp_path / "c", model=model)
    report = collection.add(folder)
    assert {Path(file.path).name for file in report.broken} == unreadable
    assert all(file.reason and folder.name not in file.reason for file in report.broken)
    assert report.added == len(collection) == 8
    for name in ("Straße über München.png", "cmyk.jpg", "sixteen.png", "animated.gif", "panorama.jpg"):
        assert collection.search(folder / name, top=1)[0].path == str(folder / name)
    for orientation in (6, 8):
        hit = collection.search(folder / f"phone {orientation}.jpg", top=1)[0]
        assert (hit.path, hit.width, hit.height) == (str(folder / f"phone {orientation}.jpg"), 64, 96)
    again = collection.add(folder)
    assert (again.added, again.updated, again.unchanged, again.broken) == (0, 0, 8, report.broken)
    assert collection.check().problems == []
    assert collection.info().broken == report.broken
