"""``resight describe``: descriptors in a file, attention over the photo, and sentences for what cannot be."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from resight import images
from resight.models import bundle as bundles

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[1] / "models"))


@pytest.fixture(scope="module")
def delg(tmp_path_factory):
    """A bundle of a small network with random weights, and the model in it."""
    from resight.models import BinaryCodec, DELGDescriber, KeypointConfig, Model
    from resight.networks import DELG, Backbone
    from resight.networks.delg import DELGConfig

    torch.manual_seed(5)
    values = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    model = Model(
        DELGDescriber(
            DELG(
                Backbone("test_resnet", out_indices=(-2, -1)), DELGConfig(24, local_dim=16, attention_dim=8)
            ),
            max_side=96,
            scales=(1.0,),
            keypoints=KeypointConfig((1.0,), 20),
            device="cpu",
        ),
        name="delg",
        codec=BinaryCodec.fit(values),
    )
    path = tmp_path_factory.mktemp("bundle") / "delg.safetensors"
    bundles.write(model.to_bundle(), path)
    return path, model


def test_descriptors_go_to_a_file_with_their_names(run, rendered, tmp_path):
    photos = sorted(rendered.iterdir())[:3]
    code, out, _ = run("describe", *photos, "--model", "sift", "--out", tmp_path / "some.npy")
    assert code == 0
    from resight.models import load_model

    descriptors = np.load(tmp_path / "some.npy")
    np.testing.assert_array_equal(descriptors, load_model("sift").describe(photos))
    assert descriptors.dtype == np.float32
    assert (tmp_path / "some.names.txt").read_text(encoding="utf-8").splitlines() == [str(p) for p in photos]
    assert f"{descriptors.shape[1]} dimensions" in out
    assert "bytes a photo in a collection" in out


def test_a_broken_photo_is_named_and_the_others_are_described(run, rendered, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    good = sorted(rendered.iterdir())[0]
    code, out, err = run("describe", good, broken, "--out", tmp_path / "d.npy")
    assert code == 3
    assert np.load(tmp_path / "d.npy").shape[0] == 1
    assert (tmp_path / "d.names.txt").read_text(encoding="utf-8") == f"{good}\n"
    assert "1 file could not be described" in out
    assert "broken.jpg" in err
    code, _, err = run("describe", broken)
    assert code == 1
    assert "there is no photo to describe" in err


def test_attention_is_written_over_one_photo_or_several(run, rendered, delg, tmp_path):
    path, _ = delg
    photos = sorted(rendered.iterdir())[:3]
    code, out, _ = run("describe", photos[0], "--model", path, "--attention", tmp_path / "one.png")
    assert code == 0
    # As the model saw it: a photo of 400 pixels at 96.
    one = images.read(tmp_path / "one.png").pixels
    assert max(one.shape[:2]) == 96
    assert one.std(axis=(0, 1)).min() > 0
    # 20 features of 2 bytes and 14 for each keypoint, and a header.
    assert "20 a photo" in out
    assert "stored as binary of 16 bits" in out
    assert run("describe", *photos, "--model", path, "--attention", tmp_path / "many.jpg")[0] == 0
    assert images.read(tmp_path / "many.jpg").height >= 420


def test_names_that_no_list_can_hold_are_told(run, rendered, tmp_path):
    photo = sorted(rendered.iterdir())[0]
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(photo, folder)
    shutil.copy(photo, os.fsencode(folder) + b"/\xff.jpg")
    code, out, err = run("describe", folder, "--out", tmp_path / "d.npy")
    assert code == 3
    assert "1 file could not be described" in out
    assert "its name holds bytes that are no text" in err
    shutil.copy(photo, folder / "line\nbreak.jpg")
    code, _, err = run("describe", folder, "--out", tmp_path / "e.npy")
    assert code == 1
    assert "cannot hold the line break in" in err
    assert not (tmp_path / "e.npy").exists()
    # Before the first photo is described.
    assert "Describing" not in err
    assert run("describe", folder)[0] == 3


def test_what_cannot_be_is_said_in_a_sentence(run, rendered, delg, tmp_path, monkeypatch):
    photo = sorted(rendered.iterdir())[0]
    code, _, err = run("describe", photo, "--model", "sift", "--attention", tmp_path / "a.jpg")
    assert code == 1
    assert "the model sift has no attention to write" in err
    assert not (tmp_path / "a.jpg").exists()
    code, _, err = run("describe", photo, "--model", delg[0], "--attention", tmp_path / "a.txt")
    assert code == 1
    assert "written as .jpg, .png or .webp, not as 'a.txt'" in err
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    code, _, err = run("describe", broken, "--model", delg[0], "--attention", tmp_path / "a.jpg")
    assert code == 1
    assert "broken.jpg: it is a text" in err
    assert not (tmp_path / "a.jpg").exists()
    monkeypatch.setattr("resight.pipelines.describe._MOST_SHOWN", 2)
    code, _, err = run("describe", rendered, "--model", delg[0], "--attention", tmp_path / "a.jpg")
    assert code == 1
    assert "one picture shows the attention over 2 photos at most, not over " in err
    code, _, err = run("describe", photo, "--out", tmp_path / "a.csv")
    assert code == 2
    assert "must end in .npy, not 'a.csv'" in err


@pytest.mark.parametrize(("option", "name"), [("--out", "x.npy"), ("--attention", "x.jpg")])
def test_a_folder_that_is_missing_is_said_before_any_work(run, rendered, tmp_path, option, name, monkeypatch):
    monkeypatch.setattr("resight.models.zoo.load_model", lambda _: pytest.fail("the model was loaded"))
    code, out, err = run("describe", rendered, option, tmp_path / "nodir" / name)
    assert (code, out) == (2, "")
    assert f"there is no folder {tmp_path / 'nodir'}" in err
    assert err.count("\n") == 1
