"""Sets of one's own: class folders and tables."""

from __future__ import annotations

import os

import pyarrow
import pytest
from pyarrow import parquet

from resight.datasets import Benchmark, load, read_folder, read_table, shared_classes
from resight.errors import InvalidInput
from resight.features import Box


def test_class_folders_are_halved_by_name(tmp_path, write_photo):
    for number, name in enumerate(
        ["e/2.jpg", "a/1.PNG", "b/deep/er/3.jpg", "c/4.jpeg", "d/5.jpg", "a/0.jpg"]
    ):
        write_photo(tmp_path / name, seed=number)
    (tmp_path / "a" / "notes.txt").write_text("no photo")
    for hidden in ("a/.hidden.jpg", ".git/6.jpg", "b/.cache/7.jpg"):
        write_photo(tmp_path / hidden)
    write_photo(tmp_path / "loose.jpg")
    benchmark = load("folder", tmp_path)
    assert benchmark.train.paths == ("a/0.jpg", "a/1.PNG", "b/deep/er/3.jpg", "c/4.jpeg")
    assert benchmark.train.label_names == ("a", "b", "c")
    assert benchmark.train.labels.tolist() == [0, 0, 1, 2]
    assert (benchmark.test.paths, benchmark.test.label_names) == (("d/5.jpg", "e/2.jpg"), ("d", "e"))
    assert benchmark.test.photo(0).pixels.shape == (30, 40, 3)
    assert benchmark.ks == (1, 2, 4, 8)
    assert benchmark.split_rule == (
        "no folders train and test: the last 2 of 5 classes are measured, the others train"
    )


def test_a_folder_may_be_split_already(tmp_path, write_photo):
    for number, name in enumerate(["train/x/1.jpg", "train/y/1.jpg", "test/x/2.jpg"]):
        write_photo(tmp_path / name, seed=number)
    benchmark = read_folder(tmp_path)
    assert benchmark.train.paths == ("train/x/1.jpg", "train/y/1.jpg")
    assert (benchmark.test.paths, benchmark.test.label_names) == (("test/x/2.jpg",), ("x",))


@pytest.mark.parametrize("closed", ["closed", "train", "train/x", "test/x/deep"])
def test_a_folder_that_cannot_be_listed_is_named_and_not_left_out(tmp_path, write_photo, monkeypatch, closed):
    for number, name in enumerate(["train/x/1.jpg", "train/y/1.jpg", "test/x/2.jpg", "test/x/deep/3.jpg"]):
        write_photo(tmp_path / name, seed=number)
    listing = os.scandir

    def refuse(path):
        if str(path).endswith(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "listdir", lambda path: [each.name for each in os.scandir(path)])
    if closed == "closed":
        assert read_folder(tmp_path).test.paths == ("test/x/2.jpg", "test/x/deep/3.jpg")
    else:
        with pytest.raises(InvalidInput, match=rf"{closed} cannot be listed \(Permission denied\)"):
            read_folder(tmp_path)


def test_folders_without_classes_are_told_what_is_expected(tmp_path, write_photo):
    with pytest.raises(InvalidInput, match="there is no folder"):
        load("folder", tmp_path / "none")
    write_photo(tmp_path / "a" / "1.jpg")
    with pytest.raises(InvalidInput, match="has 1 folders with photos; expected are train and test"):
        load("folder", tmp_path)
    write_photo(tmp_path / "train" / "a" / "1.jpg")
    (tmp_path / "test").mkdir()
    with pytest.raises(InvalidInput, match=r"test holds no class folder with photos \(\.apng"):
        load("folder", tmp_path)
    with pytest.raises(InvalidInput, match="folder has no boxes"):
        load("folder", tmp_path, boxes=True)


def test_a_table_with_names_and_metadata(tmp_path, write_text):
    lines = [
        "path,label,label_name,coarse_label,split",
        "i/1.jpg,10,Oat,0,train",
        "i/2.jpg,9,Rye,0,train",
        '"i/3, x.jpg",11,Tea,1,test',
    ]
    write_text(tmp_path / "labels.csv", lines)
    write_text(tmp_path / "other.csv", ["nothing"])
    benchmark = load("table", tmp_path)
    assert (benchmark.train.label_names, benchmark.train.labels.tolist()) == (("Rye", "Oat"), [1, 0])
    assert benchmark.test.paths == ("i/3, x.jpg",)
    assert benchmark.test.root == tmp_path
    assert benchmark.test.queries is None
    assert benchmark.test.gallery is None
    assert benchmark.fingerprint == load("table", tmp_path / "labels.csv").fingerprint


