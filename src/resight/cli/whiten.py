"""``resight whiten``: a model with a whitening computed from photos."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.failures import SOME_UNREADABLE
from resight.cli.options import JsonOption, refuse_missing_folder
from resight.cli.output import command_line, console, count, plain_table, shown_path, write_json
from resight.cli.progress import progress

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool

    from resight.cli.whiten_photos import Described, Matches
    from resight.collection.scan import BrokenPhoto
    from resight.evaluation.measures.separation import Separation
    from resight.models.model import Model
    from resight.models.whitening import Whitening

__all__ = ["EXAMPLE", "Kind", "Rotation", "whiten"]

EXAMPLE = (
    "Example:\n\n  resight whiten sift ~/places --kind learned --shrinkage 0.1 --out whitened.safetensors\n\n"
    "  resight index ~/Pictures --model whitened.safetensors\n\n"
    "Photos of one folder match, unless --pairs names those that do. Give photos like those to be searched, "
    "never those a benchmark measures."
)


class Kind(StrEnum):
    """Ways to compute a whitening."""

    PCA = "pca"
    LEARNED = "learned"


class Rotation(StrEnum):
    """Where the rotation of a learned whitening comes from."""

    ALL = "all"
    NON_MATCHING = "non_matching"


ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model's name or bundle. See: resight models.")
]
PhotosArgument = Annotated[
    list[Path], typer.Argument(metavar="PHOTOS...", help="Photos to learn from, and folders of photos.")
]
OutOption = Annotated[Path, typer.Option(metavar="BUNDLE", help="Where the whitened model is written.")]
KindOption = Annotated[
    Kind, typer.Option(help="pca: from all photos; learned: from those that match.", show_default=True)
]
PairsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV", help="Matching photos, columns query and positive; else those of one folder match."
    ),
]
DimOption = Annotated[int | None, typer.Option(min=1, metavar="N", help="Keep so many dimensions.")]
ShrinkageOption = Annotated[
    float,
    typer.Option(min=0, max=1, metavar="S", help="0 to 1; above 0 where photos are fewer than dimensions."),
]
PowerOption = Annotated[
    float | None,
    typer.Option(min=0, max=1, metavar="P", help="pca: 0.5 whitens fully (default), 0.25 less, 0 not."),
]
RotationOption = Annotated[
    Rotation | None,
    typer.Option(help="learned: rotation from all photos (default) or from pairs that do not match."),
]
HeldOutOption = Annotated[
    float,
    typer.Option(min=0, max=0.5, metavar="SHARE", help="Of matching photos, to show the effect on them."),
]
SeedOption = Annotated[int, typer.Option(min=0, metavar="N", help="Of pairs and of what is held out.")]


@dataclass(frozen=True, slots=True)
class _Settings:
    """How the whitening is computed."""

    kind: Kind
    dim: int | None
    shrinkage: float
    power: float | None
    rotation: Rotation | None
    seed: int


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a whitening was computed from, what it keeps, and what it does to photos held out."""

    model: str
    bundle: Path
    fingerprint: str
    kind: str
    inputs: int
    dim: int
    pairs_or_images: int
    provenance: str
    variance_kept: float
    photos: int
    held_out: int
    before: Separation | None
    after: Separation | None
    broken: list[BrokenPhoto]


