"""Training on tuples: mined before each epoch, resumed within one, summed over batches, whitened."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from resight.errors import InvalidInput
from resight.losses import TupleContrastive
from resight.models import load_model
from resight.training import Recipe, train
from resight.training.run_folder import RunFolder
from resight.training.tuple_sampler import TupleSampler

RECIPE = """
name: tuples
data:
  benchmark: tuples
  root: {root}
  train_transform: {{kind: long_side, size: 32}}
  test_transform: {{kind: long_side, size: 32}}
sampler: {{kind: tuples, tuples: 4, negatives: 3, queries: 16, pool: 30}}
model: {{kind: gem, trunk: {{name: test_resnet, pretrained: false}}, pooling: {{kind: gem, learnable: true}}}}
objective:
  - {{name: ranking, loss: {{kind: tuple_contrastive, margin: 0.85}}}}
optimiser: {{kind: adam, learning_rate: 1e-3}}
training: {{epochs: 2, workers: 1, device: cpu, precision: fp32, batch_norm: frozen}}
selection: {{on: last}}
log: {{tensorboard: false, every: 1}}
"""


@pytest.fixture(scope="module")
def pickled(made_photos, tmp_path_factory) -> Path:
    """The made photos in the authors' layout: classes are clusters, neighbours in a class are pairs."""
    folder = tmp_path_factory.mktemp("sfm")
    content = {}
    for part, split in (("train", "train"), ("val", "test")):
        photos = sorted((made_photos / split).rglob("*.png"))
        names = [f"{part}{number:04d}abcdef"[-12:] for number in range(len(photos))]
        for photo, name in zip(photos, names, strict=True):
            place = folder / "ims" / name[-2:] / name[-4:-2] / name[-6:-4] / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(photo.read_bytes())
        clusters = [int(photo.parent.name[-2:]) for photo in photos]
        pairs = [(a, a + 1) for a in range(len(photos) - 1) if clusters[a] == clusters[a + 1]]
        queries, positives = zip(*pairs, strict=True)
        content[part] = {
            "cids": names,
            "cluster": clusters,
            "qidxs": list(queries),
            "pidxs": list(positives),
        }
    path = folder / "made.pkl"
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def recipe(pickled: Path, tmp_path: Path, *overrides: str) -> Recipe:
    path = tmp_path / "tuples.yaml"
    path.write_text(RECIPE.format(root=pickled), encoding="utf-8")
    return Recipe.from_yaml(path, overrides)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(RunFolder(run).last, weights_only=True)["model"]


def equal(one: Path, other: Path) -> bool:
    return all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


def test_a_run_ends_in_a_model_and_its_negatives_are_of_other_clusters(pickled, tmp_path):
    made = recipe(pickled, tmp_path)
    result = train(made, tmp_path / "run")
    assert load_model(result.bundle).dim > 0
    assert result.test["r@1"] >= 0 if "r@1" in result.test else result.test
    first = [float(line["ranking"]) for line in _log(tmp_path / "run") if "ranking" in line]
    assert np.isfinite(first).all()


