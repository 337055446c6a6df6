"""Codecs of local features: what they store, what comes back, how they travel in a bundle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes

from resight.errors import InvalidBundle, InvalidInput
from resight.features import LocalFeatures
from resight.images import photo_of
from resight.models import (
    BinaryCodec,
    Float16Codec,
    Model,
    NetworkDescriber,
    PlainCodec,
    ProductCodec,
    load_model,
)
from resight.models.binary_codec import quantising_directions, random_rotation
from resight.models.bundle import Bundle, Preprocessing, read, write
from resight.models.codec import as_stored, bytes_a_photo
from resight.models.parts import Parts, join, split
from resight.networks import Backbone, GeMNet
from resight.networks.gem import GeMNetConfig
from resight.scenes.render import render_view
from resight.search.geometry.matching import match_many

DIM = 32


def directions(count, *, seed=0, dim=DIM, spread=6):
    """Unit vectors that fill some directions more than others, as descriptors do."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((count, dim)) * np.exp(-np.arange(dim) / spread) + 0.05
    values = values @ np.linalg.qr(np.random.default_rng(99).standard_normal((dim, dim)))[0]
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def features(descriptors, dtype=np.float16):
    n = len(descriptors)
    places = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    ones = np.ones(n, dtype=np.float32)
    return LocalFeatures(places, ones, 0 * ones, ones, descriptors.astype(dtype))


def codecs():
    train = directions(2000)
    return [
        Float16Codec(DIM),
        ProductCodec.fit(train, 8),
        BinaryCodec.fit(train),
        BinaryCodec.fit(train, 16),
        BinaryCodec.fit(train, rotation="none"),
        BinaryCodec.fit(train, 64, rotation="random"),
    ]


CODECS = codecs()


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_stored_features_have_the_bytes_it_says_and_keep_their_keypoints(codec):
    before = features(directions(300, seed=1))
    stored = codec.encode(before)
    assert stored.descriptors.nbytes == 300 * codec.bytes_per_feature
    back = codec.decode(LocalFeatures.from_bytes(stored.to_bytes()))
    np.testing.assert_array_equal(back.positions, before.positions)
    overhead = len(codec.encode(before.best(0)).to_bytes())
    assert len(stored.to_bytes()) - overhead == pytest.approx(bytes_a_photo(codec, 300), abs=64)


@pytest.mark.parametrize("length", [0, DIM])
@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_a_photo_without_keypoints_is_stored_too(codec, length):
    # A model may give no descriptors at all for it, of whatever length.
    nothing = features(np.empty((0, length)))
    stored = LocalFeatures.from_bytes(codec.encode(nothing).to_bytes())
    back = codec.decode(stored)
    assert len(back) == 0
    assert back.metric == codec.encode(features(directions(1))).metric


def similarities(left, right):
    if left.metric == "hamming":
        bits = 8 * left.descriptors.shape[1]
        unpacked = [np.unpackbits(each.descriptors, axis=1).astype(int) for each in (left, right)]
        return 1 - 2 * (unpacked[0][:, None] != unpacked[1][None]).sum(axis=2) / bits
    return left.descriptors.astype(np.float32) @ right.descriptors.astype(np.float32).T


@pytest.mark.parametrize(("codec", "least"), list(zip(CODECS, [1.0, 0.95, 0.95, 0.8, 0.8, 0.9], strict=True)))
def test_a_noisy_copy_is_found_again(codec, least):
    database = directions(200, seed=2)
    random = np.random.default_rng(3)
    noisy = database + 0.03 * random.standard_normal(database.shape).astype(np.float32)
    query = as_stored(codec, features(noisy))
    answers = codec.decode(codec.encode(features(database)))
    right = similarities(query, answers).argmax(axis=1) == np.arange(200)
    assert right.mean() >= least


def test_a_query_becomes_bits_only_where_bits_are_stored():
    query = features(directions(5))
    assert as_stored(CODECS[0], query) is query
    assert as_stored(CODECS[1], query) is query
    assert as_stored(CODECS[2], query).metric == "hamming"


