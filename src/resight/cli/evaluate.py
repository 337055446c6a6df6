"""``resight evaluate``: measure a model or descriptors of other programs, or compare two results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from resight.cli.evaluate_options import Files, Landmarks, Options
from resight.cli.options import command_of, refuse_missing_folder, refuse_replacing
from resight.cli.progress import progress

if TYPE_CHECKING:
    from resight.pipelines.evaluate import Evaluation

__all__ = ["EXAMPLE", "evaluate"]

EXAMPLE = (
    "Example:\n\n  resight evaluate sift cub200 --root ~/CUB_200_2011 --out sift.json --html sift.html\n\n"
    "  resight evaluate sift roxford5k --root ~/roxford5k --verify 100 --protocol delg\n\n"
    "  resight evaluate --descriptors theirs.npy --names names.txt --ground-truth gnd_roxford5k.pkl\n\n"
    "  resight evaluate --descriptors mine.npy --names mine.txt table --root labels.csv\n\n"
    "  resight evaluate --compare sift.json trained.json --html compared.html --root ~/CUB_200_2011\n\n"
    "Test images are used, or with --split validation those of a set that has validation images. Labelled "
    "sets: folder, table, cub200, cars196, sop, inshop. Landmarks: "
    "roxford5k, rparis6k, oxford5k, paris6k, holidays, gldv2, gldv2-recognition, and revisited: any folder "
    "with gnd_*.pkl, jpg/ and queries/."
)


def _evaluate(options: Options) -> None:
    """Measure a model or descriptors on a benchmark, or compare two results."""
    output, files, landmarks = options.output, options.files, options.landmarks
    for file in (output.html, output.out):
        if file is not None:
            refuse_missing_folder(file, option="--html, --out")
    refuse_replacing(
        {"--html": output.html, "--out": output.out},
        {
            "the model": options.model,
            "a photo of the benchmark": options.root,
            "the ground truth": files.ground_truth,
            "what is measured": files.descriptors or files.similarities or files.predictions,
            "the list of names": files.names,
            "the distractors": landmarks.distractors,
        },
    )
    if options.compare is not None:
        _compare(options, options.compare)
    elif options.files.descriptors is not None and options.files.ground_truth is None and options.model:
        _own(options, options.files.descriptors, options.model)
    elif options.files != Files():
        _files(options)
    elif options.model is None or options.benchmark is None or options.root is None:
        raise typer.BadParameter(
            "give MODEL, BENCHMARK and --root DIR, or --compare A B, or --descriptors and --ground-truth",
            param_hint="MODEL BENCHMARK",
        )
    else:
        _model(options, options.model, options.benchmark, options.root)


evaluate = command_of(Options, _evaluate)


def _compare(options: Options, results: tuple[Path, Path]) -> None:
    output = replace(options.output, out=None)
    alone = Options(
        compare=results, root=options.root, seed=options.seed, intervals=options.intervals, output=output
    )
    if options != alone:
        raise typer.BadParameter("it takes two results and nothing to measure", param_hint="--compare")
    from resight.cli.evaluate_output import print_comparison
    from resight.evaluation import compare, read_result

    first, second = read_result(results[0]), read_result(results[1])
    outcome = compare(first, second, intervals=options.intervals, seed=options.seed)
    if output.html is not None:
        from resight.reports import write_comparison

        names = (results[0].name, results[1].name)
        write_comparison(outcome, first, second, output.html, root=_folder(options.root), names=names)
    print_comparison(outcome, results, html=output.html, as_json=output.as_json)


def _folder(root: Path | None) -> Path | None:
    """Returns the folder of a benchmark's photos: that of the CSV file where the benchmark is a table."""
    return root.parent if root is not None and root.is_file() else root


def _own(options: Options, descriptors: Path, benchmark: str) -> None:
    """Measures descriptors in a file on a copy of a benchmark; the one word given is its name."""
    if options.benchmark is not None or options.files != Files(descriptors, options.files.names):
        raise typer.BadParameter(
            "give BENCHMARK alone, and no model or other files", param_hint="MODEL BENCHMARK"
        )
    if options.root is None:
        raise typer.BadParameter(f"say where your copy of {benchmark} is", param_hint="--root")
    _check_benchmark(options, benchmark)
    _refuse_photos(options.landmarks)
    from resight.pipelines.evaluate import evaluate_own

    with progress("Comparing", "descriptors") as told:
        evaluation = evaluate_own(
            descriptors, options.files.names, benchmark, options.root, options.protocol(), progress=told
        )
    _report_files(options, descriptors, evaluation)


