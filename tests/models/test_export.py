"""Networks as files that the bare runtimes run, and models run by them: equal but for rounding."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from resight._lazy import lacks
from resight.errors import InvalidInput, MissingExtra
from resight.models import DELGDescriber, Model, NetworkDescriber, engines, load_model, runtimes
from resight.models.composite import Composite
from resight.models.engines import engine_for, with_engine
from resight.models.export import check_graph, export, graph_of
from resight.models.keypoints import KeypointConfig
from resight.models.runtimes import ONNX, OPENVINO, import_onnxruntime, import_openvino
from resight.models.whitening_fit import fit_pca
from resight.networks import CGD, DELG, DOLG, Backbone, CGDConfig, DELGConfig, DOLGConfig, GeMNet, TrunkConfig
from resight.networks.gem import GeMNetConfig

# Exporting a network takes seconds.
pytestmark = pytest.mark.slow
if lacks([*ONNX, *OPENVINO]):
    pytest.skip("the extras onnx and openvino are not installed", allow_module_level=True)
onnxruntime, openvino = import_onnxruntime(), import_openvino()


def trunk(*maps):
    return Backbone("test_resnet", out_indices=maps)


def photo(rows, columns, seed=1):
    image = np.random.default_rng(seed).integers(0, 256, (rows // 8 + 1, columns // 8 + 1, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(image).resize((columns, rows)))


@pytest.fixture(scope="module")
def models():
    torch.manual_seed(5)
    made = {
        "gem": NetworkDescriber(GeMNet(trunk(-1), GeMNetConfig()), scales=(1.0, 0.7071)),
        "cgd": NetworkDescriber(CGD(trunk(-1), CGDConfig(configuration="SG", dim=16))),
        # Half the size rounds halves to even.
        "dolg": NetworkDescriber(DOLG(trunk(-2, -1), DOLGConfig(16)), scales=(0.5,)),
        # Pads by its size.
        "lite0": NetworkDescriber(
            GeMNet(TrunkConfig("efficientnet-lite0", pretrained=False).build(), GeMNetConfig()),
            scales=(0.75, 0.53),
        ),
        "delg": DELGDescriber(
            DELG(trunk(-2, -1), DELGConfig(16, local_dim=8, attention_dim=8)),
            keypoints=KeypointConfig(scales=(0.5, 1.0)),
        ),
    }
    models = {name: Model(describer, name=name, licence="CC0-1.0") for name, describer in made.items()}
    descriptors = np.random.default_rng(3).standard_normal((60, 16)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    models["whitened"] = models["cgd"].whitened(fit_pca(descriptors, 8, provenance="made"))
    return models


def test_a_link_stays_and_its_target_is_written(models, tmp_path):
    target, link = tmp_path / "target.onnx", tmp_path / "link.onnx"
    target.write_bytes(b"before")
    link.symlink_to(target)
    export(models["gem"], link, "onnx")
    assert link.is_symlink()
    assert onnxruntime.InferenceSession(target.read_bytes()).get_outputs()[0].name == "descriptor"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.onnx", "target.onnx"]


@pytest.fixture(scope="module")
def files(models, tmp_path_factory):
    """Each model as an ONNX file."""
    folder = tmp_path_factory.mktemp("files")
    # Whitened CGD is CGD with a layer more, and exporting takes seconds.
    names = ("gem", "whitened", "dolg", "lite0", "delg")
    return {name: export(models[name], folder / f"{name}.onnx", "onnx") for name in names}


def bare_onnx(path, values):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: values})


def bare_openvino(path, values):
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled([values])
    return [found[output] for output in compiled.outputs]


@pytest.mark.parametrize("run", [bare_onnx, bare_openvino])
@pytest.mark.parametrize("name", ["gem", "whitened", "dolg", "lite0"])
def test_the_bare_runtimes_give_the_models_descriptor(name, run, models, files):
    for rows, columns in ((131, 97), (96, 160)):
        shown = photo(rows, columns)
        (expected,) = models[name].describe([shown])
        (found,) = run(files[name].path, shown[None])
        np.testing.assert_allclose(found[0], expected, atol=1e-5)


@pytest.mark.parametrize("run", [bare_onnx, bare_openvino])
def test_the_bare_runtimes_give_delgs_maps(run, models, files):
    image = torch.randn(1, 3, 131, 96, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = models["delg"].describer.net.maps_at(image)
    found = run(files["delg"].path, image.numpy())
    for name, values in zip(files["delg"].outputs, found, strict=True):
        np.testing.assert_allclose(values, getattr(expected, name), atol=1e-5)


def test_a_file_says_what_it_is(models, files):
    session = onnxruntime.InferenceSession(str(files["gem"].path), providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    model = models["gem"]
    assert facts["resight.fingerprint"] == model.fingerprint
    assert (facts["resight.model"], facts["resight.licence"]) == ("gem", "CC0-1.0")
    assert json.loads(facts["resight.scales"]) == list(model.facts.scales)
    assert json.loads(facts["resight.preprocessing"])["max_side"] == 1024
    assert session.get_inputs()[0].shape[0] == 1
    assert files["gem"].least_cosine > 0.99999


def test_openvinos_own_file(models, files, tmp_path, monkeypatch):
    model = models["whitened"]

    def copied(_graph, path, _facts):
        path.write_bytes(files["whitened"].path.read_bytes())
        return path

    monkeypatch.setattr("resight.models.export.write_onnx", copied)
    written = export(model, tmp_path / "cgd.xml", "openvino")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["cgd.bin", "cgd.xml"]
    shown = photo(97, 120)
    (found,) = bare_openvino(written.path, shown[None])
    np.testing.assert_allclose(found, model.describe([shown]), atol=1e-5)
    graph = openvino.Core().read_model(str(written.path))
    assert graph.get_rt_info(["resight", "fingerprint"]).astype(str) == model.fingerprint


def test_what_gives_other_values_is_refused(models):
    graph = graph_of(models["cgd"])

    def wrong(values):
        with torch.inference_mode():
            return [graph(torch.from_numpy(values)).numpy() + 2e-3]

    with pytest.raises(InvalidInput, match=r"network of cgd gives other values than torch, by up to 0\.002"):
        check_graph(graph, wrong, "cgd")


def test_what_cannot_be_exported(tmp_path, monkeypatch, models):
    with pytest.raises(InvalidInput, match="sift is a model of kind sift, which has no network to export"):
        export(load_model("sift"), tmp_path / "sift.onnx", "onnx")
    with pytest.raises(InvalidInput, match=r"a file for onnx ends in \.onnx, not in 'cgd.xml'"):
        export(models["cgd"], tmp_path / "cgd.xml", "onnx")
    monkeypatch.setattr(runtimes, "lacks", lambda modules: True)
    with pytest.raises(MissingExtra, match=r"pip install 'resight\[openvino\]'"):
        with_engine(models["cgd"], "openvino")
    assert with_engine(models["cgd"], "auto") is models["cgd"]
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "cache_folder", lambda: tmp_path / "models")
    return tmp_path / "engines"


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_a_model_run_by_an_engine_is_the_same_model(engine, models, files, cache, monkeypatch):
    model = models["delg"]
    cache.mkdir()
    # Written once: the file is there, and nothing writes it again.
    (cache / f"{engines._key(model)}.onnx").write_bytes(files["delg"].path.read_bytes())
    monkeypatch.setattr("resight.models.export.write_onnx", lambda *_: pytest.fail("it was written again"))
    other = with_engine(model, engine)
    assert (other.name, other.fingerprint, other.codec) == (model.name, model.fingerprint, model.codec)
    shown = photo(150, 120)
    np.testing.assert_allclose(other.describe([shown]), model.describe([shown]), atol=1e-5)
    ours, theirs = (each.extract([image_of(shown)])[0].local for each in (model, other))
    assert len(ours) == len(theirs) > 0


@pytest.mark.parametrize(
    "damage", [lambda whole: b"", lambda whole: whole[:-99], lambda whole: whole[:-99] + b"x" * 99]
)
def test_a_damaged_network_in_the_cache_is_written_anew(models, files, cache, monkeypatch, damage):
    model, written = models["gem"], []

    def write(graph, part, facts):
        part.write_bytes(files["gem"].path.read_bytes())
        written.append(part)

    monkeypatch.setattr("resight.models.export.write_onnx", write)
    for _ in range(2):
        with_engine(model, "onnx")
    assert len(written) == 1
    (kept,) = cache.glob("*.onnx")
    kept.write_bytes(damage(kept.read_bytes()))
    with_engine(model, "onnx")
    assert kept.read_bytes() == files["gem"].path.read_bytes()
    # A file of an older version has no checksum beside it.
    kept.with_suffix(".sha256").unlink()
    kept.write_bytes(b"no network")
    with pytest.raises(InvalidInput, match=f"onnx does not take {kept}"):
        with_engine(model, "onnx")


def image_of(shown):
    from resight.images import photo_of

    return photo_of(shown, max_side=1024)


def test_the_fastest_that_agrees_is_taken(models, files, cache, monkeypatch):
    cache.mkdir()
    model = models["dolg"]
    (cache / f"{engines._key(model)}.onnx").write_bytes(files["dolg"].path.read_bytes())
    taken = []
    run_file = runtimes.run_file

    def noted(path, runtime):
        taken.append(runtime)
        run = run_file(path, runtime)
        if runtime == "onnx":
            return run
        # Below the cosine, within the difference.
        return lambda values: [each * 0.9995 for each in run(values)]

    monkeypatch.setattr(engines, "run_file", noted)
    other = with_engine(model, "auto")
    assert taken == ["openvino", "onnx"]
    assert other is not model
    pair = Model(Composite(model, load_model("sift"), weight=0.5), name="pair")
    taken.clear()
    both = with_engine(pair, "onnx")
    assert taken == ["onnx"]
    assert both.fingerprint == pair.fingerprint
    shown = photo(150, 120)
    np.testing.assert_allclose(both.describe([shown]), pair.describe([shown]), atol=1e-5)


def test_engines_by_name():
    sift = load_model("sift")
    assert with_engine(sift, "openvino") is sift
    with pytest.raises(InvalidInput, match="there is no engine 'tensorrt'; accepted are auto, torch, open"):
        with_engine(sift, "tensorrt")
    assert [engine_for("auto", count) for count in (199, 200)] == ["torch", "auto"]
    assert engine_for("onnx", 1) == "onnx"


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(models, files, cache, monkeypatch):
    cache.write_text("a file in the place of the folder")

    def write(graph, part, facts):
        part.write_bytes(files["gem"].path.read_bytes())

    monkeypatch.setattr("resight.models.export.write_onnx", write)
    model, shown = models["gem"], photo(150, 120)
    other = with_engine(model, "onnx")
    np.testing.assert_allclose(other.describe([shown]), model.describe([shown]), atol=1e-5)
