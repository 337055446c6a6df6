"""``resight models --measure``: models side by side on one's own photos."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from resight.cli import main
from resight.evaluation.statistics import Interval
from resight.models import Model, NetworkDescriber
from resight.models import bundle as bundles
from resight.networks import Backbone, GeMNet
from resight.networks.gem import GeMNetConfig
from resight.pipelines.measure import MeasuredModel, _is_best


@pytest.fixture
def photos(tmp_path):
    """Two views each of three textures, which sift tells apart, in one folder."""
    rng = np.random.default_rng(4)
    (tmp_path / "photos").mkdir()
    for thing in range(3):
        texture = Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).resize((500, 400))
        for view, box in enumerate(((0, 0, 440, 360), (40, 30, 500, 400))):
            texture.crop(box).save(tmp_path / "photos" / f"{thing}-{view}.png")
    return tmp_path / "photos"


@pytest.fixture
def network(tmp_path):
    torch.manual_seed(3)
    net = GeMNet(Backbone("test_resnet", out_indices=(-1,)), GeMNetConfig())
    path = tmp_path / "net.safetensors"
    bundles.write(Model(NetworkDescriber(net, max_side=96, scales=(1.0,)), name="net").to_bundle(), path)
    return path


def test_photos_without_labels_are_compared_by_what_sift_confirms(photos, network, tmp_path, capsys):
    plot = tmp_path / "models.svg"
    words = ["--measure", str(photos), "--model", "sift", "--model", str(network), "--model", "nothing"]
    assert main(["models", *words, "--plot", str(plot), "--json"]) == 0
    printed = capsys.readouterr()
    assert "nothing: there is no model 'nothing'" in printed.err
    sift, net = json.loads(printed.out)
    assert (sift["name"], sift["recall_at_1"], sift["best"]) == ("sift", 1.0, True)
    assert sift["map_at_r"]["count"] == 6
    assert net["stored_bytes"] == 2 * net["dim"] < sift["stored_bytes"]
    circles = [each for each in ElementTree.parse(plot).iter() if each.tag.endswith("circle")]
    assert len(circles) == 2


def test_broken_photos_are_listed(photos, capsys):
    (photos / "broken.png").write_bytes(b"no photo")
    assert main(["models", "--measure", str(photos), "--model", "sift"]) == 0
    assert "broken.png: " in capsys.readouterr().err


def test_a_table_names_what_photos_show(photos, network, tmp_path, capsys):
    table = tmp_path / "labels.csv"
    rows = [f"photos/{path.name},{path.name[0]}" for path in sorted(photos.iterdir())]
    table.write_text("path,label\n" + "\n".join(rows) + "\n")
    words = ["models", "--measure", str(photos), "--labels", str(table), "--model", str(network)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "MAP@R" in out
    assert "net.safetensors" in out
    assert main([*words, "--plot", str(tmp_path / "a.png")]) == 2
    (photos / "1-0.png").unlink()
    table.write_text("path,label\nphotos/0-0.png,a\nphotos/2-0.png,b\n")
    assert main(words) == 1
    assert "no two photos are known to show the same thing" in capsys.readouterr().err


def test_which_models_are_best():
    def made(name, quality, milliseconds, stored):
        return MeasuredModel(name, 8, Interval(quality, 0, 1, 0.95, 9), 1.0, milliseconds, stored)

    every = [
        made("a", 0.9, 50, 100),
        made("b", 0.8, 10, 100),
        made("c", 0.8, 10, 200),
        made("d", 0.7, 60, 50),
    ]
    assert [each.name for each in every if _is_best(each, every)] == ["a", "b", "d"]


@pytest.mark.parametrize("words", [("--plot", "a.svg"), ("--labels", "a.csv"), ("--model", "sift")])
def test_options_of_measuring_need_photos(words, capsys):
    assert main(["models", *words]) == 2
    assert f"{words[0]}: it needs --measure" in capsys.readouterr().err


def test_one_model_named_twice_is_measured_once(photos, capsys):
    assert main(["models", "--measure", str(photos), "--model", "sift", "--model", "sift", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
