"""``resight compact``: how local features are stored is chosen, fitted to photos and said in bytes."""

from __future__ import annotations

import json
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from resight import images
from resight.features import LocalFeatures
from resight.models import BinaryCodec, Float16Codec, Model, ProductCodec, load_model
from resight.models import bundle as bundles
from resight.models.whitening import Whitening
from resight.scenes.render import write_collection

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[1] / "models"))


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Twelve small photos; not to be changed."""
    folder = tmp_path_factory.mktemp("compact") / "places"
    write_collection(folder, places=4, views=3, distractors=0, side=160)
    return folder


@pytest.fixture(scope="module")
def delg(tmp_path_factory):
    """A bundle of a small network with random weights, 16 numbers a local descriptor, 40 features a photo."""
    from resight.models import DELGDescriber, KeypointConfig
    from resight.networks import DELG, Backbone
    from resight.networks.delg import DELGConfig

    torch.manual_seed(5)
    model = Model(
        DELGDescriber(
            DELG(
                Backbone("test_resnet", out_indices=(-2, -1)), DELGConfig(24, local_dim=16, attention_dim=8)
            ),
            max_side=160,
            scales=(1.0,),
            keypoints=KeypointConfig((1.0,), 40),
            device="cpu",
        ),
        name="delg",
        provenance="drawn at random",
    )
    path = tmp_path_factory.mktemp("bundle") / "delg.safetensors"
    bundles.write(model.to_bundle(), path)
    return path


@pytest.fixture
def run(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return partial(run, "compact")


def local_of(model, path) -> LocalFeatures:
    (features,) = model.extract([images.read(path, max_side=model.max_side)])
    return features.local


@pytest.mark.parametrize(
    ("form", "kind", "name", "width"),
    [
        ("float16", Float16Codec, "float16", 32),
        ("product-8", ProductCodec, "product of 8", 8),
        ("bits-16", BinaryCodec, "binary of 16 bits", 2),
        ("bits-32", BinaryCodec, "binary of 32 bits", 4),
    ],
)
def test_the_bundle_stores_by_the_form_and_the_bytes_said_are_those_stored(
    run, places, delg, form, kind, name, width
):
    code, out, err = run(delg, places, "--form", form, "--out", "small.safetensors", "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    before, after = load_model(delg), load_model("small.safetensors")
    codec = after.codec
    assert isinstance(codec, kind)
    assert (codec.name, codec.bytes_per_feature) == (name, width)
    features = [local_of(before, path) for path in sorted(places.iterdir())]
    held = [len(codec.encode(one).to_bytes()) for one in features]
    assert said["before"] == {
        "form": "float16",
        "bytes_a_photo": pytest.approx(np.mean([len(one.to_bytes()) for one in features])),
    }
    assert said["after"] == {"form": name, "bytes_a_photo": pytest.approx(np.mean(held))}
    assert said["photos"] == 12
    assert said["fitted_to"] == sum(map(len, features)) == 12 * said["features_a_photo"]
    assert said["fingerprint"] == after.fingerprint != before.fingerprint
    assert bundles.read("small.safetensors").provenance == (
        f"drawn at random\nlocal features as {name}, fitted to 12 photos of places"
    )


def test_codes_are_fitted_to_the_photos(run, places, delg):
    assert run(delg, places, "--form", "product-8", "--out", "p.safetensors")[0] == 0
    model = load_model("p.safetensors")
    codec = model.codec
    local = local_of(model, sorted(places.iterdir())[0])
    decoded = codec.decode(codec.encode(local)).descriptors.astype(np.float32)
    wanted = local.descriptors.astype(np.float32)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    assert (decoded * wanted).sum(axis=1).mean() > 0.97
    # The same line gives the same file.
    assert run(delg, places, "--form", "product-8", "--out", "again.safetensors")[0] == 0
    assert Path("p.safetensors").read_bytes() == Path("again.safetensors").read_bytes()


def test_what_is_said_to_people(run, places, delg):
    code, out, err = run(delg, places, "--form", "product-4", "--out", "p.safetensors")
    assert (code, err) == (0, "")
    assert "40 local features a photo in 12 photos, 480 of them fitted." in out
    rows = {line.split("  ")[0]: line.split("  ")[1:] for line in out.splitlines() if "  " in line}
    assert [cell.strip() for cell in rows["form"] if cell] == ["float16", "product of 4"]
    before, after = (int(cell.replace(",", "")) for cell in " ".join(rows["bytes a photo"]).split())
    # 40 features of 32 bytes instead of 4, and the header's length.
    assert before - after == pytest.approx(40 * 28, abs=64)
    assert "More photos would help" in out
    assert "resight index PHOTOS --model p.safetensors" in out


def test_a_form_is_changed_again_and_a_whitening_stays(run, places, delg):
    model = load_model(delg)
    whitening = Whitening(np.zeros(24), np.eye(24), "pca", 30, "PCA whitening made up")
    bundles.write(model.whitened(whitening).to_bundle(), "white.safetensors")
    line = ("white.safetensors", places, "--form", "product-8", "--out", "p.safetensors")
    assert run(*line)[0] == 0
    code, out, _ = run("p.safetensors", places, "--form", "bits-16", "--out", "b.safetensors", "--json")
    said = json.loads(out)
    assert code == 0
    assert (said["before"]["form"], said["after"]["form"]) == ("product of 8", "binary of 16 bits")
    compacted = load_model("b.safetensors")
    assert compacted.codec.name == "binary of 16 bits"
    photo = sorted(places.iterdir())[0]
    np.testing.assert_allclose(compacted.describe([photo]), model.describe([photo]), atol=1e-6)
    bundle = bundles.read("b.safetensors")
    assert bundle.provenance.splitlines() == [
        "drawn at random",
        "local features as binary of 16 bits, fitted to 12 photos of places",
        "PCA whitening made up",
    ]
    assert not any("codebooks" in name for name in bundle.tensors)


def test_a_broken_photo_is_listed_and_the_rest_goes_on(run, places, delg, tmp_path):
    folder = shutil.copytree(places, tmp_path / "copy")
    (folder / "broken.jpg").write_bytes(b"no photo")
    code, out, _ = run(delg, folder, "--form", "product-4", "--out", "p.safetensors")
    assert code == 3
    assert "broken.jpg" in out
    assert load_model("p.safetensors").codec.name == "product of 4"
    code, _, err = run(delg, folder / "broken.jpg", "--form", "bits-8", "--out", "none.safetensors")
    assert code == 1
    assert "there is no photo to learn from" in err
    assert "broken.jpg" in err


def test_a_model_whose_features_take_no_codec_is_refused_before_photos_are_described(run, places):
    code, out, err = run("sift", places, "--form", "float16", "--out", "none.safetensors")
    assert (code, out) == (1, "")
    assert "models of kind 'sift' store their local features as they are" in err
    assert "Describing" not in err
    assert err.count("\n") == 1
    assert not Path("none.safetensors").exists()


def test_too_few_features_are_refused(run, places, delg):
    one = sorted(places.iterdir())[0]
    code, _, err = run(delg, one, "--form", "product-8", "--out", "none.safetensors")
    assert code == 1
    assert "product-8 takes at least 256 local features to fit, and this photo has 40: give more" in err
    code, _, err = run(delg, one, "--form", "bits-48", "--out", "none.safetensors")
    assert code == 1
    assert "bits-48 takes at least 48 local features to fit" in err
    assert not Path("none.safetensors").exists()


def test_photos_without_features_are_refused(run, delg, tmp_path):
    from PIL import Image

    Image.new("RGB", (8, 8), (120, 60, 30)).save(tmp_path / "tiny.png")
    code, _, err = run(delg, "tiny.png", "--form", "float16", "--out", "none.safetensors")
    assert code == 1
    assert "nothing in it can be recognised" in err


def test_parts_that_do_not_divide_a_descriptor_are_refused(run, places, delg):
    code, _, err = run(delg, places, "--form", "product-5", "--out", "none.safetensors")
    assert code == 1
    assert "of 16 numbers cannot be cut into 5 equal parts: the parts may be 1, 2, 4, 8, 16" in err


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("product", "a form is float16, product-16 or bits-128, or another number, not 'product'"),
        ("bits-0", "not 'bits-0'"),
        ("bits-12", "a multiple of 8 bits, not 12"),
        ("float32", "not 'float32'"),
    ],
)
def test_a_wrong_form_is_one_sentence_and_code_two(run, places, delg, form, words):
    code, out, err = run(delg, places, "--form", form, "--out", "none.safetensors")
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_the_place_of_the_bundle_is_checked_first(run, places, delg):
    before = delg.read_bytes()
    code, _, err = run(delg, places, "--form", "bits-16", "--out", delg)
    assert code == 2
    assert "it would replace the model that is made compact" in err
    assert delg.read_bytes() == before
    code, _, err = run(delg, places, "--form", "bits-16", "--out", "no/folder/b.safetensors")
    assert code == 2
    assert "there is no folder no/folder" in err


def test_a_collection_made_with_it_holds_the_codes(run, places, delg, tmp_path):
    from resight.collection import Collection

    assert run(delg, places, "--form", "product-8", "--out", "p.safetensors")[0] == 0
    collection = Collection.create(tmp_path / "c.resight", model="p.safetensors")
    collection.add(places)
    query = sorted(places.iterdir())[0]
    first = collection.search(query, verify=3)[0]
    assert Path(first.path) == query
    assert first.inliers > first.match.expected
    held = collection.info().local
    assert (held.form, held.features_per_photo) == ("8 codes of a byte", 40)


def test_help_names_an_example(run):
    code, out, _ = run("--help")
    assert code == 0
    assert "resight compact delg.safetensors" in out
