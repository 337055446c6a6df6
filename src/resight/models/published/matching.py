"""The authors' tensors into our network: all accounted for, or a sentence that names which are not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from resight.errors import InvalidInput
from resight.models.published.checkpoint import Checkpoint
from resight.models.published.conversion import LeftOut, Match
from resight.networks.trunks.backbone import Backbone

__all__ = ["COUNTERS_MISSING", "TRUNK", "Filled", "fill", "sizes_of", "turn_to_rgb_"]

COUNTERS_MISSING = (
    "The file has no counters of batch normalisation, as those written by torch before 0.4.1; they are zero "
    "here and decide nothing."
)

TRUNK = "trunk.net."
"""What stands before the trunk's own names in our networks."""

_COUNTER = ".num_batches_tracked"
_NAMED_AT_MOST = 3


@dataclass(frozen=True, slots=True)
class Filled:
    """How a network was filled.

    Attributes:
        matches: Every tensor that was taken over.
        left_out: Every tensor that was not.
        counters_missing: Whether the file lacks the counters of batch normalisation.
    """

    matches: tuple[Match, ...]
    left_out: tuple[LeftOut, ...]
    counters_missing: bool


def fill(
    net: nn.Module,
    checkpoint: Checkpoint,
    source_of: Callable[[str], str],
    *,
    family: str,
    left_out: Mapping[str, str],
    fixed: Collection[str] = (),
) -> Filled:
    """Fills a network with the tensors of a checkpoint, all or none, and returns which went where.

    Args:
        net: Our network.
        checkpoint: The authors' file.
        source_of: From one of our names to theirs.
        family: Whose file this is, for the message.
        left_out: Beginnings of the names that our network has no place for, each with the reason.
        fixed: Our names that are no tensors of theirs.

    Raises:
        InvalidInput: A tensor is missing, unknown or of another shape; it is named.
    """
    own = net.state_dict()
    targets = {source_of(name): name for name in own if name not in fixed}
    matches: list[Match] = []
    left: list[LeftOut] = []
    problems: list[str] = []
    for source, tensor in checkpoint.tensors.items():
        shape = tuple(tensor.shape)
        reason = next((why for start, why in left_out.items() if source.startswith(start)), None)
        if source in targets:
            expected = tuple(own[targets[source]].shape)
            if shape != expected:
                problems.append(f"{source} has the shape {shape} instead of {expected}")
            matches.append(Match(source, targets[source], shape))
        elif reason is not None:
            left.append(LeftOut(source, shape, reason))
        else:
            problems.append(f"{source} is unknown")
    missing = [source for source in targets if source not in checkpoint.tensors]
    problems += [f"{source} is missing" for source in missing if not source.endswith(_COUNTER)]
    if problems:
        more = len(problems) - _NAMED_AT_MOST
        shown = ", ".join(problems[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
        raise InvalidInput(
            f"the checkpoint {checkpoint.path} is no whole network of {family}: {shown}; give the authors' "
            "own file"
        )
    net.load_state_dict({**own, **{match.target: checkpoint.tensors[match.source] for match in matches}})
    return Filled(tuple(matches), tuple(left), bool(missing))


def sizes_of(checkpoint: Checkpoint, name: str, *, family: str) -> tuple[int, int]:
    """Returns outputs and inputs of a linear layer of the file.

    Raises:
        InvalidInput: There is no such matrix.
    """
    weight = checkpoint.tensors.get(name)
    if weight is None or weight.ndim != 2:
        problem = "is missing" if weight is None else f"has the shape {tuple(weight.shape)} of no matrix"
        raise InvalidInput(
            f"the checkpoint {checkpoint.path} is no whole network of {family}: {name} {problem}; give the "
            "authors' own file"
        )
    return weight.shape[0], weight.shape[1]


def turn_to_rgb_(trunk: Backbone) -> str:
    """Turns a ResNet that takes B, G, R into one that takes R, G, B, in place.

    The network then gives for R, G, B what it gave for B, G, R before.

    Returns:
        A remark that says so.
    """
    weight = trunk.get_parameter("net.conv1.weight")
    with torch.no_grad():
        weight.copy_(weight.flip(1))
    return (
        "The network was trained on B, G, R; the channels of its first convolution are turned, so that it "
        "takes R, G, B and gives the same."
    )
