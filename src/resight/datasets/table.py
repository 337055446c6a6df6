"""A table of photos, a file with paths, labels and, where it has them, splits, boxes and roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from resight.datasets.dataset import Benchmark, LabelledImages, halves, labelled
from resight.errors import InvalidInput
from resight.features import Box
from resight.files import did_you_mean, name_key, read_rows

__all__ = ["KS", "read_table"]

KS = (1, 2, 4, 8)

# Ours, then open-metric-learning's.
_BOXES = (("x0", "y0", "x1", "y1"), ("x_1", "y_1", "x_2", "y_2"))
_ROLES = {"query": ("query", "is_query"), "gallery": ("gallery", "is_gallery")}
_TRUTH = {"": False, "0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}
_SPLITS = {
    "train": "train",
    "test": "test",
    "query": "test",
    "gallery": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}


class RepeatedPhotos(InvalidInput):
    """A table names photos more than once in a split.

    Args:
        table: The file.
        lines: For each photo, the line that names it again.

    Attributes:
        paths: The photos, as the table names them.
    """

    def __init__(self, table: Path, lines: Mapping[str, int]) -> None:
        (first, line), *others = lines.items()
        rest = f", and {len(others):,} others" if others else ""
        super().__init__(f"line {line} of {table} names a photo again: {first}{rest}")
        self.paths = tuple(lines)


@dataclass(frozen=True, slots=True)
class _Row:
    path: str
    label: str
    name: str
    split: str
    box: Box | None
    query: bool
    gallery: bool


def read_table(root: Path, *, boxes: bool = False) -> Benchmark:
    """Returns the benchmark of a table: CSV or TSV in UTF-8 whose first line names the columns, or Parquet.

    * ``path``: relative to the table's folder, or absolute; a photo stands once in a split, or once with
      each of its boxes. ``label``: numbers (sorted as numbers) or text, without blanks round it and in the
      composed form (NFC). ``label_name``, optional: how people call the label.
    * ``split``, optional: ``train``; ``test``; ``val``, ``valid`` or ``validation``, which are the test
      photos where there are no others; ``query`` and ``gallery`` are test photos of that role. Without the
      column the first half of the labels (the larger half of an odd number) is for training and the rest
      for testing. A label may be in several splits.
    * ``x0,y0,x1,y1``, or open-metric-learning's ``x_1,y_1,x_2,y_2``, optional: the box in pixels; a row
      may leave all four empty.
    * ``query,gallery``, or open-metric-learning's ``is_query,is_gallery``, optional: true, false, 1, 0 or
      empty; they count for test and validation photos. Without them every such photo is both.

    Other columns are metadata and passed over.

    Args:
        root: The table, or a folder that holds ``labels.csv``, or one table alone.
        boxes: Whether photos are cropped to their boxes.

    Raises:
        InvalidInput: The file is no such table, or ``boxes`` are asked for and it has none.
    """
    path = _table_file(root)
    lines = list(read_rows(path, ("path", "label")))
    if not lines:
        raise InvalidInput(f"{path} lists no photos")
    columns = lines[0].cells
    corners = next((names for names in _BOXES if columns.keys() >= set(names)), None) if boxes else None
    if boxes and corners is None:
        raise InvalidInput(f"{path} has no boxes: they need the columns {','.join(_BOXES[0])}")
    roles = {role: [name for name in names if name in columns] for role, names in _ROLES.items()}
    rows, seen, again = [], set[tuple[str, tuple[str, ...]]](), dict[str, int]()
    for line in lines:
        try:
            rows.append(_row(line.cells, corners, roles))
        except ValueError as error:
            raise InvalidInput(f"line {line.line} of {path}: {error}") from None
        box = tuple(line[name] for names in _BOXES for name in names if name in columns)
        place = rows[-1].path, (rows[-1].split, *box)
        if place in seen:
            again.setdefault(place[0], line.line)
        seen.add(place)
    if again:
        # They would find themselves, and be of two labels at once.
        raise RepeatedPhotos(path, again)
    splits, rule = _splits(path, rows, has_splits="split" in columns)

    def measured(split: str) -> LabelledImages | None:
        """Returns the photos of a split with their roles, None where there are none."""
        chosen = splits[split]
        if not chosen:
            return None
        has_roles = any(roles.values()) or any(row.split in _ROLES for row in chosen)
        for role, flags in (
            ("query", [row.query for row in chosen]),
            ("gallery", [row.gallery for row in chosen]),
        ):
            if has_roles and not any(flags):
                raise InvalidInput(_nothing_to_measure(path, split, role, roles[role], len(flags)))
        return _labelled(
            f"table {split}", path.parent, chosen, boxed=corners is not None, has_roles=has_roles
        )

    test = measured("test")
    if test is None or not splits["train"]:
        raise InvalidInput(
            f"{path} has {len(splits['train'])} training and {len(splits['test'])} test photos; it needs both"
        )
    train = _labelled("table train", path.parent, splits["train"], boxed=corners is not None, has_roles=False)
    return Benchmark("table", train, test, KS, measured("validation"), (path,), split_rule=rule)


def _table_file(root: Path) -> Path:
    if root.is_file():
        return root
    if not root.is_dir():
        raise InvalidInput(f"there is no table {root}")
    tables = sorted(root.glob("*.csv"))
    if root / "labels.csv" in tables:
        return root / "labels.csv"
    tables = tables or sorted((*root.glob("*.tsv"), *root.glob("*.parquet")))
    if len(tables) != 1:
        raise InvalidInput(
            f"{root} holds {len(tables)} CSV files and none is labels.csv: give the file itself as the root"
        )
    return tables[0]


def _row(line: Mapping[str, str], corners: Sequence[str] | None, roles: dict[str, list[str]]) -> _Row:
    # Blanks round a label, and how its accents are written, nobody sees.
    label = name_key(line["label"].strip())
    if not line["path"] or not label:
        raise InvalidInput("a photo needs a path and a label")
    split = line.get("split", "train").lower()
    if split not in _SPLITS:
        raise InvalidInput(
            f"the split {split!r} is none of {', '.join(_SPLITS)}{did_you_mean(split, _SPLITS)}"
        )
    cells = [line[name] for name in corners or ()]
    return _Row(
        line["path"],
        label,
        line.get("label_name") or label,
        split,
        Box(*map(float, cells)) if any(cells) else None,
        _has_role("query", line, split, roles),
        _has_role("gallery", line, split, roles),
    )


def _has_role(role: str, line: Mapping[str, str], split: str, roles: dict[str, list[str]]) -> bool:
    values = [line[name].lower() for name in roles[role]]
    if any(value not in _TRUTH for value in values):
        raise InvalidInput(f"{roles[role][0]} is true, false, 1, 0 or empty, not {values[0]!r}")
    # A plain test photo of a table without this role's column has the role; one split off as the other
    # role has not.
    return split == role or (any(_TRUTH[value] for value in values) if values else split not in _ROLES)


def _splits(path: Path, rows: list[_Row], *, has_splits: bool) -> tuple[dict[str, list[_Row]], str]:
    """Returns the rows of train, validation and test, and the rule where the table does not say."""
    splits: dict[str, list[_Row]] = {"train": [], "validation": [], "test": []}
    if not has_splits:
        labels = _sorted_labels(rows)
        if len(labels) < 2:
            raise InvalidInput(
                f"{path} has no column split and one label alone, so that nothing can be tested"
            )
        first, rule = halves(labels, "the table has no column split")
        for row in rows:
            splits["train" if row.label in first else "test"].append(row)
        return splits, rule
    for row in rows:
        splits[_SPLITS[row.split]].append(row)
    if not splits["test"]:
        splits["test"], splits["validation"] = splits["validation"], []
    return splits, ""


def _nothing_to_measure(path: Path, split: str, role: str, columns: list[str], count: int) -> str:
    return (
        f"not one of {count} {split} photos of {path} is a {role} photo, so that nothing can be "
        f"measured: write 1 in the column {columns[0] if columns else role} of those that are"
    )


def _sorted_labels(rows: list[_Row]) -> list[str]:
    labels = {row.label for row in rows}
    return sorted(labels, key=int) if all(label.isdecimal() for label in labels) else sorted(labels)


def _labelled(name: str, root: Path, rows: list[_Row], *, boxed: bool, has_roles: bool) -> LabelledImages:
    number = {label: place for place, label in enumerate(_sorted_labels(rows))}
    return labelled(
        name,
        root,
        [row.path for row in rows],
        [number[row.label] for row in rows],
        names={number[row.label]: row.name for row in rows},
        boxes=[row.box for row in rows] if boxed else None,
        queries=[row.query for row in rows] if has_roles else None,
        gallery=[row.gallery for row in rows] if has_roles else None,
    )
