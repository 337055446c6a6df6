"""The authors' own checkpoints as our bundles, with an exact report of what became of every tensor.

Files are read with ``weights_only``: nothing that is in them runs. A tensor that is missing, unknown or of
another shape is an error that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from resight.errors import InvalidInput
from resight.models.published import cirtorch, cvnet, delg_pytorch, dolg
from resight.models.published.checkpoint import Checkpoint, read_checkpoint
from resight.models.published.conversion import LONG_SIDE, Conversion, ConversionConfig, LeftOut, Match

__all__ = ["FAMILIES", "LONG_SIDE", "Conversion", "ConversionConfig", "LeftOut", "Match", "convert"]

_READERS: Mapping[str, Callable[[Checkpoint, ConversionConfig], Conversion]] = {
    cirtorch.FAMILY: cirtorch.convert,
    cvnet.FAMILY: cvnet.convert,
    delg_pytorch.FAMILY: delg_pytorch.convert,
    dolg.FAMILY: dolg.convert,
}

FAMILIES = tuple(_READERS)
"""Whose files can be read."""

_SIGNATURES = {reader.SIGNATURE: reader.FAMILY for reader in (cvnet, delg_pytorch, dolg)}
# Wu et al., "Learning Token-based Representation for Image Retrieval", AAAI 2022: known and refused.
_TOKEN_SIGNATURE = "tr.query"


def convert(
    path: str | Path, config: ConversionConfig | None = None, *, family: str | None = None
) -> Conversion:
    """Returns a checkpoint of the authors as a bundle, and what became of each of its tensors.

    Args:
        path: A file of ``torch.save``.
        config: Scales, size and whitening; the authors' own scales, 1024 pixels and none by default.
        family: One of `FAMILIES`; known by its tensors' names if ``None``.

    Raises:
        InvalidInput: The file is no checkpoint or of no known family, a tensor is missing, unknown or of
            another shape, or its network has no counterpart here.
    """
    config = ConversionConfig() if config is None else config
    if family is not None and family not in _READERS:
        raise InvalidInput(f"there is no reader for {family!r} files; accepted are {', '.join(FAMILIES)}")
    checkpoint = read_checkpoint(path)
    family = _family_of(checkpoint) if family is None else family
    if config.whitening is not None and family != cirtorch.FAMILY:
        raise InvalidInput(f"files of {family} carry no whitening; only those of {cirtorch.FAMILY} do")
    return _READERS[family](checkpoint, config)


def _family_of(checkpoint: Checkpoint) -> str:
    for signature, family in _SIGNATURES.items():
        if signature in checkpoint.tensors:
            return family
    if checkpoint.meta is not None:
        return cirtorch.FAMILY
    if _TOKEN_SIGNATURE in checkpoint.tensors:
        raise InvalidInput(
            f"the checkpoint {checkpoint.path} is one of Token, whose transformer has no counterpart here; "
            f"accepted are files of {', '.join(FAMILIES)}"
        )
    raise InvalidInput(
        f"the checkpoint {checkpoint.path} is of no known family (its first tensor is "
        f"{next(iter(checkpoint.tensors))}); accepted are {', '.join(FAMILIES)}: name the family if it is "
        "one of them"
    )
