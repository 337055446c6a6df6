from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resight.errors import InvalidInput, UnreadableImage
from resight.features import Box
from resight.images import photo_of, several_photos


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """A picture of 90 by 60 pixels without any symmetry."""
    y, x = np.mgrid[0:60, 0:90]
    return np.stack([x * 2, y * 4, (x * y) % 256], axis=-1).astype(np.uint8)


def png(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


@pytest.mark.parametrize("options", [{}, {"max_side": 45}, {"box": Box(10, 20, 70, 50), "max_side": 45}])
def test_every_form_gives_the_same_pixels(pixels: np.ndarray, options: dict, tmp_path: Path) -> None:
    image = Image.fromarray(pixels)
    data = png(image)
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    expected = photo_of(data, **options)
    if not options:
        assert np.array_equal(expected.pixels, pixels)
    with path.open("rb") as stream:
        forms = [path, str(path), stream, io.BytesIO(data), image, pixels, pixels[:, ::-1][:, ::-1]]
        for form in (*forms, Image.open(path)):
            photo = photo_of(form, **options)
            assert np.array_equal(photo.pixels, expected.pixels)
            assert (photo.width, photo.height, photo.region) == (90, 60, expected.region)
            assert photo.pixels.flags.writeable
            assert not np.shares_memory(photo.pixels, pixels)


@pytest.mark.parametrize("value", range(1, 9))
def test_a_pil_image_is_turned_upright_by_its_exif_orientation(pixels: np.ndarray, value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    data = png(Image.fromarray(pixels), exif=exif)
    image = Image.open(io.BytesIO(data))
    upright = photo_of(image, box=Box(5, 6, 40, 41))
    assert np.array_equal(upright.pixels, photo_of(data, box=Box(5, 6, 40, 41)).pixels)
    assert photo_of(image).pixels.shape[:2] == ((60, 90) if value < 5 else (90, 60))
    # The caller's image stays as it was.
    assert image.size == (90, 60)
    assert image.getexif()[0x0112] == value


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "I;16", "I", "F"]
)
def test_a_pil_image_of_any_mode_becomes_rgb(pixels: np.ndarray, mode: str) -> None:
    image = Image.fromarray(pixels).convert("L" if mode == "I;16" else "RGB")
    image = image.convert(mode)
    photo = photo_of(image)
    assert photo.pixels.shape == (60, 90, 3)
    assert image.mode == mode


def test_a_grey_array_is_a_grey_photo(pixels: np.ndarray) -> None:
    grey = pixels[..., 0]
    assert np.array_equal(photo_of(grey).pixels, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 5, 3)), "holds uint8 values, 0 to 255, not float64"),
        (np.zeros((4, 5, 3), np.uint16), "not uint16"),
        (np.zeros((4, 5), bool), "not bool"),
        (np.zeros((3, 4, 5), np.uint8), r"not of shape \(3, 4, 5\)"),
        (np.zeros((4, 5, 4), np.uint8), r"not of shape \(4, 5, 4\)"),
        (np.zeros((1, 4, 5, 3), np.uint8), "not of shape"),
        (np.zeros(7, np.uint8), "not of shape"),
        (np.zeros((0, 5, 3), np.uint8), "not of shape"),
    ],
)
def test_other_arrays_are_refused_in_a_sentence(array: np.ndarray, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        photo_of(array)


@pytest.mark.parametrize("value", [None, 7, ["a.jpg"], {"path": "a.jpg"}])
def test_what_is_no_photo_is_refused_in_a_sentence(value: object) -> None:
    with pytest.raises(InvalidInput, match=f"not a value of type {type(value).__name__}"):
        photo_of(value)  # type: ignore[arg-type]


def test_a_lazy_pil_image_that_breaks_is_unreadable(pixels: np.ndarray) -> None:
    data = png(Image.fromarray(pixels))
    with pytest.raises(UnreadableImage, match="cannot read the PIL image: its PNG data are broken"):
        photo_of(Image.open(io.BytesIO(data[: len(data) // 2])))


def test_a_side_below_one_is_refused_for_every_form(pixels: np.ndarray) -> None:
    for form in (pixels, Image.fromarray(pixels), png(Image.fromarray(pixels))):
        with pytest.raises(InvalidInput, match="max_side must be at least 1 pixel, not 0"):
            photo_of(form, max_side=0)


def test_premultiplied_grey_is_read(pixels: np.ndarray) -> None:
    image = Image.fromarray(pixels).convert("LA")
    assert np.array_equal(photo_of(image.convert("La")).pixels, photo_of(image).pixels)


@pytest.mark.parametrize("kind", ["L", "RGB"])
def test_arrays_of_any_layout_are_read(pixels: np.ndarray, kind: str) -> None:
    plane = pixels if kind == "RGB" else pixels[..., :1]
    expected = photo_of(np.ascontiguousarray(plane)).pixels
    read_only = plane.copy()
    read_only.flags.writeable = False
    for array in (np.asfortranarray(plane), plane[::-1][::-1], read_only, plane.astype(">u1")):
        assert np.array_equal(photo_of(array).pixels, expected)


def test_an_array_with_alpha_is_refused_with_what_to_do(pixels: np.ndarray) -> None:
    with_alpha = np.dstack([pixels, np.full((60, 90), 255, np.uint8)])
    with pytest.raises(InvalidInput, match=r"make a PIL image of one with alpha, Image.fromarray\(array\)"):
        photo_of(with_alpha)
    assert np.array_equal(photo_of(Image.fromarray(with_alpha)).pixels, pixels)


def test_bytes_in_any_buffer_are_a_files(pixels: np.ndarray) -> None:
    data = png(Image.fromarray(pixels))
    for form in (bytearray(data), memoryview(data)):
        assert np.array_equal(photo_of(form).pixels, pixels)


def test_paths_as_people_type_them_are_read(
    pixels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a b#1.png").write_bytes(png(Image.fromarray(pixels)))
    url = (tmp_path / "a b#1.png").as_uri()
    for form in (
        "~/a b#1.png",
        Path("~/a b#1.png"),
        url,
        url.replace("file://", "file://localhost"),
        Path(url),
    ):
        assert np.array_equal(photo_of(form).pixels, pixels)
    with pytest.raises(UnreadableImage, match=f"cannot read {tmp_path}/none.png: there is no such file"):
        photo_of("~/none.png")
    for address in ("https://example.org/a.jpg", "s3://bucket/a.jpg", "file://other.host/a.jpg"):
        with pytest.raises(
            InvalidInput, match="is an address, and files of this machine are read: download it"
        ):
            photo_of(address)


def test_one_photo_or_any_iterable_of_them(pixels: np.ndarray) -> None:
    image = Image.fromarray(pixels)
    data = png(image)
    for one in (
        "a.jpg",
        Path("a.jpg"),
        data,
        bytearray(data),
        memoryview(data),
        io.BytesIO(data),
        image,
        pixels,
    ):
        assert list(several_photos(one)) == [one] or one is pixels
        assert len(list(several_photos(one))) == 1
    for several in (["a", "b"], ("a", "b"), iter("ab"), (name for name in "ab"), {"a": 1, "b": 2}.keys()):
        assert list(several_photos(several)) == ["a", "b"]
    for nothing in ({"a": 1}, None, 3):
        with pytest.raises(InvalidInput, match="a photo is a path, bytes, an open binary file"):
            photo_of(*several_photos(nothing))  # type: ignore[arg-type]
