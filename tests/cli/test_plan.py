"""``resight plan``: numbers as people write them, figures with their basis."""

from __future__ import annotations

import json

import pytest

from resight.cli import main


def test_json_holds_need_index_figures_and_constants(capsys):
    assert main(["plan", "--photos", "1e9", "--qps", "500", "--recall", "0.95", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["need"] == {
        "photos": 10**9,
        "qps": 500,
        "recall": 0.95,
        "dim": 512,
        "verify": 100,
        "days": 7,
        "cores": 16,
        "memory": 128,
    }
    assert found["machines"] == found["shards"] * found["replicas"] + 24
    bases = {constant["name"]: constant["basis"] for constant in found["constants"]}
    assert set(bases.values()) == {"measured", "assumed"}
    for figure in found["figures"]:
        assert set(figure) == {"part", "name", "value", "unit", "rests_on", "basis"}
        assert set(figure["rests_on"]) <= set(bases)


def test_people_see_which_figures_are_measured(capsys):
    assert main(["plan", "--photos", "20000000"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("20,000,000 photos, 10 queries a second, recall 0.95: ")
    rows = [line for line in printed.splitlines() if line.startswith("storage")]
    assert rows[1].split() == ["storage", "local", "features", "440.6", "GB", "measured"]


@pytest.mark.parametrize("number", ["1000000", "1e6", "1_000_000", "1.0E+6", "1000000.0"])
def test_a_number_in_its_forms(number, capsys):
    assert main(["plan", "--photos", number, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["need"]["photos"] == 10**6


@pytest.mark.parametrize("number", ["1.5", "many", "nan", "inf", "1e400", "1,000", "1e-3", ""])
def test_no_whole_number(number, capsys):
    assert main(["plan", "--photos", number]) == 2
    assert f"{number!r} is no whole number; write 1000000 or 1e6" in capsys.readouterr().err


def test_a_number_out_of_range_is_one_sentence(capsys):
    assert main(["plan", "--photos", "5", "--recall", "95"]) == 1
    assert "recall is 95; accepted are numbers over 0 and up to 1" in capsys.readouterr().err
