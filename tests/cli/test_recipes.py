"""``resight recipes``: every recipe with what it trains."""

from __future__ import annotations

import json
from pathlib import Path


def test_recipes_are_listed_and_shown(run):
    code, out, _ = run("recipes")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert {"cgd", "delg-gldv2", "small-gem", "softtriple"} <= rows.keys()
    assert "(Jun et al. 2019), in its twelve configurations by one key" in rows["cgd"]
    assert "DELG (Cao, Araujo and Sim, ECCV 2020)" in rows["delg-gldv2"]
    code, out, _ = run("recipes", "small-cgd")
    assert code == 0
    assert out.startswith("CGD from scratch on a small set")
    assert "  resight train small-cgd" in out
    code, out, _ = run("recipes", "--json")
    listed = json.loads(out)
    assert all(Path(recipe["path"]).is_file() and recipe["about"] for recipe in listed)
    assert len(listed) == len(rows)


def test_an_unknown_recipe_is_answered_with_the_nearest(run):
    code, _, err = run("recipes", "softtripel")
    assert code == 1
    assert "there is no recipe 'softtripel', did you mean softtriple; there are cgd" in err
