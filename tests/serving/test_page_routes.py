"""Routes that the page needs: what metadata hold, and uploads that a browser cannot show."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image


def test_metadata_say_what_a_filter_can_be(live):
    answer = live.get("metadata")
    assert answer.status_code == 200, answer.text
    label, view = answer.json()
    assert label == {
        "name": "label",
        "kind": "text",
        "photos": 15,
        "values": [f"place_{place:03}" for place in range(5)],
        "least": None,
        "most": None,
    }
    assert view == {
        "name": "view",
        "kind": "number",
        "photos": 15,
        "values": None,
        "least": 0,
        "most": 2,
    }


@pytest.mark.parametrize("kind", ["HEIF", "TIFF", "JPEG"])
def test_an_upload_that_a_browser_may_not_show_is_drawn(live, kind):
    import pillow_heif

    pillow_heif.register_heif_opener()
    stream = io.BytesIO()
    Image.new("RGB", (1600, 1200), (200, 30, 30)).save(stream, kind)
    drawn = live.post("preview", files={"photo": stream.getvalue()}).json()
    assert (drawn["width"], drawn["height"]) == (1600, 1200)
    start, _, content = drawn["picture"].partition(",")
    assert start == "data:image/jpeg;base64"
    shown = Image.open(io.BytesIO(base64.b64decode(content)))
    assert shown.size == (1024, 768)
    red, green, blue = shown.getpixel((500, 400))
    assert red > 180
    assert max(green, blue) < 60


def test_what_is_no_photo_is_refused_by_a_sentence(live):
    refused = live.post("preview", files={"photo": b"%PDF-1.7 and no photo"})
    assert refused.status_code == 422
    assert "PDF" in refused.json()["detail"]
    assert live.post("preview", files=[("photo", b"1"), ("photo", b"2")]).status_code == 422
