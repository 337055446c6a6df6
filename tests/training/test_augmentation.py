"""Transforms of torchvision in a recipe: each photo's chances are its own, whoever else draws meanwhile."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from resight.errors import InvalidInput
from resight.images.augment import LongSide, ResizeRandomCrop
from resight.models import bundle as bundles
from resight.training import Recipe, train
from resight.training.augmentation import Augmented, Step

STEPS = {
    "ColorJitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    "GaussianBlur": {"kernel_size": 5, "sigma": (0.1, 2.0)},
    "GaussianNoise": {},
    "RandAugment": {"num_ops": 3, "interpolation": "bilinear"},
    "TrivialAugmentWide": {},
    "AugMix": {},
    "ElasticTransform": {},
    "RandomErasing": {"p": 1.0, "value": "random"},
    "RandomAffine": {"degrees": 20},
    "RandomApply": {"transforms": (Step("ColorJitter", {"hue": 0.2}),), "p": 0.5},
    "RandomOrder": {"transforms": (Step("RandomGrayscale", {}), Step("RandomInvert", {}))},
}
PHOTO = np.random.default_rng(0).integers(0, 256, (1, 40, 50, 3), dtype=np.uint8)


def augmented(*steps, base=None):
    return Augmented(base or LongSide(64), tuple(step.make() for step in steps))


@pytest.mark.parametrize("kind", STEPS)
def test_a_photo_is_what_torchs_generator_gives_at_its_seed(kind):
    step = Step(kind, STEPS[kind])
    numbers = np.array([[0.1], [0.6], [0.9]])
    torch.manual_seed(7)
    before = torch.get_rng_state()
    photos = augmented(step).apply_batch(np.repeat(PHOTO, 3, axis=0), numbers)
    assert torch.equal(torch.get_rng_state(), before)
    for photo, number in zip(photos, numbers[:, 0], strict=True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(number * 2**32))
            expected = step.make()(torch.from_numpy(PHOTO[0]).permute(2, 0, 1).contiguous())
        np.testing.assert_array_equal(photo, expected.permute(1, 2, 0).numpy())
    assert len({photo.tobytes() for photo in photos}) > 1


def test_threads_and_a_network_that_draws_meanwhile_change_nothing():
    transform = augmented(*(Step(kind, options) for kind, options in STEPS.items()))
    numbers = np.random.default_rng(1).random((24, 1))
    alone = [transform.apply(PHOTO[0], row) for row in numbers]
    stop = threading.Event()

    def draw():
        while not stop.is_set():
            torch.rand(10)

    drawing = threading.Thread(target=draw)
    drawing.start()
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda row: transform.apply(PHOTO[0], row), numbers))
    stop.set()
    drawing.join()
    assert len({photo.tobytes() for photo in alone}) == 24
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_first_transform_gets_the_numbers_it_would_get_alone():
    base = ResizeRandomCrop(20, 30)
    numbers = np.random.default_rng(2).random((1, 4))
    transform = augmented(Step("RandomInvert", {"p": 1.0}), base=base)
    assert transform.draws == 4
    photo = transform.apply_batch(PHOTO, numbers)
    np.testing.assert_array_equal(photo, 255 - base.apply_batch(PHOTO, numbers[:, :3]))


SETTINGS = (
    "training.epochs=2",
    "data.augment=[{kind: ColorJitter, brightness: 0.5}, {kind: RandomApply, p: 0.5, transforms: "
    "[{kind: GaussianBlur, kernel_size: 3, sigma: [0.1, 1.0]}]}]",
    "model.trunk.options={drop_path_rate: 0.3}",
)


@pytest.mark.usefixtures("one_thread")
def test_workers_packing_and_a_resumption_change_nothing(recipe_file, tmp_path):
    runs = {
        "one": ["training.workers=1"],
        "three": ["training.workers=3"],
        "packed": ["training.workers=2", f"data.packed={{file: {tmp_path / 'photos.pack'}, side: 36}}"],
        "without": ["data.augment=[]"],
    }
    written = {}
    for name, more in runs.items():
        recipe = Recipe.from_yaml(recipe_file, [*SETTINGS, *more])
        result = train(recipe, tmp_path / name)
        assert Recipe.from_yaml(tmp_path / name / "recipe.yaml") == recipe
        written[name] = bundles.read(result.bundle).tensors
    train(Recipe.from_yaml(recipe_file, [*SETTINGS, "training.epochs=1"]), tmp_path / "resumed")
    resumed = train(Recipe.from_yaml(recipe_file, [*SETTINGS]), tmp_path / "resumed", resume=True)
    written["resumed"] = bundles.read(resumed.bundle).tensors
    for name in ("three", "packed", "resumed"):
        for key, tensor in written["one"].items():
            np.testing.assert_array_equal(tensor, written[name][key])
    assert any((tensor != written["without"][key]).any() for key, tensor in written["one"].items())


@pytest.mark.parametrize(
    ("augment", "words"),
    [
        (
            "[{kind: ColourJitter}]",
            "torchvision has no transform 'ColourJitter': did you mean 'ColorJitter'?",
        ),
        (
            "[{kind: ColorJitter, brightnes: 1}]",
            "ColorJitter has no option 'brightnes': did you mean 'brightness'?",
        ),
        ("[{kind: GaussianBlur, kernel_size: 4}]", "GaussianBlur cannot be made: "),
        ("[{kind: RandomCrop}]", "RandomCrop cannot be made: .*size"),
        (
            "[{kind: RandAugment, interpolation: bilinea}]",
            "no interpolation 'bilinea': did you mean 'bilinear'?",
        ),
        ("[{kind: RandomApply, transforms: [{kind: RandomGreyscale}]}]", "did you mean 'RandomGrayscale'?"),
        ("[{kind: nowhere.at_all:Transform}]", "module of nowhere.at_all:Transform cannot be imported"),
        ("[blur]", "written as a mapping with a key 'kind', such as ColorJitter, not 'blur'"),
        (
            "[{kind: ConvertImageDtype}]",
            r"must give RGB uint8 \(3, rows, columns\), not torch.float32 \(3, 32, 32\)",
        ),
        ("[{kind: Grayscale}]", r"must give RGB uint8 .* not torch.uint8 \(1, 32, 32\)"),
        ("[{kind: FiveCrop, size: 9}]", "must give RGB uint8 .* not tuple"),
        ("[{kind: MixUp}]", "MixUp cannot be applied to one photo of 32 x 32: "),
        ("[{kind: RandomCrop, size: 40}]", "RandomCrop cannot be applied to one photo of 32 x 32: "),
    ],
)
def test_what_cannot_augment_is_refused_in_a_sentence(recipe_file, augment, words):
    with pytest.raises(InvalidInput, match=f"data.*{words}"):
        Recipe.from_yaml(recipe_file, [f"data.augment={augment}"])


def test_a_recipe_without_augmentation_keeps_its_fingerprint(recipe_file):
    plain, empty = Recipe.from_yaml(recipe_file), Recipe.from_yaml(recipe_file, ["data.augment=[]"])
    assert plain.fingerprint == empty.fingerprint
    assert "augment" not in plain.model_dump(mode="json")["data"]


def test_packed_photos_of_several_sizes_are_refused():
    transform = augmented(Step("RandomResize", {"min_size": 20, "max_size": 40}))
    with pytest.raises(InvalidInput, match="photos of several sizes, which packed ones cannot have"):
        transform.apply_batch(np.repeat(PHOTO, 8, axis=0), np.random.default_rng(0).random((8, 1)))
