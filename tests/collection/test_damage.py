"""Damage on the disk is noticed: a checksum a row and a file, and formats of before."""

from __future__ import annotations

import os
import random
import shutil
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
from made_photos import stored, write_photo

from resight import Collection
from resight.collection import Query, lance_errors, readable_files
from resight.collection.checksum import CHECKSUM, damaged_rows, row_checksums
from resight.collection.header import FORMAT
from resight.collection.lance_errors import reading
from resight.collection.readable_files import ReadableFiles
from resight.collection.store import Store
from resight.collection.sums import SUMS_NAME
from resight.collection.writing import writing
from resight.errors import CollectionDamaged

FILES = Path(__file__).parents[1] / "stored" / "files"


def flip(file: Path, place: int, bit: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1 << bit
    file.write_bytes(data)


def test_no_flipped_bit_of_a_data_file_passes_check(tmp_path, photos, model):
    made = Collection.create(tmp_path / "c", model=model)
    made.add(photos / "b", metadata={str(photos / "b" / "p07.png"): {"title": "Dom", "year": 1248}})
    (name,) = [file.name for file in (made.path / "photos.lance/data").iterdir()]
    size, rng = (made.path / "photos.lance/data" / name).stat().st_size, random.Random(0)
    for number in range(60):
        copy = tmp_path / "copy"
        shutil.copytree(made.path, copy)
        # The end of the file holds what it says of itself, and what fills it up.
        place = rng.randrange(size) if number % 2 else size - 1 - rng.randrange(3000)
        flip(copy / "photos.lance/data" / name, place, rng.randrange(8))
        with suppress(CollectionDamaged):
            assert Collection.open(copy, model=model).check(sample=1).problems, place
        shutil.rmtree(copy)


def test_a_file_whose_account_of_its_pages_holds_a_null_is_refused_before_a_scan(collection, model):
    # Lance ends the whole process where an error of a scan holds one.
    (file,) = (collection.path / "photos.lance/data").iterdir()
    whole = file.read_bytes()
    at = whole.rindex(b"PageLayout")
    file.write_bytes(whole[:at] + b"\0" * 4 + whole[at + 4 :])
    for read in (
        lambda: Collection.open(collection.path, model=model).info(),
        # One that is open already, after a commit of another.
        lambda: (collection._store._reopen(), collection.info()),
    ):
        with pytest.raises(CollectionDamaged, match=rf"the file .*{file.name} cannot be read \(Error.*check"):
            read()
    file.write_bytes(whole)
    assert len(Collection.open(collection.path, model=model)) == 12


@pytest.mark.parametrize(
    "change",
    [
        # Of columns, of which Lance takes memory for 68 GB, and of buffers.
        lambda data: data[:-12] + b"\xff\xff\xff\xff" + data[-8:],
        lambda data: data[:-16] + b"\xff\xff\xff\x7f" + data[-12:],
        # Where columns, and their table, begin.
        lambda data: data[:-40] + b"\xff" * 8 + data[-32:],
        lambda data: data[:-32] + bytes(8) + data[-24:],
        lambda data: data[:-4] + b"LANX",
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:30],
        lambda data: b"",
    ],
)
def test_the_end_of_a_data_file_is_read_before_lance_takes_memory_for_what_it_says(collection, model, change):
    (file,) = (collection.path / "photos.lance/data").iterdir()
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(
        CollectionDamaged, match=rf"{file.name} cannot be read \(the end of the file is damaged"
    ):
        Collection.open(collection.path, model=model).info()


