"""The doctor finds what is wrong with a copy, names it, and calls a sound copy sound."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from PIL import Image

from resight.datasets import examine
from resight.errors import InvalidInput


@pytest.fixture
def table(tmp_path, write_text, write_photo):
    """A sound table of eight photos with boxes."""
    rows = [(number, number // 2, "train" if number < 4 else "test") for number in range(8)]
    for number, _, _ in rows:
        write_photo(tmp_path / f"{number}.jpg", seed=number)
    lines = [f"{number}.jpg,{label},{split},0,0,20,20" for number, label, split in rows]
    return write_text(tmp_path / "labels.csv", ["path,label,split,x0,y0,x1,y1", *lines])


def kinds(findings):
    return [finding.kind for finding in findings if finding.problem], [
        f.kind for f in findings if not f.problem
    ]


def found(findings, kind):
    return next(finding for finding in findings if finding.kind == kind)


def edit(table, old, new):
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))


def test_a_sound_copy_has_no_problem(table):
    steps = []
    findings = examine("table", table, progress=lambda *step: steps.append(step))
    assert kinds(findings) == ([], ["counts"])
    assert findings[0].sentence == "training: 4 photos of 2 classes; test: 4 photos of 2 classes"
    assert steps == [(done, 8) for done in range(1, 9)]


def test_missing_and_unreadable_photos_are_named_with_reasons(table):
    (table.parent / "1.jpg").unlink()
    whole = (table.parent / "2.jpg").read_bytes()
    (table.parent / "2.jpg").write_bytes(whole[: len(whole) // 2])
    (table.parent / "5.jpg").write_text("<html>not found</html>")
    (table.parent / "6.jpg").write_bytes(b"")
    (table.parent / "7.jpg").unlink()
    (table.parent / "7.jpg").mkdir()
    findings = examine("table", table)
    assert kinds(findings) == (["missing", *["unreadable"] * 4], ["counts"])
    assert findings[0].sentence == "table train: 1 of 4 photos are missing: 1.jpg"
    reasons = {finding.paths[0]: finding.sentence for finding in findings[1:5]}
    assert "cut off" in reasons["2.jpg"]
    assert "it is a web page" in reasons["5.jpg"]
    assert "the file is empty" in reasons["6.jpg"]
    assert "directory" in reasons["7.jpg"]


def test_the_same_bytes_within_and_across_splits(table):
    root = table.parent
    shutil.copy(root / "0.jpg", root / "1.jpg")
    shutil.copy(root / "4.jpg", root / "6.jpg")
    shutil.copy(root / "2.jpg", root / "7.jpg")
    findings = examine("table", table)
    assert kinds(findings) == (["contradiction", "leak"], ["counts", "duplicate"])
    assert found(findings, "duplicate").paths == ("0.jpg", "1.jpg")
    assert found(findings, "contradiction").paths == ("4.jpg", "6.jpg")
    assert found(findings, "leak").paths == ("7.jpg",)
    assert found(findings, "leak").sentence.endswith("training photo: 7.jpg is 2.jpg")


def test_validation_photos_are_looked_at_as_the_others(table):
    edit(table, "3.jpg,1,train", "3.jpg,1,val")
    edit(table, "4.jpg,2,test", "4.jpg,2,valid")
    folder = table.parent
    shutil.copy(folder / "0.jpg", folder / "3.jpg")
    shutil.copy(folder / "4.jpg", folder / "5.jpg")
    findings = examine("table", table)
    assert found(findings, "counts").sentence.endswith("; validation: 2 photos of 2 classes")
    leaks = [finding.sentence for finding in findings if finding.kind == "leak"]
    assert leaks == [
        "1 validation photos have the bytes of a training photo: 3.jpg is 0.jpg",
        "1 test photos have the bytes of a validation photo: 5.jpg is 4.jpg",
    ]
    shared = [finding.sentence for finding in findings if finding.kind == "shared"]
    assert shared == [
        "training and validation share labels (1): 1",
        "validation and test share labels (1): 2",
    ]


def test_a_path_listed_twice(table):
    edit(table, "1.jpg,0,train", "0.jpg,0,train")
    findings = examine("table", table)
    assert kinds(findings)[0] == ["repeated"]
    assert found(findings, "repeated").paths == ("0.jpg",)
    edit(table, "0.jpg,0,train,0,0,20,20\n", "0.jpg,0,train,0,0,30,20\n")
    assert kinds(examine("table", table))[0] == ["repeated"]
    text = table.read_text().replace("0.jpg,0,train,0,0,30,20", "0.jpg,0,train,0,0,20,21", 1)
    table.write_text(text)
    assert kinds(examine("table", table)) == ([], ["counts"])


@pytest.mark.parametrize(("box", "leaves"), [("0,0,41,31", False), ("0,0,42,20", True), ("-1,0,9,9", True)])
def test_boxes_that_leave_their_photos(table, box, leaves):
    edit(table, "5.jpg,2,test,0,0,20,20", f"5.jpg,2,test,{box}")
    findings = examine("table", table)
    assert kinds(findings)[0] == (["box"] if leaves else [])
    if leaves:
        assert found(findings, "box").paths == ("5.jpg",)


def test_gaps_shared_labels_and_lonely_photos_are_notes(table):
    edit(table, "7.jpg,3", "7.jpg,9")
    edit(table, "5.jpg,2", "5.jpg,0")
    findings = examine("table", table)
    assert kinds(findings) == ([], ["counts", "gap", "shared", "alone"])
    assert (
        found(findings, "gap").sentence == "no label is numbered 4, 5, 6 and 2 more, though 0 to 9 are in use"
    )
    assert found(findings, "shared").sentence == "training and test share labels (1): 0"
    assert found(findings, "alone").paths == ("4.jpg", "5.jpg", "6.jpg", "7.jpg")


def test_a_query_needs_an_answer_in_the_gallery(tmp_path, write_text, write_photo):
    for number in range(6):
        write_photo(tmp_path / f"{number}.jpg", seed=number)
    lines = ["path,label,split", "0.jpg,a,train", "1.jpg,a,train", "2.jpg,b,query", "3.jpg,b,gallery"]
    write_text(tmp_path / "labels.csv", [*lines, "4.jpg,c,query", "5.jpg,d,gallery"])
    findings = examine("table", tmp_path)
    assert kinds(findings) == ([], ["boxes", "counts", "alone"])
    assert found(findings, "alone").paths == ("4.jpg",)
    assert found(findings, "counts").sentence.endswith("2 queries and 2 in the gallery")
    assert "has no boxes" in found(findings, "boxes").sentence


def test_an_official_set_with_other_counts(tmp_path, cub, write_photo):
    cub(tmp_path, [1, *[0] * 99, 2, *[0] * 99])
    for name in ("001.Bird_1/Bird_1_0", "101.Bird_101/Bird_101_0", "101.Bird_101/Bird_101_1"):
        write_photo(tmp_path / "images" / f"{name}.jpg", seed=hash(name) % 1000)
    findings = examine("cub200", tmp_path)
    assert kinds(findings) == (["counts"], ["counts", "gap"])
    assert "1 training photos instead of 5,864" in findings[0].sentence
    assert found(findings, "gap").sentence.startswith("no label is numbered 2, 3, 4 and 96 more")


def test_lists_that_cannot_be_understood_are_a_problem(table, tmp_path):
    table.write_text("nothing\n")
    findings = examine("table", table)
    assert kinds(findings) == (["lists"], [])
    assert "no column named path or label" in findings[0].sentence
    assert kinds(examine("sop", tmp_path)) == (["lists"], [])
    with pytest.raises(InvalidInput, match="there is no benchmark 'tabel', did you mean table"):
        examine("tabel", table)


def test_the_number_of_threads_changes_nothing(table):
    (table.parent / "1.jpg").unlink()
    assert examine("table", table, workers=1) == examine("table", table, workers=5)
    with pytest.raises(InvalidInput, match="workers must be at least 1, not 0"):
        examine("table", table, workers=0)


@pytest.fixture
def landmarks(tmp_path, write_photo):
    """A sound landmark benchmark: four database images, and two queries with a box."""
    for number in range(4):
        write_photo(tmp_path / f"jpg/{number}.jpg", seed=number)
    for number in range(2):
        write_photo(tmp_path / f"queries/q{number}.jpg", seed=10 + number)
    entry = {"bbx": [0, 0, 20, 20], "easy": [0], "hard": [1], "junk": []}
    content = {"imlist": ["0", "1", "2", "3"], "qimlist": ["q0", "q1"], "gnd": [entry, entry]}
    (tmp_path / "gnd_made.json").write_text(json.dumps(content))
    return tmp_path


def change_truth(root, change):
    content = json.loads((root / "gnd_made.json").read_text())
    change(content)
    (root / "gnd_made.json").write_text(json.dumps(content))


def test_a_sound_landmark_benchmark(landmarks):
    steps = []
    findings = examine("revisited", landmarks, progress=lambda *step: steps.append(step))
    assert kinds(findings) == ([], ["counts"])
    assert findings[0].sentence == "database: 4 images; 2 queries"
    assert steps == [(done, 6) for done in range(1, 7)]


def test_what_is_wrong_with_the_photos_of_landmarks(landmarks):
    (landmarks / "jpg/1.jpg").unlink()
    (landmarks / "jpg/3.jpg").write_bytes((landmarks / "jpg/2.jpg").read_bytes())
    (landmarks / "queries/q1.jpg").write_bytes((landmarks / "jpg/0.jpg").read_bytes())
    change_truth(landmarks, lambda content: content["gnd"][0].update(bbx=[0, 0, 60, 20], easy=[], hard=[]))
    findings = examine("revisited", landmarks)
    assert kinds(findings) == (["missing", "box", "leak"], ["counts", "alone", "duplicate"])
    assert findings[0].sentence == "database: 1 of 4 photos are missing: jpg/1.jpg"
    assert found(findings, "box").paths == ("queries/q0.jpg",)
    assert found(findings, "alone").paths == ("queries/q0.jpg",)
    assert found(findings, "leak").sentence.endswith("database image: queries/q1.jpg is jpg/0.jpg")
    assert found(findings, "duplicate").paths == ("jpg/2.jpg", "jpg/3.jpg")


def test_a_query_that_belongs_to_the_database_is_no_leak(landmarks):
    shutil.copy(landmarks / "jpg/0.jpg", landmarks / "queries/0.jpg")
    change_truth(landmarks, lambda content: content.update(qimlist=["0", "q1"]))
    assert kinds(examine("revisited", landmarks)) == ([], ["counts"])


def test_lists_and_counts_of_landmarks(landmarks):
    assert kinds(examine("roxford5k", landmarks)) == (["lists"], [])
    (landmarks / "gnd_made.json").rename(landmarks / "gnd_roxford5k.json")
    findings = examine("roxford5k", landmarks)
    assert kinds(findings) == (["counts"], ["counts"])
    assert "4 images instead of 4,993; 2 queries instead of 70" in findings[0].sentence


def test_recognition_is_looked_at_too(tmp_path, write_photo, write_text):
    write_photo(tmp_path / "train/a/b/c/abc.jpg", seed=1)
    write_photo(tmp_path / "test/d/e/f/def.jpg", seed=1)
    write_text(tmp_path / "train.csv", ["id,url,landmark_id", "abc,url,1"])
    write_text(tmp_path / "recognition_solution_v2.1.csv", ["id,landmarks,Usage", "def,1,Public"])
    findings = examine("gldv2-recognition", tmp_path)
    assert kinds(findings) == (["leak"], ["counts"])


@pytest.mark.data
@pytest.mark.slow
def test_a_real_set_is_sound(data):
    findings = examine("table", data / "grocery")
    assert kinds(findings) == ([], ["boxes", "counts"])


def test_photos_that_are_pipes_or_no_paths_are_told_and_not_waited_for(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.effect_noise((40, 30), 60).save(tmp_path / name)
    os.mkfifo(tmp_path / "pipe.jpg")
    rows = [
        "a.jpg,1,train",
        "pipe.jpg,1,train",
        "x\0.jpg,1,train",
        "none.jpg,1,train",
        "b.jpg,2,test",
        "c.jpg,2,test",
    ]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,split", *rows]))
    sentences = [finding.sentence for finding in examine("table", tmp_path / "t.csv")]
    assert any(
        "cannot be read (it is a pipe, a socket or a device, not a file): pipe.jpg" in one
        for one in sentences
    )
    assert any("cannot be read (embedded null byte)" in one for one in sentences)
    assert any("1 of 4 photos are missing: none.jpg" in one for one in sentences)
