"""What a notebook shows: escaped, small, without scripts, loading nothing."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from html_reader import Reader
from labelled_photos import grid_model, made_benchmark
from landmark_photos import write_landmarks
from PIL import Image

from resight.collection import Collection
from resight.datasets import open_landmarks
from resight.evaluation import compare, evaluate_benchmark, evaluate_waterfall
from resight.models import load_model


def shown(value):
    html = value._repr_html_()
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    names = {name for name, _ in reader.tags}
    assert names.isdisjoint({"script", "style", "link", "iframe", "object"})
    assert all(uri.startswith("data:image/jpeg") for uri in re.findall(r'(?:src|href)="([^"]*)"', html))
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    reader.words = " ".join(reader.words.split())
    return reader, html


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(2)
    for number in range(15):
        pixels = generator.integers(0, 255, (6, 6, 3), dtype=np.uint8).repeat(40, 0).repeat(40, 1)
        name = "<img src=x onerror=alert(1)>&.jpg" if number == 3 else f"{number}.jpg"
        Image.fromarray(pixels).save(root / name)
    made = Collection.create(root / "c", model=grid_model())
    made.add(root)
    return made


def test_an_answer_is_a_row_of_photos_with_verdicts(collection):
    reader, html = shown(collection.answer(next(iter(collection))))
    photos = reader.all("img")
    # The query and ten answers.
    assert len(photos) == 11
    assert reader.words.count("not checked") == 10
    assert "query" in reader.words
    assert "10 of 15 photos" in reader.words
    assert len(html) < 120_000


def test_names_are_escaped_and_missing_photos_have_a_frame(collection):
    path = next(path for path in collection if "onerror" in path)
    answer = collection.answer(path)
    reader, html = shown(replace(answer, hits=[replace(answer.hits[0], missing=True)]))
    assert "<img src=x" not in html
    assert "<img src=x onerror=alert(1)>&.jpg" in reader.words
    assert "it is not here" in reader.words


def test_many_answers_are_cut_and_that_is_said(collection):
    answer = collection.answer(next(iter(collection)))
    reader, _ = shown(replace(answer, hits=answer.hits * 10))
    assert "88 more are not shown here" in reader.words
    assert len(reader.all("img")) == 13


def test_a_collection_and_models_are_short_tables(collection):
    reader, html = shown(collection)
    assert "photos 15" in reader.words
    assert str(collection.path) in reader.words
    assert "model grid" in reader.words
    assert len(html) < 2500
    reader, _ = shown(load_model("sift"))
    for words in ("name sift", "dimensions 512", "long side 640 px", "local features sift, 128 numbers each"):
        assert words in reader.words
    reader, _ = shown(grid_model())
    assert "local features none" in reader.words


def test_results_comparisons_and_waterfalls_are_tables_of_measures(tmp_path):
    result = evaluate_benchmark(grid_model(), made_benchmark(tmp_path / "l"), clusters=False)
    reader, _ = shown(result)
    for measure in result.measures:
        assert f"{measure.name} {measure.value:.4f} [{measure.low:.4f}, {measure.high:.4f}]" in reader.words
    assert "classes were drawn" in reader.words
    reader, _ = shown(compare(result, result))
    assert "+0.0000 +0.0000 to +0.0000 1.0000" in reader.words
    write_landmarks(tmp_path / "places")
    waterfall = evaluate_waterfall(grid_model(), open_landmarks("revisited", tmp_path / "places"))
    reader, _ = shown(waterfall)
    assert all(stage.name in reader.words for stage in waterfall.stages)
