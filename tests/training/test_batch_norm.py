"""Batch normalisation over several processes: values, gradients and running statistics of one process."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing
from torch import nn
from torch.nn import functional

from resight.training.batch_norm import SynchronisedBatchNorm

WORLD = 2
# Images of each process, and the shape of an image; counts differ, as of photos of several sizes they may.
SHAPES = {"maps": ((3, 2), (4, 5, 6)), "vectors": ((5, 1), (4,)), "volumes": ((1, 2), (4, 2, 3, 2))}
LAYERS = {"maps": nn.BatchNorm2d, "vectors": nn.BatchNorm1d, "volumes": nn.BatchNorm3d}


class NormAndActivation(nn.BatchNorm2d):
    """As timm has it: one module for both, which no replacement of modules would keep."""

    def forward(self, x):
        normalised = functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, True, self.momentum, self.eps
        )
        return functional.silu(normalised)


def make(name, dtype):
    torch.manual_seed(0)
    layer = NormAndActivation(4) if name == "activation" else LAYERS[name](4)
    nn.init.uniform_(layer.weight)
    nn.init.uniform_(layer.bias)
    counts, shape = SHAPES["maps" if name == "activation" else name]
    x = (3 + 5 * torch.randn(sum(counts), *shape, dtype=torch.float64)).to(dtype)
    weights = torch.randn(x.shape, dtype=torch.float64).to(dtype)
    return layer.to(dtype), x, weights, counts


def step(layer, x, weights):
    """Returns value, gradients and running statistics of a layer; the objective looks at every number."""
    x = x.clone().requires_grad_()
    y = layer(x)
    (y.square() * weights).sum().backward()
    state = [layer.running_mean, layer.running_var]
    return [y.detach(), x.grad, layer.weight.grad, layer.bias.grad, *state]


def work(rank, file, results):
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=WORLD)
    found = {}
    for name in (*SHAPES, "activation"):
        for dtype in (torch.float32, torch.float64):
            layer, x, weights, counts = make(name, dtype)
            part = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
            with SynchronisedBatchNorm():
                found[name, str(dtype)] = step(layer, x[part], weights[part])
    layer, x, _, _ = make("maps", torch.float32)
    with SynchronisedBatchNorm():
        found["half"] = layer(x[rank : rank + 1].bfloat16()).detach()
        layer.eval()
        found["frozen"] = layer(x[rank : rank + 1]).detach()
    torch.save(found, results / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("batch_norm")
    multiprocessing.spawn(work, (folder / "meeting", folder), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", [*SHAPES, "activation"])
def test_two_processes_compute_what_one_does(found, name, dtype):
    layer, x, weights, _ = make(name, dtype)
    value, moved, weight, bias, mean, variance = step(layer, x, weights)
    first, second = (each[name, str(dtype)] for each in found)
    limits = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-11, "atol": 1e-11}
    torch.testing.assert_close(torch.cat([first[0], second[0]]), value, **limits)
    torch.testing.assert_close(torch.cat([first[1], second[1]]), moved, **limits)
    torch.testing.assert_close(first[2] + second[2], weight, **limits)
    torch.testing.assert_close(first[3] + second[3], bias, **limits)
    for each in (first, second):
        torch.testing.assert_close(each[4], mean, **limits)
        torch.testing.assert_close(each[5], variance, **limits)


def test_each_process_alone_would_compute_something_else():
    layer, x, weights, counts = make("maps", torch.float32)
    alone = step(layer, x[: counts[0]], weights[: counts[0]])[0]
    layer, _, _, _ = make("maps", torch.float32)
    assert (alone - step(layer, x, weights)[0][: counts[0]]).abs().max() > 0.01


def test_half_precision_is_computed_in_float32_and_frozen_layers_are_left_alone(found):
    layer, x, _, _ = make("maps", torch.float32)
    expected = layer(x[:WORLD].bfloat16().float())
    half = torch.cat([each["half"] for each in found])
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), expected, rtol=0.01, atol=0.02)
    frozen = torch.cat([each["frozen"] for each in found])
    torch.testing.assert_close(frozen, layer.eval()(x[:WORLD]), rtol=1e-4, atol=1e-4)