def test_product_codes_name_the_nearest_centres():
    codec, values = CODECS[1], directions(50, seed=4)
    codes = codec.encode(features(values)).descriptors
    values = values.astype(np.float16).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    for part in range(8):
        mine = values[:, 4 * part : 4 * part + 4]
        away = np.linalg.norm(mine[:, None] - codec.codebooks[part][None], axis=2)
        chosen = away[np.arange(50), codes[:, part]]
        np.testing.assert_allclose(chosen, away.min(axis=1), rtol=1e-3)
    decoded = codec.decode(codec.encode(features(values))).descriptors.astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(decoded, axis=1), 1, atol=2e-3)
    assert (decoded * values).sum(axis=1).mean() > 0.95


def test_bits_are_the_sides_of_planes_through_the_mean():
    codec, values = CODECS[4], directions(20, seed=5)
    bits = np.unpackbits(codec.encode(features(values)).descriptors, axis=1)
    values = values.astype(np.float16).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    np.testing.assert_array_equal(bits, values > directions(2000).mean(axis=0))


def test_turning_to_the_corners_keeps_more_of_the_neighbours_than_bare_signs():
    values, train = directions(400, seed=6), directions(2000)
    exact = values @ values.T - 9 * np.eye(400)
    kept = {}
    for rotation in ("none", "itq"):
        codec = BinaryCodec.fit(train, rotation=rotation)
        coded = codec.encode(features(values))
        near = similarities(coded, coded) - 9 * np.eye(400)
        best = np.argsort(-exact, axis=1)[:, :10]
        got = np.argsort(-near, axis=1, kind="stable")[:, :10]
        kept[rotation] = np.mean([len(set(a) & set(b)) for a, b in zip(best, got, strict=True)])
    assert kept["itq"] > kept["none"]
    turned = BinaryCodec.fit(train).planes
    np.testing.assert_allclose(turned @ turned.T, np.eye(DIM), atol=1e-5)


def test_rounds_of_turning_bring_values_nearer_to_the_corners():
    centred = directions(1000) - directions(1000).mean(axis=0)

    def away(planes):
        shown = centred @ planes.T
        return np.square(np.where(shown > 0, 1, -1) - shown * np.sqrt(DIM)).mean()

    turned = quantising_directions(centred, DIM, np.random.default_rng(0))
    others = [random_rotation(DIM, np.random.default_rng(seed)) for seed in range(20)]
    assert away(turned) < 0.97 * min(away(other) for other in others)
    np.testing.assert_allclose(turned @ turned.T, np.eye(DIM), atol=1e-9)


@pytest.mark.parametrize("bits", [8, 5])
def test_turning_goes_on_until_no_rotation_brings_values_nearer_to_their_corners(bits):
    values = np.random.default_rng(0).normal(size=(60, 8)) * np.geomspace(3, 1, 8)
    shown = (values - values.mean(axis=0)) @ quantising_directions(
        values - values.mean(axis=0), bits, np.random.default_rng(0)
    ).T
    nearest, _ = orthogonal_procrustes(shown, np.where(shown > 0, 1.0, -1.0))
    np.testing.assert_allclose(nearest, np.eye(bits), atol=1e-9)


def test_codes_of_sift_are_taken_as_unit_descriptors():
    codes = features(np.random.default_rng(0).integers(0, 255, (40, DIM)), np.uint8)
    values = codes.descriptors.astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    for codec in CODECS[1:3]:
        # Whole numbers and their unit vectors: the same but for the rounding to halves.
        same = codec.encode(codes).descriptors == codec.encode(features(values)).descriptors
        assert same.mean() > 0.9
    np.testing.assert_allclose(Float16Codec(DIM).encode(codes).descriptors, values, atol=1e-3)


