"""Outputs are whole or not there, whatever happens to their writer and whatever has their place."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from resight.files import whole_file, whole_files, whole_folder, write_whole

KILLED_WRITER = """
import os, signal, sys
from resight.files import whole_file, whole_folder
if sys.argv[1] == "file":
    with whole_file(sys.argv[2]) as stream:
        stream.write(b"half")
        stream.flush()
        os.kill(os.getpid(), signal.SIGKILL)
with whole_folder(sys.argv[2]) as folder:
    (folder / "a.txt").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def kill_a_writer(kind: str, path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_WRITER, kind, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.fixture
def full_disk():
    """The disk refuses every byte of a file after the thousandth."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("content", ["Größe\n", b"\x00\xff"])
def test_text_and_bytes_are_written(tmp_path, content):
    write_whole(tmp_path / "a.txt", content)
    expected = content.encode() if isinstance(content, str) else content
    assert (tmp_path / "a.txt").read_bytes() == expected
    assert names(tmp_path) == ["a.txt"]


def test_an_array_on_a_full_disk_is_told_in_words(tmp_path, full_disk):
    refusal = pytest.raises(OSError, match=r"the disk did not take all of it \(10000 requested and")
    with refusal as refused, whole_file(tmp_path / "a.npy") as stream:
        np.save(stream, np.zeros(10_000))
    assert refused.value.filename == str(tmp_path / "a.npy")
    assert names(tmp_path) == []


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as stream:
        stream.write(bytes([1, 2 // 0]))
    assert (path.read_text(), names(tmp_path)) == ("old", ["a.txt"])


def test_a_full_disk_leaves_the_old_file_and_names_the_file_of_the_user(tmp_path, full_disk):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="too large") as caught:
        write_whole(path, b"x" * 100_000)
    assert caught.value.filename == str(path)
    assert (path.read_text(), names(tmp_path)) == ("old", ["a.txt"])


def test_what_a_killed_writer_left_goes_with_the_next_writer(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    kill_a_writer("file", path)
    assert len(names(tmp_path)) == 2
    assert path.read_text() == "old"
    (tmp_path / ".a.txt.partial").write_text("a file of the user's")
    (tmp_path / ".a.txt.notes.partial").write_text("another")
    write_whole(tmp_path / "b.txt", "of another output")
    assert len(names(tmp_path)) == 5
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert names(tmp_path) == [".a.txt.notes.partial", ".a.txt.partial", "a.txt", "b.txt"]


def test_what_version_0_1_left_goes_too_and_names_that_are_not_its_own_stay(tmp_path):
    path = tmp_path / "a.txt"
    left = [".a.txt.0123abcd.tmp", ".a.txt.0123abcd.partial", ".a.txt.4711.unfinished"]
    others = [
        ".a.txt.tmp",
        ".a.txt.draft.tmp",
        ".a.txt.0123ABCD.tmp",
        ".a.txt.x.unfinished",
        "a.txt.0123abcd.tmp",
    ]
    for name in [*left, *others]:
        (tmp_path / name).write_text("x")
    (tmp_path / ".a.txt.11111111.partial").symlink_to(tmp_path / ".a.txt.tmp")
    os.mkfifo(tmp_path / ".a.txt.22222222.partial")
    write_whole(path, "new")
    stay = [*others, ".a.txt.11111111.partial", ".a.txt.22222222.partial", "a.txt"]
    assert names(tmp_path) == sorted(stay)


def test_a_second_name_of_the_old_file_keeps_what_it_holds(tmp_path):
    path, other = tmp_path / "a.txt", tmp_path / "b.txt"
    path.write_text("old")
    other.hardlink_to(path)
    write_whole(path, "new")
    assert (path.read_text(), other.read_text()) == ("new", "old")


def test_two_writers_of_one_set_never_mix(tmp_path, monkeypatch):
    paths = tmp_path / "a.npy", tmp_path / "a.names.txt"
    turns = threading.Barrier(2)
    replace = Path.replace

    def slow_replace(self, target):
        # Without a lock the first would write the names of the second's rows.
        delays = {("first", ".npy"): 0.05, ("first", ".txt"): 0.15, ("second", ".npy"): 0.1}
        time.sleep(delays.get((self.read_text(), target.suffix), 0.05))
        return replace(self, target)

    def write(text):
        with whole_files(paths) as streams:
            for stream in streams:
                stream.write(text.encode())
            turns.wait()

    monkeypatch.setattr(Path, "replace", slow_replace)
    writers = [threading.Thread(target=write, args=(text,)) for text in ("first", "second")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert paths[0].read_text() == paths[1].read_text()
    assert names(tmp_path) == ["a.names.txt", "a.npy"]


def test_a_place_that_cannot_be_written_is_named_as_the_user_did(tmp_path, monkeypatch):
    def refuse(self, *_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    for writer in (whole_file, whole_folder):
        with pytest.raises(OSError, match="Read-only") as caught, writer(tmp_path / "a"):
            pass
        assert caught.value.filename == str(tmp_path / "a")


def test_a_living_writer_is_left_alone(tmp_path):
    path = tmp_path / "a.txt"
    with whole_file(path) as stream:
        stream.write(b"slow")
        write_whole(path, "quick")
        assert path.read_text() == "quick"
    assert (path.read_text(), names(tmp_path)) == ("slow", ["a.txt"])


def test_the_target_of_a_link_is_written_and_the_link_stays(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to("real/target.txt")
    write_whole(link, "first")
    write_whole(link, "second")
    assert link.is_symlink()
    assert (tmp_path / "real" / "target.txt").read_text() == "second"
    assert names(tmp_path / "real") == ["target.txt"]


def test_a_link_to_itself_is_refused(tmp_path):
    (tmp_path / "a").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links") as caught:
        write_whole(tmp_path / "a", "x")
    assert caught.value.filename == str(tmp_path / "a")


def test_permissions_are_kept(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o640)
    write_whole(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_pipe_is_written_to_or_refused(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    answers: list[bytes] = []
    reader = threading.Thread(target=lambda: answers.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b"through")
    reader.join()
    assert (answers, names(tmp_path)) == ([b"through"], ["pipe"])
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    with pytest.raises(OSError, match="no file but a pipe or device"), whole_file(pipe, device=False):
        pytest.fail("it was opened")


def test_a_writer_that_fails_sends_nothing_to_a_device(tmp_path):
    write_whole("/dev/null", "gone")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(OSError, match="No space") as caught:
        write_whole("/dev/full", "x")
    assert caught.value.filename == "/dev/full"


def test_standard_output_is_written_to():
    program = "from resight.files import write_whole; write_whole('/dev/stdout', 'out')"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stdout == b"out"


@pytest.mark.parametrize(
    ("name", "words"),
    [("no/a.txt", "there is no folder .*no to write it into"), (".", "a folder has the place of the file")],
)
def test_a_wrong_place_is_said(tmp_path, name, words):
    with pytest.raises(OSError, match=words) as caught:
        write_whole(tmp_path / name, "x")
    assert caught.value.filename == str(tmp_path / name)


def test_the_longest_name_can_be_written(tmp_path):
    path = tmp_path / ("ä" * 127)
    write_whole(path, "x")
    assert names(tmp_path) == [path.name]


def test_an_error_about_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, whole_file(tmp_path / "a"):
        (tmp_path / "other").read_bytes()
    assert caught.value.filename == str(tmp_path / "other")


def write_pair(folder: Path, word: str) -> None:
    with whole_files([folder / "a", folder / "b"]) as (first, second):
        first.write(word.encode())
        second.write(word.encode())


def test_files_that_belong_together_never_mix(tmp_path, monkeypatch):
    """Stopped at every call that changes the folder, the set is the old, the new, or lacks a file."""
    stops = 0
    for stop in range(10):
        folder = tmp_path / str(stop)
        folder.mkdir()
        write_pair(folder, "old")
        calls = 0

        def counted(change, *arguments, stop=stop, **options):
            nonlocal calls
            calls += 1
            if calls > stop:
                raise RuntimeError("stopped")
            return change(*arguments, **options)

        with monkeypatch.context() as patch:
            for method in ("replace", "unlink"):
                change = getattr(Path, method)
                patch.setattr(Path, method, lambda *a, _change=change, **o: counted(_change, *a, **o))
            try:
                write_pair(folder, "new")
            except RuntimeError:
                stops += 1
        contents = {name: (folder / name).read_text() for name in ("a", "b") if (folder / name).exists()}
        assert contents in ({"a": "old", "b": "old"}, {"a": "old"}, {"a": "new"}, {"a": "new", "b": "new"})
    assert stops > 2


def test_a_folder_that_may_be_written_to_and_not_listed(tmp_path, monkeypatch):
    def closed(folder):
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", closed)
    write_whole(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_folder_takes_its_place_at_once(tmp_path):
    place = tmp_path / "out"
    for word in ("old", "new"):
        with whole_folder(place) as folder:
            (folder / "sub").mkdir()
            (folder / "sub" / f"{word}.txt").write_text(word)
            assert word == "old" or (place / "sub" / "old.txt").exists()
        assert names(place / "sub") == [f"{word}.txt"]
        assert names(tmp_path) == ["out"]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path):
    place = tmp_path / "out"
    with whole_folder(place) as folder:
        (folder / "a.txt").write_text("old")
    with pytest.raises(ZeroDivisionError), whole_folder(place) as folder:
        (folder / "a.txt").write_text(str(1 // 0))
    assert ((place / "a.txt").read_text(), names(tmp_path)) == ("old", ["out"])
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="a file in the place"), whole_folder(tmp_path / "file"):
        pytest.fail("it was made")


def test_a_folder_with_files_that_are_not_its_own_stays(tmp_path):
    own = re.compile(r"sub/[0-9]\.txt")
    place = tmp_path / "out"
    for _ in range(2):
        with whole_folder(place, own=own) as folder:
            (folder / "sub").mkdir()
            (folder / "sub" / "1.txt").write_text("made")
    refused = pytest.raises(FileExistsError, match=r"holds other things \(sub/x\.txt\)")
    with refused, whole_folder(place, own=own):
        (place / "sub" / "x.txt").write_text("it came meanwhile")
    assert names(place / "sub") == ["1.txt", "x.txt"]
    with (
        pytest.raises(FileExistsError, match=r"holds other things \(sub/x\.txt\)"),
        whole_folder(place, own=own),
    ):
        pytest.fail("it was made")
    assert names(tmp_path) == ["out"]


def test_the_folder_of_a_killed_writer_goes_with_the_next_and_links_are_not_followed(tmp_path):
    place, other = tmp_path / "out", tmp_path / "other"
    other.mkdir()
    (other / "photo.jpg").write_text("a photo")
    kill_a_writer("folder", place)
    (leftover,) = tmp_path.glob(".out.*.partial")
    (leftover / "link").symlink_to(other)
    with whole_folder(place) as folder:
        (folder / "a.txt").write_text("new")
    assert names(tmp_path) == ["other", "out"]
    assert names(other) == ["photo.jpg"]
