"""``resight train``: from a recipe to a model's bundle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.options import JsonOption, refuse_unfit_folder
from resight.cli.output import command_line, console, shown_path, write_json
from resight.cli.progress import said
from resight.cli.train_progress import speed, train_progress
from resight.errors import InvalidInput

if TYPE_CHECKING:
    from resight.training import Launch, Processes, TrainResult

__all__ = ["EXAMPLE", "processes_of", "train"]

EXAMPLE = (
    "Example:\n\n  resight train small-cgd data.root=~/photos model.configuration=MG\n\n"
    "Go on after an interruption: the same line. What a key means: --explain optimiser\n\n"
    "On four GPUs: resight train cgd data.root=~/CUB_200_2011 --processes 4\n\n"
    "On two hosts, on each of them: resight train cgd --processes 4 --hosts 2 --meet host1:29500 --restarts 3"
)

RecipeArgument = Annotated[
    Path | None, typer.Argument(metavar="RECIPE", help="A YAML file, or a recipe's name, such as small-cgd.")
]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY.SUB=VALUE", help="What shall be otherwise than in the recipe."),
]
RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run",
        "--into",
        metavar="DIR",
        help="The run's folder; runs/NAME of the recipe if not given. Several hosts see one folder.",
    ),
]
ExplainOption = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Say what a recipe's key is (model.dim, optimiser), and stop."),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with a finished run too, for more epochs.")
]


ProcessesOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="Train in N processes of this host, on a GPU each where there are some."),
]
HostsOption = Annotated[
    int, typer.Option(metavar="N", help="Train on N hosts, on each of which this command is given.")
]
MeetOption = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Where the hosts meet: one of them, and a free port.")
]
RestartsOption = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Start all processes again, from the last checkpoint, when one is lost: N times at most.",
    ),
]


def train(
    context: typer.Context,
    recipe: RecipeArgument = None,
    overrides: OverridesArgument = None,
    run: RunOption = None,
    resume: ResumeOption = False,
    processes: ProcessesOption = None,
    hosts: HostsOption = 1,
    meet: MeetOption = None,
    restarts: RestartsOption = 0,
    explain: ExplainOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model as a recipe says, and leave its bundle in the run's folder."""
    from resight import training

    if explain is not None:
        _print_settings(explain, as_json=as_json)
        return
    if recipe is None:
        raise typer.BadParameter("name a recipe, such as small-cgd, or a YAML file", param_hint="RECIPE")
    settings = training.Recipe.from_yaml(recipe, overrides or ())
    folder = run if run is not None else Path("runs") / settings.name
    refuse_unfit_folder(folder, option="--run")
    if processes is not None or hosts > 1 or meet is not None or restarts:
        arguments = [str(recipe), *(overrides or ()), "--into", str(folder)]
        arguments += ["--resume"] * resume + ["--json"] * as_json
        given = context.find_root().params
        front = ["--debug"] * bool(given["debug"])
        front += [f"--import={module}" for module in given["modules"] or ()]
        _launch([*front, "train", *arguments], training.Launch(processes or 1, hosts, meet, restarts))
        return
    started, first = processes_of(os.environ), os.environ.get("RANK", "0") == "0"
    title = f"Training {settings.name}"
    with said("resight.training", shown=first), train_progress(title, shown=first) as report:
        outcome = training.train(settings, folder, resume=resume, processes=started, report=report)
    if not first:
        return
    if as_json:
        write_json(outcome)
    else:
        _print_outcome(outcome)


def _launch(arguments: list[str], wanted: Launch) -> None:
    """Trains in processes of their own.

    Raises:
        InvalidInput: This is one of several processes already.
    """
    from resight import training

    if "RANK" in os.environ:
        raise InvalidInput("torchrun has started this process: leave out --processes, --hosts and --restarts")
    # As torchrun does: the processes share the processors, and talk on the way that leads to the others.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // wanted.processes)))
    # A store for each start: in the agent's own, new processes find where the old ones listened.
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    if wanted.meet is not None:
        _, interface = training.interface_towards(wanted.meet)
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
    training.launch(["-m", "resight", *arguments], wanted)


def processes_of(environment: Mapping[str, str]) -> Processes:
    """Returns how many processes ``torchrun`` says there are; one alone where it says nothing.

    Raises:
        InvalidInput: What it says is no number, or not the same number on every machine.
    """
    from resight.training import Processes

    try:
        everywhere = int(environment.get("WORLD_SIZE", "1"))
        here = int(environment.get("LOCAL_WORLD_SIZE", str(everywhere)))
    except ValueError:
        raise InvalidInput("WORLD_SIZE and LOCAL_WORLD_SIZE are no numbers: start with torchrun") from None
    if here < 1 or everywhere % here:
        raise InvalidInput(
            f"{here} processes on this machine of {everywhere} in all: every machine must run as many"
        )
    return Processes(here, everywhere // here)


def _print_settings(key: str, *, as_json: bool) -> None:
    from resight.training.reference import settings_at

    settings = settings_at(key)
    if as_json:
        write_json([asdict(each) for each in settings])
        return
    out = console()
    for each in settings:
        kind = f" of {each.kind}" if each.kind else ""
        default = "no default" if each.default is None else f"default {each.default}"
        out.print(f"{each.key}{kind}: {each.type}, {default}", markup=False, soft_wrap=True)
        if each.choices:
            out.print(f"    one of {', '.join(each.choices)}", markup=False, soft_wrap=True)
        out.print(f"    {each.meaning}", markup=False, soft_wrap=True)


def _print_outcome(outcome: TrainResult) -> None:
    from resight.training.log import mean_centres

    out = console()
    best = outcome.best
    if best is not None:
        warning = ", chosen on the test classes: compare it with nothing else" if best.on == "test" else ""
        out.print(
            f"Best {best.metric} {best.value:.4f} on {best.on}, after {best.epoch} epochs{warning}.",
            soft_wrap=True,
        )
    measured = ", ".join(f"{name} {value:.4f}" for name, value in outcome.test.items())
    out.print(f"On the test classes: {measured}.", soft_wrap=True)
    for name, classes in outcome.distinct_centres.items():
        out.print(
            f"Distinct centres of {name}: {mean_centres(classes):.2f} a class, of {len(classes)}.",
            soft_wrap=True,
        )
    rate = f", {speed(outcome.images_per_second)} images a second" if outcome.images_per_second else ""
    size, memory = outcome.parameters / 1e6, outcome.peak_memory / 1e6
    out.print(
        f"{size:.1f} million parameters, {outcome.precision}{rate}, {memory:,.0f} MB at most.", soft_wrap=True
    )
    bundle = shown_path(outcome.bundle)
    out.print(f"The model is in {bundle}", soft_wrap=True)
    out.print(
        f"\nNow use it:  {command_line('resight', 'index', 'PHOTOS', '--model', bundle)}", soft_wrap=True
    )
