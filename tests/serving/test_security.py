"""What strangers, other pages and local users try against a server, and that none of it works."""

from __future__ import annotations

import json
import os
import shutil
import socket

import httpx
import pytest

from resight.collection import Collection
from resight.errors import InvalidInput
from resight.scenes import write_collection
from resight.serving import Access

from .conftest import running

TOKEN = "a-word-that-nobody-guesses"


def raw(url: str, request: bytes) -> tuple[int, bytes]:
    """The status and all bytes of the answer to a request as it stands."""
    host, port = url.removeprefix("http://").strip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while piece := _received(connection):
            answer += piece
            if b"\r\n\r\n" in answer and b"transfer-encoding" not in answer.lower():
                head, _, body = answer.partition(b"\r\n\r\n")
                lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
                if lengths and len(body) >= int(lengths[0].split(b":")[1]):
                    break
    # A connection that is closed without a word is refused as well.
    return int(answer.split(b" ", 2)[1]) if answer else 400, answer


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 16)
    except ConnectionResetError:
        return b""


def get(path: str, *headers: str, host: str = "127.0.0.1", method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


FORM = "multipart/form-data; boundary=b"


def form(body: bytes, *headers: str, kind: str = FORM) -> bytes:
    return (
        get(
            "/api/v1/search", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers, method="POST"
        )
        + body
    )


PART = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="q.jpg"\r\n\r\n'
TEXT = b'--b\r\nContent-Disposition: form-data; name="where"\r\n\r\n'
P = "/api/v1/photos"
HOSTILE = [
    ("a name that a page gave this address", get("/api/v1/health", host="evil.example"), {403}),
    ("the same with the port", get("/api/v1/health", host="evil.example:8000"), {403}),
    ("a name that ends in ours", get("/api/v1/health", host="localhost.evil.example"), {403}),
    ("a name that begins with our address", get("/api/v1/health", host="127.0.0.1.evil.example"), {403}),
    ("another address", get("/api/v1/health", host="192.168.1.4"), {403}),
    ("the address of all addresses", get("/api/v1/health", host="0.0.0.0"), {403}),
    ("another address of version 6", get("/api/v1/health", host="[2001:db8::1]"), {403}),
    ("a user in the name", get("/api/v1/health", host="127.0.0.1@evil.example"), {400, 403}),
    ("an empty name", get("/api/v1/health", host=""), {400, 403}),
    ("a port that is none", get("/api/v1/health", host="127.0.0.1:99999"), {403}),
    ("a port in letters", get("/api/v1/health", host="127.0.0.1:http"), {400, 403}),
    ("two names", get("/api/v1/health", "Host: evil.example"), {400, 403}),
    ("another X-Forwarded-Host", get("/", "X-Forwarded-Host: localhost", host="evil.example"), {403}),
    ("the page of a foreign name", get("/", host="evil.example"), {403}),
    ("another page", get("/api/v1/health", "Origin: http://evil.example"), {403}),
    ("another page on this machine", get("/api/v1/health", "Origin: http://127.0.0.1:1"), {403}),
    ("a page without an origin", get("/api/v1/health", "Origin: null"), {403}),
    ("a page on our name, another port", get("/api/v1/health", "Origin: http://localhost:3000"), {403}),
    ("an origin that begins with ours", get("/", "Origin: http://127.0.0.1.evil.example"), {403}),
    ("two origins", get("/api/v1/health", "Origin: http://127.0.0.1", "Origin: http://evil"), {403}),
    ("a question before a request", get("/api/v1/remove", "Origin: http://evil", method="OPTIONS"), {403}),
    ("a picture that another page shows", get(f"{P}/1", "Sec-Fetch-Site: cross-site"), {403}),
    ("a script of another port", get("/api/v1/collection", "Sec-Fetch-Site: same-site"), {403}),
    ("a link of another page", get(P, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"), {403}),
    ("dots", get("/../../../../etc/passwd"), {400, 404}),
    ("encoded dots", get("/%2e%2e/%2e%2e/%2e%2e/etc/passwd"), {400, 404}),
    ("an encoded slash", get("/..%2f..%2f..%2fetc%2fpasswd"), {400, 404}),
    ("twice encoded dots", get("/%252e%252e/%252e%252e/etc/passwd"), {400, 404}),
    ("backslashes", get("/..%5c..%5cetc%5cpasswd"), {400, 404}),
    ("an absolute path", get("//etc/passwd"), {400, 404}),
    ("a null byte", get("/index.html%00.jpg"), {400, 404}),
    ("bytes that are no text", get("/%ff%fe"), {400, 404}),
    ("dots behind the photos", get(f"{P}/../../../etc/passwd"), {400, 404}),
    ("a path for a number", get(f"{P}/%2Fetc%2Fpasswd"), {404, 422}),
    ("the server's own source", get("/../app.py"), {400, 404}),
    ("half a number", get(f"{P}/1.5"), {422}),
    ("a number in another script", get(f"{P}/%D9%A1"), {404, 422}),
    ("a negative number", get(f"{P}/-1"), {422}),
    ("a number beyond 64 bits", get(f"{P}/{2**64}/thumbnail"), {422}),
    ("a number of 5,000 digits", get(f"{P}/{'9' * 5000}"), {422}),
    ("infinity", get(f"{P}/inf/thumbnail"), {422}),
    ("SQL for a number", get(f"{P}/1%20OR%201=1"), {422}),
    ("a photo that is not there", get(f"{P}/9007199254740991"), {404}),
    ("a huge thumbnail", get(f"{P}/1/thumbnail?side=100000"), {404, 422}),
    ("a page of a million photos", get(f"{P}?limit=1000000"), {422}),
    ("a place before the first", get(f"{P}?offset=-1"), {422}),
    ("a filter that reads files", get(f"{P}?where=path%20IN%20(SELECT%20*%20FROM%20'/etc/passwd')"), {422}),
    ("a filter of brackets", get(f"{P}?where={'(' * 5000}"), {422}),
    ("an unknown method", get("/api/v1/health", method="BREW"), {405}),
    ("TRACE", get("/api/v1/health", method="TRACE"), {405}),
    ("a connection to elsewhere", get("evil.example:443", method="CONNECT"), {400, 404, 405}),
    ("a proxy's request", get("http://evil.example/"), {400, 404}),
    ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {400}),
    ("a length that is none", form(b"", "Content-Length: x"), {400}),
    ("two lengths", form(b"", "Content-Length: 5"), {400}),
    ("a length and pieces", form(b"0\r\n\r\n", "Transfer-Encoding: chunked"), {400, 422}),
    ("headers without end", get("/", f"X: {'a' * 600_000}"), {400, 431}),
    ("a form without a boundary", form(b"", kind="multipart/form-data"), {400}),
    ("an empty form", form(b""), {400, 422}),
    ("a form without an end", form(PART + b"abc"), {400, 422}),
    ("a part without a name", form(b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"), {400}),
    ("forty photos", form((PART + b"x\r\n") * 40 + b"--b--\r\n"), {400}),
    ("a text of a megabyte", form(TEXT + b"a" * 10**6), {400}),
    ("a thousand fields", form((TEXT + b"1\r\n") * 1000), {400}),
    ("a charset that is none", form(PART + b"x\r\n--b--\r\n", kind=f"{FORM}; charset=x"), {422}),
    ("JSON for a form", form(b"{}", kind="application/json"), {415}),
    ("a form in the address", form(b"photo=x", kind="application/x-www-form-urlencoded"), {415}),
    ("a long token", get("/api/v1/session", "Content-Length: 9000", method="POST") + b"a" * 9000, {413}),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "statuses"), [pytest.param(*row[1:], id=row[0]) for row in HOSTILE])
def test_a_hostile_request_is_refused(live, request_, statuses):
    status, answer = raw(live.url, request_)
    assert status in statuses
    assert b"root:" not in answer
    assert b"Traceback" not in answer
    assert live.get("health").status_code == 200


BODIES = [
    ("remove", {"ids": [1.0]}),
    ("remove", {"ids": [True]}),
    ("remove", {"ids": ["1"]}),
    ("remove", {"ids": [-1]}),
    ("remove", {"ids": [2**70]}),
    ("remove", {"ids": []}),
    ("remove", {"ids": [0] * 10_001}),
    ("remove", {"ids": None}),
    ("remove", {"ids": [1], "all": True}),
    ("remove", []),
    ("folders", {"path": "/no/such/folder"}),
    ("folders", {"path": "a" * 4000}),
    ("watches", {"path": "/tmp/" + "a" * 300}),
    ("folders", {"path": "\0"}),
    ("folders", {"path": ""}),
    ("folders", {"path": ["/etc"]}),
    ("watches", {"path": "file://evil.example/share"}),
    ("watches", {"path": "/etc/passwd"}),
]


@pytest.mark.parametrize(("route", "body"), BODIES)
def test_a_body_that_cannot_be_right_changes_nothing(live, route, body):
    answer = live.post(route, json=body)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)
    assert live.get("ready").json()["photos"] == 15


JSON = {"content-type": "application/json"}
LONG = b'{"ids": [' + b"1" * 5000 + b"]}"


@pytest.mark.parametrize("body", [b"[" * 100_000, b"{", b'{"ids": [NaN]}', b"\xff", b"", LONG])
def test_json_that_is_none_is_told(live, body):
    answer = live.post("remove", content=body, headers=JSON)
    assert answer.status_code in (400, 422)
    described = live.get("openapi.json").json()["paths"]["/api/v1/remove"]["post"]["responses"]
    assert str(answer.status_code) in described
    assert isinstance(answer.json()["detail"], str)
    assert isinstance(answer.json()["detail"], str)


def test_a_body_of_json_has_an_end(live):
    answer = live.post("remove", content=b'{"ids": [' + b"1," * 10**6, headers=JSON)
    assert answer.status_code == 413

    def pieces():
        for _ in range(100):
            yield b"1," * 10_000

    answer = live.post("remove", content=pieces(), headers=JSON)
    assert answer.status_code == 413


def test_what_is_too_large_is_413_and_what_is_too_much_503(made, tmp_path, query):
    with running(made / "photos.resight", tmp_path, max_bytes=200_000, max_waiting=1) as live:
        answer = live.post("search", files={"photo": bytes(300_000)})
        assert (answer.status_code, "200,000 bytes" in answer.json()["detail"]) == (413, True)

        def pieces():
            yield b"--b\r\n"
            for _ in range(50):
                yield bytes(10_000)

        kind = {"content-type": "multipart/form-data; boundary=b"}
        assert live.post("search", content=pieces(), headers=kind).status_code in (400, 413)
        host, port = live.url.removeprefix("http://").strip("/").split(":")
        with socket.create_connection((host, int(port))) as held:
            # A search whose photo does not come takes the one place.
            held.sendall(form(b"", "X: y").replace(b"Content-Length: 0", b"Content-Length: 1000"))
            for _ in range(100):
                if "resight_held_requests 1.0" in live.get("metrics").text:
                    break
            answer = live.post("search", files={"photo": query})
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert "try again" in answer.json()["detail"]
        for _ in range(100):
            if live.post("search", files={"photo": query}).status_code == 200:
                break
        else:
            raise AssertionError("the place is not free again")


def test_a_body_that_comes_too_slowly_is_408(made, tmp_path):
    with running(made / "photos.resight", tmp_path, body_seconds=0.2) as live:
        request = form(b"", "X: y").replace(b"Content-Length: 0", b"Content-Length: 1000")
        assert raw(live.url, request)[0] == 408


def test_photos_of_too_many_pixels_are_422(made, tmp_path, query):
    with running(made / "photos.resight", tmp_path, max_pixels=1000) as live:
        answer = live.post("search", files={"photo": query})
        assert (answer.status_code, "limit of 1000" in answer.json()["detail"]) == (422, True)


def test_every_answer_forbids_what_a_page_does_not_need(live):
    number = next(iter(live.ids().values()))
    for path in ("/", "/api/v1/health", "/nothing", f"/api/v1/photos/{number}", "/api/v1/photos/x"):
        headers = httpx.get(f"{live.url.rstrip('/')}{path}", trust_env=False).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert not any(name.startswith("access-control") for name in headers)
        assert "server" not in headers


def test_nothing_but_an_address_of_this_machine_is_served_without_a_token():
    for host in ("0.0.0.0", "::", "192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(InvalidInput, match="--token-file"):
            Access(host)
        assert not Access(host, TOKEN).is_loopback
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert Access(host).is_loopback
    with pytest.raises(InvalidInput, match="one word"):
        Access("0.0.0.0", "two words")
    with pytest.raises(InvalidInput, match="one word"):
        Access("0.0.0.0", "")


def test_every_route_needs_the_token(made, tmp_path, monkeypatch):
    monkeypatch.setattr("resight.serving.guard.WRONG_SECONDS", 0.0)
    access = Access("0.0.0.0", TOKEN, names=("photos.example",))
    with running(made / "photos.resight", tmp_path, access=access) as live:
        assert live.get("health").status_code == 200
        number = next(iter(live.ids().values()))
        paths = live.get("openapi.json").json()["paths"]
        assert len(paths) > 20
        with httpx.Client(base_url=live.url, trust_env=False) as stranger:
            for path, operations in paths.items():
                if path.endswith("/session"):
                    continue
                for method in operations:
                    place = path.replace("{photo_id}", str(number)).replace("{job_id}", "1")
                    assert stranger.request(method, place).status_code == 401, (method, place)
            for path in (
                "/",
                "/index.html",
                "/nothing",
                "/api/v1/openapi.json",
                "/api/v1/session/",
                "//api/v1/session",
            ):
                assert stranger.get(path).status_code == 401
            wrong = (
                "x",
                TOKEN[:-1],
                TOKEN + "x",
                TOKEN.upper(),
                "Bearer",
                "\u00e4".encode("latin-1").decode("latin-1"),
            )
            for token in wrong:
                header = {"authorization": f"Bearer {token}".encode("latin-1")}
                assert stranger.get("/api/v1/health", headers=header).status_code == 401
            for header in (
                {"authorization": f"Basic {TOKEN}"},
                {"authorization": TOKEN},
                {"cookie": f"resight_session={TOKEN}"},
            ):
                assert stranger.get("/api/v1/health", headers=header).status_code == 401
            assert stranger.get(f"/api/v1/health?token={TOKEN}").status_code == 401
            # Folders of the machine are not for those who are not at it.
            assert live.post("folders", json={"path": str(tmp_path)}).status_code == 403
            assert live.get("health", headers={"host": "photos.example"}).status_code == 200
            assert live.get("health", headers={"host": "evil.example"}).status_code == 403


def test_a_browser_signs_in_once(made, tmp_path):
    with (
        running(made / "photos.resight", tmp_path, access=Access("0.0.0.0", TOKEN)) as live,
        httpx.Client(base_url=live.url, trust_env=False) as browser,
    ):
        assert "<form" in browser.get("/api/v1/session").text
        assert browser.post("/api/v1/session", data={"token": "wrong"}).status_code == 401
        answer = browser.post("/api/v1/session", data={"token": TOKEN})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert TOKEN not in cookie
        assert browser.get("/").status_code == 200
        assert browser.get("/api/v1/health").status_code == 200
        browser.delete("/api/v1/session")
        assert browser.get("/").status_code == 401


def test_files_outside_the_folders_are_never_served(tmp_path):
    """A link, ``..`` in a stored path and a file put in a photo's place lead nowhere."""
    inside, outside = tmp_path / "photos", tmp_path / "outside"
    write_collection(inside, places=2, views=1, distractors=0, side=160)
    write_collection(outside, places=1, views=2, distractors=0, side=160)
    secret = outside / "place_000_view_1.jpg"
    (inside / "link.jpg").symlink_to(secret)
    (inside / "swapped").mkdir()
    shutil.copy(outside / "place_000_view_0.jpg", inside / "swapped" / "a.jpg")
    Collection.create(tmp_path / "c.resight", model="sift").add(inside)
    with running(tmp_path / "c.resight", tmp_path) as live:
        ids = live.ids()
        shown = {name: live.get(f"photos/{number}").status_code for name, number in ids.items()}
        assert shown.pop("link.jpg") == 404
        assert set(shown.values()) == {200}
        for route in (
            f"photos/{ids['link.jpg']}/thumbnail",
            f"matches?query={ids['link.jpg']}&answer={ids['a.jpg']}",
        ):
            assert live.get(route).status_code == 404
        # Indexed as it should be, and then its folder becomes a link elsewhere.
        shutil.rmtree(inside / "swapped")
        (outside / "a.jpg").write_bytes(secret.read_bytes())
        (inside / "swapped").symlink_to(outside)
        assert live.get(f"photos/{ids['a.jpg']}").status_code == 404
        # A photo whose file is no photo any more, a page that would run, a pipe.
        name = "place_001_view_0.jpg"
        for content in (
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
            b"<html>",
            b"root:x",
        ):
            (inside / name).write_bytes(content)
            assert live.get(f"photos/{ids[name]}").status_code == 404
        (inside / name).unlink()
        os.mkfifo(inside / name)
        assert live.get(f"photos/{ids[name]}").status_code == 404


def test_an_original_has_the_type_of_its_bytes(tmp_path):
    from PIL import Image

    folder = tmp_path / "photos"
    folder.mkdir()
    picture = Image.effect_noise((160, 120), 80).convert("RGB")
    picture.save(folder / "really.png", "PNG")
    (folder / "really.png").rename(folder / "called.jpg")
    picture.save(folder / "b.webp")
    Collection.create(tmp_path / "c.resight", model="sift").add(folder)
    with running(tmp_path / "c.resight", tmp_path) as live:
        ids = live.ids()
        answer = live.get(f"photos/{ids['called.jpg']}")
        assert answer.headers["content-type"] == "image/png"
        assert answer.content == (folder / "called.jpg").read_bytes()
        assert "sandbox" in answer.headers["content-security-policy"]
        again = live.get(f"photos/{ids['called.jpg']}", headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert live.get(f"photos/{ids['b.webp']}").headers["content-type"] == "image/webp"
        thumbnail = live.get(f"photos/{ids['b.webp']}/thumbnail?side=256")
        assert thumbnail.headers["content-type"] == "image/jpeg"
        kept = list((tmp_path / "thumbnails").glob("*/*.jpg"))
        assert [path.read_bytes() for path in kept] == [thumbnail.content]
        assert json.loads(live.get("server").text)["folders"] is True


def test_a_name_that_no_disk_takes_is_no_folder(live):
    for path in ("a" * 4000, "/" + "b" * 300, "\0", "../" * 1000):
        answer = live.client.delete("watches", params={"path": path})
        assert (answer.status_code, "not followed" in answer.json()["detail"]) == (404, True)