def test_what_does_not_fit_is_refused_in_words():
    train = directions(300)
    with pytest.raises(InvalidInput, match="cannot be cut into 5 equal parts"):
        ProductCodec.fit(train, 5)
    with pytest.raises(InvalidInput, match="at least 256 descriptors to fit, got 10"):
        ProductCodec.fit(train[:10], 8)
    with pytest.raises(InvalidInput, match="multiple of 8 bits, not 12"):
        BinaryCodec.fit(train, 12)
    with pytest.raises(
        InvalidInput, match="64 bits of 32 dimensions are not possible with the rotation 'itq'"
    ):
        BinaryCodec.fit(train, 64)
    with pytest.raises(InvalidInput, match="needs as many descriptors"):
        BinaryCodec.fit(train[:16])
    with pytest.raises(InvalidInput, match="finite and float32, not int8"):
        ProductCodec(np.ones((4, 256, 8), dtype=np.int8))
    with pytest.raises(InvalidInput, match="must be float32, not float32 and int8"):
        BinaryCodec(np.zeros(32, dtype=np.float32), np.ones((8, 32), dtype=np.int8))
    for codec in CODECS:
        with pytest.raises(InvalidInput, match="local descriptors of 32 numbers, got 16"):
            codec.encode(features(directions(3, dim=16)))
    plain = features(directions(3))
    for codec in CODECS[1:]:
        with pytest.raises(
            InvalidInput, match=rf"not stored by the codec {codec.name}: index the photos again"
        ):
            codec.decode(plain)


def bundle():
    return Bundle(
        "delg", {"x": 1}, Preprocessing(64), "mine", "made", {"weight": np.ones(3, dtype=np.float32)}
    )


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_a_bundle_carries_its_codec(codec, tmp_path):
    plain = bundle()
    assert split(plain, name="plain").codec is None
    coded = join(Parts(plain, replace(codec, fitted_to="my\nphotos"), (), "mine", "made\nhere"))
    assert coded.fingerprint != plain.fingerprint
    assert coded.provenance == f"made\nhere\nlocal features as {codec.name}, fitted to my photos"
    write(coded, tmp_path / "coded.safetensors")
    parts = split(read(tmp_path / "coded.safetensors"), name="coded")
    assert (parts.provenance, parts.codec.fitted_to) == ("made\nhere", "my photos")
    again = parts.codec
    values = features(directions(30, seed=7))
    assert again.name == codec.name
    np.testing.assert_array_equal(again.encode(values).descriptors, codec.encode(values).descriptors)
    assert parts.describer.fingerprint == plain.fingerprint
    assert (
        join(Parts(parts.describer, PlainCodec(DIM, "float16"), (), "", "")).fingerprint == plain.fingerprint
    )


def test_only_models_with_float_features_take_a_codec():
    with pytest.raises(InvalidInput, match="'sift' store their local features as they are"):
        load_model("sift").with_codec(CODECS[0])


def test_bytes_become_codes_and_queries_the_halves_they_are_compared_with():
    """SIFT's bytes: the codec clusters their directions, and a query keeps its own finer ones."""
    rng = np.random.default_rng(8)
    codes = rng.integers(0, 200, (400, DIM)).astype(np.uint8)
    stored = replace(features(directions(400)), descriptors=codes)
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    codec = ProductCodec.fit(unit.astype(np.float32), 8)
    query = as_stored(codec, stored)
    np.testing.assert_array_equal(query.descriptors, unit.astype(np.float32).astype(np.float16))
    decoded = codec.decode(codec.encode(stored))
    assert (codec.encode(stored).descriptors.shape, decoded.descriptors.dtype) == ((400, 8), np.float16)
    matches = next(match_many(query, [decoded], rule="mutual", ratio=0.9))
    assert np.mean(matches.query == matches.answer) > 0.9
    bits = BinaryCodec.fit(unit.astype(np.float32), 2 * DIM, rotation="random")
    assert as_stored(bits, stored).metric == "hamming"


