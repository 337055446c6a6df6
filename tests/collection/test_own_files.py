"""A collection that came from elsewhere: what is no file of its own is refused before anything is touched."""

from __future__ import annotations

import os
import socket
from types import SimpleNamespace

import pytest
from test_collection import stored

from resight import Collection
from resight.collection.lock import folder_lock
from resight.collection.own_files import require_plain_names
from resight.errors import CollectionDamaged, InvalidInput
from resight.pipelines.index import index_photos


@pytest.mark.parametrize("place", ["photos.lance/_indices/x", "photos.lance/data/x", "x", "photos.lance/x"])
def test_a_link_is_refused_by_name_and_what_it_leads_to_stays(collection, photos, tmp_path, place):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("keep me")
    link = collection.path / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(mine)
    for change in (collection.add, collection.remove, lambda _: Collection.open(collection.path)):
        with pytest.raises(CollectionDamaged, match=f"{place} is a symbolic link"):
            change(photos)
    assert (mine / "letter.txt").read_text() == "keep me"


def test_a_data_file_that_is_a_link_is_refused(collection, photos, tmp_path):
    file = next((collection.path / "photos.lance/data").iterdir())
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CollectionDamaged, match="is a symbolic link"):
        collection.remove(photos / "a")
    assert (tmp_path / "elsewhere").stat().st_size > 0


def test_a_pipe_and_a_socket_are_refused_without_waiting(collection):
    pipe = collection.path / "photos.lance/_versions/9.manifest"
    os.mkfifo(pipe)
    with pytest.raises(CollectionDamaged, match=r"9\.manifest is a pipe"):
        Collection.open(collection.path)
    pipe.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(collection.path, os.O_RDONLY)
        try:
            listener.bind(f"/proc/self/fd/{folder}/s")
        finally:
            os.close(folder)
        with pytest.raises(CollectionDamaged, match="/s is a socket"):
            Collection.open(collection.path)


def test_a_new_collection_is_not_made_behind_a_link(tmp_path, model):
    (tmp_path / "mine").mkdir()
    (tmp_path / "c").mkdir()
    (tmp_path / "c/photos.lance").symlink_to(tmp_path / "mine")
    with pytest.raises(CollectionDamaged, match="is a symbolic link"):
        Collection.create(tmp_path / "c", model=model)
    assert not list((tmp_path / "mine").iterdir())


def test_a_lock_is_never_written_through_a_link(collection, photos, tmp_path):
    lock, target = collection.path / "writer.lock", tmp_path / "target"
    target.write_text("a file of mine")
    for make in (lambda: lock.symlink_to(target), lambda: os.mkfifo(lock), lock.mkdir):
        lock.unlink()
        make()
        with pytest.raises(CollectionDamaged, match="is no file of its own"):
            collection.remove(photos / "a")
        if lock.is_dir() and not lock.is_symlink():
            lock.rmdir()
            lock.touch()
    assert target.read_text() == "a file of mine"


def test_a_lock_with_a_second_name_locks_and_is_not_written(collection, tmp_path):
    lock = collection.path / "writer.lock"
    lock.unlink()
    (tmp_path / "target").write_text("a file of mine")
    lock.hardlink_to(tmp_path / "target")
    with folder_lock(collection.path, timeout=0):
        pass
    assert (tmp_path / "target").read_text() == "a file of mine"


@pytest.mark.parametrize("name", ["../../x.lance", "/etc/passwd", "a/../../x", "..\\x", "C:\\x", "s3://a/b"])
def test_a_table_lists_no_file_outside_of_it(collection, name):
    with pytest.raises(CollectionDamaged, match="outside of it"):
        require_plain_names(collection.path, [SimpleNamespace(path=name, base_id=None)])
    with pytest.raises(CollectionDamaged, match="outside of it"):
        require_plain_names(collection.path, [SimpleNamespace(path="a.lance", base_id=1)])
    files = [file for fragment in stored(collection).get_fragments() for file in fragment.metadata.files]
    assert files
    require_plain_names(collection.path, files)


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\nb", "a\x7f", os.fsdecode(b"a\xffb")])
def test_no_collection_is_made_in_a_folder_whose_name_lance_cannot_write(tmp_path, photos, model, name):
    for path in (tmp_path / name, tmp_path / name / "deep"):
        for do in (Collection.create, Collection.open, Collection.open_or_create):
            with pytest.raises(InvalidInput, match="holds a control character or bytes that are no text"):
                do(path, model=model)
        with pytest.raises(InvalidInput, match="there can be no collection at"):
            index_photos(path, [photos])
    assert not (tmp_path / name).exists()
    # Any other character may be in it.
    assert Collection.create(tmp_path / "ü \x80%20#?", model=model).add(photos).added == 12
