"""The authors' checkpoints by name, from a server of our own that serves made files of their layout."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from resight.errors import InvalidInput, WeightsUnavailable
from resight.models import available, checkpoints, download, load_model, load_recorded
from resight.models.checkpoints import keep
from resight.models.published import ConversionConfig, convert

NAME = "sfm120k-resnet50-gem-w"
LAYOUT = "cirtorch-alexnet-gem"  # The smallest; theirs are of the same family.
TRUNK = "torchvision:alexnet"


class Server:
    """Serves one file; how badly is set from outside."""

    def __init__(self, content):
        self.content, self.requests = content, []
        self.break_after = None
        self.ignores_ranges = False
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, handler):
        wanted = handler.headers.get("Range")
        self.requests.append(wanted)
        if self.status != 200:
            handler.send_error(self.status)
            return
        start = 0 if wanted is None or self.ignores_ranges else int(wanted[6:-1])
        if start >= len(self.content):
            handler.send_error(416)
            return
        rest = self.content[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(rest)))
        handler.end_headers()
        handler.wfile.write(rest[: self.break_after])

    def url(self, digest=None):
        digest = hashlib.sha256(self.content).hexdigest()[:7] if digest is None else digest
        return f"http://127.0.0.1:{self.http.server_port}/made-{digest}.pth"


@pytest.fixture
def serve():
    servers = []

    def start(content):
        servers.append(Server(content))
        return servers[-1]

    yield start
    for server in servers:
        server.http.shutdown()
        server.http.server_close()


@pytest.fixture(scope="module")
def made(tmp_path_factory, numbered_state, meta_of):
    """A file of the authors' layout; each tensor holds one number, so that it is small."""
    path = tmp_path_factory.mktemp("made") / "made.pth"
    torch.save({"state_dict": numbered_state(LAYOUT), "meta": meta_of(LAYOUT)}, path)
    return path.read_bytes()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return tmp_path / ".cache" / "resight" / "models"


@pytest.fixture
def at(monkeypatch):
    """Gives the checkpoint of a name another address."""

    def put(url, name=NAME):
        entry = replace(checkpoints.checkpoints()[name], url=url, trunk=TRUNK, dim=256)
        monkeypatch.setattr(checkpoints, "checkpoints", lambda: {name: entry})
        monkeypatch.setattr("resight.models.zoo.checkpoints", lambda: {name: entry})
        return entry

    return put


def test_a_name_is_fetched_once_converted_and_kept(serve, made, home, at, caplog, tmp_path):
    server = serve(made)
    entry = at(server.url())
    assert not next(each for each in available(look=True) if each.name == NAME).local
    with caplog.at_level(logging.INFO):
        model = load_model(NAME)
    (said,) = [record.getMessage() for record in caplog.records]
    assert f"{NAME} is fetched once from {server.url()}, about 111 MB: licence MIT; ROxford Medium" in said
    assert (model.name, model.dim, model.licence) == (NAME, entry.dim, "MIT")
    assert server.requests == [None]
    path = tmp_path / "made.pth"
    path.write_bytes(made)
    same = convert(path, ConversionConfig(licence="MIT")).bundle
    assert model.fingerprint == same.fingerprint
    assert [each.name for each in home.iterdir()] == [f"{NAME}.safetensors"]
    # From the cache: no server is asked again, nor by the header of a collection.
    assert load_model(NAME).fingerprint == load_recorded(NAME, "").fingerprint == model.fingerprint
    assert server.requests == [None]
    assert next(each for each in available(look=True) if each.name == NAME).local


@pytest.mark.parametrize("damage", [lambda whole: whole, lambda whole: whole[:900] + b"x" + whole[901:]])
def test_what_a_killed_command_has_fetched_is_used_if_it_is_whole(serve, made, home, at, damage):
    server = serve(made)
    at(server.url())
    home.mkdir(parents=True)
    (home / server.url().rpartition("/")[2]).write_bytes(damage(made))
    load_model(NAME)
    assert len(server.requests) == (damage(made) != made)
    assert [each.name for each in home.iterdir()] == [f"{NAME}.safetensors"]


def test_a_header_fetches_nothing(serve, made, home, at):
    server = serve(made)
    at(server.url())
    with pytest.raises(WeightsUnavailable, match="not in the cache, and downloads were not allowed"):
        load_recorded(NAME, "")
    assert server.requests == []


def fetch(server, path, *, digest=None, most_bytes=10**9):
    url = server.url(digest)
    digest = url.rpartition("-")[2].removesuffix(".pth")
    download.fetch_file(url, path, digest=digest, most_bytes=most_bytes, wanted="made")


