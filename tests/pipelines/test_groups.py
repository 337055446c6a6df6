"""What becomes of groups: moved, linked, put into the trash, and all of it taken back."""

from __future__ import annotations

import csv
import errno
import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from resight.collection.groups import Edit, Group, Groups, Member
from resight.errors import InvalidInput
from resight.images.content import content_of
from resight.pipelines.groups import carry_out, plan, undo, write_table


def member(path: Path, **values) -> Member:
    return Member(str(path), 4, 3, path.stat().st_size, values.pop("edit", None), 50, 1.0, None, **values)


@pytest.fixture
def photos(tmp_path) -> Path:
    for folder, name in (("a", "keep.jpg"), ("a", "copy.jpg"), ("b", "copy.jpg"), ("b", "more.jpg")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_bytes(b"\xff\xd8\xff\xe0" + f"{folder}/{name}".encode())
    return tmp_path


def groups(photos, kind="copies") -> Groups:
    paths = [photos / name for name in ("a/keep.jpg", "a/copy.jpg", "b/copy.jpg", "b/more.jpg")]
    edit = Edit(mirrored=True) if kind == "copies" else None
    members = [member(paths[0]), *(member(path, edit=edit) for path in paths[1:])]
    return Groups([Group(kind, members)], 9, 0.5)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix == ".jpg")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_plan_touches_nothing(photos):
    before = contents(photos)
    planned = plan(groups(photos), "move", photos / "out")
    assert [step.target.name for step in planned.done] == ["copy.jpg", "copy-2.jpg", "more.jpg"]
    assert contents(photos) == before
    assert not (photos / "out").exists()


@pytest.mark.parametrize("action", ["move", "trash"])
def test_copies_go_the_kept_one_stays_and_undo_brings_them_back(photos, action):
    before = contents(photos)
    done = carry_out(plan(groups(photos), action, photos / "out"), photos / "log" / "undo.jsonl")
    assert len(done.done) == 3
    place = "out/files" if action == "trash" else "out/0001"
    names = {"a/keep.jpg", f"{place}/copy.jpg", f"{place}/copy-2.jpg", f"{place}/more.jpg"}
    assert contents(photos).keys() == names
    assert sorted(contents(photos).values()) == sorted(before.values())
    if action == "trash":
        info = (photos / "out" / "info" / "copy.jpg.trashinfo").read_text()
        assert info.startswith("[Trash Info]\nPath=" + str(photos / "a" / "copy.jpg"))
    taken_back = undo(photos / "log" / "undo.jsonl")
    assert (len(taken_back.done), len(taken_back.left)) == (3, 0)
    assert contents(photos) == before
    assert not list((photos / "out").rglob("*.trashinfo"))
    assert [reason for _, reason in undo(photos / "log" / "undo.jsonl").left] == [
        "it was not moved, or is back already"
    ] * 3


def test_links_are_made_and_taken_back(photos):
    before = contents(photos)
    done = carry_out(plan(groups(photos, "things"), "link", photos / "out"), photos / "undo.jsonl")
    assert len(done.done) == 4
    assert (photos / "out" / "0001" / "keep.jpg").resolve() == photos / "a" / "keep.jpg"
    undo(photos / "undo.jsonl")
    assert contents(photos) == before
    assert not (photos / "out" / "0001").exists()


def test_of_a_thing_all_photos_move(photos):
    carry_out(plan(groups(photos, "things"), "move", photos / "out"), photos / "undo.jsonl")
    assert len(list((photos / "out" / "0001").iterdir())) == 4


def test_without_the_kept_photo_nothing_moves(photos):
    found = groups(photos)
    (photos / "a" / "keep.jpg").write_bytes(b"another photo now")
    planned = plan(found, "trash", photos / "out")
    assert planned.done == []
    assert {reason for _, reason in planned.left} == {"the photo to keep is not there"}


@pytest.mark.parametrize("action", ["move", "trash"])
@pytest.mark.parametrize("changed", ["a/keep.jpg", "b/more.jpg"])
def test_other_bytes_of_the_same_size_are_another_photo(photos, action, changed):
    known = [replace(each, content=content_of(each.path)) for each in groups(photos)[0]]
    (photos / changed).write_bytes((photos / changed).read_bytes()[::-1])
    os.utime(photos / "a" / "copy.jpg", ns=(1, 1))
    planned = plan(Groups([Group("copies", known)], 9, 0.5), action, photos / "out")
    # A file that was restored has another time and its own bytes.
    moved = [] if changed == "a/keep.jpg" else ["a/copy.jpg", "b/copy.jpg"]
    assert [str(step.source.relative_to(photos)) for step in planned.done] == moved
    assert len(plan(Groups([Group("copies", known)], 9, 0.5), "link", photos / "out").done) == 4


