"""What a network takes for a photo: by its largest map."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import nn

from resight.images import photo_of
from resight.models import load_model
from resight.models.network_describer import NetworkDescriber
from resight.models.working_memory import WorkingMemory
from resight.networks import Backbone, GeMNet
from resight.networks.gem import GeMNetConfig

CPU = torch.device("cpu")


def test_four_of_the_largest_map():
    # 3 to 8 channels at half the size: 8 numbers of 4 bytes for four pixels; then 2 channels.
    net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 2, 1))
    assert WorkingMemory(net, net, device=CPU)(100, 50) == 4 * 8 * 100 * 50
    assert WorkingMemory(net, net, device=CPU, largest_scale=2.0)(100, 50) == 4 * 8 * 200 * 100
    # One size, whatever the photo's.
    assert WorkingMemory(net, net, device=CPU, size=(32, 32))(900, 900) == 4 * 8 * 32 * 32
    assert WorkingMemory(net, net, device=torch.device("cuda"))(900, 900) == 0
    assert not net[0]._forward_hooks


def test_it_is_measured_once_by_whichever_thread_asks_first():
    calls = []
    net = nn.Conv2d(3, 4, 1)
    memory = WorkingMemory(net, lambda image: calls.append(net(image)), device=CPU)
    threads = [threading.Thread(target=memory, args=(10, 10)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["gem", "sift", "gem+sift"])
def test_models_know_theirs(name, tmp_path):
    net = GeMNet(Backbone("test_resnet", out_indices=(-1,)), GeMNetConfig())
    describer = NetworkDescriber(net, max_side=320, scales=(1.0, 0.5))
    maps = []
    handles = [each.register_forward_hook(lambda _m, _i, out: maps.append(out)) for each in net.modules()]
    with torch.inference_mode():
        net.describe_at(torch.zeros(1, 3, 240, 320), (1.0,))
    for handle in handles:
        handle.remove()
    largest = 4 * max(each.numel() * 4 for each in maps if isinstance(each, torch.Tensor))
    taken = {"gem": largest, "sift": 240 * 480 * 640}
    if "+" not in name:
        model = load_model("sift") if name == "sift" else describer
        found = model.memory_of(480, 640) if name == "sift" else describer.traits.memory(240, 320)
        assert found == pytest.approx(taken[name], rel=0.01)
        return
    from resight.models import Model
    from resight.models.composite import Composite

    pair = Composite(Model(describer, name="gem"), load_model("sift"), weight=0.5)
    # Shown at 640 pixels for sift, and reduced to 320 for the network.
    assert pair.traits.memory(480, 640) == pytest.approx(max(taken.values()), rel=0.01)
    assert len(pair.extract([photo_of(np.full((60, 80, 3), 9, np.uint8))])) == 1
