"""``resight index`` on folders as they are, and the names that people type for photos and collections."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import unicodedata

import pytest

from resight.models import packaged


@pytest.fixture
def folder(rendered, tmp_path):
    """Three photos, one of them in a folder of its own."""
    (tmp_path / "photos" / "export").mkdir(parents=True)
    for number, name in enumerate(["a.jpg", "b.jpg", "export/c.jpg"]):
        shutil.copy(rendered / f"place_00{number}_view_0.jpg", tmp_path / "photos" / name)
    return tmp_path / "photos"


def test_patterns_are_kept_counted_taken_back_and_forgotten(run, folder, tmp_path):
    line = ("index", folder, "--collection", tmp_path / "c")
    code, out, err = run(*line, "--exclude", "export/", "--exclude", "exprot")
    assert code == 0
    assert "2 added" in out
    assert "1 file or folder left out: 1 export/" in out
    assert "the pattern 'exprot' leaves nothing out" in err
    assert "1 export/" in run(*line)[1]
    assert "1 added" in run(*line, "--exclude", "!export")[1]
    assert "left out" not in run(*line, "--exclude", "")[1]


@pytest.mark.parametrize(
    ("options", "is_here", "advises"),
    [((), True, True), ((), False, False), (("--model", "sift"), True, False), (("--json",), True, False)],
)
def test_who_names_no_model_is_told_of_a_better_one(
    run, folder, tmp_path, monkeypatch, options, is_here, advises
):
    monkeypatch.setattr(importlib.import_module("resight.cli.index"), "_WORTH_ADVICE", 3)
    monkeypatch.setattr(packaged, "has_lite0", lambda: is_here)
    line = ("index", folder, "--collection", tmp_path / "c")
    assert ("with --model efficientnet-lite0+sift" in run(*line, *options)[2]) == advises
    # Once: not when nothing is new.
    assert "efficientnet" not in run(*line)[2]


def test_few_photos_are_worth_no_advice(run, folder, tmp_path):
    assert "efficientnet" not in run("index", folder, "--collection", tmp_path / "c")[2]


def test_a_pattern_that_is_none_makes_no_collection(run, folder, tmp_path):
    code, _, err = run("index", folder, "--collection", tmp_path / "c", "--exclude", "[]")
    assert code == 1
    assert "the pattern '[]' to exclude cannot be understood" in err
    assert not (tmp_path / "c").exists()


def test_again_reads_a_photo_of_the_same_size_and_time(run, folder, tmp_path):
    line = ("index", folder, "--collection", tmp_path / "c")
    run(*line)
    path = folder / "a.jpg"
    before, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:-20] + bytes(20))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "3 unchanged" in run(*line)[1]
    assert "1 updated, 2 unchanged" in run(*line, "--again")[1]


@pytest.mark.parametrize("way", ["no photos", "no folder", "bad pattern", "bad table", "no model"])
def test_a_failed_index_leaves_nothing_behind(run, folder, tmp_path, way):
    empty, place = tmp_path / "empty", tmp_path / "new" / "deep" / "c"
    empty.mkdir()
    words = {
        "no photos": (empty,),
        "no folder": (tmp_path / "none",),
        "bad pattern": (folder, "--exclude", "[z-a]"),
        "bad table": (folder, "--metadata", tmp_path / "none.csv"),
        "no model": (folder, "--model", "sitf"),
    }[way]
    code, out, _ = run("index", *words, "--collection", place)
    assert code in (1, 3)
    assert "holds" not in out
    assert not (tmp_path / "new").exists()


def test_a_collection_in_a_folder_of_other_things_leaves_no_lock_in_it(run, folder, tmp_path):
    before = sorted(folder.iterdir())
    code, _, err = run("index", folder, "--collection", folder)
    assert code == 1
    assert "it holds other things (" in err
    assert sorted(folder.iterdir()) == before
    (tmp_path / "file").touch()
    code, _, err = run("index", folder, "--collection", tmp_path / "file")
    assert (code, err) == (1, f"resight: {tmp_path / 'file'} is a file: name a new or an empty folder\n")


def test_the_table_inside_a_collection_is_no_collection(run, folder, tmp_path):
    run("index", folder, "--collection", tmp_path / "c")
    code, _, err = run("info", tmp_path / "c" / "photos.lance")
    assert code == 1
    assert f"it is the table of the collection {tmp_path / 'c'}" in err


@pytest.mark.parametrize("written", ["~/c", "$HOME/c", "${HOME}/c"])
@pytest.mark.parametrize("joined", [True, False])
def test_home_is_found_where_no_shell_expanded_it(run, folder, tmp_path, monkeypatch, written, joined):
    home = tmp_path / "a home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    option = [f"--collection={written}"] if joined else ["--collection", written]
    assert run("index", folder, *option)[0] == 0
    assert [path.name for path in home.iterdir()] == ["c"]
    assert run("info", written)[0] == 0


def test_names_that_are_no_home_stay(run, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    for name in ("~.jpg", "$HOME.jpg", "~b"):
        shutil.copy("a.jpg", name)
    assert "3 added" in run("index", "~.jpg", "$HOME.jpg", "~b", "--collection", tmp_path / "c")[1]


def test_a_file_with_a_dash_is_told_how_to_be_named(run, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    shutil.copy("a.jpg", "-a.jpg")
    monkeypatch.setattr(sys, "argv", ["resight", "index", "-a.jpg"])
    code, _, err = run("index", "-a.jpg")
    assert code == 2
    assert "the file -a.jpg is written ./-a.jpg" in err
    assert run("index", "./-a.jpg", "--collection", tmp_path / "c")[0] == 0
    assert run("index", "--collection", tmp_path / "c", "--", "-a.jpg")[0] == 0


def test_a_query_may_be_named_in_either_form(run, folder, made):
    name = "Kölner Dom.jpg"
    shutil.copy(folder / "a.jpg", folder / unicodedata.normalize("NFD", name))
    assert run("search", made, folder / unicodedata.normalize("NFC", name), "--top", 1)[0] == 0
    line = ("search", made, folder / "b.jpg", "--without", folder / unicodedata.normalize("NFC", name))
    assert run(*line)[0] == 0


def test_the_longest_name_can_be_copied_and_linked(run, folder, tmp_path):
    name = "ü" * 125 + ".jpg"
    (folder / "a.jpg").rename(folder / name)
    run("index", folder, "--collection", tmp_path / "c")
    places = ("--copy-to", tmp_path / "copies", "--link-to", tmp_path / "links")
    assert run("search", tmp_path / "c", folder / name, "--top", 2, *places)[0] == 0
    first, second = sorted(path.name for path in (tmp_path / "copies").iterdir())
    assert sorted(path.name for path in (tmp_path / "links").iterdir()) == [first, second]
    assert first.startswith("001-üüü")
    assert first.endswith("ü.jpg")
    assert len(os.fsencode(first)) <= 255