def test_a_copy_in_more_pixels_than_the_kept_photo_is_left_alone(photos):
    found = groups(photos)
    finer = replace(found[0].members[3], edit=Edit(scale=2.0))
    found = Groups([Group("copies", [*found[0].members[:3], finer])], 9, 0.5)
    for action, count in (("trash", 2), ("move", 2), ("link", 4)):
        planned = plan(found, action, photos / "out")
        assert len(planned.done) == count
        if action != "link":
            assert planned.left == [
                (Path(finer.path), "it shows its part in more pixels than the photo to keep")
            ]


def test_links_stay_and_so_does_what_a_kept_link_leads_to(photos):
    before = contents(photos)
    (photos / "a" / "keep.jpg").rename(photos / "real.jpg")
    (photos / "a" / "keep.jpg").symlink_to("../real.jpg")
    (photos / "b" / "more.jpg").unlink()
    (photos / "b" / "more.jpg").symlink_to("copy.jpg")
    found = groups(photos)
    found = Groups([Group("copies", [*found[0].members, member(photos / "real.jpg")])], 9, 0.5)
    planned = plan(found, "trash", photos / "out")
    assert [step.source.name for step in planned.done] == ["copy.jpg", "copy.jpg"]
    assert planned.left == [
        (photos / "b" / "more.jpg", "it is a link, which may lead nowhere from another folder"),
        (photos / "real.jpg", "the photo to keep is a link to it"),
    ]
    carry_out(planned, photos / "undo.jsonl")
    assert (photos / "a" / "keep.jpg").read_bytes() == before["a/keep.jpg"]
    undo(photos / "undo.jsonl")
    assert (photos / "b" / "more.jpg").read_bytes() == before["b/copy.jpg"]


@pytest.mark.parametrize("action", ["move", "trash"])
def test_a_file_that_may_not_go_is_left_alone_and_the_others_go(photos, monkeypatch, action):
    remove = Path.unlink

    def refuse(path, **more):
        if path == photos / "a" / "copy.jpg":
            raise PermissionError(errno.EPERM, "Operation not permitted", str(path))
        remove(path, **more)

    monkeypatch.setattr(Path, "unlink", refuse)
    done = carry_out(plan(groups(photos), action, photos / "out"), photos / "undo.jsonl")
    assert len(done.done) == 2
    assert done.left == [(photos / "a" / "copy.jpg", "it cannot be moved: Operation not permitted")]
    assert (photos / "a" / "copy.jpg").exists()
    assert len([path for path in (photos / "out").rglob("*") if path.is_file()]) == (
        4 if action == "trash" else 2
    )


def test_a_name_too_long_for_the_trash_and_a_note_without_a_file_keep_no_other_from_going(photos):
    long = photos / "b" / f"{'n' * 248}.jpg"
    (photos / "b" / "more.jpg").rename(long)
    (photos / "out" / "info").mkdir(parents=True)
    (photos / "out" / "info" / "copy.jpg.trashinfo").write_text("[Trash Info]\n")
    members = [member(photos / name) for name in ("a/keep.jpg", "a/copy.jpg")] + [member(long)]
    members.append(member(photos / "b" / "copy.jpg"))
    found = Groups([Group("copies", members)], 9, 0.5)
    done = carry_out(plan(found, "trash", photos / "out"), photos / "undo.jsonl")
    assert [step.target.name for step in done.done] == ["copy-2.jpg", "copy-3.jpg"]
    assert done.left == [(long, "it cannot be moved: File name too long")]
    assert (photos / "out" / "info" / "copy.jpg.trashinfo").read_text() == "[Trash Info]\n"
    assert len(undo(photos / "undo.jsonl").done) == 2
    assert long.is_file()


@pytest.mark.parametrize("name", ["file", "file/sub", "dangling", "dangling/sub"])
def test_a_folder_that_cannot_be_is_refused_before_anything_is_done(photos, name):
    (photos / "file").write_bytes(b"")
    (photos / "dangling").symlink_to("nowhere")
    with pytest.raises(InvalidInput, match=f"{name.split('/')[0]} is a file: name a folder"):
        plan(groups(photos), "link", photos / name)


