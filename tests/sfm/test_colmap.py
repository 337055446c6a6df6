"""Models of COLMAP are read as they were written, and damaged ones are refused in a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_models import ring, write_colmap

from resight.errors import InvalidInput
from resight.sfm import find_models, read_model, read_reconstruction
from resight.sfm.models import joined

NAMES = ["e.jpg", "d.jpg", "c/b.jpg", "b c.jpg", "a.jpg"]


@pytest.mark.parametrize("text", [False, True])
def test_a_model_is_read_as_it_was_written(tmp_path, text):
    cluster = ring(5)
    write_colmap(tmp_path, cluster, NAMES, text=text)
    model = read_model(tmp_path)
    order = np.argsort(NAMES)
    assert model.names == tuple(sorted(NAMES))
    np.testing.assert_allclose(model.centres, cluster.centres[order], atol=1e-12)
    np.testing.assert_allclose(model.rotations, cluster.rotations[order], atol=1e-12)
    np.testing.assert_allclose(model.focal_lengths, cluster.focal_lengths[order])
    np.testing.assert_allclose(model.points, cluster.points)
    place = np.argsort(order)
    expected = sorted((int(place[image]), int(point)) for image, point in cluster.observations)
    assert model.observations.tolist() == [list(pair) for pair in expected]


def test_what_pycolmap_writes_is_read_as_pycolmap_reads_it(tmp_path):
    pycolmap = pytest.importorskip("pycolmap")
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_frames_per_rig, options.num_points3D = 1, 6, 50
    made = pycolmap.synthesize_dataset(options)
    for write, name in ((made.write_binary, "binary"), (made.write_text, "text")):
        (tmp_path / name).mkdir()
        write(str(tmp_path / name))
        model = read_model(tmp_path / name)
        by_name = {image.name: image for image in made.images.values()}
        for row, image in enumerate(model.names):
            pose = by_name[image].cam_from_world()
            np.testing.assert_allclose(model.centres[row], by_name[image].projection_center(), atol=1e-9)
            np.testing.assert_allclose(model.rotations[row], pose.rotation.matrix(), atol=1e-9)
        tracks = sum(point.track.length() for point in made.points3D.values())
        assert (len(model.points), len(model.observations)) == (made.num_points3D(), tracks)


@pytest.mark.parametrize("file", ["cameras", "images", "points3D"])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.95])
def test_a_truncated_file_is_named(tmp_path, file, share):
    write_colmap(tmp_path, ring(5), NAMES)
    path = tmp_path / f"{file}.bin"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InvalidInput, match=f"{file}.bin is no file of COLMAP, or a damaged one: "):
        read_model(tmp_path)


def test_a_declared_number_of_records_is_compared_with_the_bytes(tmp_path):
    write_colmap(tmp_path, ring(5), NAMES)
    path = tmp_path / "points3D.bin"
    path.write_bytes(b"\xff" * 6 + b"\0\0" + path.read_bytes()[8:])
    with pytest.raises(InvalidInput, match="declares 281,474,976,710,655 records, more than it holds"):
        read_model(tmp_path)


def test_models_below_a_folder_are_found_and_copies_of_one_are_not(tmp_path):
    for name in ("sparse/0", "sparse/1", "sfm", "sfm/models/0"):
        write_colmap(tmp_path / name, ring(3), ["a.jpg", "b.jpg", "c.jpg"])
    found = [str(path.relative_to(tmp_path)) for path in find_models(tmp_path)]
    assert found == ["sfm", "sparse/0", "sparse/1"]
    with pytest.raises(InvalidInput, match="there is no 3D model in"):
        find_models(tmp_path / "sparse/0/nothing")


def test_the_places_that_hloc_leaves_behind_are_read(tmp_path):
    write_colmap(tmp_path / "sfm", ring(4), ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    # What stays of the largest, which was moved, and the models of two other places.
    (tmp_path / "sfm" / "models" / "0").mkdir(parents=True)
    (tmp_path / "sfm" / "models" / "0" / "project.ini").touch()
    write_colmap(tmp_path / "sfm" / "models" / "1", ring(3, seed=1), ["e.jpg", "f.jpg", "g.jpg"])
    write_colmap(tmp_path / "sfm" / "models" / "2", ring(2, seed=2), ["h.jpg", "i.jpg"], text=True)
    photos = [Path(f"/p/{name}.jpg") for name in "abcdefghij"]
    made = read_reconstruction(tmp_path, photos)
    assert made.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, -1]


def test_photos_belong_to_the_longest_name_their_path_ends_with(tmp_path):
    write_colmap(tmp_path / "m", ring(4), ["a.jpg", "x/a.jpg", "b.jpg", "gone.jpg"])
    photos = [Path("/p/x/a.jpg"), Path("/p/y/a.jpg"), Path("/p/y/b.jpg"), Path("/p/other.jpg")]
    made = read_reconstruction(tmp_path / "m", photos)
    assert made.labels.tolist() == [0, 0, 0, -1]
    names = read_model(tmp_path / "m").names
    np.testing.assert_allclose(
        made.clusters[0].centres[0], read_model(tmp_path / "m").centres[names.index("x/a.jpg")]
    )
    with pytest.raises(InvalidInput, match="name none of the 1 photos: they name "):
        read_reconstruction(tmp_path / "m", [Path("/q/z.jpg")])


def test_a_photo_of_two_models_stays_in_the_larger(tmp_path):
    write_colmap(tmp_path / "0", ring(3), ["a.jpg", "b.jpg", "c.jpg"])
    write_colmap(tmp_path / "1", ring(4, seed=1), ["c.jpg", "d.jpg", "e.jpg", "f.jpg"])
    photos = [Path(f"/p/{name}.jpg") for name in "abcdef"]
    made = read_reconstruction(tmp_path, photos)
    assert made.labels.tolist() == [1, 1, 0, 0, 0, 0]
    for cluster in made.clusters:
        assert set(cluster.observations[:, 1]) == set(range(len(cluster.points)))


def test_a_photo_that_sees_too_few_points_of_a_model_is_left_out(tmp_path):
    cluster = ring(4)
    few = cluster.observations[:, 0] != 3
    few[np.flatnonzero(~few)[:2]] = True
    write_colmap(tmp_path, replace(cluster, observations=cluster.observations[few]), ["a", "b", "c", "d"])
    model, rows = read_model(tmp_path), {name: row for row, name in enumerate("abcd")}
    photos = tuple(Path(f"/p/{name}") for name in "abcd")
    assert joined([model], photos, rows).labels.tolist() == [0, 0, 0, 0]
    assert joined([model], photos, rows, least_points=3).labels.tolist() == [0, 0, 0, -1]
    (left,) = joined([model], photos, rows, least_points=3).clusters
    assert set(left.observations[:, 1]) == set(range(len(left.points)))
