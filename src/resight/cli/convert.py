"""``resight convert``: the authors' own checkpoint as a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.options import JsonOption, refuse_replacing
from resight.cli.output import command_line, console, count, plain_table, shown_path, write_json
from resight.files import nearest

if TYPE_CHECKING:
    from resight.cli.output import Json
    from resight.models.published import Conversion

__all__ = ["EXAMPLE", "convert"]

EXAMPLE = (
    "Example:\n\n  resight convert rSfM120k-tl-resnet101-gem-w.pth --out gem.safetensors\n\n"
    "  resight convert retrievalSfM120k-vgg16-gem.pth --whitening retrieval-SfM-120k --out vgg.bundle\n\n"
    "  resight convert gem-resnet101 --super-global --out super.safetensors\n\n"
    "  resight convert CVPR2022_CVNet_R101.pyth --as cvnet-resnet101\n\n"
    "Known are files of cnnimageretrieval-pytorch, CVNet, DOLG and DELG (PyTorch). Nothing in them is run."
)

CheckpointArgument = Annotated[
    Path, typer.Argument(metavar="CHECKPOINT", help="The authors' file, .pth or .pyth.")
]
OutOption = Annotated[Path | None, typer.Option(metavar="BUNDLE", help="The bundle to write.")]
AsOption = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="NAME",
        help="Keep it as the model of that name (resight models), with the authors' settings.",
    ),
]
FamilyOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Whose file it is, where it is not known by itself.")
]
WhiteningOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Put a whitening of the file behind the network.")
]
ScalesOption = Annotated[
    str | None, typer.Option(metavar="S,S,...", help="Scales of a photo; the authors' own by default.")
]
SideOption = Annotated[int, typer.Option(min=1, metavar="N", help="Long side of photos in pixels.")]
SuperGlobalOption = Annotated[
    bool,
    typer.Option(
        "--super-global",
        help="Describe as SuperGlobal does; CHECKPOINT may then be a model's name or bundle, too.",
    ),
]
LicenceOption = Annotated[str, typer.Option(metavar="TEXT", help="Licence of the weights.")]


def convert(
    checkpoint: CheckpointArgument,
    out: OutOption = None,
    name: AsOption = None,
    family: FamilyOption = None,
    whitening: WhiteningOption = None,
    scales: ScalesOption = None,
    max_side: SideOption = 1024,
    licence: LicenceOption = "unknown",
    super_global: SuperGlobalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn the authors' own checkpoint into a bundle, tensor by tensor."""
    if name is not None:
        _keep(checkpoint, name)
        return
    if out is None:
        raise typer.BadParameter("name the bundle to write, or a model with --as", param_hint="--out")
    shown = _parse_scales(scales)
    refuse_replacing({"--out": out}, {"the checkpoint": checkpoint})
    from resight.networks.trunks._timm import require_torch

    require_torch("reading a checkpoint")
    from resight.models import bundle as bundles
    from resight.models.published import ConversionConfig
    from resight.models.published import convert as convert_checkpoint
    from resight.networks.super_global import SuperGlobalConfig

    if super_global and (not checkpoint.is_file() or checkpoint.suffix == ".safetensors"):
        _describe_otherwise(str(checkpoint), shown, out)
        return
    changed = SuperGlobalConfig() if super_global else None
    config = ConversionConfig(shown, max_side, whitening, licence, changed)
    conversion = convert_checkpoint(checkpoint, config, family=family)
    bundles.write(conversion.bundle, out)
    if as_json:
        write_json(_conversion_json(conversion, out))
    else:
        _print(conversion, out)


def _keep(checkpoint: Path, name: str) -> None:
    from resight.models.checkpoints import checkpoints, keep

    if name not in checkpoints():
        meant = ", ".join(nearest(name, list(checkpoints()), most=3)) or ", ".join(checkpoints())
        raise typer.BadParameter(f"{name!r} is no checkpoint of authors: {meant}", param_hint="--as")
    path = keep(checkpoints()[name], checkpoint)
    console().print(f"{name} is kept in {shown_path(path)}", soft_wrap=True)
    line = command_line("resight", "index", "PHOTOS", "--model", name)
    console().print(f"\nUse it:  {line}", soft_wrap=True)


def _describe_otherwise(name: str, scales: tuple[float, ...] | None, out: Path) -> None:
    from resight.models import bundle as bundles
    from resight.models import load_model
    from resight.models.super_global import PAPER_SCALES, with_super_global

    changed = with_super_global(load_model(name), scales=scales or PAPER_SCALES)
    bundles.write(changed.to_bundle(), out)
    console().print(f"{changed.name} written to {shown_path(out)}", soft_wrap=True)


def _parse_scales(text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"scales are positive numbers with commas between them, not {text!r}", param_hint="--scales"
        ) from None


def _conversion_json(conversion: Conversion, out: Path) -> Json:
    from resight.cli.output import as_json

    return {
        "bundle": shown_path(out),
        "family": conversion.family,
        "architecture": conversion.bundle.architecture,
        "fingerprint": conversion.bundle.fingerprint,
        "matches": as_json(conversion.matches),
        "left_out": as_json(conversion.left_out),
        "remarks": as_json(conversion.remarks),
    }


def _print(conversion: Conversion, out: Path) -> None:
    """Prints what became of every tensor, and where the bundle is."""
    printed = console()
    table = plain_table("theirs", "ours", "shape")
    for match in conversion.matches:
        table.add_row(match.source, match.target, _shape(match.shape))
    for left in conversion.left_out:
        table.add_row(left.source, f"left out: {left.reason}", _shape(left.shape))
    printed.print(table)
    taken = f"{count(len(conversion.matches), 'tensor')} taken over, {len(conversion.left_out):,} left out"
    printed.print(
        f"\n{conversion.family}: {taken}; {conversion.bundle.architecture} written to {shown_path(out)}"
    )
    for remark in conversion.remarks:
        printed.print(remark, soft_wrap=True)
    line = command_line("resight", "index", "PHOTOS", "--model", shown_path(out))
    printed.print(f"\nUse it:  {line}", soft_wrap=True)


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in shape) or "one number"
