"""Rendered photos of made places: any place, any view, each from its seed alone.

A place is a house front or a monument with relief, pictured from several viewpoints and distances at several
times of day, behind people, cars and leaves, blurred, noisy and compressed. Places of one seed share a town's
vocabulary of materials, windows and doors, so that different places look alike as they do in real towns.
Nothing depends on what was rendered before.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from resight.errors import InvalidInput
from resight.files import Progress
from resight.scenes.camera import Camera, draw, look_at
from resight.scenes.clutter import car, foliage, person
from resight.scenes.light import Daylight, daylight, develop, light_on, paint_sky
from resight.scenes.place import Place, Surface, build_place, standing

__all__ = ["RenderedPhoto", "render_distractor", "render_view", "write_collection"]

Pixels = UInt8[np.ndarray, "rows columns 3"]

# Streams of random numbers of one seed; each place and each view has its own.
_TOWN, _PLACE, _DISTRACTOR = 0, 1, 2


@dataclass(frozen=True, slots=True)
class RenderedPhoto:
    """A rendered photo on disk.

    Attributes:
        path: The JPEG file.
        place: Number of the place it shows; ``None`` for a distractor, whose place is seen once.
        view: Number of the view of that place.
    """

    path: Path
    place: int | None
    view: int


def render_view(place: int, view: int, *, seed: int = 0, side: int = 640) -> Pixels:
    """Returns a view of a place, RGB uint8 with long side ``side``, as its JPEG file decodes.

    Raises:
        InvalidInput: A number is negative or the side is under 64 pixels.
    """
    _check(side, (place, view, seed))
    return _decoded(_photo(_place(_PLACE, place, seed), (_PLACE, place, view), seed, side))


def render_distractor(number: int, *, seed: int = 0, side: int = 640) -> Pixels:
    """Returns the only view of a place that no other photo shows, RGB uint8 with long side ``side``.

    Raises:
        InvalidInput: A number is negative or the side is under 64 pixels.
    """
    _check(side, (number, seed))
    return _decoded(_photo(_place(_DISTRACTOR, number, seed), (_DISTRACTOR, number, 0), seed, side))


def write_collection(
    folder: Path,
    *,
    places: int = 40,
    views: int = 8,
    distractors: int = 40,
    seed: int = 0,
    side: int = 640,
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[RenderedPhoto]:
    """Returns the rendered photos written to a folder as JPEG files, places first, in order.

    Args:
        folder: Made if it is not there. Files are ``place_003_view_2.jpg`` and ``distractor_011.jpg``.
        places: Number of places.
        views: Photos of each place.
        distractors: Photos of places seen once.
        seed: Another seed is another town.
        side: Long side, pixels.
        workers: Threads; by default two.
        progress: Called with photos written and photos in all.

    Raises:
        InvalidInput: A number is negative or the side is under 64 pixels.
    """
    _check(side, (places, views, distractors, seed))
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(_PLACE, number) for number in range(places)] + [
        (_DISTRACTOR, number) for number in range(distractors)
    ]
    total, done = places * views + distractors, 0
    written: dict[tuple[int, int], list[RenderedPhoto]] = {}

    def write(stream: int, number: int) -> list[RenderedPhoto]:
        scene = _place(stream, number, seed)
        photos = []
        for view in range(views if stream == _PLACE else 1):
            name = (
                f"place_{number:03d}_view_{view}.jpg" if stream == _PLACE else f"distractor_{number:03d}.jpg"
            )
            path = folder / name
            path.write_bytes(_photo(scene, (stream, number, view), seed, side))
            photos.append(RenderedPhoto(path, number if stream == _PLACE else None, view))
        return photos

    with ThreadPoolExecutor(workers or 2) as pool:
        running = {pool.submit(write, *job): job for job in jobs}
        try:
            for future in as_completed(running):
                written[running[future]] = future.result()
                done += len(written[running[future]])
                if progress is not None:
                    progress(done, total)
        finally:
            # Whoever interrupts waits for the places in hand, not for all that were planned.
            pool.shutdown(cancel_futures=True)
    return [photo for job in jobs for photo in written[job]]


def _check(side: int, numbers: tuple[int, ...]) -> None:
    if min(numbers) < 0:
        raise InvalidInput(
            f"seeds, numbers and counts of rendered photos must not be negative, got {min(numbers)}"
        )
    if side < 64:
        raise InvalidInput(f"rendered photos need a long side of at least 64 pixels, got {side}")


def _place(stream: int, number: int, seed: int) -> Place:
    return build_place(np.random.default_rng([seed, _TOWN]), np.random.default_rng([seed, stream, number]))


def _photo(place: Place, key: tuple[int, int, int], seed: int, side: int) -> bytes:
    """Returns a photo of a place as a JPEG file; the key decides everything about the moment it was taken."""
    rng = np.random.default_rng([seed, *key, 1])
    camera = _camera(rng, place, side)
    moment = daylight(rng)
    canvas = _picture(rng, place, camera, moment)
    pixels = develop(rng, canvas, moment)
    quality = int(rng.integers(55, 93))
    _, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return encoded.tobytes()


def _decoded(file: bytes) -> Pixels:
    return np.asarray(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR_RGB), dtype=np.uint8)


def _camera(rng: np.random.Generator, place: Place, side: int) -> Camera:
    """Returns somebody's camera before the place: aside by up to 50 degrees, near or far, slightly tilted."""
    width, height = ((4, 3), (4, 3), (3, 2), (3, 4), (2, 3))[rng.integers(5)]
    columns, rows = (round(side * part / max(width, height)) for part in (width, height))
    focal = side * float(rng.uniform(0.85, 1.25))
    # Pictured metres, by the thing's own size: a close-up shows half of it, a wide shot almost twice.
    shown = float(np.exp(rng.uniform(np.log(0.55), np.log(1.65)))) * max(
        place.size[0] * min(1.0, columns / rows), place.size[1] * 0.7
    )
    distance = max(4.5, shown * focal / columns)
    aside = float(np.clip(rng.normal(0.0, 0.43), -0.9, 0.9))
    target = (
        place.centre[0] + float(rng.uniform(-0.18, 0.18)) * place.size[0],
        place.centre[1] * float(rng.uniform(0.8, 1.15)),
        place.centre[2],
    )
    eye = float(rng.uniform(1.5, 2.0)) if rng.random() < 0.8 else float(rng.uniform(3.0, 6.0))
    position = (target[0] + distance * np.sin(aside), eye, target[2] + distance * np.cos(aside))
    roll = float(rng.normal(0.0, 0.035))
    return look_at(position, target, roll=roll, focal=focal, width=columns, height=rows)


