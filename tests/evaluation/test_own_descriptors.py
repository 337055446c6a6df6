"""Anybody's descriptors on a labelled set: found by name in any order, refused where one is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from resight.cli import main
from resight.datasets import Benchmark
from resight.datasets.dataset import labelled
from resight.errors import InvalidInput
from resight.evaluation import evaluate_descriptors, evaluate_labels, read_result
from resight.evaluation.own_descriptors import rows_by_name

PATHS = [f"class {label}/{photo}.jpg" for label in range(4) for photo in range(5)]
LABELS = [label for label in range(4) for _ in range(5)]
TRAINED = ["class 9/0.jpg", "class 9/1.jpg"]


def rows(dtype=np.float32):
    made = np.random.default_rng(0).standard_normal((20, 8)).astype(np.float32)
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(dtype)


@pytest.fixture
def benchmark(tmp_path):
    return Benchmark(
        "made",
        labelled("made train", tmp_path, TRAINED, [9, 9]),
        labelled("made test", tmp_path, PATHS, LABELS),
        (1, 2),
    )


def values(result):
    return {measure.name: measure.value for measure in result.measures}


def test_rows_in_any_order_are_found_by_name(benchmark, tmp_path):
    truth = evaluate_labels(rows(), np.array(LABELS), ks=(1, 2))
    order = np.random.default_rng(1).permutation(20)
    expected = {"R@1": truth.recall[0][1], "MAP@R": truth.map_at_r, "R-precision": truth.r_precision}
    for write in (
        lambda path: path,
        lambda path: path.removesuffix(".jpg"),
        lambda path: f"./{path}",
        lambda path: path.replace("/", "\\"),
        lambda path: str(tmp_path / path),
    ):
        own = evaluate_descriptors(
            rows()[order], [write(PATHS[row]) for row in order], benchmark, clusters=False
        )
        assert {name: values(own.result)[name] for name in expected} == expected
        assert (own.unused, own.lengths) == ((), None)
    with_more = np.concatenate([rows()[order], rows()[:2]])
    own = evaluate_descriptors(
        with_more, [*(PATHS[row] for row in order), *TRAINED], benchmark, clusters=False
    )
    assert (values(own.result)["MAP@R"], own.unused) == (truth.map_at_r, tuple(TRAINED))
    fact, *_ = own.result.card.facts
    assert (fact.name, fact.text) == ("descriptors", "of unit length")


def test_folders_are_left_out_only_where_names_without_them_tell_photos_apart(benchmark, tmp_path):
    with pytest.raises(
        InvalidInput, match=r"no descriptor of class 0/0.jpg, class 0/1.jpg, class 0/2.jpg: 20 of"
    ):
        rows_by_name([f"{number}.jpg" for number in range(20)], benchmark.test, "d.npy", count=20)
    apart = labelled("apart", tmp_path, ["a/x.1.jpg", "b/y.JPG"], [0, 1])
    for names in (["y", "x.1"], ["q/y.jpg", "x.1.png"], ["y.JPG", "x.1.jpg"]):
        found, unused = rows_by_name(names, apart, "d.npy", count=2)
        assert (found.tolist(), unused) == ([1, 0], ())


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float64"])
def test_tensors_of_any_width_are_taken(benchmark, kind):
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(rows()).to(getattr(torch, kind)).requires_grad_()
    numbers = tensor.detach().float().numpy()
    lengths = np.linalg.norm(numbers, axis=1, keepdims=True)
    expected = evaluate_labels((numbers / lengths).astype(np.float32), np.array(LABELS)).map_at_r
    own = evaluate_descriptors(tensor, PATHS, benchmark, clusters=False)
    assert values(own.result)["MAP@R"] == pytest.approx(expected, abs=1e-9)
    if kind in ("float16", "float32"):
        measured = evaluate_labels(tensor, torch.tensor(LABELS, dtype=torch.int16))
        assert measured.map_at_r == pytest.approx(expected, abs=2e-3)


def test_float32_in_the_sets_order_is_not_copied(benchmark, monkeypatch):
    taken = []
    module = "resight.evaluation.own_descriptors.measure_source"
    monkeypatch.setattr(module, lambda source, benchmark, descriptors, **rest: taken.append(descriptors))
    given = rows()
    evaluate_descriptors(given, PATHS, benchmark, fingerprint="0" * 64)
    assert np.shares_memory(taken[0], given)


def test_lengths_are_divided_by_and_said(benchmark):
    factors = np.linspace(0.5, 12, 20, dtype=np.float32)[:, None]
    own = evaluate_descriptors(rows() * factors, PATHS, benchmark, clusters=False)
    plain = evaluate_descriptors(rows(), PATHS, benchmark, clusters=False)
    assert values(own.result) == values(plain.result)
    assert own.lengths == pytest.approx((0.5, 12), rel=1e-5)
    assert own.result.card.facts[0].text == "of lengths 0.5 to 12, divided by them"


def changed(place, value):
    made = rows()
    made[place] = value
    return made


@pytest.mark.parametrize(
    ("descriptors", "names", "words"),
    [
        (rows(), PATHS[:19], "mine has 20 descriptors and 19 names"),
        (
            rows()[:18],
            PATHS[:18],
            r"no descriptor of class 3/3.jpg, class 3/4.jpg: 2 of 20 photos of made test",
        ),
        (
            rows(),
            [*PATHS[:19], PATHS[0]],
            "has class 0/0.jpg more than once: each photo needs one descriptor",
        ),
        (changed(3, np.nan), PATHS, r"mine has NaN or infinite numbers for class 0/3.jpg \(1 photos\)"),
        (changed([2, 4], np.inf), PATHS, r"infinite numbers for class 0/2.jpg, class 0/4.jpg \(2 photos\)"),
        (changed(7, 0), PATHS, "mine has nothing but zeros for class 1/2.jpg"),
        (
            rows().astype(np.int64),
            PATHS,
            r"a matrix of floating-point numbers, a row a photo, not int64 \(20, 8\)",
        ),
        (rows()[0], PATHS, r"not float32 \(8,\)"),
    ],
)
def test_what_is_wrong_is_named(benchmark, descriptors, names, words):
    with pytest.raises(InvalidInput, match=words):
        evaluate_descriptors(descriptors, names, benchmark, source="mine")


def npy(folder, order):
    np.save(folder / "d.npy", rows(np.float16)[order])
    (folder / "names.txt").write_text("\n".join(PATHS[row] for row in order) + "\n")
    return folder / "d.npy", "--names", folder / "names.txt"


def npz(folder, order):
    np.savez(folder / "d.npz", descriptors=rows()[order], names=np.array([PATHS[row] for row in order]))
    return (folder / "d.npz",)


def by_name(folder, order):
    np.savez(folder / "d.npz", **{PATHS[row]: rows()[row] for row in order})
    return (folder / "d.npz",)


def in_parquet(folder, order):
    columns = {"path": [PATHS[row] for row in order], "embedding": [rows()[row].tolist() for row in order]}
    parquet.write_table(pyarrow.table(columns), folder / "d.parquet")
    return (folder / "d.parquet",)


@pytest.mark.parametrize("write", [npy, npz, by_name, in_parquet])
def test_files_on_the_command_line(tmp_path, capsys, write):
    table = tmp_path / "labels.csv"
    lines = [f"{path},{label},test" for path, label in zip(PATHS, LABELS, strict=True)]
    table.write_text("\n".join(["path,label,split", *(f"{path},9,train" for path in TRAINED), *lines]))
    order = np.random.default_rng(2).permutation(20)
    options = [str(each) for each in write(tmp_path, order)]
    line = ["evaluate", "--descriptors", *options, "table", "--root", str(table), "--no-clusters"]
    assert main([*line, "--out", str(tmp_path / "result.json")]) == 0
    expected = evaluate_labels(rows(), np.array(LABELS)).map_at_r
    result = read_result(tmp_path / "result.json")
    assert values(result)["MAP@R"] == pytest.approx(expected, abs=2e-3)
    assert result.card.model == Path(options[0]).name
    assert f"{Path(options[0]).name} on table" in capsys.readouterr().out


def test_lists_of_several_lengths_in_parquet_are_refused(tmp_path, benchmark, capsys):
    table = tmp_path / "labels.csv"
    table.write_text("path,label,split\na,1,train\nb,2,test\nc,2,test\n")
    for vectors, words in (
        ([[1.0, 2.0], [1.0]], "must hold lists of floating-point numbers, all of one length"),
        ([[1.0], [1.0, 2.0, 3.0]], "the lists of vectors are of several lengths"),
        ([1.0, 2.0], "vectors is a column of double, not of lists"),
    ):
        parquet.write_table(pyarrow.table({"name": ["b", "c"], "vectors": vectors}), tmp_path / "d.parquet")
        line = ["evaluate", "--descriptors", str(tmp_path / "d.parquet"), "table", "--root", str(table)]
        assert main(line) == 1
        assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["sift", "table", "--root", "."], "give BENCHMARK alone, and no model or other files"),
        (["table"], "say where your copy of table is"),
        (["table", "--root", ".", "--verify", "3"], "are for landmarks, not for table"),
    ],
)
def test_a_wrong_line_is_one_sentence(capsys, line, words):
    assert main(["evaluate", "--descriptors", "d.npy", "--names", "n.txt", *line]) == 2
    assert words in capsys.readouterr().err