def test_open_metric_learnings_columns(tmp_path, write_text):
    lines = [
        "label,path,split,is_query,is_gallery,x_1,x_2,y_1,y_2,category,sequence",
        "7,a.jpg,train,,,1,10,2,20,hat,",
        "7,b.jpg,train,,,,,,,hat,",
        "3,c.jpg,validation,True,False,0,5.5,0,6,hat,1",
        "3,d.jpg,validation,False,1.0,0,5,0,6,hat,1",
        "3,e.jpg,validation,1,true,0,5,0,6,hat,1",
    ]
    path = write_text(tmp_path / "df.csv", lines)
    benchmark = load("table", tmp_path, boxes=True)
    assert benchmark.train.boxes == (Box(1, 2, 10, 20), None)
    assert benchmark.train.queries is None
    assert benchmark.test.boxes[0] == Box(0, 0, 5.5, 6)
    assert benchmark.test.queries.tolist() == [True, False, True]
    assert benchmark.test.gallery.tolist() == [False, True, True]
    assert load("table", path).train.boxes is None


def test_roles_by_split(tmp_path, write_text):
    lines = ["path,label,split", "a,x,train", "b,y,query", "c,y,gallery", "d,y,test"]
    test = read_table(write_text(tmp_path / "t.csv", lines)).test
    assert (test.queries.tolist(), test.gallery.tolist()) == ([True, False, True], [False, True, True])


def test_one_role_alone_leaves_the_other_to_all(tmp_path, write_text):
    lines = ["path,label,split,query", "a,x,train,", "b,y,test,1", "c,y,test,0"]
    test = read_table(write_text(tmp_path / "t.csv", lines)).test
    assert (test.queries.tolist(), test.gallery.tolist()) == ([True, False], [True, True])


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_three_splits_of_a_table(tmp_path, write_text, name):
    lines = ["path,label,split", "a,x,train", f"b,y,{name}", f"c,x,{name}", "d,z,query", "e,z,gallery"]
    benchmark = read_table(write_text(tmp_path / "t.csv", lines))
    assert benchmark.train.paths == ("a",)
    assert (benchmark.validation.paths, benchmark.validation.label_names) == (("b", "c"), ("x", "y"))
    assert benchmark.validation.queries is None
    assert benchmark.test.queries.tolist() == [True, False]
    assert benchmark.measured("validation") is benchmark.validation
    assert benchmark.measured("test") is benchmark.test
    assert (shared_classes(benchmark.validation, benchmark.train), benchmark.validation.classes) == (1, 2)
    whole = Benchmark("table", benchmark.train, benchmark.test, benchmark.ks)
    assert benchmark.fingerprint != whole.fingerprint
    with pytest.raises(
        InvalidInput, match="table has no validation photos of its own: measure the split test"
    ):
        whole.measured("validation")


def test_roles_of_validation_photos(tmp_path, write_text):
    lines = [
        "path,label,split,is_query,is_gallery",
        "a,x,train,,",
        "b,y,val,1,0",
        "c,y,val,0,1",
        "d,z,test,1,1",
    ]
    benchmark = read_table(write_text(tmp_path / "t.csv", lines))
    assert benchmark.validation.queries.tolist() == [True, False]
    assert benchmark.validation.gallery.tolist() == [False, True]


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_folder_may_have_validation_photos(tmp_path, write_photo, name):
    for number, path in enumerate(["train/x/1.jpg", f"{name}/y/1.jpg", f"{name}/x/2.jpg"]):
        write_photo(tmp_path / path, seed=number)
    benchmark = read_folder(tmp_path)
    assert (benchmark.test.paths, benchmark.validation) == ((f"{name}/x/2.jpg", f"{name}/y/1.jpg"), None)
    write_photo(tmp_path / "test" / "z" / "3.jpg")
    benchmark = read_folder(tmp_path)
    assert benchmark.test.paths == ("test/z/3.jpg",)
    assert benchmark.validation.label_names == ("x", "y")
    for other in {"val", "valid"} - {name}:
        write_photo(tmp_path / other / "z" / "4.jpg")
    with pytest.raises(InvalidInput, match="keep one folder of validation photos"):
        read_folder(tmp_path)


def test_a_table_in_parquet_or_with_tabs_is_that_in_csv(tmp_path, write_text):
    rows = [("a", 10, "train", True, None), ("b é", 9, "train", False, 1.5), ("c, d", 11, "test", None, 2.0)]
    names = ("path", "label", "split", "query", "x")
    columns = {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
    columns["query"][2] = True
    columns["vector"] = [[1.0], [2.0], [3.0]]
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    lines = [",".join(names), "a,10,train,true,", "b é,9,train,false,1.5", '"c, d",11,test,true,2.0']
    benchmark = read_table(write_text(tmp_path / "t.csv", lines))
    assert benchmark.train.label_names == ("9", "10")
    tabbed = [
        "\t".join(names),
        "a\t10\ttrain\ttrue\t",
        "b é\t9\ttrain\tfalse\t1.5",
        "c, d\t11\ttest\ttrue\t2.0",
    ]
    write_text(tmp_path / "t.tsv", tabbed)
    for name in ("t.parquet", "t.tsv"):
        assert load("table", tmp_path / name).fingerprint == benchmark.fingerprint
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:-20])
    with pytest.raises(InvalidInput, match=r"cut.parquet is no Parquet file, or a damaged one"):
        load("table", tmp_path / "cut.parquet")
    parquet.write_table(pyarrow.table({"path": ["a"]}), tmp_path / "few.parquet")
    with pytest.raises(InvalidInput, match="no column named label in its first line, but path"):
        load("table", tmp_path / "few.parquet")


