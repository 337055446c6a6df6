"""Every verb on rendered photos: what it prints, as text and as JSON, and its exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resight.cli import main


def flat(text):
    return " ".join(text.split())


def test_index_adds_then_finds_nothing_to_do(run, rendered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("index", rendered)
    assert code == 0
    assert "11 added, 0 updated, 0 unchanged, 0 missing, 0 broken" in out
    assert "photos.resight holds 11 photos." in out
    assert "resight search photos.resight QUERY.jpg --html answers.html" in out
    code, out, _ = run("index", rendered, "--json")
    report = json.loads(out)
    assert code == 0
    assert {name: report[name] for name in ("added", "updated", "unchanged", "missing", "broken")} == {
        "added": 0,
        "updated": 0,
        "unchanged": 11,
        "missing": [],
        "broken": [],
    }


def test_index_lists_what_is_broken_and_says_so_by_its_code(run, rendered, tmp_path):
    folder = tmp_path / "mixed [old] photos"
    folder.mkdir()
    shutil.copy(rendered / "place_000_view_0.jpg", folder / "good.jpg")
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("a letter")
    collection = tmp_path / "c.resight"
    code, out, _ = run("index", folder, "--collection", collection)
    assert code == 3
    assert "1 added" in out
    assert "2 broken" in out
    assert "mixed [old] photos" in out
    assert "empty.jpg" in out
    assert "the file is empty" in out
    code, out, _ = run("index", folder, "--collection", collection, "--json")
    assert code == 3
    assert [Path(photo["path"]).name for photo in json.loads(out)["broken"]] == ["empty.jpg", "text.jpg"]


def test_index_says_what_it_passed_over(run, tmp_path):
    for name in ("a.CR2", "b.cr2", "c.mp4", "d"):
        (tmp_path / name).write_bytes(b"no photo")
    code, out, err = run("index", tmp_path, "--collection", tmp_path / "p.resight")
    assert code == 3
    assert "4 files passed over: 2 .cr2, 1 .mp4, 1 without a suffix" in out
    assert err.strip() == f"no photos were found in {tmp_path}"
    code, out, err = run("index", tmp_path, "--collection", tmp_path / "p.resight", "--json")
    assert code == 3
    assert json.loads(out)["passed_over"] == {".cr2": 2, ".mp4": 1, "": 1}


def test_index_says_what_it_read_with_a_warning(run, rendered, tmp_path):
    photo = sorted(rendered.iterdir())[0]
    (tmp_path / "cut.jpg").write_bytes(photo.read_bytes()[:-2])
    code, out, _ = run("index", tmp_path / "cut.jpg", "--collection", tmp_path / "p.resight")
    assert code == 0
    assert "1 added" in out
    assert "its end is missing, and with it at most its last rows" in flat(out)


def test_search_takes_a_limit_on_pixels(run, made, rendered):
    line = ("search", made, rendered / "place_001_view_0.jpg")
    code, _, err = run(*line, "--max-pixels", "1000")
    assert code == 1
    assert "are more than the limit of 1000; save it smaller or raise the limit (--max-pixels" in err
    assert run(*line, "--max-pixels", "300000000")[0] == 0


def test_index_takes_a_limit_on_pixels(run, rendered, tmp_path):
    photo = sorted(rendered.iterdir())[0]
    line = ("index", photo, "--collection", tmp_path / "p.resight")
    code, out, _ = run(*line, "--max-pixels", "1000")
    assert code == 3
    assert "are more than the limit of 1000" in flat(out)
    assert run(*line, "--max-pixels", "300000000")[0] == 0


def test_index_takes_a_working_memory(run, rendered, tmp_path):
    line = ("index", sorted(rendered.iterdir())[0], "--collection", tmp_path / "p.resight")
    code, _, err = run(*line, "--working-memory", "500MB")
    assert code == 1
    assert "a working memory of 500,000,000 bytes does not hold a photo of 225,000,000 pixels" in flat(err)
    code, _, err = run(*line, "--working-memory", "much")
    assert code == 2
    assert "--working-memory" in err
    assert run(*line, "--working-memory", "500MB", "--max-pixels", "100000000")[0] == 0


def test_index_reports_what_is_missing_and_forgets_it_when_told(run, rendered, tmp_path):
    folder = shutil.copytree(rendered, tmp_path / "photos")
    collection = tmp_path / "c.resight"
    run("index", folder, "--collection", collection)
    (folder / "distractor_000.jpg").unlink()
    code, out, _ = run("index", folder, "--collection", collection)
    assert code == 0
    assert "1 missing" in out
    assert "distractor_000.jpg" in out
    assert "holds 11 photos" in out
    _, out, _ = run("index", folder, "--collection", collection, "--forget-missing")
    assert "holds 10 photos" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["index", "nowhere", "--collection", "new.resight"], "there is no file or folder"),
        (["index", ".", "--collection", "new.resight", "--model", "sitf"], "did you mean sift"),
        (["index", ".", "--metadata", "none.csv"], "none.csv: No such file or directory"),
        (["search", "none.resight", "q.jpg"], "none.resight"),
        (["info", "none.resight"], "none.resight"),
        (["check", "none.resight"], "none.resight"),
        (["remove", "none.resight", "a.jpg"], "none.resight"),
    ],
)
def test_errors_are_one_sentence(run, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*words)
    assert (code, out) == (1, "")
    assert err.startswith("resight: ")
    assert err.count("\n") == 1
    assert sentence in err


def test_search_prints_the_answers_best_first(run, made, rendered):
    query = rendered / "place_001_view_0.jpg"
    code, out, err = run("search", made, query, "--top", "4")
    assert (code, err) == (0, "")
    header, first, *_ = out.splitlines()
    assert header.split() == ["rank", "similarity", "inliers", "chance", "verdict", "photo"]
    assert first.split()[0] == "1"
    assert "confirmed by geometry" in first
    assert "place_001_view_0.jpg" in first
    assert "4 answers from 11 photos searched in" in out
    assert "--html answers.html" in out


def test_search_as_json_holds_everything(run, made, rendered):
    query = rendered / "place_001_view_0.jpg"
    code, out, err = run("search", made, query, "--top", "3", "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["searched"] == 11
    assert answer["queries"][0]["path"] == str(query)
    assert set(answer["seconds"]) == {"describe", "load", "search", "verify", "total"}
    hits = answer["hits"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    first = hits[0]
    assert Path(first["path"]).name == "place_001_view_0.jpg"
    assert first["verdict"] == "confirmed"
    assert first["similarity"] == pytest.approx(1.0, abs=0.01)
    assert first["score"] == first["similarity"]
    assert len(first["query_points"]) == len(first["answer_points"]) == first["inliers"]
    assert 3 < first["expected"] < 12 < first["inliers"]
    assert len(first["region"]) == 4
    assert len(first["box"]) == 4
    assert len(first["transform"]) == 3
    assert first["metadata"] == {"year": 1990 + 5, "kind": "town"}
    assert list(first) == [
        *("rank", "score", "path", "width", "height", "inliers", "expected", "query", "query_points"),
        *("answer_points", "transform", "region", "box", "part", "metadata", "similarity", "verdict"),
        *("missing", "changed", "id", "probability"),
    ]
    assert list(answer["queries"][0]) == ["path", "box", "width", "height", "wanted"]


def test_search_without_verification(run, made, rendered):
    _, out, _ = run("search", made, rendered / "place_001_view_0.jpg", "--verify", "0", "--json")
    hits = json.loads(out)["hits"]
    assert {hit["inliers"] for hit in hits} == {hit["expected"] for hit in hits} == {None}
    assert {hit["verdict"] for hit in hits} == {"unchecked"}


def test_search_with_box_filter_and_unwanted(run, made, rendered):
    query = rendered / "place_001_view_0.jpg"
    unwanted = rendered / "distractor_000.jpg"
    _, out, _ = run(
        "search",
        made,
        query,
        "--box",
        "20,20,250,200",
        "--where",
        "year < 1995",
        "--without",
        unwanted,
        "--json",
    )
    answer = json.loads(out)
    assert answer["queries"][0]["box"] == [20, 20, 250, 200]
    assert [photo["wanted"] for photo in answer["queries"]] == [True, False]
    assert answer["searched"] == 5
    assert all(hit["metadata"]["year"] < 1995 for hit in answer["hits"])


def test_search_writes_the_sheet(run, made, rendered, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("resight.cli.search.typer.launch", opened.append)
    sheet = tmp_path / "answers.html"
    code, out, _ = run(
        "search", made, rendered / "place_001_view_0.jpg", "--html", sheet, "--open", "--top", "5"
    )
    assert code == 0
    assert f"Result sheet: {sheet}" in out
    assert opened == [sheet.as_uri()]
    text = sheet.read_text(encoding="utf-8")
    assert text.count('<li class="answer') == 5
    assert "<line" in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--where", "height of"], "height of"),
        (["--box", "5000,5000,6000,6000"], "outside"),
        (["--html", "no/such/folder/sheet.html"], "there is no folder no/such/folder"),
    ],
)
def test_a_search_that_cannot_be_is_one_sentence(run, made, rendered, words, sentence):
    code, out, err = run("search", made, rendered / "place_001_view_0.jpg", *words)
    assert (code, out) == (1, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_a_query_that_is_no_photo_is_one_sentence(run, made, tmp_path):
    code, out, err = run("search", made, tmp_path / "none.jpg")
    assert (code, out) == (1, "")
    assert err == f"resight: cannot read {tmp_path / 'none.jpg'}: there is no such file\n"


def test_info_says_what_is_held(run, made, rendered):
    code, out, _ = run("info", made)
    assert code == 0
    assert "sift" in out
    assert str(rendered) in flat(out)
    assert "year" in out
    _, out, _ = run("info", made, "--json")
    held = json.loads(out)
    local = held["local"]
    assert local["form"] == "128 codes of a byte"
    # 128 bytes and 14 for its place, and the header of each photo.
    each = local["bytes_per_photo"] - 142 * local["features_per_photo"]
    assert 0 < local["features_per_photo"] <= 1000
    assert 100 < each < 400
    assert f"{local['features_per_photo']:,.0f} a photo, 128 codes of a byte each" in run("info", made)[1]
    assert held["photos"] == 11
    assert held["metadata"] == ["kind", "year"]
    assert [root["exists"] for root in held["roots"]] == [True]


def test_the_bytes_of_a_photo_add_up(run, made):
    size = next(line for line in run("info", made)[1].splitlines() if line.startswith("size"))
    whole, *parts = [float(number) for number in re.findall(r"\d+\.\d", size)][1:]
    assert len(parts) == 3
    assert sum(parts) == pytest.approx(whole, abs=1e-6)
    assert parts[1] == 1.0  # 512 halves


def test_info_follows_a_moved_folder(run, rendered, tmp_path):
    folder, collection = shutil.copytree(rendered, tmp_path / "old"), tmp_path / "elsewhere" / "c.resight"
    run("index", folder, "--collection", collection)
    moved = folder.rename(tmp_path / "new")
    _, out, _ = run("info", collection)
    assert "--move-root OLD NEW" in flat(out)
    code, out, _ = run("info", collection, "--move-root", folder, moved, "--json")
    assert code == 0
    assert json.loads(out)["roots"][0]["path"] == str(moved)
    _, out, _ = run("search", collection, moved / "place_000_view_0.jpg", "--json", "--top", "1")
    assert json.loads(out)["hits"][0]["path"] == str(moved / "place_000_view_0.jpg")


def test_check_says_that_it_is_sound(run, made):
    code, out, _ = run("check", made, "--sample", "3")
    assert code == 0
    assert "is sound (11 rows read, 3 photos searched for themselves)." in flat(out)
    code, out, _ = run("check", made, "--json")
    assert code == 0
    assert json.loads(out)["problems"] == []


def test_check_fails_where_there_is_a_problem(run, made, monkeypatch):
    from resight.collection import CheckReport, Collection

    found = CheckReport(rows=11, sampled=3, problems=["row 4 holds no descriptor"], notes=["a.jpg is gone"])
    monkeypatch.setattr(Collection, "check", lambda self, sample, progress: found)
    code, out, _ = run("check", made)
    assert code == 1
    assert "row 4 holds no descriptor" in out
    assert "not sound: 1 problem" in flat(out)


def test_remove_takes_photos_out(run, copied):
    photos = copied.parent / "photos"
    code, out, _ = run("remove", copied, photos / "place_000_view_0.jpg")
    assert (code, out) == (0, "1 photo removed, 10 photos left.\n")
    code, out, _ = run("remove", copied, photos / "place_000_view_1.jpg", "--json")
    assert json.loads(out) == {"removed": 1, "photos": 9}
    assert (photos / "place_000_view_0.jpg").is_file()
    code, out, err = run("remove", copied, photos / "place_000_view_0.jpg")
    assert (code, out) == (1, "")
    assert "not in the collection" in err


def test_models_are_listed(run):
    code, out, _ = run("models")
    assert code == 0
    assert out.split("\n")[1].startswith("sift")
    _, out, _ = run("models", "--json")
    entries = json.loads(out)
    assert entries[0]["name"] == "sift"
    assert set(entries[0]) == {
        "name",
        "summary",
        "dim",
        "megabytes",
        "licence",
        "needs",
        "local",
        "published",
    }


def test_the_sift_verbs_import_no_torch(made, rendered, tmp_path):
    lines = [
        ["index", str(rendered), "--collection", str(tmp_path / "c.resight")],
        ["search", str(made), str(rendered / "place_000_view_0.jpg"), "--html", str(tmp_path / "sheet.html")],
        ["check", str(made), "--sample", "1"],
    ]
    code = (
        "import sys; from resight.cli import main; "
        f"codes = [main(line) for line in {lines!r}]; "
        "loaded = [name for name in ('torch', 'timm', 'torchvision') if name in sys.modules]; "
        "print(codes, loaded, file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.splitlines()[-1] == "[0, 0, 0] []"


def test_a_command_brings_no_pandas_where_it_is_installed(made, tmp_path):
    (tmp_path / "pandas").mkdir()
    (tmp_path / "pandas" / "__init__.py").write_text("print('pandas is here')\n__version__ = '2.0.0'\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *words]
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    # PyArrow 18 asks what it imports for more than this one has.
    assert "pandas is here" in run("-c", "import pyarrow.dataset").stdout
    assert "pandas is here" in run("-c", "import resight, pandas").stdout
    shown = run("-m", "resight", "info", str(made))
    assert shown.returncode == 0
    assert "pandas is here" not in shown.stdout


@pytest.mark.parametrize("words", [["models", "--json"], ["models"]])
def test_a_reader_that_leaves_is_met_quietly(words):
    command = [sys.executable, "-m", "resight", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows delivers Ctrl-C to whole process groups")
def test_ctrl_c_is_a_sentence_and_what_was_committed_stays(rendered, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for copy in range(40):
        for path in rendered.iterdir():
            # A byte at the end makes each copy another file, so that all of them are described.
            (folder / f"{copy}_{path.name}").write_bytes(path.read_bytes() + bytes([copy]))
    collection = tmp_path / "c.resight"
    command = [sys.executable, "-m", "resight", "index", str(folder), "--collection", str(collection)]
    # A shell that runs the tests in the background has its jobs ignore Ctrl-C, and theirs would too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        while not collection.exists():
            time.sleep(0.05)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("resight: stopped: what was committed stays")
    assert "Traceback" not in err
    assert main(["info", str(collection)]) == 0
