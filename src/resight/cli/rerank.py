"""``resight rerank``: re-ranks the first answers of a search that another program made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from resight.cli.options import JsonOption, refuse_replacing
from resight.cli.output import as_json as to_json
from resight.cli.output import console, count, note, one_line, plain_table, shown_path, write_json
from resight.cli.progress import progress
from resight.pipelines.rerank import DEPTHS, Method, Reranked, by_descriptors, by_geometry

__all__ = ["EXAMPLE", "rerank"]

SHOWN = 10
"""Answers of a query that are printed."""

EXAMPLE = (
    "Example:\n\n  resight rerank --from topk.json --method superglobal\n\n"
    "with topk.json as a vector database answered, best first:\n\n"
    '  {"queries": [{"id": "q1", "descriptor": [0.1, 0.9, 0.4], "ids": ["a", "b"], "scores": [0.91, 0.87], '
    '"descriptors": [[0.2, 0.8, 0.5], [0.9, 0.1, 0.4]]}]}\n\n'
    "Descriptors may be the name of an .npy file whose row i belongs to the i-th id. What queries share is "
    'said once beside "queries": "database": {"ids": [...], "descriptors": "database.npy"}. Scores may be '
    'left out; distances get a minus sign. With "photo" and "photos" (names of files beside topk.json) in '
    "place of descriptors, --model describes them. What search prints with --json or --json-lines is read, "
    "too:\n\n  resight search photos.resight query.jpg --top 100 --json > topk.json\n\n"
    "  resight rerank --from topk.json --method verify --model sift --out better.json"
)

FromOption = Annotated[
    Path, typer.Option("--from", metavar="FILE", help="The answers, as JSON; its form is below.")
]
MethodOption = Annotated[
    Method,
    typer.Option(
        help="alpha-qe: the query is enriched by its first 10 answers. reciprocal: answers are ordered by "
        "how alike their neighbourhoods are. superglobal: answers and query are averaged with their "
        "neighbours. diffusion: scores spread over the graph of the answers. All of them need descriptors "
        "and take less than a second a query. verify: geometry checks the photos; about 0.1 s an answer.",
    ),
]
TopOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        help="How many of the first answers; by default 100 for reciprocal and verify, 400 for superglobal, "
        "else 1000.",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Describes the photos; descriptors in the file are then not used. For verify: sift by default.",
    ),
]
OutOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the new ranking as JSON.")]


def rerank(
    source: FromOption,
    method: MethodOption = "alpha-qe",
    top: TopOption = None,
    model: ModelOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Re-rank the answers of another search, such as those of a vector database."""
    refuse_replacing({"--out": out}, {"the answers": source, "the model": model})
    from resight.files import write_whole
    from resight.search.imported import read_rankings

    rankings = read_rankings(source)
    depth = DEPTHS[method] if top is None else top
    # A file may name any model; the one that lies in the package is safe to take.
    model = model or ("sift" if rankings.model == "sift" else None)
    if method == "verify":
        with progress("Verifying", "answers") as report:
            result = by_geometry(rankings, model or "sift", top=depth, progress=report)
    else:
        with progress("Describing") as report:
            result = by_descriptors(rankings, method, model, top=depth, progress=report)
    if out is not None:
        write_whole(out, json.dumps(to_json(result), indent=2) + "\n")
        note(f"The new ranking is in {shown_path(out)}.")
    if as_json:
        write_json(result)
    elif out is None:
        _print(result)


def _print(result: Reranked) -> None:
    """Prints the first ten answers of each query with the ranks they had."""
    printed = console()
    for query in result.queries:
        printed.print(f"{one_line(str(query.id))}: {count(len(query.answers), 'answer')}", soft_wrap=True)
        verified = result.method == "verify"
        numbers = ("rank", "was", "score", *(["inliers"] if verified else []))
        table = plain_table(*numbers, "answer", right=numbers)
        for answer in query.answers[:SHOWN]:
            inliers = "" if answer.inliers is None else str(answer.inliers)
            values = str(answer.rank), str(answer.old_rank), f"{answer.score:.4f}"
            table.add_row(*values, *([inliers] if verified else []), one_line(str(answer.id)))
        printed.print(table)
        left = len(query.answers) - SHOWN
        printed.print(
            f"and {count(left, 'more', 'more')}: --json or --out has them all\n" if left > 0 else ""
        )