def _picture(
    rng: np.random.Generator, place: Place, camera: Camera, moment: Daylight
) -> Float32[np.ndarray, "height width 3"]:
    """Returns the light that falls on the picture, RGB in 0 to about 255."""
    forward = camera.rotation[2]
    horizon = camera.height / 2 + camera.focal * forward[1] / np.hypot(forward[0], forward[2])
    canvas = paint_sky(rng, moment, camera.width, camera.height, float(horizon), place.ground)
    slide = -moment.towards[0] / max(moment.towards[2], 0.4), -moment.towards[1] / max(moment.towards[2], 0.4)
    for surface in (*place.surfaces, *_passers(rng, place, camera)):
        if surface.height and moment.shadow > 0.2:
            fallen = surface.plane.shifted(
                surface.height * slide[0], surface.height * slide[1], 0.01 - surface.plane.corner[2] % 1.0
            )
            draw(canvas, camera, fallen, surface.image, light=(0.0, 0.0, 0.0), opacity=moment.shadow)
        light = light_on(moment, surface.facing, surface.shade)
        draw(canvas, camera, surface.plane, surface.image, light=light)
        if surface.glow is not None and moment.night:
            draw(canvas, camera, surface.plane, surface.glow, light=(0.8, 0.8, 0.8))
    return canvas


def _passers(rng: np.random.Generator, place: Place, camera: Camera) -> list[Surface]:
    """Returns what happened to be in the way: people, cars, a bough near the camera."""
    found = []
    reach = max(2.0, float(camera.position[2]) - 3.0)
    for _ in range(int(rng.poisson(1.6))):
        x = float(rng.uniform(-0.6, 0.6)) * place.size[0] + float(camera.position[0]) * 0.3
        found.append(standing(person(rng, 60.0), x, float(rng.uniform(1.2, reach))))
    for _ in range(int(rng.poisson(0.6))):
        if reach > 5.0:
            found.append(
                standing(
                    car(rng, 60.0),
                    float(rng.uniform(-0.8, 0.8)) * place.size[0],
                    float(rng.uniform(4.2, min(reach, 8.0))),
                )
            )
    found.sort(key=lambda surface: surface.plane.corner[2])
    if rng.random() < 0.22:
        found.append(_bough(rng, camera))
    return found


def _bough(rng: np.random.Generator, camera: Camera) -> Surface:
    """Returns leaves two metres before the camera, in an upper corner of its picture."""
    right, down, forward = camera.rotation
    half = 2.0 * camera.width / camera.focal / 2
    upper = 2.0 * camera.height / camera.focal / 2
    sheet = foliage(rng, 110.0)
    spot = (
        camera.position
        + 2.0 * forward
        + right * (rng.uniform(-1.1, 0.3) * half)
        - down * (upper * rng.uniform(0.9, 1.2))
    )
    surface = standing(sheet, 0.0, 0.0)
    moved = surface.plane.shifted(*(float(value) for value in spot - np.array(surface.plane.corner)))
    return Surface(moved, surface.image)
