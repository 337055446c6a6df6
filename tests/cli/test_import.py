"""``--import MODULE``: the way a command line allows the code of a model's own parts, and the only one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resight.models import bundle as bundles
from resight.models.network_describer import NetworkDescriber
from resight.networks import POOLINGS, Backbone, GeMNet, GeMNetConfig

OWN_PARTS = Path(__file__).parents[1] / "training"


@pytest.fixture
def line(tmp_path, monkeypatch):
    """A command line that describes a photo with a model of an own trunk and pooling, not imported."""
    monkeypatch.syspath_prepend(str(OWN_PARTS))
    import own_parts

    trunk = Backbone("own_parts:OwnTrunk", out_indices=(-1,))
    net = GeMNet(trunk, GeMNetConfig(POOLINGS.choose(own_parts.OwnPooling)))
    bundles.write(NetworkDescriber(net).to_bundle(), tmp_path / "own.safetensors")
    monkeypatch.delitem(sys.modules, "own_parts")
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    out = tmp_path / "a.npy"
    return ["describe", tmp_path / "a.png", "--model", tmp_path / "own.safetensors", "--out", out]


@pytest.mark.parametrize("where", ["first", "last", "middle", "equals"])
def test_a_module_named_anywhere_on_the_line_is_imported(run, line, where):
    asked = ["--import", "own_parts"]
    words = {
        "first": [*asked, *line],
        "last": [*line, *asked],
        "middle": [*line[:2], *asked, *line[2:]],
        "equals": [*line, "--import=own_parts"],
    }
    code, _, err = run(*words[where])
    assert code == 0, err
    assert np.load(line[-1]).shape == (1, 8)


def test_nothing_is_imported_that_is_not_named(run, line):
    code, _, err = run(*line, "--import", "json", "--import", "csv")
    assert (code, "own_parts" in sys.modules) == (1, False)
    assert "import own_parts first if you trust it (on a command line: --import own_parts)" in err


@pytest.mark.parametrize(
    ("module", "code", "text"),
    [
        ("no_such_module", 1, "the module no_such_module cannot be imported (No module named"),
        ("../own_parts.py", 1, "'../own_parts.py' is no name of a module: it is written package.module"),
        ("own_parts.deeper", 1, "the module own_parts.deeper cannot be imported"),
        ("", 1, "'' is no name of a module"),
    ],
)
def test_what_cannot_be_imported_is_told(run, line, module, code, text):
    found, _, err = run(*line, "--import", module)
    assert (found, err.count("\n")) == (code, 1)
    assert text in err


def test_a_missing_module_and_a_photo_of_that_name(run, line):
    assert run(*line, "--import")[0] == 2
    code, _, err = run("describe", "--model", "sift", "--out", line[-1], "--", "--import")
    assert (code, "there is no file or folder" in err, "--import" in err) == (1, True, True)
