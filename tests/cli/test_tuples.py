"""``resight tuples`` as people and programs call it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sfm"))

from made_places import write_places

from resight.cli import main

pytest.importorskip("pycolmap")


def test_one_object_for_programs_and_a_page_for_people(tmp_path, capsys):
    write_places(tmp_path / "my photos", {0: [-20, -10, 0], 1: [-15, 0, 15], 2: [0]})
    command = ["tuples", str(tmp_path / "my photos"), "--out", str(tmp_path / "out"), "--max-side", "360"]
    assert main([*command, "--json", "--html", str(tmp_path / "page.html")]) == 0
    content = json.loads(capsys.readouterr().out)
    assert {"photos", "reconstructed", "clusters", "tuples", "seconds"} <= set(content)
    assert (content["photos"], content["reconstructed"]) == (7, 6)
    assert [len(cluster) for cluster in content["clusters"]] == [3, 3]
    assert content["tuples"] == len(pq.read_table(tmp_path / "out" / "tuples.parquet"))
    assert content["alone"] == [str(tmp_path / "my photos" / "place_2_0.png")]
    assert "Model 1" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "6 of 7 photos in 2 3D models" in printed.out
    assert "resight train small-gem-sfm data.root=" in printed.out
    assert "small-gem-sfm needs 5 3D models or more" in printed.err


def test_what_holds_nothing_is_one_sentence(tmp_path, capsys):
    write_places(tmp_path / "photos", {0: [0]})
    assert main(["tuples", str(tmp_path / "photos"), "--out", str(tmp_path / "out")]) == 1
    assert "two photos at least that show the same place" in capsys.readouterr().err
    assert (
        main(["tuples", str(tmp_path / "photos"), "--out", str(tmp_path / "out"), "--models", str(tmp_path)])
        == 1
    )
    assert "there is no 3D model in" in capsys.readouterr().err


def test_programs_get_their_object_where_there_is_no_tuple_too(tmp_path, capsys):
    write_places(tmp_path / "apart", {0: [0], 1: [0]})
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "text.jpg").write_text("no photo")
    for folder, photos, broken in (("apart", 2, 0), ("empty", 0, 0), ("broken", 0, 1)):
        command = ["tuples", str(tmp_path / folder), "--out", str(tmp_path / "out" / folder), "--json"]
        assert main(command) == 1
        printed = capsys.readouterr()
        content = json.loads(printed.out)
        assert (content["photos"], content["reconstructed"], content["clusters"]) == (photos, 0, [])
        assert (content["tuples"], len(content["alone"])) == (0, photos)
        assert [photo["path"] for photo in content["broken"]] == [
            str(tmp_path / "broken" / "text.jpg")
        ] * broken
        assert "no photo can be read" in printed.err or "none of the 2 photos overlaps" in printed.err
        assert not (tmp_path / "out" / folder / "tuples.parquet").exists()


def test_a_broken_folder_is_not_taken_for_photos_of_an_earlier_call(tmp_path, capsys):
    write_places(tmp_path / "photos", {0: [-10, 0]})
    command = ["--out", str(tmp_path / "out"), "--max-side", "360"]
    assert main(["tuples", str(tmp_path / "photos"), *command]) == 0
    (tmp_path / "text.jpg").write_text("no photo")
    assert main(["tuples", str(tmp_path / "text.jpg"), *command]) == 1
    assert "no photo can be read" in capsys.readouterr().err