def test_undo_says_what_is_at_neither_place(photos):
    carry_out(plan(groups(photos), "move", photos / "out"), photos / "undo.jsonl")
    gone = photos / "out" / "0001" / "more.jpg"
    gone.unlink()
    done = undo(photos / "undo.jsonl")
    assert len(done.done) == 2
    assert done.left == [(photos / "b" / "more.jpg", f"it is neither there nor at {gone}")]
    assert {reason for _, reason in undo(photos / "undo.jsonl").left} == {
        "it was not moved, or is back already",
        f"it is neither there nor at {gone}",
    }


def test_what_has_changed_meanwhile_is_left_alone(photos):
    planned = plan(groups(photos), "move", photos / "out")
    (photos / "b" / "more.jpg").unlink()
    (photos / "out" / "0001").mkdir(parents=True)
    (photos / "out" / "0001" / "copy.jpg").write_bytes(b"somebody else's")
    done = carry_out(planned, photos / "undo.jsonl")
    assert [step.target.name for step in done.done] == ["copy-2.jpg"]
    assert len(done.left) == 2
    assert (photos / "out" / "0001" / "copy.jpg").read_bytes() == b"somebody else's"


def test_a_folder_that_refuses_a_file_keeps_no_other_from_going_back(photos, monkeypatch):
    before = contents(photos)
    carry_out(plan(groups(photos), "move", photos / "out"), photos / "undo.jsonl")
    link = os.link

    def refuse(source, target, **more):
        if target == photos / "b" / "copy.jpg":
            raise PermissionError(errno.EACCES, "Permission denied", str(source), None, str(target))
        link(source, target, **more)

    def whole_file(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr("resight.pipelines.groups.whole_file", whole_file)
    done = undo(photos / "undo.jsonl")
    lies = photos / "out" / "0001" / "copy-2.jpg"
    assert len(done.done) == 2
    assert done.left == [
        (photos / "b" / "copy.jpg", f"it cannot go back: Permission denied; it lies at {lies}")
    ]
    monkeypatch.undo()
    assert len(undo(photos / "undo.jsonl").done) == 1
    assert contents(photos) == before


def test_undo_replaces_nothing(photos):
    carry_out(plan(groups(photos), "move", photos / "out"), photos / "undo.jsonl")
    (photos / "b" / "more.jpg").write_bytes(b"new")
    done = undo(photos / "undo.jsonl")
    assert len(done.done) == 2
    assert (photos / "b" / "more.jpg").read_bytes() == b"new"
    assert "another file has its place" in done.left[0][1]


def test_a_move_that_is_stopped_has_been_written_down(photos, monkeypatch):
    before = contents(photos)
    moved = []

    def stop(source, target, **_):
        moved.append(target)
        if len(moved) == 2:
            raise KeyboardInterrupt
        source.rename(target)
        source.write_bytes(b"")

    planned = plan(groups(photos), "move", photos / "out")
    monkeypatch.setattr(os, "link", stop)
    with pytest.raises(KeyboardInterrupt):
        carry_out(planned, photos / "undo.jsonl")
    monkeypatch.undo()
    assert len(undo(photos / "undo.jsonl").done) == 1
    assert contents(photos) == before


def test_another_disk_gets_a_copy_that_is_compared(photos, monkeypatch):
    def refuse(*_, **__):
        raise OSError(18, "another disk")

    monkeypatch.setattr(os, "link", refuse)
    before = contents(photos)
    carry_out(plan(groups(photos), "move", photos / "out"), photos / "undo.jsonl")
    assert sorted(contents(photos).values()) == sorted(before.values())
    assert not (photos / "b" / "more.jpg").exists()


def test_things_do_not_go_into_the_trash(photos):
    with pytest.raises(InvalidInput, match="photos of one thing are different photos"):
        plan(groups(photos, "things"), "trash", photos / "out")
    with pytest.raises(InvalidInput, match="is a file: name a folder"):
        plan(groups(photos), "move", photos / "a" / "keep.jpg")


@pytest.mark.parametrize(
    "text", ["no record", '{"action": "move"}', '{"action": "delete", "source": "a", "target": "b"}']
)
def test_another_file_is_no_record(tmp_path, text):
    (tmp_path / "undo.jsonl").write_text(text)
    with pytest.raises(InvalidInput, match=r"is no record of moved files|which this version does not know"):
        undo(tmp_path / "undo.jsonl")


@pytest.mark.parametrize(
    "text",
    ['{"action": "move", "source": 1, "target": "/b"}\n', "[]\n", '{"action": "move"}\n', "\0\n", "[" * 9999],
)
def test_a_damaged_record_is_one_sentence(tmp_path, text):
    (tmp_path / "undo.jsonl").write_text(text)
    with pytest.raises(InvalidInput, match=r"undo\.jsonl is no record of moved files: name the file"):
        undo(tmp_path / "undo.jsonl")
    (tmp_path / "undo.jsonl").unlink()
    os.mkfifo(tmp_path / "undo.jsonl")
    with pytest.raises(InvalidInput, match="it is no file, but a folder, a pipe"):
        undo(tmp_path / "undo.jsonl")


def test_a_record_from_elsewhere_moves_photos_alone_and_removes_links_to_them_alone(photos):
    letter, link = photos / "letter.txt", photos / "link"
    letter.write_text("keep me where I am")
    link.symlink_to(letter)
    steps = [
        {"action": "move", "source": str(photos / "gone"), "target": str(letter)},
        {"action": "trash", "source": str(photos / "gone"), "target": str(letter)},
        {"action": "link", "source": str(letter), "target": str(link)},
        {"action": "move", "source": "relative", "target": str(photos / "a" / "copy.jpg")},
    ]
    record = photos / "undo.jsonl"
    record.write_text("".join(json.dumps(step) + "\n" for step in steps[:3]))
    assert len(undo(record).left) == 3
    assert link.readlink() == letter
    record.write_text(json.dumps(steps[3]) + "\n")
    with pytest.raises(InvalidInput, match="by no path from the root on"):
        undo(record)


def test_a_line_that_was_cut_off_keeps_no_step_from_being_taken_back(photos):
    before, record = contents(photos), photos / "undo.jsonl"
    carry_out(plan(groups(photos), "move", photos / "out"), record)
    with record.open("a") as stream:
        stream.write('{"action": "move", "sour')
    assert len(undo(record).done) == 3
    assert contents(photos) == before


def test_a_full_disk_names_the_record_and_moves_nothing_more(photos, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = contents(photos)
    planned = plan(groups(photos), "move", photos / "out")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as refused:
        carry_out(planned, photos / "undo.jsonl")
    assert refused.value.filename == str(photos / "undo.jsonl")
    assert contents(photos) == before


def test_the_table_has_a_line_for_each_member(photos):
    write_table(groups(photos), photos / "groups.csv")
    rows = list(csv.DictReader((photos / "groups.csv").read_text().splitlines()))
    assert [row["keep"] for row in rows] == ["1", "0", "0", "0"]
    assert rows[1]["edit"] == "mirrored"
    assert {row["group"] for row in rows} == {"1"}


class Killed(BaseException):
    """Ends a call at once."""


@pytest.mark.parametrize("action", ["move", "trash"])
@pytest.mark.parametrize("stop", range(2, 12))
def test_a_kill_between_any_two_calls_is_undone_whole(photos, action, stop, monkeypatch):
    before, calls = contents(photos), []

    def counted(call):
        def run(*arguments, **more):
            calls.append(call)
            if len(calls) == stop:
                raise Killed
            return call(*arguments, **more)

        return run

    planned = plan(groups(photos), action, photos / "out")
    with monkeypatch.context() as patched:
        for name in ("fsync", "link", "unlink", "mkdir"):
            patched.setattr(os, name, counted(getattr(os, name)))
        with suppress(Killed):
            carry_out(planned, photos / "undo.jsonl")
    assert set(contents(photos).values()) == set(before.values())
    undo(photos / "undo.jsonl")
    assert contents(photos) == before
    assert not [path for path in (photos / "out").rglob("*") if path.is_file()]


def test_undo_leaves_two_files_of_equal_content_alone(photos):
    carry_out(plan(groups(photos), "move", photos / "out"), photos / "undo.jsonl")
    place = photos / "out" / "0001" / "more.jpg"
    (photos / "b" / "more.jpg").write_bytes(place.read_bytes())
    assert len(undo(photos / "undo.jsonl").left) == 1
    assert place.exists()
