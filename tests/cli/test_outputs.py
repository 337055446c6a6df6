"""Outputs that would replace what is read, a photo or another output are refused, whatever the command."""

from __future__ import annotations

import shutil

import pytest
import typer

from resight.cli.options import refuse_replacing


@pytest.fixture
def photos(rendered, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in sorted(rendered.iterdir())[:3]:
        shutil.copy(photo, folder)
    (tmp_path / "t.svg").write_text("path,label\n")
    return sorted(folder.iterdir())


COMMANDS = [
    ("search", "{made}", "{0}", "--html", "{1}"),
    ("search", "{made}", "{0}", "--csv", "{0}"),
    ("search", "{made}", "{0}", "--without", "{2}", "--csv", "{2}"),
    ("explain", "{0}", "{1}", "--out", "{1}"),
    ("explain", "{0}", "{1}", "--html", "{2}"),
    ("describe", "{folder}", "--attention", "{0}"),
    ("whiten", "sift", "{folder}", "--out", "{0}"),
    ("compact", "{1}", "{folder}", "--form", "float16", "--out", "{1}"),
    ("convert", "{1}", "--out", "{1}"),
    ("rerank", "--from", "{1}", "--out", "{1}"),
    ("evaluate", "sift", "folder", "--root", "{folder}", "--out", "{0}"),
    ("evaluate", "--descriptors", "{1}", "--ground-truth", "{0}", "--html", "{0}"),
    ("classify", "{made}", "{0}", "--html", "{0}"),
    ("tuples", "{folder}", "--out", "{folder}/t", "--html", "{0}"),
    ("models", "--measure", "{folder}", "--labels", "{folder}/../t.svg", "--plot", "{folder}/../t.svg"),
    ("groups", "{made}", "--csv", "{made}/writer.lock"),
    ("export", "{made}", "--to", "faiss", "--out", "{made}/writer.lock"),
    ("search", "{made}", "{0}", "--html", "{made}/reserve"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words))
def test_no_command_replaces_a_photo_or_what_it_reads(run, made, photos, words):
    before = [photo.read_bytes() for photo in photos]
    places = {"made": made, "folder": photos[0].parent}
    code, _, err = run(*(word.format(*photos, **places) for word in words))
    assert (code, "it would replace" in err) == (2, True), err
    assert [photo.read_bytes() for photo in photos] == before


@pytest.mark.parametrize(
    "words",
    [
        ("search", "{made}", "{0}", "--csv", "-"),
        ("explain", "{0}", "{1}", "--html", "-"),
        ("describe", "{folder}", "--attention", "-"),
        ("groups", "{made}", "--csv", "-"),
        ("rerank", "--from", "{1}", "--out", "-"),
    ],
)
def test_no_file_is_called_like_standard_output(run, made, photos, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    line = [word.format(*photos, made=made, folder=photos[0].parent) for word in words]
    code, _, err = run(*line)
    assert code == 2
    assert f"for {words[-2]}: a file is written, and - names none; standard output is /dev/stdout" in err
    assert not (tmp_path / "-").exists()


def test_other_names_of_what_is_read_are_known(tmp_path):
    source, link, second = tmp_path / "a.json", tmp_path / "link", tmp_path / "second"
    source.write_text("{}")
    link.symlink_to(source)
    second.hardlink_to(source)
    for output in (source, link, second):
        with pytest.raises(typer.BadParameter, match="it would replace the answers"):
            refuse_replacing({"--out": output}, {"the answers": source})
    refuse_replacing({"--out": tmp_path / "b.json"}, {"the answers": source, "the model": "sift"})


@pytest.mark.parametrize("other", ["a.html", "A.html", "../here/a.html"])
def test_two_outputs_of_one_name_are_refused(tmp_path, other):
    here = tmp_path / "here"
    here.mkdir()
    with pytest.raises(typer.BadParameter, match="another output has the same name"):
        refuse_replacing({"--html": here / "a.html", "--csv": here / other}, {})


def test_a_picture_may_replace_a_picture_that_is_not_read(photos):
    refuse_replacing({"--out": photos[2]}, {"the query": photos[0]}, pictures=["--out"])


IN_A_COLLECTION = [
    ("search", "{made}", "{0}", "--link-to", "{made}"),
    ("search", "{made}", "{0}", "--copy-to", "{made}/answers"),
    ("search", "{made}", "{0}", "--html", "{made}/photos.lance/data/new.html"),
    ("whiten", "sift", "{folder}", "--out", "{made}/photos.lance/data/new.safetensors"),
    ("tuples", "{folder}", "--out", "{made}/tuples"),
    ("train", "small-gem", "--run", "{made}/run"),
    ("demo", "{folder}", "--out", "{made}"),
    ("serve", "{made}", "--cache", "{made}/cache"),
    ("adapt", "sift", "{folder}", "--out", "{made}/new.safetensors"),
]


@pytest.mark.parametrize("words", IN_A_COLLECTION, ids=lambda words: " ".join(words))
def test_nothing_is_written_into_a_collection(run, made, photos, words):
    before = sorted(made.rglob("*"))
    places = {"made": made, "folder": photos[0].parent}
    code, _, err = run(*(word.format(*photos, **places) for word in words))
    assert (code, "it lies in the collection" in err) == (2, True), err
    assert sorted(made.rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        ("search", "{made}", "{0}", "--copy-to", "{file}"),
        ("tuples", "{folder}", "--out", "{file}/below"),
        ("train", "small-gem", "--run", "{file}"),
        ("demo", "{folder}", "--out", "{file}"),
    ],
    ids=lambda words: " ".join(words),
)
def test_a_file_is_no_folder_of_outputs(run, made, photos, tmp_path, words):
    places = {"made": made, "folder": photos[0].parent, "file": tmp_path / "t.svg"}
    code, _, err = run(*(word.format(*photos, **places) for word in words))
    assert (code, f"{tmp_path / 't.svg'} is no folder: name a new one" in err) == (2, True), err
    assert (tmp_path / "t.svg").read_text() == "path,label\n"


def test_weights_beside_an_exported_network_do_not_replace_the_model(run, tmp_path):
    (tmp_path / "m.bin").write_bytes(b"a bundle")
    code, _, err = run(
        "export", str(tmp_path / "m.bin"), "--to", "openvino", "--out", str(tmp_path / "m.xml")
    )
    assert (code, "--out (its .bin): it would replace the model" in err) == (2, True), err
    assert (tmp_path / "m.bin").read_bytes() == b"a bundle"
