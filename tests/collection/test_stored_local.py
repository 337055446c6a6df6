"""Local features in a collection: stored by the codec of the model, compared as it says, and shown."""

from __future__ import annotations

import numpy as np
import pytest
from grid_model import GridDescriber, grid_model
from made_photos import picture, stored

from resight.collection import Collection, Query
from resight.errors import InvalidInput, ModelMismatch
from resight.features import Box, LocalFeatures, ReceptiveField
from resight.images import Photo
from resight.models import Attention, BinaryCodec, Float16Codec, Model, ProductCodec
from resight.models.codec import unit_descriptors
from resight.models.whitening import Whitening


def coded_model(codec):
    return Model(GridDescriber(), name="coded", codec=codec, fingerprint="fedcba9876543210")


def descriptors():
    """Local descriptors of pictures that are not in the collection."""
    rows = []
    for number in range(100, 140):
        pixels = picture(number)
        height, width = pixels.shape[:2]
        (one,) = grid_model().extract([Photo(pixels, width, height, Box(0, 0, width, height))])
        rows.append(unit_descriptors(one.local))
    return np.concatenate(rows)


CODECS = {
    "float16": lambda: Float16Codec(64),
    "product": lambda: ProductCodec.fit(descriptors(), 16),
    "binary": lambda: BinaryCodec.fit(descriptors(), rotation="itq"),
}


FORMS = {"float16": "float16 of 64", "product": "16 codes of a byte", "binary": "64 bits"}


@pytest.mark.parametrize("kind", CODECS)
def test_rows_hold_what_the_codec_stores_and_verification_finds_the_photo(kind, tmp_path, photos):
    codec = CODECS[kind]()
    collection = Collection.create(tmp_path / "coded.resight", model=coded_model(codec))
    collection.add(photos)
    for data in stored(collection).to_table(columns=["local"])["local"]:
        held = LocalFeatures.from_bytes(data.as_py())
        assert held.descriptors.nbytes == len(held) * codec.bytes_per_feature
        assert held.metric == ("hamming" if kind == "binary" else "cosine")
    info = collection.info().local
    assert (info.form, info.features_per_photo) == (FORMS[kind], 64)
    assert info.bytes_per_photo == len(held.to_bytes())
    query = photos / "a" / "p02.png"
    first, *others = collection.search(query, top=12, verify=12)
    assert first.path == str(query)
    assert first.inliers >= 30
    assert first.keypoints is None
    assert all(hit.inliers < 20 for hit in others)


def test_a_compact_collection_is_smaller_and_refuses_the_model_without_the_codec(tmp_path, photos):
    plain, coded = tmp_path / "plain.resight", tmp_path / "coded.resight"
    Collection.create(plain, model=grid_model()).add(photos)
    Collection.create(coded, model=coded_model(CODECS["product"]())).add(photos)
    sizes = [Collection.open(path, model=None).info().bytes_per_photo for path in (plain, coded)]
    # 64 keypoints of 16 bytes instead of 128.
    assert sizes[0] - sizes[1] == pytest.approx(64 * 112, rel=0.1)
    with pytest.raises(ModelMismatch, match="use it with the model that made it"):
        Collection.open(coded, model=grid_model()).search(photos / "a" / "p02.png")


def test_features_of_another_codec_are_refused(tmp_path, photos):
    path = tmp_path / "c.resight"
    Collection.create(path, model=coded_model(CODECS["product"]())).add(photos)
    other = Collection.open(path, model=coded_model(CODECS["binary"]()))
    with pytest.raises(
        InvalidInput, match="were not stored by the codec binary of 64 bits: index the photos"
    ):
        other.search(photos / "a" / "p02.png", verify=3)


def test_a_collection_without_photos_stores_no_local_features(tmp_path):
    collection = Collection.create(tmp_path / "empty.resight", model=grid_model())
    assert collection.info().local is None


def test_a_whitening_over_the_model_keeps_its_codec(tmp_path, photos):
    codec = CODECS["binary"]()
    whitening = Whitening(np.zeros(192), np.eye(192), "pca", 10, "made")
    model = coded_model(codec).whitened(whitening, name="whitened")
    collection = Collection.create(tmp_path / "w.resight", model=model)
    collection.add(photos)
    data = stored(collection).to_table(columns=["local"])["local"][0]
    assert LocalFeatures.from_bytes(data.as_py()).metric == "hamming"
    assert collection.search(photos / "a" / "p02.png", verify=3)[0].inliers >= 30


def test_keypoints_are_shown_for_models_with_attention_alone(tmp_path, photos):
    collection = Collection.create(
        tmp_path / "l.resight", model=grid_model(attention=Attention(ReceptiveField(8, 8, 0), pytest.fail))
    )
    collection.add(photos)
    answer = collection.answer(Query(photos / "a" / "p02.png", top=12, verify=4))
    assert answer.queries[0].keypoints.positions.shape == (64, 2)
    assert [hit.keypoints is not None for hit in answer.hits] == [True] * 4 + [False] * 8
    np.testing.assert_allclose(
        answer.hits[0].keypoints.positions, answer.queries[0].keypoints.positions, atol=1e-3
    )
    plain = collection.answer(Query(photos / "a" / "p02.png", top=12, verify=0))
    assert all(hit.keypoints is None for hit in plain.hits)
