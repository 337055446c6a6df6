"""Measuring by name, and what other programs computed."""

from __future__ import annotations

import numpy as np
import pytest
from landmark_photos import write_landmarks

from resight.datasets import open_landmarks
from resight.evaluation import Refinement, Steps, evaluate_landmarks
from resight.models import load_model
from resight.pipelines.evaluate import Computed, Protocol, evaluate, evaluate_files, evaluate_steps


@pytest.fixture
def root(tmp_path):
    write_landmarks(tmp_path / "places", places=2, each=3)
    return tmp_path / "places"


def test_a_model_is_measured_as_the_protocol_says(root):
    protocol = Protocol(crop=False, refinement=Refinement(expand=2), selection="by hand", seed=5)
    expected = evaluate_landmarks(
        load_model("sift"),
        open_landmarks("revisited", root),
        crop=False,
        refinement=Refinement(expand=2),
        selection="by hand",
        seed=5,
    )
    evaluation = evaluate("sift", "revisited", root, protocol)
    assert (evaluation.result, evaluation.photos) == (expected, root)
    assert evaluate("sift", "revisited", root).result != expected


def test_steps_begin_with_the_descriptor(root):
    waterfall = evaluate_steps("sift", "revisited", root, steps=Steps(expand=1, verify=0))
    assert waterfall.stages[0].measures[0] == evaluate("sift", "revisited", root).result.measures[0]


def test_descriptors_that_the_benchmark_lacks_are_named(root, tmp_path):
    truth = open_landmarks("revisited", root).truth
    names = [*truth.database, *truth.queries, "another"]
    rows = np.random.default_rng(0).normal(size=(len(names), 4)).astype(np.float32)
    np.savez(tmp_path / "theirs.npz", descriptors=rows, names=names)
    computed = Computed("descriptors", tmp_path / "theirs.npz", root / "gnd_made.json")
    evaluation = evaluate_files(computed, photos=root)
    assert evaluation.unused == ("another",)
    assert evaluation.photos == root
    assert evaluation.result.queries == ("queries/query0.jpg", "queries/query1.jpg")
    assert evaluate_files(computed).result.queries == ("query0", "query1")