def test_a_data_file_is_opened_once_and_again_when_it_has_changed(tmp_path, collection, monkeypatch):
    folder = collection.path / "photos.lance/data"
    (name,) = [file.name for file in folder.iterdir()]
    opened = []

    class Session:
        def __init__(self, base):
            assert base == str(folder)

        def open_reader(self, name):
            opened.append(name)

    monkeypatch.setattr(readable_files, "LanceFileSession", Session)
    files = ReadableFiles(folder)
    for _ in range(2):
        files.require([name])
    assert opened == [name]
    os.utime(folder / name, ns=(1, 1))
    files.require([name])
    assert opened == [name, name]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("hash", "X'00'"),
        ("width", "97"),
        ("path", "'a/other.png'"),
        ("year", "1999"),
        ("broken", "'x'"),
        ("root", "5"),
    ],
)
def test_a_changed_value_of_any_column_is_noticed(collection, photos, column, value):
    collection.add(photos, metadata={str(photos / "a" / "p00.png"): {"year": 1}})
    stored(collection).update({column: value}, where="path = 'a/p00.png'")
    assert sum(damaged_rows(stored(collection).to_table())) == 1
    assert collection.check(sample=0).problems


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda found: stored(found).update({"width": "97"}, where="path = 'a/p00.png'"),
            "its checksum is another",
        ),
        (
            lambda found: stored(found).update({"local": "X'00'"}, where="path = 'a/p00.png'"),
            "its checksum is another",
        ),
    ],
)
def test_a_damaged_row_is_told_and_all_others_are_checked(collection, photos, change, reason):
    change(collection)
    answer = collection.answer(Query([photos / "a" / "p01.png"]))
    verdicts = {hit.path: hit.verdict for hit in answer.hits}
    damaged = str(photos / "a" / "p00.png")
    assert verdicts.pop(damaged) == "unchecked"
    assert [hit.query for hit in answer.hits if hit.path == damaged] == [None]
    assert "unchecked" not in verdicts.values()
    assert verdicts[str(photos / "a" / "p01.png")] == "confirmed"
    (said,) = answer.notes
    assert f"{damaged} is damaged" in said
    assert reason in said

    # The command that the sentence names mends the row; its bytes are not taken over from what is damaged.
    assert f"resight index {damaged} --collection {collection.path} --again" in said
    assert collection.add(photos, again=True).unchanged == 12
    assert collection.check(sample=20).problems == []
    assert collection.answer(Query([photos / "a" / "p01.png"])).notes == ()


def test_several_damaged_rows_are_one_sentence(collection, photos):
    stored(collection).update({"width": "97"}, where="path LIKE 'a/%'")
    (said,) = collection.answer(Query([photos / "b" / "p07.png"])).notes
    assert f"as is that of 6 more, which `resight check {collection.path}` names" in said


def test_rows_that_cannot_be_read_together_are_read_one_by_one(collection, photos, monkeypatch):
    whole_rows = Store.whole_rows
    bad = {
        row["_rowid"]
        for row in stored(collection).to_table(with_row_id=True).to_pylist()
        if "p03" in row["path"]
    }

    def read(self, ids):
        if bad & set(ids.tolist()):
            raise CollectionDamaged("the bytes are none")
        return whole_rows(self, ids)

    monkeypatch.setattr(Store, "whole_rows", read)
    answer = collection.answer(Query([photos / "a" / "p01.png"]))
    assert [hit.path for hit in answer.hits if hit.verdict == "unchecked"] == [str(photos / "a" / "p03.png")]
    assert "p03.png is damaged (the bytes are none)" in answer.notes[0]


def test_values_of_a_damaged_row_do_not_make_it_whole(collection, photos):
    stored(collection).update({"width": "97"}, where="path = 'a/p00.png'")
    collection.add(
        photos, metadata={str(photos / "a" / name): {"year": 1} for name in ("p00.png", "p01.png")}
    )
    (problem,) = collection.check(sample=0).problems
    assert "a/p00.png is damaged" in problem
    assert stored(collection).count_rows("year = 1") == 2


def test_a_checksum_is_the_one_of_its_definition():
    import struct
    import zlib

    row = pa.table(
        {
            "title": ["Ü"],
            "year": pa.array([7], pa.int32()),
            "sharp": [0.5],
            "mine": [True],
            "none": pa.array([None], pa.string()),
            "descriptor": pa.array([np.array([1, -2], np.float16)], pa.list_(pa.float16(), 2)),
            "_rowid": [5],
        }
    )
    values = {
        "descriptor": struct.pack("<2e", 1, -2),
        "mine": struct.pack("<q", 1),
        "sharp": struct.pack("<d", 0.5),
        "title": "Ü".encode(),
        "year": struct.pack("<q", 7),
    }
    data = b"".join(
        name.encode() + b"\0" + struct.pack("<q", len(value)) + value for name, value in values.items()
    )
    assert row_checksums(row).to_pylist() == [zlib.crc32(data)]


