"""Which precision a run computes in, where its recipe leaves that to the machine."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

__all__ = ["ChosenPrecision", "choose_precision", "has_bfloat16_units"]

_PROCESSOR = Path("/proc/cpuinfo")
# Linux's words for instructions that multiply bfloat16: on x86 vectors and tiles, on ARM either.
_UNITS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class ChosenPrecision:
    """A precision, and why it was chosen.

    Attributes:
        precision: ``bf16`` or ``fp32``.
        reason: A sentence for the log.
    """

    precision: Literal["bf16", "fp32"]
    reason: str


@functools.cache
def choose_precision(device: str) -> ChosenPrecision:
    """Returns ``bf16`` where a device has units for it and a short measurement shows that they help.

    What is measured is one convolution and its gradients, the same for every recipe: the answer is the
    machine's, and does not change with the network or from run to run. It is measured once a process.

    Args:
        device: ``cpu`` or ``cuda``.
    """
    name = "this GPU" if device == "cuda" else "this processor"
    if not has_bfloat16_units(device):
        return ChosenPrecision("fp32", f"precision fp32: {name} has no units for bfloat16")
    in_float32, in_bfloat16 = _seconds(device)
    gain = in_float32 / in_bfloat16
    if gain <= 1:
        return ChosenPrecision(
            "fp32",
            f"precision fp32: {name} has units for bfloat16, and is {1 / gain:.1f} times as slow with them",
        )
    return ChosenPrecision(
        "bf16", f"precision bf16: {name} convolves {gain:.1f} times as fast in bfloat16 as in float32"
    )


def has_bfloat16_units(device: str) -> bool:
    """Returns whether a device multiplies bfloat16 by itself, and not in the guise of float32.

    Of a processor Linux says so; without Linux it counts as having none.

    Args:
        device: ``cpu`` or ``cuda``.
    """
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        return not _UNITS.isdisjoint(_PROCESSOR.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return False


def _seconds(device: str) -> tuple[float, float]:
    """Returns the shortest times of a convolution, forward and back, in float32 and in bfloat16."""
    with torch.random.fork_rng([torch.cuda.current_device()] if device == "cuda" else []):
        layer = nn.Conv2d(64, 64, 3, padding=1).to(device)
    layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    maps = torch.ones(4, 64, 56, 56, device=device).contiguous(memory_format=torch.channels_last)
    taken: dict[bool, list[float]] = {False: [], True: []}
    # By turns, so that a busy moment of the machine meets both.
    for number in range(2 * _ROUNDS):
        bfloat16 = number % 2 == 1
        began = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            convolved = layer(maps)
        convolved.float().mean().backward()
        if device == "cuda":
            torch.cuda.synchronize()
        taken[bfloat16].append(time.perf_counter() - began)
    return min(taken[False]), min(taken[True])