def _log(run: Path) -> list[dict]:
    import json

    lines = (run / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_run_stopped_within_an_epoch_goes_on_with_the_tuples_that_were_mined(pickled, tmp_path):
    plain = recipe(pickled, tmp_path, "log.checkpoint_steps=1")
    train(plain, tmp_path / "whole")

    class Stopped(Exception):
        pass

    def stop(event):
        if getattr(event, "step", 0) == 6:
            raise Stopped

    with pytest.raises(Stopped):
        train(plain, tmp_path / "stopped", report=stop)
    state = torch.load(RunFolder(tmp_path / "stopped").last, weights_only=True)
    assert (state["epoch"], state["tuples"].shape) == (1, (4, 20))
    train(plain, tmp_path / "stopped", resume=True)
    assert equal(tmp_path / "whole", tmp_path / "stopped")


def test_batches_of_one_tuple_summed_are_one_batch(pickled, tmp_path):
    train(recipe(pickled, tmp_path, "training.epochs=1"), tmp_path / "together")
    single = recipe(
        pickled,
        tmp_path,
        "training.epochs=1",
        "sampler.tuples=1",
        "training.accumulate=4",
        "training.gradients=sum",
    )
    train(single, tmp_path / "single")
    for name, value in weights(tmp_path / "together").items():
        torch.testing.assert_close(weights(tmp_path / "single")[name], value, rtol=1e-3, atol=1e-4)


def test_a_whitening_is_learned_from_the_pairs_and_kept(pickled, tmp_path):
    made = recipe(
        pickled, tmp_path, "training.epochs=1", "use.whitening={kind: learned, dim: 8, shrinkage: 0.2}"
    )
    result = train(made, tmp_path / "run")
    model = load_model(result.bundle)
    assert model.dim == 8
    assert model.whitenings[-1].kind == "learned"


def test_tuples_and_their_losses_need_each_other(pickled, tmp_path, made_photos):
    with pytest.raises(InvalidInput, match="takes tuples, and the sampler plain lays out none"):
        recipe(pickled, tmp_path, "sampler={kind: plain, batch: 4}")
    labels = recipe(pickled, tmp_path, "data.benchmark=folder", f"data.root={made_photos}")
    with pytest.raises(InvalidInput, match="needs pairs of a query and a positive"):
        train(labels, tmp_path / "run")


def made_sampler(**settings) -> tuple[TupleSampler, np.ndarray, np.ndarray]:
    labels = np.repeat(np.arange(12), 5)
    pairs = np.array([(row, row + 1) for row in range(59) if labels[row] == labels[row + 1]])
    return TupleSampler(labels, pairs, **settings), labels, pairs


def test_a_batch_holds_pairs_of_the_set_and_negatives_of_different_other_clusters():
    sampler, labels, pairs = made_sampler(tuples=3, negatives=4, queries=20, pool=40, seed=1)
    rng = np.random.default_rng(0)
    descriptors = rng.normal(size=(60, 8)).astype(np.float32)
    asked: list[np.ndarray] = []
    sampler.mine(0, lambda rows: (asked.append(rows), descriptors[rows])[1])
    batches = sampler.batches(0)
    assert batches.shape == (6, 18)
    known = {tuple(pair) for pair in pairs.tolist()}
    for query, positive, *negatives in batches.reshape(-1, 6).tolist():
        assert (query, positive) in known
        clusters = [labels[row] for row in negatives]
        assert len({labels[query], *clusters}) == 5
        # The hardest of the pool: no photo of a cluster that was passed over is more similar.
        pool = asked[0][len(np.unique(batches.reshape(-1, 6)[:, 0])) :]
        best = {}
        for row in pool:
            score = descriptors[query] @ descriptors[row]
            best[labels[row]] = max(score, best.get(labels[row], -np.inf))
        del best[labels[query]]
        hardest = sorted(best.values(), reverse=True)[:4]
        np.testing.assert_allclose([descriptors[query] @ descriptors[row] for row in negatives], hardest)


def test_epochs_differ_and_one_that_is_not_mined_is_refused():
    sampler, _, _ = made_sampler(tuples=2, negatives=2, queries=10, pool=40, random_negatives=True)
    with pytest.raises(InvalidInput, match="the tuples of epoch 0 are not mined yet"):
        sampler.batches(0)
    sampler.mine(0, lambda rows: pytest.fail("random negatives need no description"))
    first = sampler.batches(0)
    other, _, _ = made_sampler(tuples=2, negatives=2, queries=10, pool=40, random_negatives=True)
    other.mine(0, lambda rows: rows)
    assert (other.batches(0) == first).all()
    other.mine(1, lambda rows: rows)
    assert (other.batches(1) != first).any()


def test_the_objective_gives_the_loss_its_tuples():
    from resight.training.objective import Objective, Part

    torch.manual_seed(0)
    descriptors = torch.nn.functional.normalize(torch.randn(10, 6), dim=1)
    loss = TupleContrastive(margin=0.9)
    objective = Objective([Part("ranking", (loss,), "descriptor", 2.0)], tuple_size=5)
    value = objective({"descriptor": (descriptors,)}, torch.zeros(10, dtype=torch.int64))
    expected = sum(
        loss(
            descriptors[start : start + 1],
            descriptors[start + 1 : start + 2],
            descriptors[None, start + 2 : start + 5],
        )
        for start in (0, 5)
    )
    torch.testing.assert_close(value.total, 2 * expected)