def test_format_1_is_read_and_brought_up_to_date_without_describing(tmp_path):
    shutil.copytree(FILES / "stored.resight", tmp_path / "stored.resight")
    shutil.copytree(FILES / "photos", tmp_path / "photos")
    collection = Collection.open(tmp_path / "stored.resight")
    assert collection.info().format == 1
    (note,) = [note for note in collection.check(sample=0).notes if "checksums" in note]
    assert note.startswith("not all of the collection has checksums (it has format 1), so damage may")
    assert f"the next `resight index PHOTOS --collection {collection.path}` adds them" in note
    before = lance.dataset(collection.path / "photos.lance").to_table()
    Store.open(collection.path).migrate()
    assert collection.info().format == FORMAT
    after = lance.dataset(collection.path / "photos.lance").to_table()
    assert after.select(before.schema.names).equals(before)
    assert not damaged_rows(after).any()
    assert collection.info().metadata == ["place", "view"]


def test_a_migration_that_was_killed_is_done_again(collection, photos):
    store = Store.open(collection.path)
    store.write_header(replace(store.header, format=1))
    stored(collection).update({"width": "97", CHECKSUM: "NULL"}, where="path = 'a/p00.png'")
    collection.add(photos / "b")
    assert collection.info().format == FORMAT
    assert not damaged_rows(stored(collection).to_table()).any()


def test_check_says_where_checksums_are_missing_until_the_next_writer(collection, photos):
    assert not [note for note in collection.check(sample=0).notes if "checksums" in note]
    (collection.path / "photos.sums").unlink()
    (note,) = [note for note in collection.check(sample=0).notes if "checksums" in note]
    assert "(its file photos.sums is gone)" in note
    collection.add(photos / "b")
    assert not [note for note in collection.check(sample=0).notes if "checksums" in note]


def test_an_interrupt_that_lance_tells_as_an_error_is_no_damage(tmp_path):
    def interrupted():
        raise OSError("External error: KeyboardInterrupt: , /src/io.rs:1")

    with pytest.raises(KeyboardInterrupt):
        reading(tmp_path, interrupted, lambda: None)
    with pytest.raises(KeyboardInterrupt), lance_errors.writing(tmp_path):
        interrupted()


def test_a_panic_is_damage(tmp_path):
    class PanicException(BaseException):
        pass

    def read() -> None:
        raise PanicException("index out of bounds")

    with pytest.raises(CollectionDamaged, match="index out of bounds"):
        reading(tmp_path, read, lambda: None)


@pytest.mark.parametrize("level", [255, 0, 130])
def test_a_photo_of_one_colour_is_reported_and_never_an_answer(collection, photos, tmp_path, level):
    from PIL import Image

    noise = np.random.default_rng(0).integers(-2, 3, (80, 100, 3))
    blank = np.clip(level + noise, 0, 255).astype(np.uint8)
    Image.fromarray(blank).save(photos / "blank.png")
    Image.fromarray(blank[:70]).save(photos / "another.png")
    report = collection.add(photos)
    assert {file.reason for file in report.broken} == {"nothing in it can be recognised"}
    assert (len(report.broken), len(collection)) == (2, 12)
    with pytest.raises(ValueError, match=r"nothing in .*blank\.png can be recognised: it is of one colour"):
        collection.search(photos / "blank.png")
    with pytest.raises(ValueError, match="nothing in the query photo can be recognised"):
        collection.search(blank)