def whiten(
    model: ModelArgument,
    photos: PhotosArgument,
    out: OutOption,
    kind: KindOption = Kind.PCA,
    pairs: PairsOption = None,
    dim: DimOption = None,
    shrinkage: ShrinkageOption = 0.0,
    power: PowerOption = None,
    rotation: RotationOption = None,
    held_out: HeldOutOption = 0.2,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compute a whitening from photos, and write the model with it."""
    from resight.cli import whiten_photos

    settings = _Settings(kind, dim, shrinkage, power, rotation, seed)
    _refuse_unfit(settings, model, out)
    loaded = _load(model, dim)
    with progress("Describing") as report:
        described = whiten_photos.describe(loaded, photos, report=report)
    matches = whiten_photos.find_matches(described, pairs, seed=seed)
    held = whiten_photos.hold_out(matches.groups, held_out, seed=seed)
    learned_from = f"{count(int((~held).sum()), 'photo')} of {whiten_photos.folders(photos)}"
    whitening = _fit(described, matches, held, settings, learned_from)
    outcome = _write(loaded, whitening, described, matches, held, out)
    if as_json:
        write_json(outcome)
    else:
        _print_outcome(outcome)
    if outcome.broken:
        raise typer.Exit(SOME_UNREADABLE)


def _refuse_unfit(settings: _Settings, model: str, out: Path) -> None:
    if settings.power is not None and settings.kind is not Kind.PCA:
        raise typer.BadParameter("it is for --kind pca", param_hint="--power")
    if settings.rotation is not None and settings.kind is not Kind.LEARNED:
        raise typer.BadParameter("it is for --kind learned", param_hint="--rotation")
    refuse_missing_folder(out, option="--out")
    if out.exists() and Path(model).exists() and out.samefile(model):
        raise typer.BadParameter("it would replace the model that is whitened", param_hint="--out")


def _load(name: str, dim: int | None) -> Model:
    """Returns the model, one that can be written to a bundle and has the dimensions that are to be kept."""
    from resight.errors import InvalidInput
    from resight.models import load_model

    model = load_model(name)
    # Refused before any photo is described.
    model.to_bundle()
    if dim is not None and dim > model.dim:
        raise InvalidInput(f"{name} has {model.dim} dimensions, of which {dim} cannot be kept")
    return model


def _fit(
    described: Described,
    matches: Matches,
    held: Bool[np.ndarray, " n"],
    settings: _Settings,
    learned_from: str,
) -> Whitening:
    import numpy as np

    from resight.errors import InvalidInput
    from resight.models.whitening_fit import fit_learned, fit_pca, non_matching_pairs

    rows = np.flatnonzero(~held)
    descriptors, groups = described.descriptors[rows], matches.groups[rows]
    dim, shrinkage = settings.dim, settings.shrinkage
    if settings.kind is Kind.PCA:
        power = 0.5 if settings.power is None else settings.power
        return fit_pca(descriptors, dim, shrinkage=shrinkage, power=power, provenance=learned_from)
    pairs = np.searchsorted(rows, matches.pairs[~held[matches.pairs[:, 0]]])
    if not len(pairs) or len(np.unique(groups)) < 2:
        raise InvalidInput(
            f"learning needs matching photos of at least two things, and the {learned_from} show "
            f"{len(np.unique(groups))} with {count(len(pairs), 'matching pair')}: put the photos of each "
            f"thing into a folder of their own, or name them with --pairs"
        )
    if settings.rotation is not Rotation.NON_MATCHING:
        return fit_learned(descriptors, pairs, dim, shrinkage=shrinkage, provenance=learned_from)
    others = non_matching_pairs(groups, 10 * len(rows), np.random.default_rng(settings.seed))
    return fit_learned(
        descriptors,
        pairs,
        dim,
        rotation="non_matching",
        non_matching=others,
        shrinkage=shrinkage,
        provenance=learned_from,
    )


def _write(
    model: Model,
    whitening: Whitening,
    described: Described,
    matches: Matches,
    held: Bool[np.ndarray, " n"],
    out: Path,
) -> _Outcome:
    from resight.evaluation.measures.separation import separation
    from resight.models import bundle
    from resight.models.whitening_fit import variance_kept

    whitened = model.whitened(whitening)
    bundle.write(whitened.to_bundle(), out)
    unseen = described.descriptors[held]
    return _Outcome(
        model.name,
        out,
        whitened.fingerprint,
        whitening.kind,
        whitening.inputs,
        whitening.dim,
        whitening.pairs_or_images,
        whitening.provenance,
        variance_kept(described.descriptors[~held], whitening),
        int((~held).sum()),
        int(held.sum()),
        separation(unseen, matches.groups[held]),
        separation(whitening.apply(unseen), matches.groups[held]),
        described.broken,
    )


def _print_outcome(outcome: _Outcome) -> None:
    """Prints what was computed, its effect on photos held out, and the next command to try."""
    printed, bundle = console(), shown_path(outcome.bundle)
    printed.print(outcome.provenance[0].upper() + outcome.provenance[1:] + ".", soft_wrap=True)
    printed.print(
        f"{outcome.inputs:,} to {outcome.dim:,} dimensions keep {outcome.variance_kept:.1%} of the variance "
        f"of {count(outcome.photos, 'photo')}.\n",
        soft_wrap=True,
    )
    before, after = outcome.before, outcome.after
    if before is None or after is None:
        printed.print("Nothing was held out to show its effect: that takes matching photos of four things.")
    else:
        table = plain_table(
            f"on {count(outcome.held_out, 'photo')} held out", "before", "after", right=("before", "after")
        )
        table.add_row("R@1", f"{before.recall_at_1:.4f}", f"{after.recall_at_1:.4f}")
        table.add_row("mean score of matching pairs", f"{before.matching:.4f}", f"{after.matching:.4f}")
        table.add_row("mean score of others", f"{before.non_matching:.4f}", f"{after.non_matching:.4f}")
        table.add_row("their distance, in deviations", f"{before.distance:.2f}", f"{after.distance:.2f}")
        printed.print(table)
    if outcome.broken:
        broken = plain_table("broken file", "reason")
        for photo in outcome.broken:
            broken.add_row(shown_path(photo.path), photo.reason)
        printed.print("", broken)
    line = command_line("resight", "index", "PHOTOS", "--model", bundle)
    printed.print(f"\nThe model is in {bundle}\nNow use it:  {line}", soft_wrap=True)
