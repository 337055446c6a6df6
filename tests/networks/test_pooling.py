"""Pooling: equal to literal loops, finite at the edges, gradients as in the papers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from resight.errors import InvalidInput
from resight.networks.pooling import (
    EPSILON,
    MAC,
    RMAC,
    AverageMax,
    GeM,
    SignedGeM,
    SPoC,
    average_max,
    gem,
    mac,
    rmac,
    rmac_regions,
    signed_gem,
    spoc,
)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def maps_of(generator, *shape, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64).clamp(min=0).to(dtype)


POOLINGS = [
    SPoC(),
    MAC(),
    AverageMax(),
    GeM(),
    GeM(p=2.5, channels=6, per_channel=True),
    GeM(p=20.0),
    GeM(learnable=False),
    SignedGeM(),
    SignedGeM(p=2.5, channels=6, per_channel=True),
    RMAC(),
]


def test_against_literal_loops(generator):
    maps = maps_of(generator, 2, 3, 4, 5, dtype=torch.float64)
    p = torch.tensor([1.0, 2.5, 4.0], dtype=torch.float64)
    for image in range(2):
        for channel in range(3):
            values = [float(x) for x in maps[image, channel].flatten()]
            assert float(spoc(maps)[image, channel]) == pytest.approx(sum(values) / 20, abs=1e-12)
            assert float(mac(maps)[image, channel]) == max(values)
            both = sum(values) / 20 + max(values)
            assert float(average_max(maps)[image, channel]) == pytest.approx(both, abs=1e-12)
            assert float(AverageMax()(maps)[image, channel]) == pytest.approx(both, abs=1e-12)
            power = float(p[channel])
            mean = sum(max(x, 1e-6) ** power for x in values) / 20
            assert float(gem(maps, p)[image, channel]) == pytest.approx(mean ** (1 / power), rel=1e-12)


def test_gem_between_average_and_maximum(generator):
    maps = maps_of(generator, 2, 4, 6, 7).clamp(min=EPSILON)
    torch.testing.assert_close(gem(maps, torch.tensor([1.0])), spoc(maps))
    torch.testing.assert_close(gem(maps, torch.tensor([4000.0])), mac(maps), rtol=1e-3, atol=0)
    assert (gem(maps, torch.tensor([3.0])) > spoc(maps)).all()
    assert (gem(maps, torch.tensor([3.0])) < mac(maps)).all()


def test_derivative_to_p_is_the_closed_form(generator):
    """d f/d p = f/p² (log(N/S) + p Σ x^p log x / S), S = Σ x^p: Radenović et al. 2018, section 3.2."""
    maps = maps_of(generator, 2, 3, 4, 5, dtype=torch.float64)
    p = torch.tensor([1.5, 3.0, 7.0], dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    (gem(maps, p) * upstream).sum().backward()
    x = np.maximum(maps.numpy().reshape(2, 3, 20), 1e-6)
    exponent = p.detach().numpy()[:, None]
    total = (x**exponent).sum(-1)
    f = (total / 20) ** (1 / exponent[:, 0])
    weighted = (x**exponent * np.log(x)).sum(-1)
    slope = f / exponent[:, 0] ** 2 * (np.log(20 / total) + exponent[:, 0] * weighted / total)
    np.testing.assert_allclose(p.grad.numpy(), (slope * upstream.numpy()).sum(0), rtol=1e-10)


def test_gradients_by_finite_differences(generator):
    maps = (maps_of(generator, 1, 2, 3, 4, dtype=torch.float64) + 0.1).requires_grad_()
    p = torch.tensor([2.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(gem, (maps, p))
    assert torch.autograd.gradcheck(spoc, (maps,))
    assert torch.autograd.gradcheck(mac, (maps,))
    assert torch.autograd.gradcheck(lambda each: rmac(each, 3), (maps,))


def rmac_literally(maps: torch.Tensor, levels: int = 3) -> np.ndarray:
    """One image (channels, rows, cols), as the paper puts it, in plain loops."""
    channels, rows, cols = maps.shape
    short, long = min(rows, cols), max(rows, cols)
    best, extra = math.inf, 0
    for steps in range(2, 8):
        gap = (long - short) / (steps - 1)
        overlap = (short**2 - short * gap) / short**2
        if abs(overlap - 0.4) < best:
            best, extra = abs(overlap - 0.4), steps - 1
    regions = [(0, rows, 0, cols)]
    for level in range(1, levels + 1):
        side = math.floor(2 * short / (level + 1))
        if side == 0:
            continue
        down = level + (extra if rows > cols else 0)
        right = level + (extra if cols > rows else 0)
        for i in range(down):
            top = 0 if down == 1 else math.floor(i * (rows - side) / (down - 1) + 1e-9)
            for j in range(right):
                left = 0 if right == 1 else math.floor(j * (cols - side) / (right - 1) + 1e-9)
                regions.append((top, top + side, left, left + side))
    total = np.zeros(channels)
    for top, bottom, left, right in regions:
        maxima = np.array([maps[c, top:bottom, left:right].max().item() for c in range(channels)])
        total += maxima / (np.linalg.norm(maxima) + 1e-6)
    return total


@pytest.mark.parametrize(
    "shape", [(8, 8), (9, 13), (13, 9), (24, 32), (5, 40), (7, 1), (1, 1), (2, 3), (32, 23), (10, 23)]
)
def test_rmac_against_a_literal_loop(generator, shape):
    maps = maps_of(generator, 2, 6, *shape, dtype=torch.float64)
    for image in range(2):
        np.testing.assert_allclose(rmac(maps, 3)[image].numpy(), rmac_literally(maps[image]), rtol=1e-12)


@pytest.mark.parametrize("levels", [0, 1, 4])
def test_rmac_of_another_number_of_levels(generator, levels):
    maps = maps_of(generator, 2, 6, 9, 13, dtype=torch.float64)
    expected = np.stack([rmac_literally(each, levels) for each in maps])
    np.testing.assert_allclose(rmac(maps, levels).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(RMAC(levels)(maps).numpy(), expected, rtol=1e-12)


def test_rmac_grid_by_hand():
    assert rmac_regions(4, 4, levels=1) == [(0, 0, 4)]
    assert rmac_regions(4, 4, levels=2)[1:] == [(0, 0, 2), (0, 2, 2), (2, 0, 2), (2, 2, 2)]
    # 24 x 32: two regions along the long side overlap by 2/3, three by 5/6: two are nearest to 40 %.
    assert rmac_regions(24, 32, levels=1) == [(0, 0, 24), (0, 8, 24)]
    # 10 x 23: three overlap by 0.35, four by 0.57.
    assert [left for _, left, _ in rmac_regions(10, 23, levels=1)] == [0, 6, 13]
    # A panorama of 10 x 80: seven, the most there are.
    assert [left for _, left, _ in rmac_regions(10, 80, levels=1)] == [0, 11, 23, 35, 46, 58, 70]
    assert rmac_regions(24, 32, 3) == rmac_regions(24, 32, levels=3)
    assert len(rmac_regions(24, 32, 3)) == 2 + 2 * 3 + 3 * 4


def test_rmac_regions_stay_inside_and_reach_the_edges():
    for rows in range(1, 40, 3):
        for cols in range(1, 70, 5):
            regions = rmac_regions(rows, cols, 3)
            assert all(r >= 0 and c >= 0 and r + s <= rows and c + s <= cols for r, c, s in regions)
            assert max(r + s for r, _, s in regions) == rows
            assert max(c + s for _, c, s in regions) == cols


@pytest.mark.parametrize("pooling", POOLINGS, ids=str)
def test_contract_shape_and_independence_of_the_batch(pooling, generator):
    maps = maps_of(generator, 3, 6, 5, 9)
    together = pooling(maps)
    assert together.shape == (3, 6)
    for image in range(3):
        torch.testing.assert_close(pooling(maps[image : image + 1])[0], together[image], rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", [each for each in POOLINGS if not isinstance(each, RMAC)], ids=str)
def test_contract_permutation_of_places(pooling, generator):
    maps = maps_of(generator, 2, 6, 5, 9)
    order = torch.randperm(45, generator=generator)
    shuffled = maps.flatten(2)[..., order].view_as(maps)
    torch.testing.assert_close(pooling(shuffled), pooling(maps))


def test_contract_permutation_of_channels(generator):
    maps = maps_of(generator, 2, 6, 5, 9)
    order = torch.randperm(6, generator=generator)
    torch.testing.assert_close(rmac(maps[:, order], 3), rmac(maps, 3)[:, order])


@pytest.mark.parametrize("pooling", POOLINGS, ids=str)
@pytest.mark.parametrize("value", [0.0, 1e-30, 1e4])
def test_contract_finite_on_constant_maps(pooling, value):
    maps = torch.full((2, 6, 4, 3), value, requires_grad=True)
    pooling.zero_grad()
    pooled = pooling(maps)
    pooled.sum().backward()
    assert torch.isfinite(pooled).all()
    assert torch.isfinite(maps.grad).all()
    for parameter in pooling.parameters():
        assert torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("pooling", POOLINGS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_contract_float32_whatever_comes_in(pooling, dtype, generator):
    maps = (100 * maps_of(generator, 2, 6, 4, 5)).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = pooling(maps)
    assert pooled.dtype == torch.float32
    assert torch.equal(pooled, pooling(maps.float()))
    assert torch.isfinite(pooled).all()


def test_an_exponent_of_another_precision_does_not_change_that_of_the_maps(generator):
    maps = maps_of(generator, 2, 6, 4, 5)
    for p in (torch.tensor([2.5], dtype=dtype) for dtype in (torch.bfloat16, torch.float64)):
        assert gem(maps, p).dtype == torch.float32


def test_large_powers_neither_overflow_nor_vanish():
    maps = torch.tensor([[[[1e-4, 3e-4]], [[1e4, 3e4]]]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = gem(maps, torch.tensor([60.0]))
    expected = np.array([3e-4, 3e4]) * 0.5 ** (1 / 60)
    np.testing.assert_allclose(pooled[0].numpy(), expected, rtol=1e-5)


def test_parameters():
    assert [name for name, _ in GeM().named_parameters()] == ["p"]
    assert GeM().p.tolist() == [3.0]
    assert GeM(p=2.0, channels=4, per_channel=True).p.tolist() == [2.0] * 4
    assert GeM(p=0.5, channels=1, per_channel=True).p.tolist() == [0.5]
    assert (RMAC().levels, RMAC(0).levels) == (3, 0)
    fixed = GeM(learnable=False)
    assert not list(fixed.parameters())
    assert list(fixed.state_dict()) == ["p"]


def test_wrong_arguments():
    for p in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidInput, match="positive and finite"):
            GeM(p)
    with pytest.raises(InvalidInput, match="at least one channel"):
        GeM(channels=0, per_channel=True)
    with pytest.raises(InvalidInput, match="levels must be zero or positive, not -1"):
        RMAC(-1)
    with pytest.raises(InvalidInput, match="GeM of 6 channels needs 1 or 6 exponents, got 2"):
        gem(torch.zeros(1, 6, 2, 2), torch.ones(2))


def test_signed_gem_against_a_literal_loop(generator):
    maps = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=generator)
    p = torch.tensor([1.0, 2.5, 4.0], dtype=torch.float64)
    pooled = signed_gem(maps, p)
    for image in range(2):
        for channel in range(3):
            values = [float(x) for x in maps[image, channel].flatten()]
            power = float(p[channel])
            sides = [
                (sum(max(sign * x, 1e-6) ** power for x in values) / len(values)) ** (1 / power)
                for sign in (1, -1)
            ]
            assert float(pooled[image, channel]) == pytest.approx(sides[0] - sides[1], abs=1e-12)
    torch.testing.assert_close(signed_gem(-maps, p), -pooled)
    average = signed_gem(maps, torch.ones(1, dtype=torch.float64))
    torch.testing.assert_close(average, spoc(maps), rtol=0, atol=2e-6)
    torch.testing.assert_close(signed_gem(maps.abs(), p), gem(maps.abs(), p) - 1e-6)
