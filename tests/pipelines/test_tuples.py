"""Unlabelled rendered photos become tuples; what holds none ends with a sentence."""

from __future__ import annotations

import shutil
from contextlib import contextmanager

import pyarrow.parquet as pq
import pytest
from made_places import write_places

from resight.errors import InvalidInput
from resight.pipelines.tuples import TuplesSettings, make_tuples
from resight.reports.reconstruction import ShownTuples, write_reconstruction
from resight.sfm import PositiveConfig, ReconstructionConfig, read_tuples

pytest.importorskip("pycolmap")

SMALL = TuplesSettings(reconstruction=ReconstructionConfig(max_side=360, features=1500))
PLACES = {0: [-20, -10, 0, 10], 1: [-15, 0, 15], 2: [0]}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Four and three views of two places, and a place seen once."""
    folder = tmp_path_factory.mktemp("photos")
    write_places(folder, PLACES)
    return folder


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    return make_tuples([photos], tmp_path_factory.mktemp("out"), SMALL)


def tables(folder):
    """The rows of the tables, numbers to six digits: vector units may add in another order."""
    return [
        [{key: _rounded(value) for key, value in row.items()} for row in pq.read_table(path).to_pylist()]
        for path in (folder / f"{name}.parquet" for name in ("photos", "pairs", "tuples"))
    ]


def _rounded(value):
    return float(f"{value:.6g}") if isinstance(value, float) else value


def test_places_become_clusters_and_their_views_tuples(made):
    clusters = {
        tuple(made.reconstruction.photos[row].name for row in cluster.photos)
        for cluster in made.reconstruction.clusters
    }
    assert clusters == {
        tuple(sorted(f"place_{place}_{angle}.png" for angle in PLACES[place])) for place in (0, 1)
    }
    assert [path.name for path in made.alone] == ["place_2_0.png"]
    back = read_tuples(made.folder)
    assert len(back) == len(made.chosen) >= 12
    assert (back.clusters[back.queries] == back.clusters[back.positives]).all()


@pytest.mark.parametrize("steps", [36, 96, 124, 172])
def test_a_run_that_was_stopped_goes_on_and_ends_as_one_that_was_not(made, photos, tmp_path, steps):
    @contextmanager
    def stopping(title, unit):
        def report(done, total):
            if title == "Reconstructing" and done >= steps:
                raise KeyboardInterrupt

        yield report

    shutil.copytree(made.folder / "photos.resight", tmp_path / "photos.resight")
    with pytest.raises(KeyboardInterrupt):
        make_tuples([photos], tmp_path, SMALL, stage=stopping)
    assert not (tmp_path / "tuples.parquet").exists()
    make_tuples([photos], tmp_path, SMALL)
    assert tables(tmp_path) == tables(made.folder)
    assert len(list((tmp_path / "work").iterdir())) == 1


def test_other_limits_need_no_new_models(made, photos):
    (work,) = (made.folder / "work").iterdir()
    models = {path: path.stat().st_mtime_ns for path in (work / "models").rglob("*.bin")}
    strict = TuplesSettings(reconstruction=SMALL.reconstruction, positives=PositiveConfig(way="most_points"))
    before = tables(made.folder)
    again = make_tuples([photos], made.folder, strict)
    assert len(again.chosen) == 7
    assert {path: path.stat().st_mtime_ns for path in models} == models
    make_tuples([photos], made.folder, SMALL)
    assert tables(made.folder) == before


def test_a_broken_photo_is_reported_and_the_rest_goes_on(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "photos")
    for path in (tmp_path / "photos").glob("place_1*"):
        path.write_bytes(b"no photo")
    outcome = make_tuples([tmp_path / "photos"], tmp_path / "out", SMALL)
    assert [len(cluster) for cluster in outcome.reconstruction.clusters] == [4]
    assert len(outcome.broken) == 3
    assert "place_1_0.png" in outcome.broken[1].path


def test_one_pair_is_two_tuples(photos, tmp_path):
    outcome = make_tuples([photos / "place_0_0.png", photos / "place_0_-20.png"], tmp_path, SMALL)
    assert [len(cluster) for cluster in outcome.reconstruction.clusters] == [2]
    assert len(outcome.chosen) == 2


def test_what_holds_no_tuple_ends_with_a_sentence(photos, tmp_path):
    with pytest.raises(InvalidInput, match="none of the 3 photos overlaps with another so that a 3D model"):
        make_tuples(
            [photos / "place_0_0.png", photos / "place_1_0.png", photos / "place_2_0.png"],
            tmp_path / "a",
            SMALL,
        )
    with pytest.raises(
        InvalidInput, match="two photos at least that show the same place, and one can be read"
    ):
        make_tuples([photos / "place_0_0.png"], tmp_path / "b", SMALL)
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        (tmp_path / "copies").mkdir(exist_ok=True)
        shutil.copy(photos / "place_0_0.png", tmp_path / "copies" / name)
    with pytest.raises(InvalidInput, match="all 3 photos are copies of one file"):
        make_tuples([tmp_path / "copies"], tmp_path / "c", SMALL)
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    with pytest.raises(InvalidInput, match=r"no photo can be read: .*broken.jpg: "):
        make_tuples([tmp_path / "broken.jpg"], tmp_path / "d", SMALL)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match=r"no photo can be read: there is none in .*empty$"):
        make_tuples([tmp_path / "empty"], tmp_path / "e", SMALL)
    with pytest.raises(InvalidInput, match=r"there is no file or folder .*nowhere"):
        make_tuples([tmp_path / "nowhere"], tmp_path / "g", SMALL)
    assert not (tmp_path / "g").exists()
    strict = TuplesSettings(reconstruction=SMALL.reconstruction, positives=PositiveConfig(least_points=10**6))
    with pytest.raises(InvalidInput, match="pairs that see points together is within the limits"):
        make_tuples([photos / "place_0_0.png", photos / "place_0_-20.png"], tmp_path / "f", strict)
    assert not (tmp_path / "f" / "tuples.parquet").exists()


@pytest.mark.parametrize("name", ["work", "work/0123456789abcdef", "pairs.parquet", "photos.resight"])
def test_a_link_in_a_folder_from_elsewhere_is_refused_before_anything_is_touched(photos, tmp_path, name):
    mine = tmp_path / "mine"
    (mine / "0123456789abcdef").mkdir(parents=True)
    (tmp_path / "t" / name).parent.mkdir(parents=True)
    (tmp_path / "t" / name).symlink_to(mine)
    with pytest.raises(InvalidInput, match=f"{name} is a symbolic link, and tuples are written"):
        make_tuples([photos], tmp_path / "t", SMALL)
    assert [path.name for path in mine.iterdir()] == ["0123456789abcdef"]


def test_tables_of_an_earlier_call_are_not_taken_for_new_ones(photos, tmp_path):
    pair = [photos / "place_0_0.png", photos / "place_0_-20.png"]
    make_tuples(pair, tmp_path, SMALL)
    before = (tmp_path / "tuples.parquet").read_bytes()
    with pytest.raises(InvalidInput, match=r"one can be read; .*tuples\.parquet is that of an earlier call$"):
        make_tuples(pair[:1], tmp_path, SMALL)
    assert (tmp_path / "tuples.parquet").read_bytes() == before


def test_the_page_shows_every_model_and_escapes_names(made, tmp_path):
    shown = ShownTuples("<b>mine</b>", made.reconstruction, made.pairs, made.chosen, made.seconds)
    write_reconstruction(shown, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<b>mine" not in page
    assert "&lt;b&gt;mine" in page
    assert page.count('class="model"') == 2
    assert page.count('class="camera"') == 7
    assert "place_2_0.png</li>" in page
    assert "<script" not in page