@pytest.fixture
def content():
    return np.random.default_rng(1).integers(0, 256, 10_000, dtype=np.uint8).tobytes()


def test_what_broke_off_goes_on_where_it_ended(serve, content, tmp_path):
    server = serve(content)
    server.break_after = 4_000
    path = tmp_path / "file.pth"
    fetch(server, path)
    assert server.requests == [None, "bytes=4000-", "bytes=8000-"]
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_later_call_goes_on_too(serve, content, tmp_path, monkeypatch):
    server = serve(content)
    server.break_after = 1_000
    monkeypatch.setattr("time.sleep", lambda _: None)
    path = tmp_path / "file.pth"
    with pytest.raises(
        WeightsUnavailable, match=r"broke off after 5,000 of 10,000 bytes; 5,000 bytes are kept"
    ):
        fetch(server, path)
    assert not path.exists()
    server.break_after = None
    fetch(server, path)
    assert server.requests[-1] == "bytes=5000-"
    assert path.read_bytes() == content


def test_a_server_that_knows_no_ranges_is_asked_for_all(serve, content, tmp_path):
    server = serve(content)
    server.ignores_ranges = True
    (tmp_path / "file.pth.part").write_bytes(b"something else, and older")
    fetch(server, tmp_path / "file.pth")
    assert (tmp_path / "file.pth").read_bytes() == content


def test_a_whole_part_is_not_fetched_again(serve, content, tmp_path):
    server = serve(content)
    (tmp_path / "file.pth.part").write_bytes(content)
    fetch(server, tmp_path / "file.pth")
    assert server.requests == ["bytes=10000-"]
    assert (tmp_path / "file.pth").read_bytes() == content


def test_a_wrong_hash_leaves_nothing(serve, content, tmp_path):
    with pytest.raises(WeightsUnavailable, match=r"is not that of made: its SHA-256 begins with .{7} and"):
        fetch(serve(content), tmp_path / "file.pth", digest="0000000")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_too_large_leaves_nothing(serve, content, tmp_path):
    with pytest.raises(WeightsUnavailable, match="gives more than 9,999 bytes for made"):
        fetch(serve(content), tmp_path / "file.pth", most_bytes=9_999)
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_is_a_sentence(serve, content, tmp_path):
    server = serve(content)
    server.status = 404
    with pytest.raises(WeightsUnavailable, match=r"cannot fetch .* the server answers 404 .*--as made"):
        fetch(server, tmp_path / "file.pth")
    assert len(server.requests) == 1


def test_offline_is_a_sentence(home, at):
    at("http://127.0.0.1:9/made-0000000.pth")
    with pytest.raises(WeightsUnavailable, match=r"127\.0\.0\.1:9.*refused.*resight convert FILE --as"):
        load_model(NAME)


def test_what_is_no_checkpoint_is_a_sentence(serve, home, at):
    at(serve(b"<html>gone</html>").url())
    with pytest.raises(WeightsUnavailable, match=r"cannot use what http.* holds: the checkpoint .*cannot be"):
        load_model(NAME)


def test_what_no_program_can_fetch_is_fetched_by_hand(home, made, tmp_path):
    with pytest.raises(
        WeightsUnavailable,
        match=r"offered at https://github.com/sungonce/CVNet, .* resight convert FILE --as cvnet-resnet50",
    ):
        load_model("cvnet-resnet50")
    path = tmp_path / "made.pth"
    path.write_bytes(made)
    entry = checkpoints.checkpoints()[NAME]
    with pytest.raises(InvalidInput, match=rf"has the trunk {TRUNK} and {NAME} has resnet50\.tv_in1k: give"):
        keep(entry, path)
    assert keep(replace(entry, trunk=TRUNK), path).parent == home
    assert load_recorded(NAME, "").licence == "MIT"


def test_super_global_over_the_same_file(home, made, tmp_path):
    path = tmp_path / "made.pth"
    path.write_bytes(made)
    entry = checkpoints.checkpoints()["superglobal-resnet50"]
    # AlexNet is no ResNet: the settings arrive where they are checked.
    with pytest.raises(InvalidInput, match="ReLUP is defined for ResNets, and the trunk is torchv"):
        keep(replace(entry, family="cirtorch", trunk=TRUNK), path)


def test_names_and_hashes_stand_once():
    entries = checkpoints.checkpoints().values()
    urls = [each.url for each in entries if each.url is not None]
    assert Counter(urls).most_common(1)[0][1] == 1
    for url in urls:
        assert len(bytes.fromhex(url.removesuffix(".pth").rpartition("-")[2] + "0")) == 4
    assert all(each.published is None or "(" in each.published for each in entries)
