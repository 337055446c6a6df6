import io

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resight.errors import InvalidInput
from resight.features import Box, LocalFeatures


def features(n=5, dim=128, dtype=np.uint8, seed=0):
    random = np.random.default_rng(seed)
    return LocalFeatures(
        random.uniform(0, 4000, (n, 2)).astype(np.float32),
        random.uniform(1, 50, n).astype(np.float32),
        random.uniform(0, 6, n).astype(np.float32),
        random.uniform(0, 1, n).astype(np.float32),
        random.integers(0, 255, (n, dim)).astype(dtype),
    )


class TestBox:
    def test_is_written_as_four_numbers(self):
        assert Box.parse("10, 20,300.5,400") == Box(10, 20, 300.5, 400)
        assert str(Box(10, 20, 300.5, 400)) == "10,20,300.5,400"

    @pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d"])
    def test_other_texts_are_refused(self, text):
        with pytest.raises(InvalidInput, match="four numbers X0,Y0,X1,Y1"):
            Box.parse(text)

    @pytest.mark.parametrize("corners", [(5, 0, 5, 9), (0, 9, 5, 8)])
    def test_an_empty_box_is_refused(self, corners):
        with pytest.raises(InvalidInput, match="X0 < X1 and Y0 < Y1"):
            Box(*corners)

    def test_numbers_must_be_finite(self):
        with pytest.raises(InvalidInput, match="finite"):
            Box.parse("0,0,nan,1")

    def test_is_clipped_to_the_photo(self):
        assert Box(-5, 2, 50, 20).clipped(30, 10) == Box(0, 2, 30, 10)
        with pytest.raises(InvalidInput, match="outside the photo of 30 x 10"):
            Box(31, 0, 40, 5).clipped(30, 10)


class TestLocalFeatures:
    @pytest.mark.parametrize("dtype", [np.uint8, np.float16])
    @pytest.mark.parametrize("n", [0, 1, 1000])
    def test_survive_the_disk(self, n, dtype):
        before = features(n, dtype=dtype)
        after = LocalFeatures.from_bytes(before.to_bytes())
        np.testing.assert_array_equal(after.positions, before.positions)
        np.testing.assert_array_equal(after.descriptors, before.descriptors)
        assert after.descriptors.dtype == dtype
        for name in ("scales", "orientations", "scores"):
            np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-3)

    def test_cost_142_bytes_each_with_sift_codes(self):
        assert len(features(1000).to_bytes()) - len(features(0).to_bytes()) == pytest.approx(142_000, abs=128)

    @given(st.integers(0, 800))
    def test_truncated_bytes_are_refused(self, length):
        whole = features().to_bytes()
        if length < len(whole):
            with pytest.raises(InvalidInput, match="are no local features"):
                LocalFeatures.from_bytes(whole[:length])

    @given(st.binary(max_size=300))
    @example(b"PK\x03\x04")
    def test_foreign_bytes_are_refused(self, data):
        with pytest.raises(InvalidInput, match="are no local features"):
            LocalFeatures.from_bytes(data)

    def test_lengths_must_agree(self):
        with pytest.raises(InvalidInput, match=r"scales must have shape \(5,\), not \(4,\)"):
            LocalFeatures(*(features().positions, features(4).scales, *_rest(features())))

    def test_numbers_must_be_finite(self):
        broken = features()
        positions = broken.positions.copy()
        positions[2, 1] = np.nan
        with pytest.raises(InvalidInput, match="positions of local features must be finite"):
            LocalFeatures(positions, broken.scales, *_rest(broken))

    def test_codes_have_two_types(self):
        with pytest.raises(InvalidInput, match="uint8 or float16, not float64"):
            features(dtype=np.float64)

    def test_best_are_the_first(self):
        np.testing.assert_array_equal(features(5).best(2).positions, features(5).positions[:2])


def _rest(of):
    return of.orientations, of.scores, of.descriptors


class TestMetric:
    def bits(self, n=5, width=16):
        plain = features(n)
        codes = np.random.default_rng(1).integers(0, 256, (n, width)).astype(np.uint8)
        return plain.with_descriptors(codes, "hamming")

    @pytest.mark.parametrize("n", [0, 7])
    def test_bits_survive_the_disk_as_bits(self, n):
        before = self.bits(n)
        after = LocalFeatures.from_bytes(before.to_bytes())
        assert after.metric == before.metric == "hamming"
        np.testing.assert_array_equal(after.descriptors, before.descriptors)
        np.testing.assert_array_equal(after.positions, before.positions)
        assert LocalFeatures.from_bytes(features(n).to_bytes()).metric == "cosine"

    def test_features_compared_by_cosine_keep_their_format(self):
        rows = np.load(io.BytesIO(features(3).to_bytes()))
        assert rows.dtype.names == ("position", "scale", "orientation", "score", "descriptor")
        assert np.load(io.BytesIO(self.bits(3).to_bytes())).dtype.names[-1] == "bits"

    def test_the_best_keep_it(self):
        assert self.bits().best(2).metric == "hamming"
        assert len(self.bits().best(2)) == 2

    def test_other_descriptors_keep_the_keypoints(self):
        before = features(4)
        after = before.with_descriptors(np.ones((4, 3), dtype=np.float16), "cosine")
        np.testing.assert_array_equal(after.scores, before.scores)
        assert after.descriptors.shape == (4, 3)
        with pytest.raises(InvalidInput, match=r"positions \(n, 2\) and descriptors \(n, dim\)"):
            before.with_descriptors(np.ones((3, 3), dtype=np.float16), "cosine")

    def test_bits_are_bytes_and_the_metric_is_known(self):
        with pytest.raises(InvalidInput, match="packed bits as uint8, not float16"):
            features().with_descriptors(np.ones((5, 3), dtype=np.float16), "hamming")
        with pytest.raises(InvalidInput, match="by 'cosine' or 'hamming', not 'other'"):
            features().with_descriptors(np.ones((5, 3), dtype=np.float16), "other")
