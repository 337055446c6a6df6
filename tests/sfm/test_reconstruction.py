"""Photos from known cameras are reconstructed where they stand."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
from made_places import camera, photo, write_places
from PIL import ExifTags, Image

from resight.errors import InvalidInput
from resight.sfm import ReconstructionConfig, reconstruct
from resight.sfm.database import add_photos, colmap, verified_pairs

pycolmap = pytest.importorskip("pycolmap")


def test_cameras_stand_where_they_stood(tmp_path):
    angles = [-20.0, -8.0, 0.0, 12.0]
    write_places(tmp_path / "photos", {0: angles})
    photos = [tmp_path / "photos" / f"place_0_{angle:g}.png" for angle in angles]
    made = reconstruct(photos, tmp_path / "work", ReconstructionConfig(max_side=360, features=1500))
    (cluster,) = made.clusters
    truth = [camera(angle) for angle in angles]
    centres = np.array([centre for centre, _ in truth])
    # A model has a scale, axes and an origin of its own: the best similarity, by Procrustes.
    own, true = (x - x.mean(axis=0) for x in (cluster.centres, centres))
    u, values, v = np.linalg.svd(true.T @ own)
    turn = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
    scale = (values * [1, 1, np.linalg.det(u @ v)]).sum() / (own**2).sum()
    assert np.linalg.norm(true - scale * own @ turn.T, axis=1).max() < 0.02
    for rotation, (_, expected) in zip(cluster.rotations, truth, strict=True):
        cosine = (np.trace(rotation @ turn.T @ expected.T) - 1) / 2
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))) < 1.0


def test_a_place_is_mapped_as_if_it_were_alone(tmp_path, monkeypatch):
    write_places(tmp_path / "photos", {0: [-20, -10, 0], 1: [-15, 0, 15]})
    photos = sorted((tmp_path / "photos").iterdir())
    config = ReconstructionConfig(max_side=360, features=1500)
    # One thread maps both, one after the other.
    monkeypatch.setattr("resight.files.threads.available_cpus", lambda: 1)
    both = reconstruct(photos, tmp_path / "both", config)
    for number in (0, 1):
        (alone,) = reconstruct(photos[3 * number : 3 * number + 3], tmp_path / f"{number}", config).clusters
        (same,) = (cluster for cluster in both.clusters if cluster.photos[0] == 3 * number)
        np.testing.assert_array_equal(same.centres, alone.centres)
        np.testing.assert_array_equal(same.points, alone.points)


@pytest.mark.parametrize("stop", [None, 64, 66])
def test_what_photos_match_leads_to_the_rest_of_the_place(tmp_path, monkeypatch, stop):
    # Ctrl-C leaves the log silent.
    monkeypatch.setattr(pycolmap.logging, "minloglevel", pycolmap.logging.minloglevel)
    write_places(tmp_path / "photos", {0: [-12, -4, 4, 12], 1: [0]})
    photos = sorted((tmp_path / "photos").iterdir())
    config = ReconstructionConfig(max_side=360, features=800)
    chain = np.array([[0, 1], [0, 4], [1, 2], [2, 3]])

    def stopping(done, total):
        assert done <= total
        if done == stop:
            raise KeyboardInterrupt

    if stop is not None:
        with pytest.raises(KeyboardInterrupt):
            reconstruct(photos, tmp_path / "work", config, pairs=chain, progress=stopping)
    made = reconstruct(photos, tmp_path / "work", config, pairs=chain)
    assert [cluster.photos.tolist() for cluster in made.clusters] == [[0, 1, 2, 3]]
    compared = verified_pairs(tmp_path / "work" / "database.db", config)[:, :2]
    assert compared.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]


def test_a_model_without_sense_is_left_out_and_the_others_stay(tmp_path, monkeypatch):
    write_places(tmp_path / "photos", {0: [-12, 0, 12], 1: [-12, 0, 12]})
    photos = sorted((tmp_path / "photos").iterdir())
    mapping = pycolmap.incremental_mapping

    def first_is_mad(database, images, folder, options):
        models = mapping(database, images, folder, options)
        if options.image_names[0] == "0":
            for camera in models[0].cameras.values():
                camera.params = [-1.0, *camera.params[1:]]
            models[0].write(folder / "0")
        return models

    monkeypatch.setattr(pycolmap, "incremental_mapping", first_is_mad)
    made = reconstruct(photos, tmp_path / "work", ReconstructionConfig(max_side=360, features=800))
    assert [cluster.photos.tolist() for cluster in made.clusters] == [[3, 4, 5]]


def test_cameras_begin_with_the_focal_length_that_the_photo_names(tmp_path):
    import pycolmap

    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 54
    photos = [tmp_path / "with.jpg", tmp_path / "without.jpg", tmp_path / "gone.jpg"]
    Image.fromarray(photo(0, 0.0)).save(photos[0], exif=exif)
    Image.fromarray(photo(0, 0.0)).save(photos[1])
    add_photos(tmp_path / "database.db", photos, ReconstructionConfig(max_side=180, features=100))
    with closing(pycolmap.Database.open(tmp_path / "database.db")) as database:
        cameras = [database.read_camera(number) for number in (1, 2, 3)]
    assert [camera.has_prior_focal_length for camera in cameras] == [True, False, False]
    assert [camera.params[0] for camera in cameras[:2]] == [1.5 * 180, 1.2 * 180]


def test_pairs_of_photos_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="two different rows of the 2 photos each"):
        reconstruct([tmp_path / "a.jpg", tmp_path / "b.jpg"], tmp_path / "work", pairs=np.array([[0, 2]]))


def test_the_log_of_colmap_comes_back_but_not_for_threads_that_ctrl_c_leaves_behind():
    before = pycolmap.logging.minloglevel
    try:
        with colmap():
            assert pycolmap.logging.minloglevel == 3
        assert pycolmap.logging.minloglevel == before
        with pytest.raises(KeyboardInterrupt), colmap():
            raise KeyboardInterrupt
        assert pycolmap.logging.minloglevel == 3
    finally:
        pycolmap.logging.minloglevel = before
