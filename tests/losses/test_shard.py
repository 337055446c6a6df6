"""Class weights dealt out to processes: value and gradients of the loss that holds all of them."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing

from resight.errors import InvalidInput
from resight.losses import (
    ArcFace,
    Contrastive,
    CurricularFace,
    HardTriple,
    NormalisedSoftmax,
    ProxyAnchor,
    ProxyNCA,
    SoftTriple,
    SubCentreArcFace,
)
from resight.losses.shard import ClassShard, classes_of, shard_classes

CLASSES, DIM = 11, 6
# Two processes own no image of the first batch between them, and one class owns the whole second one.
DTYPES = {"float32": torch.float32, "float64": torch.float64}
BATCHES = {"many": [9, 10, 10, 0, 8, 9], "one": [4, 4, 4, 4, 4, 4], "first": [0, 1, 2, 2, 1, 0]}


def losses():
    """Returns the losses with class weights, drawn from one seed."""
    torch.manual_seed(0)
    options = {"generator": torch.Generator().manual_seed(1)}
    return {
        "arcface": ArcFace(CLASSES, DIM, **options),
        "learned scale": ArcFace(CLASSES, DIM, learn_scale=True, scale=8.0, **options),
        "sub-centres": SubCentreArcFace(CLASSES, DIM, **options),
        "curricular": CurricularFace(CLASSES, DIM, **options),
        "softmax": NormalisedSoftmax(CLASSES, DIM, **options),
        "anchor": ProxyAnchor(CLASSES, DIM, **options),
        "nca": ProxyNCA(CLASSES, DIM, **options),
        "soft": SoftTriple(CLASSES, DIM, centres=3, **options),
        "hard": HardTriple(CLASSES, DIM, centres=3, **options),
    }


def measure(loss, name, dtype):
    """Returns value, gradients of descriptors and parameters, and buffers."""
    loss, labels = loss.to(dtype), torch.tensor(BATCHES[name])
    drawn = torch.randn(len(labels), DIM, generator=torch.Generator().manual_seed(5))
    descriptors = drawn.to(dtype).requires_grad_()
    # The curriculum of CurricularFace has gone on: its other classes weigh more.
    for buffer in loss.buffers():
        buffer.fill_(0.4)
    value = loss(descriptors, labels)
    value.backward()
    gradients = {key: parameter.grad for key, parameter in loss.named_parameters()}
    return value.detach(), descriptors.grad, gradients, dict(loss.named_buffers())


def work(rank, world, file, results):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=world)
    found = {}
    for name, dtype in itertools.product(BATCHES, DTYPES):
        for kind, loss in losses().items():
            shard_classes(loss, rank=rank, world=world)
            found[f"{kind} {name} {dtype}"] = measure(loss, name, DTYPES[dtype])
    torch.save(found, results / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module", params=[2, 3])
def found(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    multiprocessing.spawn(work, (request.param, folder / "meeting", folder), nprocs=request.param)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(request.param)]


def assert_equal(found, expected, dtype):
    """Asserts that numbers differ by at most 1e-12 of the largest; in float32, with logits of 64, by 1e-5."""
    limit = 1e-5 if dtype == "float32" else 1e-12
    assert (found - expected).abs().max() <= limit * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("kind", losses())
def test_processes_compute_what_one_does(found, kind, name, dtype):
    loss = losses()[kind]
    value, by_descriptors, gradients, buffers = measure(loss, name, DTYPES[dtype])
    results = [each[f"{kind} {name} {dtype}"] for each in found]
    for other_value, other_by_descriptors, _, other_buffers in results:
        assert_equal(other_value, value, dtype)
        assert_equal(other_by_descriptors, by_descriptors, dtype)
        for key, buffer in buffers.items():
            assert_equal(other_buffers[key], buffer, dtype)
    for key, gradient in gradients.items():
        parts = [each[2][key] for each in results]
        if key in loss.by_class:
            assert max(len(part) for part in parts) == -(-CLASSES // len(results))
            assert_equal(torch.cat(parts), gradient, dtype)
        else:
            assert all(torch.equal(part, parts[0]) for part in parts)
            assert_equal(parts[0], gradient, dtype)


def test_classes_are_dealt_out_whole_and_in_order():
    parts = [range(CLASSES)[classes_of(CLASSES, rank=rank, world=3)] for rank in range(3)]
    assert [list(part) for part in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]


def test_too_few_classes_are_refused_and_losses_without_classes_are_left_alone():
    with pytest.raises(InvalidInput, match="5 classes cannot be dealt out to 3 processes"):
        shard_classes(ArcFace(5, 2), rank=0, world=3)
    loss = Contrastive()
    shard_classes(loss, rank=0, world=3)
    assert not hasattr(loss, "shard")


def test_a_share_of_the_classes_holds_those_of_the_batch_and_others_drawn_anew():
    shard = ClassShard(start=100, classes=1000, world=1, share=0.1)
    weights = torch.arange(50.0).view(50, 1, 1)
    labels = torch.tensor([103, 149, 20, 103, 150])
    torch.manual_seed(0)
    drawn = []
    for _ in range(200):
        kept, rows = shard.taken(weights, labels)
        assert kept.shape == (5, 1, 1)
        assert kept[rows[[0, 1, 3]], 0, 0].tolist() == [3, 49, 3]
        assert rows[[2, 4]].tolist() == [-1, -1]
        drawn += [int(each) for each in kept[:, 0, 0] if each not in (3, 49)]
    counts = torch.bincount(torch.tensor(drawn), minlength=50)
    others = [each for each in range(50) if each not in (3, 49)]
    # 600 draws from 48 classes: 12.5 each.
    assert counts[others].min() > 1
    assert counts[others].max() < 35


def test_more_classes_in_the_batch_than_the_share_are_all_kept():
    shard = ClassShard(start=0, classes=20, world=1, share=0.1)
    kept, rows = shard.taken(torch.arange(20.0).view(20, 1, 1), torch.arange(20))
    assert kept[:, 0, 0].tolist() == list(range(20))
    assert rows.tolist() == list(range(20))


def test_a_sampled_loss_is_the_loss_over_the_classes_taken():
    loss, whole = NormalisedSoftmax(40, DIM), None
    shard_classes(loss, rank=0, world=1, share=0.25)
    descriptors, labels = torch.randn(4, DIM), torch.tensor([1, 1, 30, 7])
    torch.manual_seed(3)
    value = loss(descriptors, labels)
    value.backward()
    taken = loss.weights.grad.abs().sum(1) > 0
    assert taken.sum() == 10
    assert taken[[1, 7, 30]].all()
    rows = torch.nonzero(taken)[:, 0]
    whole = NormalisedSoftmax(10, DIM)
    whole.weights.data.copy_(loss.weights.data[rows])
    torch.testing.assert_close(whole(descriptors, torch.searchsorted(rows, labels)), value)
