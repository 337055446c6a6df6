"""``resight compact``: a model that stores its local features in fewer bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.failures import SOME_UNREADABLE
from resight.cli.options import JsonOption, refuse_missing_folder, refuse_replacing, seed_option
from resight.cli.output import broken_table, command_line, console, count, plain_table, shown_path, write_json
from resight.cli.progress import progress

if TYPE_CHECKING:
    from resight.pipelines.compact import CompactOutcome, StoredForm

__all__ = ["EXAMPLE", "compact"]

EXAMPLE = (
    "Example:\n\n  resight compact delg.safetensors ~/places --form product-16 --out compact.safetensors\n\n"
    "  resight compact sift ~/places --form product-16-rounded --out small.safetensors\n\n"
    "  resight index ~/Pictures --model compact.safetensors\n\n"
    "Of 128 dimensions a feature takes 256 bytes as float16, N as product-N, N / 8 as bits-N, and 14 more "
    "(6 with -rounded) for its place. Give some hundred photos like those to be searched, "
    "never those a benchmark measures."
)
_ENOUGH = 10_000
"""Features from which fitting gains little by more."""

BundleArgument = Annotated[
    str,
    typer.Argument(
        metavar="BUNDLE",
        help="A model with local features, its name or bundle: sift, efficientnet-lite0+xfeat, a DELG.",
    ),
]
PhotosArgument = Annotated[
    list[Path], typer.Argument(metavar="PHOTOS", help="Photos to learn from, and folders of photos.")
]
FormOption = Annotated[
    str,
    typer.Option(
        metavar="FORM",
        help="float16: as it is; product-32, product-16, product-8: so many codes of a byte; bits-256, "
        "bits-128: so many bits. Fewer bytes tell features apart less well. With -rounded behind it a "
        "keypoint takes 6 bytes and not 14: bits-128-rounded.",
    ),
]
OutOption = Annotated[Path, typer.Option(metavar="BUNDLE", help="Where the model is written.")]
SeedOption = Annotated[int, seed_option("Of the first centres or directions.")]


def compact(
    bundle: BundleArgument,
    photos: PhotosArgument,
    form: FormOption,
    out: OutOption,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Choose how a model stores its local features, fitted to photos, and write the model."""
    refuse_missing_folder(out, option="--out")
    refuse_replacing(
        {"--out": out}, {"the model that is made compact": bundle, "a photo that is read": photos}
    )
    from resight.pipelines import compact as pipeline

    with progress("Describing") as report:
        outcome = pipeline.compact(bundle, photos, out, _parse_form(form), seed=seed, progress=report)
    if as_json:
        write_json(outcome)
    else:
        _print_outcome(outcome)
    if outcome.broken:
        raise typer.Exit(SOME_UNREADABLE)


def _parse_form(text: str) -> StoredForm:
    from resight.errors import InvalidInput
    from resight.pipelines.compact import StoredForm

    try:
        return StoredForm.parse(text)
    except InvalidInput as error:
        raise typer.BadParameter(str(error), param_hint="--form") from None


def _print_outcome(outcome: CompactOutcome) -> None:
    """Prints what a photo costs before and after, and the next command to try."""
    printed, written = console(), shown_path(outcome.bundle)
    printed.print(
        f"{outcome.features_a_photo:,.0f} local features a photo in {count(outcome.photos, 'photo')}, "
        f"{outcome.fitted_to:,} of them fitted.\n",
        soft_wrap=True,
    )
    table = plain_table("local features", "before", "after", right=("before", "after"))
    before, after = outcome.before, outcome.after
    table.add_row("form", before.form, after.form)
    table.add_row("bytes a photo", f"{before.bytes_a_photo:,.0f}", f"{after.bytes_a_photo:,.0f}")
    printed.print(table)
    if outcome.fitted_to < _ENOUGH and after.form != "float16":
        printed.print(f"\nMore photos would help: {_ENOUGH:,} features and more are better.", soft_wrap=True)
    if outcome.broken:
        printed.print("", broken_table(outcome.broken))
    line = command_line("resight", "index", "PHOTOS", "--model", written)
    printed.print(
        f"\nThe model is in {written}; a collection of its own is made with it.\nNow use it:  {line}",
        soft_wrap=True,
    )