def smooth_photos():
    """Photos without an edge: a slope, a sky with the noise of a sensor, a vignette, one pixel."""
    rows, columns = np.mgrid[:120, :160]
    noise = np.random.default_rng(0).normal(0, 1, rows.shape)
    sky = np.stack([90 + rows / 2 + noise, 140 + rows / 2 + noise, 220 + noise], axis=-1)
    grey = {
        "slope": rows + columns * 0.8,
        "vignette": 200 - np.hypot(rows - 60, columns - 80) ** 2 / 80,
        "pixel": np.zeros((1, 1)),
    }
    return {"sky": sky} | {name: np.repeat(levels[:, :, None], 3, axis=2) for name, levels in grey.items()}


@pytest.mark.parametrize("name", ["slope", "sky", "vignette", "pixel"])
def test_no_model_recognises_anything_where_colours_change_smoothly(collection, photos, name):
    from PIL import Image

    pixels = np.clip(smooth_photos()[name], 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(photos / "smooth.png")
    # A thin line, or a step a little over the noise, is something.
    lined = pixels.repeat(2, axis=0)
    lined[1] = lined[1] // 2 + 100
    Image.fromarray(lined).save(photos / "lined.png")
    report = collection.add(photos)
    assert [Path(file.path).name for file in report.broken] == ["smooth.png"]
    with pytest.raises(ValueError, match="nothing in the query photo can be recognised"):
        collection.search(pixels)


def test_what_is_wholly_transparent_shows_nothing(collection, photos):
    from PIL import Image

    hidden = np.random.default_rng(1).integers(0, 256, (80, 100, 4), dtype=np.uint8)
    hidden[:, :, 3] = 0
    Image.fromarray(hidden).save(photos / "hidden.png")
    assert [Path(file.path).name for file in collection.add(photos).broken] == ["hidden.png"]


def test_sift_recognises_nothing_in_smooth_colours(tmp_path):
    from PIL import Image

    ramp = np.repeat(np.linspace(0, 255, 300).astype(np.uint8)[None], 200, axis=0)
    (tmp_path / "p").mkdir()
    Image.fromarray(np.stack([ramp] * 3, axis=-1)).save(tmp_path / "p" / "sky.png")
    write_photo(tmp_path / "p" / "a.png", 1, width=320, height=240)
    report = Collection.create(tmp_path / "c", model="sift").add(tmp_path / "p")
    assert [(Path(file.path).name, file.reason) for file in report.broken] == [
        ("sky.png", "nothing in it can be recognised")
    ]


@pytest.mark.parametrize("name", ["_versions/*.manifest", "_deletions/*"])
def test_a_changed_file_that_the_table_is_opened_by_is_refused_by_name(collection, name):
    with writing(collection.path, None, timeout=0.0) as store:
        store.drop(np.array([0], dtype=np.int64))
    newest = Store.open(collection.path)
    newest.sum_table()
    file = min((collection.path / "photos.lance").glob(name))
    data = bytearray(file.read_bytes())
    for place in range(0, len(data), 97):
        changed = data.copy()
        changed[place] ^= 4
        file.write_bytes(changed)
        with pytest.raises(CollectionDamaged, match=f"{file.name} was changed after it was written"):
            Collection.open(collection.path)
    file.write_bytes(data)
    assert collection.check(sample=0).problems == []


def test_checksums_of_older_commits_and_none_at_all_are_no_damage(collection, photos, model):
    before = (collection.path / SUMS_NAME).read_bytes()
    collection.remove(photos / "a")
    (collection.path / SUMS_NAME).write_bytes(before)
    assert Collection.open(collection.path, model=model).check(sample=1).problems == []
    (collection.path / SUMS_NAME).unlink()
    assert Collection.open(collection.path, model=model).check(sample=1).problems == []


@pytest.mark.parametrize("line", ["00000000 /etc/passwd", "00000000 photos.lance/_versions/../../x", "x"])
def test_a_list_of_checksums_is_damaged_or_names_nothing_elsewhere(collection, line):
    place = collection.path / SUMS_NAME
    lines = f"{line}\n".encode()
    for text in (b"00000000\n" + lines, f"{zlib.crc32(lines):08x}\n".encode() + lines):
        place.write_bytes(text)
        with pytest.raises(CollectionDamaged, match=r"list of checksums .* is damaged: delete it"):
            Collection.open(collection.path)
