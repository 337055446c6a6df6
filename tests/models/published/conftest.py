"""State dictionaries of the authors' keys and shapes, from lists written from their public definitions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

_LARGE = 10_000_000


def _keys_of(name: str) -> dict[str, tuple[int, ...]]:
    """The tensors of a file by name, with their shapes."""
    listed = json.loads((Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8"))
    return {key: tuple(shape) for key, shape in listed["tensors"].items()}


def _meta_of(name: str) -> dict[str, object]:
    """What a file of cnnimageretrieval-pytorch says of its network."""
    return json.loads((Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8"))["meta"]


def _random_state(name: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random values through which activations keep a sane size."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in _keys_of(name).items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
        elif key.endswith(".p"):
            state[key] = torch.full(shape, 2.7)
        elif key.endswith("running_var"):
            state[key] = torch.rand(shape, generator=generator) + 0.5
        elif len(shape) == 1:
            least, spread = (0.6, 0.6) if key.endswith("weight") else (-0.05, 0.1)
            state[key] = torch.rand(shape, generator=generator) * spread + least
        elif torch.Size(shape).numel() > _LARGE:
            # A classifier: one number, shown at that shape, so that the file stays small.
            state[key] = torch.zeros(1).expand(shape)
        else:
            fan_in = torch.Size(shape[1:]).numel()
            state[key] = torch.randn(shape, generator=generator) * (1.6 / fan_in) ** 0.5
    return state


def _numbered_state(name: str) -> dict[str, torch.Tensor]:
    """Each tensor holds a number of its own, shown at its shape, so that large files stay small."""
    return {
        key: torch.tensor(7) if not shape else torch.full((1,), 1.0 + number / 1024).expand(shape)
        for number, (key, shape) in enumerate(_keys_of(name).items())
    }


@pytest.fixture(scope="session")
def keys_of() -> Callable[[str], dict[str, tuple[int, ...]]]:
    return _keys_of


@pytest.fixture(scope="session")
def meta_of() -> Callable[[str], dict[str, object]]:
    return _meta_of


@pytest.fixture(scope="session")
def random_state() -> Callable[..., dict[str, torch.Tensor]]:
    return _random_state


@pytest.fixture(scope="session")
def numbered_state() -> Callable[[str], dict[str, torch.Tensor]]:
    return _numbered_state


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file as the authors do."""

    def save(content: object, name: str = "checkpoint.pth", **how: bool) -> Path:
        path = tmp_path / name
        torch.save(content, path, **how)
        return path

    return save