def _refuse_photos(landmarks: Landmarks) -> None:
    if landmarks.verify or landmarks.waterfall or landmarks.whitening or landmarks.whole_queries:
        raise typer.BadParameter(
            "without photos nothing can be verified, whitened or cropped", param_hint="--descriptors"
        )


def _report_files(options: Options, path: Path, evaluation: Evaluation) -> None:
    from resight.cli.evaluate_output import report
    from resight.cli.output import note

    if evaluation.unused:
        card = evaluation.result.card
        where = card.benchmark if not card.is_labelled else f"the {card.split} photos of {card.benchmark}"
        note(f"{len(evaluation.unused):,} names of {path.name} are not in {where} and were left out")
    if evaluation.lengths is not None:
        shortest, longest = evaluation.lengths
        note(
            f"the descriptors of {path.name} have lengths from {shortest:.4g} to {longest:.4g} and were "
            "divided by them"
        )
    report(evaluation, html=options.output.html, out=options.output.out, as_json=options.output.as_json)


def _files(options: Options) -> None:
    computed, landmarks = options.files.computed(), options.landmarks
    if options.model is not None:
        raise typer.BadParameter("give a model or files, not both", param_hint="MODEL")
    if computed.kind != "descriptors" and computed.names is not None:
        raise typer.BadParameter("names belong to --descriptors", param_hint="--names")
    _refuse_photos(landmarks)
    if computed.kind != "descriptors" and (landmarks.expand or landmarks.distractors):
        raise typer.BadParameter("this needs --descriptors", param_hint="--expand, --distractors")
    from resight.pipelines.evaluate import evaluate_files

    with progress("Comparing", "descriptors") as told:
        evaluation = evaluate_files(computed, options.protocol(), photos=options.root, progress=told)
    _report_files(options, computed.path, evaluation)


def _model(options: Options, model: str, benchmark: str, root: Path) -> None:
    _check_benchmark(options, benchmark)
    landmarks, output = options.landmarks, options.output
    if landmarks.waterfall:
        _waterfall(options, model, benchmark, root)
        return
    from resight.cli.evaluate_output import report
    from resight.pipelines.evaluate import evaluate

    with progress("Describing") as told:
        evaluation = evaluate(model, benchmark, root, options.protocol(), progress=told)
    report(evaluation, html=output.html, out=output.out, as_json=output.as_json)


def _waterfall(options: Options, model: str, benchmark: str, root: Path) -> None:
    from resight.cli.evaluate_output import print_waterfall
    from resight.evaluation import Steps
    from resight.pipelines.evaluate import evaluate_steps

    landmarks = options.landmarks
    steps = Steps(expand=landmarks.expand or 10, verify=landmarks.verify or 100)
    with progress("Describing") as told:
        stages = evaluate_steps(
            model,
            benchmark,
            root,
            options.protocol(),
            steps=steps,
            whitening=landmarks.whitening,
            progress=told,
        )
    html = options.output.html
    if html is not None:
        from resight.reports import write_waterfall

        write_waterfall(stages, html)
    print_waterfall(stages, html=html, as_json=options.output.as_json)


def _check_benchmark(options: Options, benchmark: str) -> None:
    """Returns if the options are for this kind of benchmark and belong together.

    Raises:
        BadParameter: They do not.
        InvalidInput: There is no such benchmark.
    """
    from resight.datasets import LabelledEntry, RecognitionEntry, entry_named

    entry, landmarks, output = entry_named(benchmark), options.landmarks, options.output
    if isinstance(entry, LabelledEntry | RecognitionEntry) and landmarks != Landmarks():
        raise typer.BadParameter(
            "whole queries, distractors, expansion, verification, waterfall and whitening are for landmarks, "
            f"not for {benchmark}",
            param_hint="BENCHMARK",
        )
    if options.boxes and not isinstance(entry, LabelledEntry):
        raise typer.BadParameter("landmark queries are cropped by themselves", param_hint="--boxes")
    if options.split != "test" and not isinstance(entry, LabelledEntry):
        raise typer.BadParameter(f"{benchmark} has one split", param_hint="--split")
    if landmarks.waterfall and (landmarks.distractors or output.out):
        raise typer.BadParameter("it takes no --distractors or --out", param_hint="--waterfall")
    if landmarks.protocol != "default" and (landmarks.waterfall or not landmarks.verify):
        raise typer.BadParameter("give --verify N with it, and no --waterfall", param_hint="--protocol")
    if landmarks.whitening and not landmarks.waterfall:
        raise typer.BadParameter(
            "it is a step of --waterfall; give the bundle as MODEL", param_hint="--whitening"
        )
