"""The steps after the descriptor, one after the other, on made photos."""

from __future__ import annotations

import numpy as np
import pytest
from labelled_photos import grid_model
from landmark_photos import write_landmarks

from resight.datasets import open_landmarks
from resight.errors import InvalidInput
from resight.evaluation.landmarks import evaluate_landmarks
from resight.evaluation.waterfall import Steps, evaluate_waterfall, whitening_of
from resight.models.whitening import Whitening


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("landmarks")
    write_landmarks(root, each=5)
    return open_landmarks("revisited", root)


def halving(dim):
    """Keeps the first half of the dimensions."""
    matrix = np.eye(dim)[: dim // 2]
    return Whitening(np.zeros(dim), matrix, "pca", 100, "made photos")


def test_each_stage_stands_on_those_before(folder):
    model = grid_model()
    found = evaluate_waterfall(model, folder, whitening=halving(model.dim), steps=Steps(expand=3, augment=2))
    assert [stage.name for stage in found.stages] == [
        "descriptor",
        "+ whitening",
        "+ alpha query expansion",
        "+ database augmentation",
        "+ diffusion",
    ]
    assert [measure.name for measure in found.stages[0].measures] == ["mAP easy", "mAP medium", "mAP hard"]
    plain = {measure.name: measure for measure in evaluate_landmarks(model, folder).measures}
    whitened = model.whitened(halving(model.dim))
    halved = {measure.name: measure for measure in evaluate_landmarks(whitened, folder).measures}
    for stage, alone in zip(found.stages[:2], (plain, halved), strict=True):
        assert stage.measures == tuple(alone[measure.name] for measure in stage.measures)
    assert found.stages[0].changes == (None, None, None)
    for before, stage in zip(found.stages, found.stages[1:], strict=False):
        for old, new, change in zip(before.measures, stage.measures, stage.changes, strict=True):
            assert change.difference.mean == pytest.approx(new.value - old.value)
    assert all(stage.milliseconds > 0 for stage in found.stages)
    assert [stage.offline_seconds > 0 for stage in found.stages] == [False, False, False, True, True]


def test_a_whitened_models_whitening_is_a_step_of_its_own(folder):
    model = grid_model()
    found = evaluate_waterfall(model.whitened(halving(model.dim)), folder)
    assert [stage.name for stage in found.stages][:2] == ["descriptor", "+ whitening"]
    whitening = next(fact.text for fact in found.card.facts if fact.name == "whitening")
    assert whitening.startswith("a step: pca, 13 dimensions, fitted on made photos")


def test_a_whitening_of_another_model_is_refused(folder):
    model, whitened = grid_model(), grid_model().whitened(halving(27))
    assert whitening_of(model, whitened).dim == 13
    with pytest.raises(InvalidInput, match="grid carries no whitening"):
        whitening_of(model, model)
    other = grid_model(fingerprint="8" * 16)
    with pytest.raises(InvalidInput, match="belongs to another model than grid"):
        whitening_of(other, whitened)
    with pytest.raises(InvalidInput, match="the whitening takes 12 dimensions and grid gives 27"):
        evaluate_waterfall(model, folder, whitening=halving(12))


def test_the_card_says_how_far_each_step_goes(folder):
    found = evaluate_waterfall(grid_model(), folder, steps=Steps(expand=3, augment=2))
    assert next(fact.text for fact in found.card.facts if fact.name == "re-ranking") == (
        "step by step: alpha query expansion by 3 neighbours, alpha 3; database augmentation by 2, alpha 3; "
        "diffusion over 5 mutual neighbours from 5 of the query, gamma 3, alpha 0.99"
    )
