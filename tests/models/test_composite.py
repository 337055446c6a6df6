"""GLOBAL+LOCAL: features as each model alone gives them, one fingerprint, sentences for the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from made_delg import bright_model
from PIL import Image, ImageOps

import resight
from resight.collection.groups import GroupConfig
from resight.collection.regions import RegionStore
from resight.collection.store import Store
from resight.errors import InvalidBundle, InvalidInput, ModelMismatch, UnknownModel
from resight.features import Box, ImageFeatures
from resight.images import photo_of
from resight.models import Model, NetworkDescriber, Traits, load_model, load_recorded, model_of
from resight.models import bundle as bundles
from resight.models.composite import Composite, PairName
from resight.models.explain.explanation import explain
from resight.models.explain.parts import Parts, join_parts
from resight.models.whitening import Whitening
from resight.networks import DELG, Backbone, GeMNet
from resight.networks.delg import DELGConfig
from resight.networks.gem import GeMNetConfig
from resight.scenes.render import render_view


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    """Two views of a place and one of another, larger than a model is shown them."""
    folder = tmp_path_factory.mktemp("views")
    paths = []
    for place, view in ((1, 0), (1, 1), (2, 0)):
        paths.append(folder / f"{place}_{view}.png")
        Image.fromarray(render_view(place, view, side=800)).save(paths[-1])
    return paths


def gem_model(max_side: int, name: str = "mine") -> Model:
    torch.manual_seed(3)
    net = GeMNet(Backbone("test_resnet", out_indices=(-1,)), GeMNetConfig())
    return Model(
        NetworkDescriber(net, max_side=max_side), name=name, licence="mit", provenance="random weights"
    )


@pytest.fixture(scope="module")
def bundle_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "my+model.safetensors"
    bundles.write(gem_model(640).to_bundle(), path)
    return path


def test_a_name_is_cut_at_a_plus_only_before_local_features(bundle_path):
    assert PairName.parse("efficientnet-lite0+sift") == PairName("efficientnet-lite0", "sift", False)
    assert PairName.parse("timm:resnet18+xfeat:local") == PairName("timm:resnet18", "xfeat", True)
    assert PairName.parse(f"sift+{bundle_path}") == PairName("sift", str(bundle_path), False)
    assert PairName.parse(f"{bundle_path}+sift") == PairName(str(bundle_path), "sift", False)
    for one in (str(bundle_path), "sift", "+sift", "gem+shift", "timm:local-dir:/a+b/c"):
        assert PairName.parse(one) is None
    assert str(PairName("a", "sift", True)) == "a+sift:local"


def test_features_are_those_of_both_alone(views, bundle_path):
    pair, whole, local = (load_model(name) for name in (f"{bundle_path}+sift", bundle_path, "sift"))
    weight = pair.describer.weight
    for path in views:
        for box in (None, Box(100, 50, 700, 500)):
            photo = photo_of(path, max_side=640, box=box)
            (features,), (one,), (other,) = (model.extract([photo]) for model in (pair, whole, local))
            joined = [np.sqrt(weight) * one.descriptor, np.sqrt(1 - weight) * other.descriptor]
            np.testing.assert_allclose(features.descriptor, np.concatenate(joined), rtol=0, atol=1e-6)
            assert features.local.to_bytes() == other.local.to_bytes()
    scores = [model.describe(views) @ model.describe(views).T for model in (pair, whole, local)]
    np.testing.assert_allclose(scores[0], weight * scores[1] + (1 - weight) * scores[2], atol=1e-5)


def test_geometry_alone(views, bundle_path):
    pair = load_model(f"{bundle_path}+sift:local")
    assert pair.name == f"{bundle_path.resolve()}+sift:local"
    assert np.array_equal(pair.describe(views), load_model(bundle_path).describe(views))
    assert pair.facts.local == load_model("sift").facts.local


def test_the_smaller_size_is_shown_a_reduced_photo(views):
    whole, local = gem_model(320), load_model("sift")
    describer = Composite(whole, local, weight=None)
    assert describer.traits.max_side == 640
    for box in (None, Box(100, 50, 700, 500)):
        seen = photo_of(views[0], max_side=640, box=box)
        (features,) = describer.extract([seen])
        (alone,) = whole.extract([photo_of(views[0], max_side=320, box=box)])
        assert seen.shown_at(320).pixels.shape == photo_of(views[0], max_side=320, box=box).pixels.shape
        # Reduced twice, by the same filter.
        assert features.descriptor @ alone.descriptor > 0.999
    small = photo_of(np.full((40, 50, 3), 7, dtype=np.uint8), max_side=640)
    assert small.shown_at(320) is small


def test_local_features_of_a_delg(views, tmp_path):
    torch.manual_seed(4)
    delg = bright_model(max_features=50)
    net = DELG(Backbone("test_resnet", out_indices=(-2, -1)), DELGConfig(24, local_dim=8))
    from resight.models import DELGDescriber, ProductCodec

    real = Model(DELGDescriber(net, max_side=160), name="delg")
    codes = np.random.default_rng(1).standard_normal((300, 8)).astype(np.float32)
    real = real.with_codec(ProductCodec.fit(codes, 4))
    bundles.write(real.to_bundle(), tmp_path / "delg.safetensors")
    pair = load_model(f"sift+{tmp_path}/delg.safetensors")
    assert (pair.dim, pair.facts.local) == (512, real.facts.local)
    photo = photo_of(views[0], max_side=pair.max_side)
    (features,) = pair.extract([photo])
    assert features.local.to_bytes() == real.extract([photo.shown_at(160)])[0].local.to_bytes()
    assert np.array_equal(features.descriptor, load_model("sift").extract([photo])[0].descriptor)
    # A describer that no bundle can hold has a fingerprint all the same.
    assert len(Model(Composite(load_model("sift"), delg, weight=None), name="x").fingerprint) == 64


def test_one_bundle_and_one_fingerprint(views, bundle_path, tmp_path):
    pair = load_model(f"{bundle_path}+sift")
    bundles.write(pair.to_bundle(), tmp_path / "pair.safetensors")
    again = load_model(tmp_path / "pair.safetensors")
    assert again.fingerprint == pair.fingerprint == model_of(pair.to_bundle(), name="x").fingerprint
    assert np.array_equal(again.describe(views), pair.describe(views))
    assert again.facts == pair.facts
    assert (pair.facts.licence, pair.facts.kind) == ("mit and Apache-2.0", "composite")
    assert pair.facts.provenance[0].startswith("descriptor: random weights; local features: Codebook")
    others = [load_model(f"{bundle_path}+sift:local"), load_model("sift"), load_model(bundle_path)]
    assert len({pair.fingerprint, *(model.fingerprint for model in others)}) == 4


def test_whitening_goes_behind_a_pair_and_inside_of_it(views, bundle_path, tmp_path):
    pair, whole = load_model(f"{bundle_path}+sift"), load_model(bundle_path)
    matrix = np.random.default_rng(2).standard_normal((32, pair.dim))
    behind = pair.whitened(Whitening(np.zeros(pair.dim), matrix, "pca", 9, "of nothing"))
    bundles.write(behind.to_bundle(), tmp_path / "behind.safetensors")
    assert np.array_equal(load_model(tmp_path / "behind.safetensors").describe(views), behind.describe(views))
    inside = whole.whitened(Whitening(np.zeros(whole.dim), matrix[:, : whole.dim], "pca", 9, "of nothing"))
    bundles.write(inside.to_bundle(), tmp_path / "inside.safetensors")
    joined = load_model(f"{tmp_path}/inside.safetensors+sift")
    assert joined.dim == 32 + 512
    bundles.write(joined.to_bundle(), tmp_path / "joined.safetensors")
    assert load_model(tmp_path / "joined.safetensors").fingerprint == joined.fingerprint
    assert np.array_equal(load_model(tmp_path / "joined.safetensors").describe(views), joined.describe(views))


def test_recorded_names(bundle_path, tmp_path):
    pair = load_model(f"{bundle_path}+sift")
    assert load_recorded(pair.name, pair.fingerprint).fingerprint == pair.fingerprint
    with pytest.raises(ModelMismatch, match=r"has the fingerprint .* and not the recorded aaaaaaaaaaaa"):
        load_recorded(pair.name, "a" * 64)
    for elsewhere in ("timm:hf-hub:some/one+sift", "//host/model+sift", "timm:local-dir:/x+sift"):
        with pytest.raises(UnknownModel, match="lies elsewhere"):
            load_recorded(elsewhere, pair.fingerprint)


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("sift+sift", InvalidInput, "the model sift has local features of kind sift: put nothing behind it"),
        (
            "sift+shift",
            UnknownModel,
            r"behind the [+] stands sift, sift-fast, xfeat or the path .*, and not 'shift'",
        ),
        ("gem-resnt50+sift", UnknownModel, r"gem-resnt50.*did you mean gem-resnet50"),
        ("sift+{bundle}", InvalidInput, "has no local features: put sift, xfeat or a DELG bundle behind"),
        ("{pair}+sift", InvalidInput, "has its local features: put nothing behind it"),
        ("{bundle}+sift+xfeat", InvalidInput, "[+]sift has its local features: put nothing behind it"),
        ("sift+{pair}", InvalidInput, "has its local features: put nothing behind it"),
    ],
)
def test_pairs_that_cannot_be(name, error, text, bundle_path, tmp_path):
    bundles.write(load_model(f"{bundle_path}+sift").to_bundle(), tmp_path / "pair.safetensors")
    with pytest.raises(error, match=text):
        load_model(name.format(bundle=bundle_path, pair=tmp_path / "pair.safetensors"))


@pytest.mark.parametrize("damage", ["weight", "inner", "missing", "tensor"])
def test_a_damaged_bundle_is_a_sentence(damage, bundle_path, tmp_path):
    whole = load_model(f"{bundle_path}+sift").to_bundle()
    settings, tensors = dict(whole.settings), dict(whole.tensors)
    match damage:
        case "weight":
            settings["weight"] = 1.5
        case "inner":
            settings["global"] = {**settings["local"], "architecture": "composite"}
        case "missing":
            del settings["local"]
        case "tensor":
            del tensors["local.centres"]
    made = bundles.Bundle(whole.architecture, settings, whole.preprocessing, "", "", tensors)
    bundles.write(made, tmp_path / "damaged.safetensors")
    with pytest.raises(InvalidBundle, match=r"damaged\.safetensors"):
        load_model(tmp_path / "damaged.safetensors")


def test_explanations_add_up_to_the_joint_score(views, bundle_path):
    photos = [photo_of(path, max_side=640) for path in views[:2]]
    for name in (f"{bundle_path}+sift", f"{bundle_path}+sift:local"):
        model = load_model(name)
        explained = explain(model, *photos)
        first, second = (features.descriptor for features in model.extract(photos))
        assert explained.score == pytest.approx(float(first @ second), abs=2e-3)


def test_joined_parts_are_the_joined_descriptor():
    rng = np.random.default_rng(5)
    first = Parts(rng.standard_normal((3, 5, 4)).astype(np.float32), np.ones(4, np.float32), "exact")
    second = Parts(rng.standard_normal((8, 2, 6)).astype(np.float32), np.ones(6, np.float32), "keypoints")
    joined = join_parts(first, second, 0.3)
    assert (joined.vectors.shape, joined.method) == ((8, 5, 10), "keypoints")
    wanted = np.concatenate([np.sqrt(0.3) * first.descriptor, np.sqrt(0.7) * second.descriptor])
    np.testing.assert_allclose(joined.descriptor, wanted, atol=1e-4)


def test_sift_alone_imports_no_torch_still():
    code = (
        "import sys; from resight.models import load_model; load_model('sift');"
        "print(sorted({'torch', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_collection_is_opened_again_by_its_name(views, bundle_path, tmp_path):
    made = resight.Collection.create(tmp_path / "photos.resight", model=f"{bundle_path}+sift")
    made.add(views)
    again = resight.Collection.open(tmp_path / "photos.resight")
    hits = again.search(views[0], top=3, verify=3)
    assert [Path(hit.path).name for hit in hits[:2]] == ["1_0.png", "1_1.png"]
    assert hits[0].inliers > 100 > hits[1].inliers > 0
    assert again.model.fingerprint == made.model.fingerprint


def halves(kind: str, shade: int) -> np.ndarray:
    """Returns a photo with edges and without a keypoint."""
    pixels = np.full((300, 400, 3), 60, dtype=np.uint8)
    match kind:
        case "sides":
            pixels[:, 200:] = shade
        case "floor":
            pixels[150:] = (shade, 30, 30)
        case "slope":
            pixels[np.add.outer(np.arange(300), np.arange(400)) > 350] = (30, shade, 60)
    return pixels


@pytest.mark.parametrize("kind", ["sides", "floor", "slope"])
def test_a_photo_without_keypoints_is_found_by_its_global_part(kind, views, bundle_path, tmp_path):
    whole, sift = load_model(bundle_path), load_model("sift")
    for one in ("sides", "floor", "slope"):
        Image.fromarray(halves(one, 210)).save(tmp_path / f"{one}.png")
        assert not len(sift.extract([photo_of(halves(one, 210), max_side=640)])[0].local)
    photos = [*views, *(tmp_path / f"{one}.png" for one in ("sides", "floor", "slope"))]
    for name in (f"{bundle_path}+sift", f"{bundle_path}+sift:local"):
        made = resight.Collection.create(tmp_path / f"{len(name)}.resight", model=name)
        report = made.add(photos)
        assert (report.added, report.broken) == (6, [])
        answer = made.search(halves(kind, 205), top=6, verify=6)
        assert Path(answer[0].path).name == f"{kind}.png"
        # No keypoint, no verdict.
        assert {(hit.verdict, hit.inliers) for hit in answer} == {("unchecked", None)}
        # Among those without keypoints the global part alone decides.
        order = np.argsort(-(whole.describe([halves(kind, 205)]) @ whole.describe(photos[3:]).T)[0])
        names = [Path(hit.path).name for hit in made.search(halves(kind, 205), top=6, verify=0)]
        assert [name for name in names if name[0] in "sf"] == [photos[3 + row].name for row in order]


def test_parts_without_keypoints_are_looked_at_where_keypoints_are_not_all(bundle_path, tmp_path):
    Image.fromarray(halves("sides", 210)).save(tmp_path / "sides.png")
    made = resight.Collection.create(tmp_path / "photos.resight", model=f"{bundle_path}+sift")
    made.add([tmp_path / "sides.png"], regions=2 * made.model.dim * 9)
    (parts,) = RegionStore(Store.open(tmp_path / "photos.resight"), 9).read().values()
    # Three columns of parts: only the middle one has the edge, the others are of one colour.
    assert parts.any(axis=1).tolist() == [False, True, False] * 3


def test_where_keypoints_make_the_descriptor_there_is_nothing_without_them(bundle_path, tmp_path):
    Image.fromarray(halves("sides", 210)).save(tmp_path / "sides.png")
    made = resight.Collection.create(tmp_path / "photos.resight", model="sift")
    assert [file.reason for file in made.add([tmp_path / "sides.png"]).broken] == [
        "nothing in it can be recognised"
    ]
    # Of one colour: nothing, whatever the model.
    Image.fromarray(np.full((90, 90, 3), 77, np.uint8)).save(tmp_path / "plain.png")
    made = resight.Collection.create(tmp_path / "pairs.resight", model=f"{bundle_path}+sift")
    report = made.add([tmp_path / "sides.png", tmp_path / "plain.png"])
    assert [Path(file.path).name for file in report.broken] == ["plain.png"]


class Upright:
    """A global descriptor that says nothing but whether a photo is higher than wide."""

    traits = Traits("upright", 4, 640, fingerprint="0123456789abcdef")

    def extract(self, photos):
        signs = [1.0 if photo.height > photo.width else -1.0 for photo in photos]
        return [ImageFeatures(np.full(4, sign / 2, np.float32)) for sign in signs]

    def to_bundle(self):
        return None


def test_turned_copies_are_proposed_with_the_scores_of_sift_alone(views):
    sift = load_model("sift")
    pair = Model(Composite(Model(Upright(), name="upright"), sift, weight=0.3), name="upright+sift")
    described = [pair.extract([photo_of(path, max_side=640)])[0] for path in views]
    joint, alone = np.stack([each.descriptor for each in described]), sift.describe(views)
    turned, known = (model.turned(described[0].local, 800) for model in (pair, sift))
    assert turned.shape == (4, pair.dim)
    np.testing.assert_allclose(turned @ joint.T, known @ alone.T, atol=1e-5)
    local = Model(Composite(Model(Upright(), name="upright"), sift, weight=None), name="upright+sift:local")
    assert local.turned(described[0].local, 800) is None


def test_turned_copies_are_grouped_where_the_global_part_takes_them_for_others(views, tmp_path):
    photo = Image.open(views[0]).resize((480, 360))
    photo.save(tmp_path / "picture.png")
    photo.rotate(-90, expand=True).save(tmp_path / "quarter.png")
    Image.open(views[2]).resize((480, 360)).save(tmp_path / "other.png")
    model = Model(Composite(Model(Upright(), name="upright"), load_model("sift"), weight=0.5), name="mine")
    made = resight.Collection.create(tmp_path / "photos.resight", model=model)
    made.add(tmp_path)
    first, second = model.describe([tmp_path / "picture.png", tmp_path / "quarter.png"])
    assert first @ second < GroupConfig().similarity
    (group,) = made.groups(of="copies")
    assert {Path(member.path).name for member in group} == {"picture.png", "quarter.png"}


def test_mirrored_copies_are_grouped_where_only_the_global_part_is_compared(views, tmp_path):
    photo = Image.open(views[0]).resize((480, 360))
    photo.save(tmp_path / "picture.png")
    ImageOps.mirror(photo).save(tmp_path / "mirror.png")
    model = Model(Composite(Model(Upright(), name="upright"), load_model("sift"), weight=None), name="mine")
    made = resight.Collection.create(tmp_path / "photos.resight", model=model)
    made.add(tmp_path)
    (group,) = made.groups(of="copies")
    assert {Path(member.path).name for member in group} == {"picture.png", "mirror.png"}