@pytest.mark.parametrize("name", ["sift", "sift+xfeat"])
def test_models_of_bytes_and_of_learned_keypoints_take_a_codec(name, tmp_path):
    model = load_model(name)
    dim = model.local.dim
    photo = photo_of(render_view(1, 0, side=200), max_side=model.max_side)
    (plain,) = model.extract([photo])
    values = np.random.default_rng(9).standard_normal((300, dim)).astype(np.float32)
    coded = model.with_codec(ProductCodec.fit(values, 8))
    assert coded.fingerprint != model.fingerprint
    write(coded.to_bundle(), tmp_path / "coded.safetensors")
    again = load_model(tmp_path / "coded.safetensors")
    assert (again.fingerprint, again.facts.local.codec) == (coded.fingerprint, "product of 8")
    assert np.array_equal(again.extract([photo])[0].descriptor, plain.descriptor)
    stored = again.codec.encode(plain.local)
    assert stored.to_bytes() == coded.codec.encode(plain.local).to_bytes()
    assert len(stored.to_bytes()) < len(plain.local.to_bytes()) / 4
    assert codec_of_pair(again, tmp_path) == "product of 8"


def codec_of_pair(model, folder):
    """Returns the codec of the model's local features behind another model."""
    if model.facts.kind == "composite":
        return model.codec.name
    torch.manual_seed(1)
    net = GeMNet(Backbone("test_resnet", out_indices=(-1,)), GeMNetConfig())
    write(Model(NetworkDescriber(net, max_side=64), name="x").to_bundle(), folder / "gem.safetensors")
    return load_model(f"{folder}/gem.safetensors+{folder}/coded.safetensors").codec.name


@pytest.mark.parametrize("largest", [640.0, 4000.0, 16000.0, 31000.0])
def test_rounded_keypoints_come_back_within_their_loss(largest):
    rng = np.random.default_rng(10)
    values = directions(500)
    exact = LocalFeatures(
        rng.uniform(-0.5, largest, (500, 2)).astype(np.float32),
        np.exp(rng.uniform(0, 8, 500)).astype(np.float32),
        rng.uniform(0, 2 * np.pi, 500).astype(np.float32),
        np.sort(rng.uniform(0, 1, 500).astype(np.float32))[::-1].copy(),
        values.astype(np.float16),
    )
    codec = replace(CODECS[1], keypoints="rounded")
    stored = LocalFeatures.from_bytes(codec.encode(exact).to_bytes())
    part = next(part for part in (32, 16, 8, 4, 2) if (largest + 1) * part < 65535)
    assert np.abs(stored.positions - exact.positions).max() <= 0.5 / part + 1e-3
    assert np.abs(np.log(stored.scales / exact.scales)).max() <= np.log(2) / 32 + 1e-3
    turned = np.abs((stored.orientations - exact.orientations + np.pi) % (2 * np.pi) - np.pi)
    assert turned.max() <= np.pi / 256 + 1e-4
    assert (np.diff(stored.scores) < 0).all()
    assert 0 <= stored.orientations.min() <= stored.orientations.max() < 2 * np.pi
    np.testing.assert_array_equal(
        codec.decode(stored).descriptors, CODECS[1].decode(CODECS[1].encode(exact)).descriptors
    )
    assert stored.to_bytes() == codec.encode(exact).to_bytes()
    assert bytes_a_photo(codec, 500) == 500 * (8 + 6) < len(stored.to_bytes()) < 500 * 14 + 300


def test_rounded_keypoints_in_a_bundle(tmp_path):
    for codec in (replace(CODECS[1], keypoints="rounded"), replace(CODECS[2], keypoints="rounded")):
        coded = join(Parts(bundle(), codec, (), "mine", "made"))
        write(coded, tmp_path / "coded.safetensors")
        again = split(read(tmp_path / "coded.safetensors"), name="coded").codec
        assert (again.name, again.keypoints) == (codec.name, "rounded")
        assert "keypoints rounded" in codec.name
        nothing = again.encode(features(directions(3)).best(0))
        assert len(LocalFeatures.from_bytes(nothing.to_bytes())) == 0
        exact = replace(codec, keypoints="exact")
        assert coded.fingerprint != join(Parts(bundle(), exact, (), "mine", "made")).fingerprint
    strange = {**coded.settings, "local_codec": {"kind": "binary", "keypoints": "lost"}}
    with pytest.raises(InvalidBundle, match="keypoints are stored exact or rounded, not 'lost'"):
        split(replace(coded, settings=strange), name="strange")
