"""Adding, removing, undoing and watching over the wire, while searches go on."""

from __future__ import annotations

import json
import shutil
import threading

import pytest

from resight.collection import Collection
from resight.scenes import write_collection

from .conftest import running


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Photos of places that no collection has."""
    folder = tmp_path_factory.mktemp("others")
    write_collection(folder, places=2, views=2, distractors=0, side=200, seed=99)
    return sorted(folder.glob("*.jpg"))


def test_uploads_are_added_and_found(own, others, tmp_path):
    content = others[0].read_bytes()
    assert not (tmp_path / "uploads").exists()
    own.post("search", files={"photo": content})
    # A search stores nothing of what it is sent.
    assert not (tmp_path / "uploads").exists()
    answer = own.post("photos", files=[("photo", ("../../évil name.JPEG.exe", content))] * 2)
    assert answer.status_code == 202
    job = own.ended(answer.json())
    assert (job["state"], job["added"], job["broken"]) == ("done", 1, [])
    (kept,) = (tmp_path / "uploads").iterdir()
    assert kept.read_bytes() == content
    assert kept.name.startswith("évil-name-JPEG-")
    assert kept.suffix == ".jpg"
    hits = own.post("search", files={"photo": content}).json()["hits"]
    assert (hits[0]["path"], hits[0]["verdict"]) == (str(kept), "confirmed")
    assert own.get(f"photos/{hits[0]['id']}").content == content


@pytest.mark.parametrize("name", ["..", "a\\b\\.jpg", "x" * 300, "\u202egpj.exe"])
def test_whatever_an_upload_is_called_its_file_has_a_plain_name(own, others, tmp_path, name):
    job = own.ended(own.post("photos", files={"photo": (name, others[1].read_bytes())}).json())
    assert job["state"] == "done"
    (kept,) = (tmp_path / "uploads").iterdir()
    assert kept.suffix == ".jpg"
    assert len(kept.name) < 100
    assert kept.name.replace("-", "").replace(".", "").replace("_", "").isalnum()


def test_uploads_that_are_no_photos_change_nothing(own, others, tmp_path):
    for content in (b"", b"text", b"<svg/>", b"%PDF-1.4", b"PK\x03\x04"):
        form = [("photo", ("a.jpg", others[0].read_bytes())), ("photo", ("b.jpg", content))]
        answer = own.post("photos", files=form)
        assert answer.status_code == 422
        assert "'b.jpg' is " in answer.json()["detail"]
    assert not (tmp_path / "uploads").exists()
    # What begins as a photo and is none is kept as broken, with the reason.
    job = own.ended(own.post("photos", files={"photo": ("c.jpg", others[0].read_bytes()[:300])}).json())
    assert (job["state"], job["added"], len(job["broken"])) == ("done", 0, 1)
    (broken,) = own.get("problems").json()["broken"]
    assert broken["reason"] == job["broken"][0]["reason"]
    assert own.get("ready").json()["photos"] == 15


def test_a_removal_is_undone_with_its_metadata(own, query):
    ids = own.ids()
    number = ids["place_000_view_0.jpg"]
    thumbnail = own.get(f"photos/{number}/thumbnail").content
    job = own.ended(own.post("remove", json={"ids": [number, ids["place_001_view_0.jpg"]]}).json())
    assert (job["state"], job["removed"], job["can_undo"]) == ("done", 2, True)
    assert own.get(f"photos/{number}").status_code == 404
    assert own.get(f"photos/{number}/thumbnail").status_code == 404
    assert own.get("photos").json()["total"] == 13
    paths = [hit["path"] for hit in own.post("search", files={"photo": query}).json()["hits"]]
    assert not any(path.endswith("place_000_view_0.jpg") for path in paths)
    undone = own.ended(own.post(f"jobs/{job['id']}/undo").json())
    assert (undone["state"], undone["added"]) == ("done", 2)
    number = own.ids()["place_000_view_0.jpg"]
    assert own.get(f"photos/{number}/info").json()["metadata"] == {"label": "place_000", "view": 0}
    assert own.get(f"photos/{number}/thumbnail").content == thumbnail
    assert own.post(f"jobs/{job['id']}/undo").status_code == 409
    assert own.post(f"jobs/{undone['id']}/undo").status_code == 409
    assert own.post("jobs/77/undo").status_code == 404
    assert own.client.delete(f"photos/{number}").status_code == 202


def test_a_folder_is_followed(own, others, tmp_path):
    own.service.watches._seconds = 0.05
    folder = tmp_path / "watched"
    folder.mkdir()
    job = own.ended(own.post("watches", json={"path": str(folder)}).json())
    assert job["state"] == "done"
    assert own.get("watches").json() == [str(folder)]
    shutil.copy(others[0], folder / "a.jpg")
    (folder / "film.mp4").write_bytes(b"x")
    assert until(lambda: own.get("photos").json()["total"] == 16)
    (entry,) = [one for one in own.get("collection").json()["folders"] if one["path"] == str(folder)]
    assert (entry["watched"], entry["photos"]) == (True, 1)
    assert own.get("problems").json()["passed_over"] == {".mp4": 1}
    shutil.copy(others[1], folder / "b.jpg")
    (folder / "a.jpg").unlink()
    assert until(lambda: "b.jpg" in own.ids() and "a.jpg" not in own.ids())
    assert own.client.delete("watches", params={"path": str(folder)}).status_code == 204
    assert own.client.delete("watches", params={"path": str(folder)}).status_code == 404
    assert own.get("watches").json() == []


def until(holds) -> bool:
    """Whether a condition holds within ten seconds."""
    for _ in range(200):
        if holds():
            return True
        threading.Event().wait(0.05)
    return False


def test_what_another_process_adds_is_found_at_once_while_searches_go_on(own, others, query):
    stop, answers = threading.Event(), []

    def search() -> None:
        while not stop.is_set():
            answers.append(own.post("search", files={"photo": query}, data={"verify": "0"}))

    thread = threading.Thread(target=search)
    thread.start()
    other = Collection.open(own.service.collection.path, model="sift")
    other.add(others)
    hits = own.post("search", files={"photo": others[0].read_bytes()}).json()["hits"]
    assert hits[0]["path"] == str(others[0])
    other.remove(others[0])
    hits = own.post("search", files={"photo": others[0].read_bytes()}).json()["hits"]
    assert hits[0]["path"] != str(others[0])
    stop.set()
    thread.join()
    assert answers
    assert {answer.status_code for answer in answers} == {200}


def test_events_tell_of_jobs_and_of_changes(own, others):
    told = []

    def listen() -> None:
        with own.client.stream("GET", "events") as stream:
            for line in stream.iter_lines():
                told.append(line)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert until(lambda: "event: collection" in told)
    own.ended(own.post("photos", files={"photo": ("a.jpg", others[0].read_bytes())}).json())
    assert until(lambda: told.count("event: collection") >= 2)
    jobs = [json.loads(line[6:]) for line in told if line.startswith("data: [")]
    assert until(lambda: any('"state": "done"' in line for line in told))
    assert jobs[0] == []
    own.service.stopping.set()
    thread.join(20)
    assert not thread.is_alive()


def test_requests_that_were_taken_are_finished_when_the_server_ends(made, tmp_path, query):
    answers: list[int] = []

    with running(made / "photos.resight", tmp_path) as live:

        def search() -> None:
            answers.append(live.post("search", files={"photo": query}).status_code)

        threads = [threading.Thread(target=search) for _ in range(6)]
        for thread in threads:
            thread.start()
        assert until(lambda: live.service._held == 6)
        live.service.stopping.set()
        for thread in threads:
            thread.join()
    assert answers == [200] * 6


def test_searches_at_once_get_what_each_would_get_alone(made, live):
    contents = [path.read_bytes() for path in sorted((made / "photos").glob("*.jpg"))[:6]]
    form = {"verify": "2", "top": "15"}
    alone = [live.post("search", files={"photo": each}, data=form).json()["hits"] for each in contents]
    together: dict[int, list] = {}

    def search(number: int) -> None:
        asked = {"verify": "2", "top": str(1 + number)}
        answer = live.post("search", files={"photo": contents[number]}, data=asked)
        together[number] = answer.json()["hits"]

    threads = [threading.Thread(target=search, args=(number,)) for number in range(len(contents))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[number] for number in range(6)] == [hits[: 1 + n] for n, hits in enumerate(alone)]
