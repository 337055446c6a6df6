"""An answer on standard output: as a table for people, as JSON, lines or paths for programs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from resight.cli.output import as_json, command_line, console, count, note, plain_table, shown_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.text import Text

    from resight.cli.output import Json
    from resight.collection import Answer, Collection, Hit, QueryPhoto
    from resight.files import ObjectPath

__all__ = ["answer_json", "outdated", "print_answer", "write_lines", "write_paths"]

_NARROW = 80
"""Columns of a terminal up to which a path does not fit beside the numbers."""

_NUMBERS = 70
"""Columns that the numbers of an answer and the longest verdict take."""

_STYLES = {
    "confirmed": "bold green",
    "partial": "yellow",
    "likely": "yellow",
    "unchecked": "",
    "unlikely": "dim",
}


def answer_json(answer: Answer, collection: Collection) -> Json:
    """Returns everything an answer holds but keypoints, which are there to be drawn.

    Args:
        answer: Of the collection.
        collection: Its model's name goes along, for who re-ranks the answer.
    """
    return {
        "collection": str(collection.path),
        "model": collection.model.name,
        "queries": [
            {
                # Absolute: the file with this JSON may lie elsewhere.
                "path": _absolute(query),
                "box": as_json(query.box),
                "width": query.width,
                "height": query.height,
                "wanted": query.wanted,
            }
            for query in answer.queries
        ],
        "hits": [_hit_json(hit) for hit in answer.hits],
        "found": answer.is_found,
        "searched": answer.searched,
        "seconds": as_json(answer.seconds),
    }


def _absolute(query: QueryPhoto) -> str:
    """Returns the absolute path of a query photo; what stands for one where it is no file."""
    return str(query.source.absolute()) if isinstance(query.source, Path) else query.path


def write_lines(answer: Answer) -> None:
    """Writes each hit as one line of JSON, with the path of the query before it."""
    query = _absolute(answer.queries[0])
    for hit in answer.hits:
        print(json.dumps({"query_path": query, **_hit_json(hit)}, separators=(",", ":")))
    sys.stdout.flush()


def write_paths(answer: Answer, *, end: bytes, closed: bool) -> None:
    """Writes the paths of an answer's hits for other programs, byte for byte as the disk has them.

    Args:
        answer: Any.
        end: Follows each path.
        closed: Whether an empty path ends the list.
    """
    if end == b"\n" and any("\n" in hit.path for hit in answer.hits):
        note("a file's name holds a line break: -0 tells the paths apart")
    lines = [*(hit.path for hit in answer.hits), *([""] if closed else [])]
    sys.stdout.buffer.write(b"".join(os.fsencode(line) + end for line in lines))
    sys.stdout.buffer.flush()


def _hit_json(hit: Hit) -> dict[str, Json]:
    from resight.collection import written_score

    match = hit.match
    return {
        "rank": hit.rank,
        "score": written_score(hit),
        "path": hit.path,
        "width": hit.width,
        "height": hit.height,
        "inliers": hit.inliers,
        "expected": None if match is None else match.expected,
        "query": hit.query,
        "query_points": None if match is None else as_json(match.query_points),
        "answer_points": None if match is None else as_json(match.answer_points),
        "transform": None if match is None else as_json(match.transform),
        "region": None if match is None else as_json(match.region),
        "box": as_json(hit.box),
        "part": as_json(hit.part),
        "metadata": as_json(hit.metadata),
        "similarity": written_score(hit),
        "verdict": hit.verdict,
        "missing": hit.missing,
        "changed": hit.changed,
        "id": hit.id,
        "probability": hit.probability,
    }


def print_answer(answer: Answer) -> None:
    """Prints the hits, whether any of them shows the thing, and how long the search took."""
    from resight.reports.verdict import nothing_words

    out = console()
    if answer.hits:
        longest = max(len(_shown(hit)) for hit in answer.hits)
        fits = out.width > _NARROW and out.width >= _NUMBERS + longest
        (_print_table if fits else _print_blocks)(out, answer.hits)
    if (sentence := nothing_words(answer)) is not None:
        out.print(sentence, soft_wrap=True)
    answers = count(len(answer.hits), "answer")
    out.print(f"{answers} from {count(answer.searched, 'photo')} searched in {answer.seconds.total:.2f} s.\n")


def _print_table(out: Console, hits: Sequence[Hit]) -> None:
    numbers = ("rank", "similarity", "inliers", "chance")
    is_calibrated = any(hit.probability is not None for hit in hits)
    likely = ("likely",) if is_calibrated else ()
    table = plain_table(*numbers, *likely, "verdict", "photo", right=(*numbers, *likely))
    for hit in hits:
        inliers, chance = "", ""
        if hit.match is not None:
            inliers, chance = str(hit.match.inliers), f"{hit.match.expected:.0f}"
        values = [str(hit.rank), f"{hit.similarity:.3f}", inliers, chance]
        if is_calibrated:
            values.append(_percent(hit))
        table.add_row(*values, _verdict(hit), _shown(hit))
    out.print(table, "")


def _print_blocks(out: Console, hits: Sequence[Hit]) -> None:
    """Prints each path whole on a line of its own, where it can be copied from."""
    for hit in hits:
        rank = f"{hit.rank}  "
        numbers = f"{hit.similarity:.3f}"
        if hit.match is not None:
            inliers = count(hit.match.inliers, "inlier")
            numbers += f", {inliers}, {hit.match.expected:.0f} by chance"
        if hit.probability is not None:
            numbers += f", likely {_percent(hit)}"
        if (state := _state(hit)) is not None:
            numbers += f", {state}"
        out.print(rank, _verdict(hit), sep="")
        out.print(" " * len(rank) + numbers)
        out.print(shown_path(hit.path), "", sep="\n", soft_wrap=True)


def _percent(hit: Hit) -> str:
    from resight.reports.verdict import probability_words

    return "" if hit.probability is None else probability_words(hit.probability)


def _shown(hit: Hit) -> str:
    state = _state(hit)
    return shown_path(hit.path) + (f" ({state})" if state else "")


def _state(hit: Hit) -> str | None:
    """Returns what is amiss with a hit's file, None where nothing is."""
    if hit.missing:
        return "not here"
    return "changed since it was indexed" if hit.changed else None


def outdated(answer: Answer, collection: Path | ObjectPath) -> list[str]:
    """Returns the sentence on answers whose files are gone or changed; none where all are as indexed.

    What is amiss with whole folders stands in the answer's notes.
    """
    missing = 0 if answer.notes else sum(hit.missing for hit in answer.hits)
    changed = sum(hit.changed for hit in answer.hits)
    states = [
        f"{number:,} {state}" for number, state in ((missing, "missing"), (changed, "changed")) if number
    ]
    if not states:
        return []
    total = count(missing + changed, "answer")
    names = "names" if missing + changed == 1 else "name"
    check = command_line("resight", "check", shown_path(collection))
    return [
        f"{total} {names} a file that is not as indexed ({', '.join(states)}): `{check}` says what mends it"
    ]


def _verdict(hit: Hit) -> Text:
    from rich.text import Text

    from resight.reports.verdict import VERDICT_WORDS

    return Text(VERDICT_WORDS[hit.verdict], style=_STYLES[hit.verdict])
