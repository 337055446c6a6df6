"""A model measured on a landmark benchmark, as one number a task or step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from resight.cli.evaluate_labels import headline, print_result, write_files
from resight.cli.output import Json, as_json, console, plain_table, write_json
from resight.cli.progress import progress
from resight.errors import InvalidInput

if TYPE_CHECKING:
    from resight.cli.evaluate_options import LandmarkOptions, Output
    from resight.datasets.landmark_folder import LandmarkFolder
    from resight.evaluation import ProtocolCard, Result
    from resight.evaluation.quantity import Quantity
    from resight.evaluation.result import Measure
    from resight.evaluation.waterfall import Waterfall

__all__ = ["evaluate_landmark", "is_landmark", "landmark_json", "report_landmarks"]

RECOGNITION = "gldv2-recognition"


def is_landmark(benchmark: str | None) -> bool:
    """Returns whether that is the name of a landmark benchmark."""
    from resight.datasets import BENCHMARKS, LabelledEntry

    names = [entry.name for entry in BENCHMARKS if not isinstance(entry, LabelledEntry)]
    return benchmark in names


def evaluate_landmark(model: str, benchmark: str, options: LandmarkOptions, output: Output) -> None:
    """Prints the result of a model on a landmark benchmark."""
    if benchmark == RECOGNITION:
        _recognition(model, options, output)
        return
    from resight.datasets import open_landmarks
    from resight.evaluation.landmarks import evaluate_landmarks
    from resight.evaluation.refinement import Refinement
    from resight.models import load_model

    folder = open_landmarks(benchmark, Path(str(output.root)))
    if options.waterfall:
        _waterfall(model, folder, options, output)
        return
    loaded = load_model(model)
    with progress("Describing") as report:
        result = evaluate_landmarks(
            loaded,
            folder,
            crop=options.crop,
            distractors=options.distractors,
            refinement=Refinement(options.expand, verify=options.verify, protocol=options.protocol),
            selection=output.selection,
            seed=output.seed,
            progress=report,
        )
    report_landmarks(result, folder.root, output)


def _recognition(model: str, options: LandmarkOptions, output: Output) -> None:
    from resight.datasets import read_recognition
    from resight.evaluation.recognition import evaluate_recognition
    from resight.models import load_model

    if options.expand or options.verify or options.waterfall or options.distractors:
        raise InvalidInput(f"{RECOGNITION} takes no expansion, verification, waterfall or distractors")
    root = Path(str(output.root))
    loaded = load_model(model)
    with progress("Describing") as report:
        result = evaluate_recognition(
            loaded, read_recognition(root), selection=output.selection, seed=output.seed, progress=report
        )
    report_landmarks(result, root, output)


def report_landmarks(result: Result, root: Path, output: Output) -> None:
    """Writes the files that are asked for and prints the result."""
    write_files(result, root, html=output.html, out=output.out)
    if output.as_json:
        write_json(landmark_json(result))
    else:
        print_result(result, html=output.html, out=output.out)


def landmark_json(result: Result) -> dict[str, Json]:
    """Returns the form that other programs read.

    ``metrics`` holds fractions of one: ``mAP`` by task (``easy``, ``medium``, ``hard``; ``all`` where there
    is but one), ``mP`` by task and rank, ``recall`` by rank, ``mAP@100`` and ``microAP`` by usage.
    ``intervals`` and ``queries`` (how many count) have the same form; ``per_query`` holds the main measure's
    values by query.
    """
    kind = result.main.kind if result.main.k is None else f"{result.main.kind}@{result.main.k}"
    per_query: dict[str, Json] = {
        column.quantity.task: dict(zip(result.queries, column.values, strict=True))
        for column in result.columns
        if replace(column.quantity, task=result.main.task) == result.main
    }
    return {
        "model": result.card.model,
        "benchmark": result.card.benchmark,
        "metrics": _nested({measure.quantity: measure.value for measure in result.measures}),
        "intervals": _intervals(result.measures),
        "queries": _nested({measure.quantity: measure.count for measure in result.measures}),
        "per_query": {kind: per_query},
        **_how(result.card),
    }


def _how(card: ProtocolCard) -> dict[str, Json]:
    described = as_json(card)
    if isinstance(described, dict):
        described.pop("versions")
        described["facts"] = {fact.name: fact.text for fact in card.facts}
    return {"protocol": described, "versions": {part.name: part.version for part in card.versions}}


def _intervals(measures: Sequence[Measure]) -> dict[str, Json]:
    return _nested(
        {
            measure.quantity: None if measure.low is None else [measure.low, measure.high]
            for measure in measures
        }
    )


def _nested(values: Mapping[Quantity, Json]) -> dict[str, Json]:
    """Returns each value under the keys of its quantity: ``{"mP": {"easy": {"5": 0.8}}}``."""
    nested: dict[str, Json] = {}
    for quantity, value in values.items():
        *keys, last = _keys(quantity)
        here: Json = nested
        for key in keys:
            here = here.setdefault(key, {}) if isinstance(here, dict) else here
        if isinstance(here, dict):
            here[last] = value
    return nested


def _keys(quantity: Quantity) -> tuple[str, ...]:
    if quantity.kind == "mP":
        return "mP", quantity.task, str(quantity.k)
    if quantity.kind == "R":
        return "recall", str(quantity.k)
    return ("microAP" if quantity.kind == "µAP" else quantity.kind), quantity.task


def _waterfall(model: str, folder: LandmarkFolder, options: LandmarkOptions, output: Output) -> None:
    from resight.evaluation.waterfall import Steps, evaluate_waterfall, whitening_of
    from resight.models import load_model

    loaded = load_model(model)
    whitened = None if options.whitening is None else whitening_of(loaded, load_model(options.whitening))
    with progress("Describing") as report:
        found = evaluate_waterfall(
            loaded,
            folder,
            whitening=whitened,
            crop=options.crop,
            steps=Steps(expand=options.expand or 10, verify=options.verify or 100),
            selection=output.selection,
            seed=output.seed,
            progress=report,
        )
    if output.as_json:
        write_json({"stages": _stages_json(found), **_how(found.card)})
    else:
        _print_waterfall(found)


def _stages_json(found: Waterfall) -> list[Json]:
    return [
        {
            "name": stage.name,
            "metrics": _nested({measure.quantity: measure.value for measure in stage.measures}),
            "intervals": _intervals(stage.measures),
            "p_values": {
                measure.quantity.task: None if change is None else change.p_value
                for measure, change in zip(stage.measures, stage.changes, strict=True)
            },
            "milliseconds": stage.milliseconds,
            "offline_seconds": stage.offline_seconds,
        }
        for stage in found.stages
    ]


def _print_waterfall(found: Waterfall) -> None:
    printed = console()
    printed.print(f"{headline(found.card)}\n", soft_wrap=True)
    names = [measure.name for measure in found.stages[0].measures]
    numbers = ("ms a query", "offline s")
    table = plain_table("each step with those before", *names, *numbers, right=(*names, *numbers))
    for stage in found.stages:
        values = [_value(measure) for measure in stage.measures]
        table.add_row(stage.name, *values, f"{stage.milliseconds:.1f}", f"{stage.offline_seconds:.1f}")
    printed.print(table)
    printed.print(
        "\n95 % intervals in brackets; p of the change a step makes, by random signs:", soft_wrap=True
    )
    for stage in found.stages[1:]:
        changes = ", ".join(
            f"{measure.name} {change.difference.mean:+.4f} (p {change.p_value:.4f})"
            for measure, change in zip(stage.measures, stage.changes, strict=True)
            if change is not None
        )
        printed.print(f"{stage.name}: {changes}", soft_wrap=True, style="dim")
    for fact in found.card.facts:
        printed.print(f"{fact.name}: {fact.text}", soft_wrap=True, style="dim")


def _value(measure: Measure) -> str:
    if measure.value is None:
        return ""
    return f"{measure.value:.4f} [{measure.low:.4f}, {measure.high:.4f}]"
