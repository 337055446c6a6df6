"""Readers of the official sets: made copies with the published counts, and the real annotation files."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from resight.datasets import (
    BENCHMARKS,
    load,
    open_landmarks,
    read_cars196,
    read_cub200,
    read_in_shop,
    read_online_products,
)
from resight.errors import InvalidInput
from resight.features import Box


def test_cub_splits_by_class_number(tmp_path, cub, cub_counts):
    cub(tmp_path / "CUB_200_2011", cub_counts)
    benchmark = load("cub200", tmp_path)
    assert (len(benchmark.train), benchmark.train.classes) == (5864, 100)
    assert (len(benchmark.test), benchmark.test.classes) == (5924, 100)
    assert benchmark.train.label_names[0] == "001.Bird_1"
    assert benchmark.test.label_names[0] == "101.Bird_101"
    assert benchmark.test.paths[-1] == "images/200.Bird_200/Bird_200_58.jpg"
    assert benchmark.train.root == tmp_path / "CUB_200_2011"
    assert benchmark.ks == (1, 2, 4, 8)
    assert benchmark.train.boxes is None
    boxed = load("cub200", tmp_path / "CUB_200_2011", boxes=True)
    assert boxed.train.boxes[0] == Box(1.0, 2.0, 21.0, 13.5)
    assert boxed.fingerprint != benchmark.fingerprint


def test_a_copy_that_deviates_is_an_error_unless_allowed(tmp_path, cub, cub_counts):
    cub_counts[3] -= 1
    cub_counts[150] = 0
    cub(tmp_path, cub_counts)
    words = (
        "is no complete copy of cub200: it has 5,863 training photos instead of 5,864; 5,865 test photos "
        "instead of 5,924; 99 test classes instead of 100; .* allow deviating counts"
    )
    with pytest.raises(InvalidInput, match=words):
        load("cub200", tmp_path)
    assert len(load("cub200", tmp_path, allow_deviating=True).train) == 5863


@pytest.mark.parametrize(
    ("file", "line", "words"),
    [
        ("images.txt", "7", r"line 3 of .*images\.txt cannot be understood: it has 1 fields instead of 2"),
        (
            "image_class_labels.txt",
            "3 red",
            r"line 3 of .*class_labels\.txt cannot be understood: invalid literal",
        ),
        ("image_class_labels.txt", "99999 5", r"image 3 of .* has no class"),
        (
            "bounding_boxes.txt",
            "3 1 1 0 5",
            r"line 3 of .*bounding_boxes\.txt cannot be understood: the box .* empty",
        ),
        ("bounding_boxes.txt", "99999 1 1 4 5", "image 3 of cub200 train has no box"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, cub, file, line, words):
    cub(tmp_path, [2] * 200)
    lines = (tmp_path / file).read_text().splitlines()
    lines[2] = line
    (tmp_path / file).write_text("\n".join(lines))
    with pytest.raises(InvalidInput, match=words):
        read_cub200(tmp_path, boxes=True)


def test_cub_as_cgd_ships_it(tmp_path, write_text):
    for split, first in (("train", 1), ("test", 101)):
        rows = [f"{first} 0 images/{first:03d}.A/a.jpg", f"{first + 1} 1 images/{first + 1:03d}.B/b.jpg"]
        write_text(tmp_path / f"{split}.txt", ["image_id class_id path", *rows])
    write_text(tmp_path / "bbox.txt", [f"{number} 1.0 2.0 3.0 4.0" for number in (1, 2, 101, 102)])
    benchmark = read_cub200(tmp_path, boxes=True)
    assert benchmark.test.paths == ("images/101.A/a.jpg", "images/102.B/b.jpg")
    assert benchmark.test.label_names == ("101.A", "102.B")
    assert set(benchmark.train.boxes) == {Box(1, 2, 4, 6)}


CARS = [
    f"car_ims/{number:06d}.jpg,{label},{number % 2}" for number, label in enumerate([98, 99, 1, 196, 98], 1)
]


def test_cars_from_text(tmp_path, write_text):
    write_text(tmp_path / "cars_annos.txt", CARS)
    benchmark = read_cars196(tmp_path)
    assert benchmark.train.paths == ("car_ims/000001.jpg", "car_ims/000003.jpg", "car_ims/000005.jpg")
    assert (benchmark.train.label_names, benchmark.train.labels.tolist()) == (("1", "98"), [1, 0, 1])
    assert benchmark.test.label_names == ("99", "196")
    with pytest.raises(InvalidInput, match=r"no cars_annos\.mat in .*for boxes"):
        read_cars196(tmp_path, boxes=True)


def test_cars_from_matlab(tmp_path, write_text):
    scipy_io = pytest.importorskip("scipy.io", reason="MATLAB files are read by scipy where it is installed")
    fields = ["relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test"]
    rows = np.zeros((1, len(CARS)), dtype=[(name, object) for name in fields])
    for place, line in enumerate(CARS):
        path, label, test = line.split(",")
        rows[0, place] = (path, 10 + place, 20.0, 110.0, 220.0, int(label), int(test))
    scipy_io.savemat(tmp_path / "cars_annos.mat", {"annotations": rows})
    write_text(tmp_path / "text" / "cars_annos.txt", CARS)
    assert read_cars196(tmp_path).fingerprint == read_cars196(tmp_path / "text").fingerprint
    boxed = read_cars196(tmp_path, boxes=True)
    assert boxed.train.boxes == (Box(10, 20, 110, 220), Box(12, 20, 110, 220), Box(14, 20, 110, 220))
    plain = (tmp_path / "cars_annos.mat").read_bytes()
    scipy_io.savemat(tmp_path / "cars_annos.mat", {"annotations": rows}, do_compression=True)
    packed = (tmp_path / "cars_annos.mat").read_bytes()
    for content in (b"", b"MATLAB 5.0 MAT-file" + b"\0" * 300, plain[:400], packed[:200], packed[:-30]):
        (tmp_path / "cars_annos.mat").write_bytes(content)
        with pytest.raises(InvalidInput, match=r"cars_annos\.mat is no MATLAB file, or a damaged one"):
            read_cars196(tmp_path)
    for content in ({"cars": rows}, {"annotations": rows["class"]}, {"annotations": 3}):
        scipy_io.savemat(tmp_path / "cars_annos.mat", content)
        with pytest.raises(InvalidInput, match=r"is no cars_annos\.mat"):
            read_cars196(tmp_path)
    scipy_io.savemat(tmp_path / "cars_annos.mat", {"annotations": rows[:, :1]})
    with pytest.raises(InvalidInput, match="cars196 test holds no photos"):
        read_cars196(tmp_path)


def spread(photos, classes):
    """Labels from 0 whose numbers are as even as can be."""
    return [number * classes // photos for number in range(photos)]


def test_online_products_with_the_published_counts(tmp_path, write_text):
    folder = tmp_path / "Stanford_Online_Products"
    header, first = "image_id class_id super_class_id path", 1
    for split, photos, classes in (("train", 59551, 11318), ("test", 60502, 11316)):
        labels = [first + label for label in spread(photos, classes)]
        lines = (f"{n} {label} 1 bicycle_final/{label}_{n}.JPG" for n, label in enumerate(labels))
        write_text(folder / f"Ebay_{split}.txt", [header, *lines])
        first += classes
    benchmark = load("sop", tmp_path)
    assert benchmark.test.label_names[0] == "11319"
    assert benchmark.test.label_names == tuple(map(str, range(11319, 22635)))
    assert benchmark.train.paths[0] == "bicycle_final/1_0.JPG"
    assert benchmark.ks == (1, 10, 100, 1000)
    with pytest.raises(InvalidInput, match="sop has no boxes"):
        load("sop", tmp_path, boxes=True)


def in_shop_lines(counts):
    """Lines of the list of photos: (split, photos, classes, first class)."""
    for split, photos, classes, first in counts:
        for number, label in enumerate(spread(photos, classes)):
            item = f"id_{first + label:08d}"
            yield f"img/WOMEN/Tees/{item}/{split}_{number}.jpg    {item} {split}"


def test_in_shop_with_the_published_counts(tmp_path, write_text):
    counts = [("train", 25882, 3997, 1), ("query", 14218, 3985, 5000), ("gallery", 12612, 3985, 5000)]
    lines = list(in_shop_lines(counts))
    header = [str(len(lines)), "image_name item_id evaluation_status"]
    write_text(tmp_path / "Eval" / "list_eval_partition.txt", [*header, *lines])
    test = load("inshop", tmp_path).test
    assert (int(test.queries.sum()), int(test.gallery.sum())) == (14218, 12612)
    assert not (test.queries & test.gallery).any()
    assert test.paths[0] == "Img/img/WOMEN/Tees/id_00005000/query_0.jpg"
    assert test.label_names[0] == "id_00005000"


def test_in_shop_boxes_and_the_two_places_of_photos(tmp_path, write_text, write_photo):
    lines = list(in_shop_lines([("train", 2, 1, 1), ("query", 1, 1, 2), ("gallery", 1, 1, 2)]))
    write_text(tmp_path / "list_eval_partition.txt", ["4", "image_name item_id evaluation_status", *lines])
    with pytest.raises(InvalidInput, match="for boxes"):
        read_in_shop(tmp_path, boxes=True)
    boxes = [f"{line.split()[0]} 1 2 {place} 3 20 25" for place, line in enumerate(lines)]
    header = ["4", "image_name clothes_type pose_type x_1 y_1 x_2 y_2"]
    write_text(tmp_path / "Anno" / "list_bbox_inshop.txt", [*header, *boxes])
    write_photo(tmp_path / lines[3].split()[0])
    benchmark = read_in_shop(tmp_path, boxes=True)
    assert benchmark.train.boxes == (Box(0, 3, 20, 25), Box(1, 3, 20, 25))
    assert benchmark.test.photo(1).pixels.shape == (22, 17, 3)
    write_text(tmp_path / "Anno" / "list_bbox_inshop.txt", [*header, *boxes[:3]])
    with pytest.raises(InvalidInput, match=r"gallery_0\.jpg of inshop test has no box"):
        read_in_shop(tmp_path, boxes=True)
    write_text(tmp_path / "list_eval_partition.txt", ["1", "header", "img/a.jpg id_1 val"])
    with pytest.raises(InvalidInput, match=r"line 3 of .*'val' is none of train, query, gallery"):
        read_in_shop(tmp_path)


@pytest.mark.parametrize(
    ("name", "file"), [("cub200", "train.txt"), ("cars196", "cars_annos.mat"), ("sop", "Ebay")]
)
def test_an_empty_folder_is_told_what_is_expected(tmp_path, name, file):
    with pytest.raises(InvalidInput, match=f"there is no {file}.*expected is"):
        load(name, tmp_path)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(
        InvalidInput, match="'cub', did you mean cub200; there are folder, table, tuples, cub200, "
    ):
        load("cub", ".")
    labelled = ["folder", "table", "tuples", "cub200", "cars196", "sop", "inshop"]
    landmarks = ["roxford5k", "rparis6k", "oxford5k", "paris6k", "holidays", "gldv2", "revisited"]
    assert [entry.name for entry in BENCHMARKS] == [*labelled, *landmarks, "gldv2-recognition"]
    with pytest.raises(InvalidInput, match="holidays has no labels"):
        load("holidays", ".")
    with pytest.raises(InvalidInput, match="sop is no landmark benchmark"):
        open_landmarks("sop", ".")


def test_no_text_and_no_list(tmp_path):
    (tmp_path / "Ebay_train.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match="no text in UTF-8"):
        read_online_products(tmp_path)
    (tmp_path / "Ebay_train.txt").write_text("image_id class_id super_class_id path\n")
    with pytest.raises(InvalidInput, match="sop train holds no photos"):
        read_online_products(tmp_path)


@pytest.mark.data
def test_the_real_lists_of_cub_agree(data, tmp_path, write_photo):
    own, shipped = tmp_path / "CUB_200_2011", tmp_path / "cgd"
    shutil.copytree(data / "annotations" / "CUB_200_2011", own, copy_function=shutil.copyfile)
    shutil.copytree(data / "annotations" / "cgd_CUB200", shipped, copy_function=shutil.copyfile)
    for folder in (own, shipped):
        folder.chmod(0o755)
    first, second = load("cub200", tmp_path, boxes=True), load("cub200", shipped, boxes=True)
    assert first.fingerprint == second.fingerprint
    assert first.train.boxes[0] == Box(60.0, 27.0, 385.0, 331.0)
    assert first.test.label_names[0] == "101.White_Pelican"
    write_photo(own / first.test.paths[-1], size=(500, 400))
    last = first.test.photo(len(first.test) - 1)
    assert last.region.width == round(first.test.boxes[-1].clipped(500, 400).width)


@pytest.mark.data
def test_the_real_list_of_cars(data, tmp_path, write_photo):
    shutil.copyfile(data / "annotations" / "cars_annos.txt", tmp_path / "cars_annos.txt")
    benchmark = load("cars196", tmp_path)
    assert benchmark.train.label_names == tuple(map(str, range(1, 99)))
    assert benchmark.test.label_names == tuple(map(str, range(99, 197)))
    write_photo(tmp_path / benchmark.train.paths[0])
    assert benchmark.train.photo(0).pixels.shape == (30, 40, 3)
