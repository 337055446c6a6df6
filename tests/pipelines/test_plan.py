"""The arithmetic of a plan, done again by hand, and its constants beside the files they come from."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from resight.errors import InvalidInput
from resight.pipelines.plan import CONSTANTS, INDEXES, Figure, Need, plan

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def figures(need):
    return {(figure.part, figure.name): figure.value for figure in plan(need).figures}


def results(name):
    return json.loads((RESULTS / name).read_text())


def test_a_billion_photos_by_hand():
    of = figures(Need(10**9, qps=500, recall=0.95))
    assert of["storage", "descriptors"] == 1024e9
    assert of["storage", "collection"] == pytest.approx(1e9 * (1024 + 22_032 + 200))
    assert of["describing", "work"] == pytest.approx(1e9 * 0.093 / 3600)
    assert of["describing", "machines"] == math.ceil(1e9 * 0.093 / (16 * 7 * 86400))
    # 103.6 GB of codes in two machines of 128 GB, filled to .7.
    assert plan(Need(10**9, qps=500, recall=0.95)).shards == 2
    assert of["search", "time on each shard"] == pytest.approx(0.3174 * math.sqrt(5e8 / 2e5))
    assert of["index", "rebuilding"] == pytest.approx(1e9 * 86.6e-6 * math.sqrt(5e8 / 2e5) / 3600)
    assert of["search", "machines for geometry"] == math.ceil(500 * 100 * 0.00369 / (16 * 0.5))
    assert of["search", "local features read"] == 500 * 100 * 22_032
    assert of["cost", "machines"] == pytest.approx((2 + 24) * 16 * 0.04 * 730)


def test_queries_ask_for_replicas_and_photos_for_shards():
    few, many = plan(Need(10**9, qps=1)), plan(Need(10**9, qps=1500))
    assert (few.replicas, few.shards) == (1, many.shards)
    assert many.replicas == math.ceil(1500 * 0.3174e-3 * math.sqrt(5e8 / 2e5) / 8)
    assert plan(Need(4 * 10**9, qps=1)).shards == math.ceil(4e9 * 103.6 / 89.6e9)
    assert plan(Need(10**9, qps=1, memory=1000)).shards == 1


def test_no_index_is_taken_for_a_recall_that_was_not_measured():
    assert plan(Need(10**9, recall=0.99)).index == "ivf-rabitq"
    for recall in (0.999, 1):
        exact = plan(Need(10**8, recall=recall))
        assert exact.index == "exact"
        assert exact.shards == math.ceil(1e8 * 1024 / 89.6e9)


def test_an_exact_scan_where_nothing_takes_fewer_machines():
    assert plan(Need(1000)).index == "exact"
    assert plan(Need(1)).machines == 2
    assert plan(Need(1000, verify=0)).machines == 1


def test_without_geometry_no_local_features_are_kept_or_read():
    of = figures(Need(10**6, verify=0))
    assert of["storage", "local features"] == of["search", "local features read"] == 0


def test_shorter_descriptors_take_proportionally_less():
    short, long = figures(Need(10**9, dim=256, qps=1)), figures(Need(10**9, dim=512, qps=1))
    assert short["index", "memory"] == long["index", "memory"] / 2
    assert short["storage", "descriptors"] == long["storage", "descriptors"] / 2


def test_each_figure_says_what_it_rests_on():
    bases = {constant.name: constant.basis for constant in CONSTANTS}
    for figure in plan(Need(10**9)).figures:
        assert set(figure.rests_on) <= set(bases)
    assert Figure("a", "b", 1, "c", ("values",)).basis == "assumed"
    assert Figure("a", "b", 1, "c", ("describing",)).basis == "measured"
    assert Figure("a", "b", 1, "c", ("describing", "values")).basis == "measured and assumed"
    assert Figure("a", "b", 1, "c", ()).basis == "given"


def test_measured_constants_are_those_of_the_results():
    value = {constant.name: constant.value for constant in CONSTANTS if constant.basis == "measured"}
    indexing, speed = results("indexing.json"), results("verification_speed.json")
    assert value["describing"] == round(indexing["workers"] / indexing["photos_per_second"], 3)
    sizes = {row["model"]: row["bytes_a_photo"] for row in results("local_sources.json")}
    assert value["local features"] == sizes["sift-product-16-rounded.safetensors"]
    assert value["verification"] == pytest.approx(
        speed["speed"]["seconds_a_query"]["default"] * speed["processors"] / speed["answers_a_query"],
        abs=2e-5,
    )
    run = results("search_latency.json")["runs"][-1]
    assert (run["rows"], run["dim"]) == (value["exact scan"], 512)
    batch = run["batches"][-1]
    assert batch["queries"] == 32
    assert INDEXES["exact"].microseconds[1.0] == round(batch["ours_ms"] * 2 / 32 * 1000)
    measured = results("plan_constants.json")
    assert measured["rows"] == value["index"]
    for kind, costs in measured["indexes"].items():
        assert INDEXES[kind].bytes_a_row == costs["bytes_a_row"]
        assert INDEXES[kind].build_microseconds == costs["build_microseconds_a_row"]
        points = {float(recall): point["microseconds"] for recall, point in costs["recalls"].items()}
        assert INDEXES[kind].microseconds == points


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"photos": 0}, "photos is 0; accepted are numbers above 0"),
        ({"photos": 5, "qps": math.nan}, "qps is nan"),
        ({"photos": 5, "memory": math.inf}, "memory is inf"),
        ({"photos": 5, "recall": 95}, "recall is 95; accepted are numbers over 0 and up to 1, such as 0.95"),
        ({"photos": 5, "recall": math.nan}, "recall is nan"),
        ({"photos": 5, "verify": -1}, "verify is -1"),
        ({"photos": 5, "qps": 1e308}, r"qps is 1e\+308; accepted are 1e-06 to 1e\+15"),
        ({"photos": 5, "days": 1e-300}, "days is 1e-300; accepted are 1e-06 to"),
        ({"photos": 10**400}, r"photos is 1000000000\.\.\.; accepted are 1e-06 to"),
        ({"photos": 5, "verify": 10**400}, r"verify is 1000000000\.\.\.; accepted are 0 \(no geometry\) and"),
    ],
)
def test_impossible_needs_are_refused(numbers, words):
    with pytest.raises(InvalidInput, match=words):
        Need(**numbers)


def test_the_largest_and_the_smallest_need_have_a_plan():
    for most in (
        Need(10**15, qps=1e15, dim=10**15, verify=10**15, days=1e-6, cores=1, memory=1e-6),
        Need(1, qps=1e-6, recall=1e-300, dim=1, verify=0, days=1e15, cores=10**15, memory=1e15),
    ):
        assert all(math.isfinite(figure.value) for figure in plan(most).figures)