def test_without_splits_labels_are_halved_in_their_order(tmp_path, write_text):
    lines = ["path,label", *(f"{number}.jpg,{label}" for number, label in enumerate([10, 2, 33, 2, 10]))]
    benchmark = read_table(write_text(tmp_path / "t.csv", lines))
    assert (benchmark.train.label_names, benchmark.test.label_names) == (("2", "10"), ("33",))
    assert benchmark.train.paths == ("0.jpg", "1.jpg", "3.jpg", "4.jpg")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["path,split", "a,train"], "no column named label in its first line, but path, split"),
        (["name,kind"], "no column named path or label"),
        (["path,label"], "lists no photos"),
        (["path,label", "a,x,y"], "line 2 of .* more or fewer cells"),
        (["path,label", "a"], "line 2 of .* more or fewer cells"),
        (
            ["path,label,split", "a,x,train", "b,y,tset"],
            r"line 3 of .*: the split 'tset' is none of train, test",
        ),
        (["path,label,split", "a,x,train"], "1 training and 0 test photos; it needs both"),
        (["path,label,split", "a,x,validaton", "b,y,train"], "did you mean validation"),
        (["path,label,split", "b,y,val", "c,z,test"], "0 training and 1 test photos; it needs both"),
        (
            ["path,label,split,query", "a,x,train,", "b,y,val,", "c,z,test,1"],
            "not one of 1 validation photos of .* is a query photo, .* write 1 in the column query",
        ),
        (["path,label", "a,x", "b,x"], "one label alone, so that nothing can be tested"),
        (["path,label", "a,"], "line 2 of .* needs a path and a label"),
        (
            ["path,label,split,query", "a,x,train,", "b,y,val,"],
            "not one of 1 test photos of .* is a query photo, .* write 1 in the column query",
        ),
        (["path,label,split", "a,x,train", "b,y,query"], "is a gallery photo"),
        (["path,label", "a,x", "b,y", "a,y"], "line 4 of .* names a photo again: a"),
        (["path,label,split", "a,x,train", "b,y,test", "b,y,Test"], "line 4 of .* names a photo again: b"),
        (
            ["path,label,x0,y0,x1,y1", "a,x,1,2,3,4", "a,y,1,2,3,5", "a,y,1,2,3,5"],
            "line 4 of .* names a photo again: a",
        ),
        (["path,label", "a, "], "line 2 of .* needs a path and a label"),
        (["path,label,query", "a,x,maybe"], "query is true, false, 1, 0 or empty, not 'maybe'"),
    ],
)
def test_a_wrong_table_is_refused_in_a_sentence(tmp_path, write_text, lines, words):
    with pytest.raises(InvalidInput, match=words):
        load("table", write_text(tmp_path / "t.csv", lines))


@pytest.mark.parametrize("label", ["caf\u00e9 ", " caf\u00e9", "cafe\u0301", "\tcafe\u0301 "])
def test_labels_that_look_the_same_are_the_same(tmp_path, write_text, label):
    lines = ["path,label,split", "a,caf\u00e9,test", f"b,{label},test", "c,x,train"]
    test = load("table", write_text(tmp_path / "t.csv", lines)).test
    assert test.label_names == ("caf\u00e9",)
    assert test.labels.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["path,label", "a,x"], "has no boxes: they need the columns x0,y0,x1,y1"),
        (["path,label,x0,y0,x1,y1", "a,x,1,2,three,4"], "line 2 of .*could not convert"),
        (["path,label,x0,y0,x1,y1", "a,x,5,2,3,4"], "line 2 of .*the box 5,2,3,4 is empty"),
        (["path,label,x0,y0,x1,y1", "a,x,5,2,,4"], "line 2 of .*could not convert"),
    ],
)
def test_wrong_boxes_are_refused_in_a_sentence(tmp_path, write_text, lines, words):
    with pytest.raises(InvalidInput, match=words):
        load("table", write_text(tmp_path / "t.csv", lines), boxes=True)


def test_no_table_and_too_many(tmp_path, write_text):
    with pytest.raises(InvalidInput, match="there is no table"):
        load("table", tmp_path / "none.csv")
    with pytest.raises(InvalidInput, match=r"holds 0 CSV files and none is labels\.csv"):
        load("table", tmp_path)
    (tmp_path / "t.csv").write_bytes(b"path,label\n\xff,1\n")
    with pytest.raises(InvalidInput, match="no CSV file in UTF-8"):
        load("table", tmp_path)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "train", "test"),
    [
        ("grocery", (3051, 41), (2370, 40)),
        ("caltech101", (5614, 51), (3063, 50)),
        ("eth80", (1640, 40), (1640, 40)),
    ],
)
def test_real_tables(data, name, train, test):
    benchmark = load("table", data / name)
    assert (len(benchmark.train), benchmark.train.classes) == train
    assert (len(benchmark.test), benchmark.test.classes) == test
    assert benchmark.test.photo(0).pixels.shape[2] == 3
