"""The command as a process: what it prints and how it ends; the client of the example."""

from __future__ import annotations

import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from resight.cli import main
from resight.serving import server

EXAMPLE = Path(__file__).parents[2] / "examples" / "rest_client.py"


@contextmanager
def command(*arguments: str, folder: Path):
    """``resight serve`` on a free port: the process and the lines up to the one that says how it ends."""
    line = [sys.executable, "-m", "resight", "serve", *arguments, "--port", "0"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    process = subprocess.Popen(
        line, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        lines = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        yield process, lines
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="signals are not those of Windows")
def test_a_folder_is_indexed_served_and_the_server_ends_when_it_has_answered(
    made, tmp_path, capsys, monkeypatch
):
    shutil.copytree(made / "photos", tmp_path / "town")
    with command("town", folder=tmp_path) as (process, lines):
        assert "town.resight, 15 photos, at http://127.0.0.1:" in lines[0]
        assert "max_bytes=67108864" in lines[2]
        assert "threads=" in lines[2]
        url = lines[0].rstrip().rpartition(" ")[2]
        photo = tmp_path / "town" / "place_000_view_0.jpg"
        monkeypatch.setattr(sys, "argv", ["rest_client.py", str(photo), url])
        runpy.run_path(str(EXAMPLE), run_name="__main__")
        first, second, *_ = capsys.readouterr().out.splitlines()
        assert first.split()[:2] == ["1", "confirmed"]
        assert "place_000" in second
        statuses = []
        content = photo.read_bytes()

        def search() -> None:
            answer = httpx.post(f"{url}api/v1/search", files={"photo": content}, timeout=60, trust_env=False)
            statuses.append(answer.status_code)

        threads = [threading.Thread(target=search) for _ in range(4)]
        for thread in threads:
            thread.start()
        while "resight_held_requests 4.0" not in httpx.get(f"{url}api/v1/metrics", trust_env=False).text:
            if not any(thread.is_alive() for thread in threads):
                break
        process.send_signal(signal.SIGINT)
        for thread in threads:
            thread.join()
        assert statuses == [200] * 4
        assert process.wait(30) == 0
        assert process.stderr.read().count("Traceback") == 0
    # What was indexed stays; the thumbnails of this one would be below the folder of caches.
    assert (tmp_path / "town.resight").is_dir()


@pytest.mark.skipif(os.name == "nt", reason="signals are not those of Windows")
def test_a_second_interrupt_ends_the_server_at_once_and_quietly(made, tmp_path):
    shutil.copytree(made / "photos", tmp_path / "town")
    with command("town", folder=tmp_path) as (process, lines):
        address = lines[0].rstrip().rpartition(":")[2].rstrip("/")
        # A request that never ends keeps a server that was asked once.
        with socket.create_connection(("127.0.0.1", int(address))) as slow:
            slow.sendall(
                b"POST /api/v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n"
                b"Expect: 100-continue\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n"
            )
            # The server has begun with the request, and waits for its photo.
            assert slow.recv(100).startswith(b"HTTP/1.1 100 ")
            process.send_signal(signal.SIGINT)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        assert "Traceback" not in process.stderr.read()


def test_the_client_of_the_example_does_what_it_says(own, others_photo):
    client = runpy.run_path(str(EXAMPLE))["Client"](own.url)
    ids = own.ids()
    first = ids["place_000_view_0.jpg"]
    hits = client.search(id=first, box="20,20,200,200", top=2, where="view > 0")
    assert [hit.rank for hit in hits] == [1, 2]
    assert client.get("matches", query=first, answer=hits[0].id).json()["inliers"] > 20
    assert client.get(f"photos/{hits[0].id}/thumbnail").content[:2] == b"\xff\xd8"
    number = client.add([others_photo])
    assert own.ended(client.get(f"jobs/{number}").json())["added"] == 1


def test_the_network_runs_by_the_engine_that_is_named(made, tmp_path, monkeypatch, capsys):
    shutil.copytree(made / "photos", tmp_path / "town")
    asked = []
    monkeypatch.setattr(
        "resight.collection.collection.with_engine", lambda model, engine: asked.append(engine) or model
    )
    monkeypatch.setattr("resight.serving.serve", lambda service, *_, **__: service.collection.model)
    line = ["serve", "--cache", str(tmp_path / "cache")]

    def engines(path: Path, *options: str) -> set[str]:
        asked.clear()
        assert main([*line, str(path), *options]) == 0
        return set(asked)

    collection = made / "photos.resight"
    assert engines(collection, "--engine", "onnx") == {"onnx"}
    # Few photos are not worth the writing of the network.
    assert engines(collection) == {"torch"}
    assert engines(tmp_path / "town", "--engine", "openvino") == {"openvino"}
    monkeypatch.setattr("resight.models.engines._WORTH_PHOTOS", 15)
    assert engines(collection) == {"auto"}
    capsys.readouterr()
    assert main([*line, str(collection), "--engine", "abacus"]) == 2
    assert "there is no engine 'abacus'; accepted are auto, torch" in capsys.readouterr().err


@pytest.fixture
def others_photo(tmp_path):
    from resight.scenes import write_collection

    (photo,) = write_collection(tmp_path / "other", places=1, views=1, distractors=0, side=200, seed=77)
    return photo.path


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nothing.resight"], "there is no collection at"),
        (["empty"], "holds no photo that can be read"),
        (["photos.resight", "--host", "0.0.0.0"], "--token-file"),
        (["photos.resight", "--token-file", "no-such-file"], "cannot be read"),
        (["photos.resight", "--host", "192.0.2.77", "--token-file", "token"], "nothing can be served at"),
        (["photos.resight", "--watch", "nowhere"], "there is no folder"),
    ],
)
def test_what_cannot_be_served_is_told(made, tmp_path, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "token").write_text("a-word-that-nobody-guesses")
    (tmp_path / "photos.resight").symlink_to(made / "photos.resight")
    assert main(["serve", *words, "--cache", str(tmp_path / "cache")]) == 1
    assert sentence in capsys.readouterr().err


def test_a_limit_below_its_least_value_is_told(capsys):
    assert main(["serve", "photos.resight", "--max-top", "0"]) == 2
    assert "--max-top" in capsys.readouterr().err


def test_the_second_piece_of_an_answer_does_not_wait_for_the_acknowledgement_of_the_first():
    with server._bound("127.0.0.1", 0) as bound:
        bound.listen()
        with socket.create_connection(bound.getsockname()):
            accepted, _ = bound.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
