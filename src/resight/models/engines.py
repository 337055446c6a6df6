"""A model run by another runtime than torch: same fingerprint, descriptors equal but for rounding."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

from resight._version import __version__
from resight.errors import InvalidInput, MissingExtra, StorageFailed
from resight.files import reading, sha256_of, whole_files
from resight.models.checkpoints import cache_folder
from resight.models.composite import Composite
from resight.models.describer import Describer
from resight.models.model import Model
from resight.models.runtimes import ONNX, OPENVINO, Runtime, installed, run_file

__all__ = ["ENGINES", "LEAST_COSINE", "Engine", "engine_for", "with_engine"]

_LOG = logging.getLogger(__name__)

Engine: TypeAlias = Literal["auto", "torch", "openvino", "onnx"]

ENGINES: tuple[Engine, ...] = ("auto", "torch", "openvino", "onnx")
"""What `with_engine` takes; ``auto`` is the fastest installed one whose descriptors agree."""

_WORTH_PHOTOS = 200

LEAST_COSINE = 0.9999
"""Of an engine's descriptor with torch's; ``auto`` takes no engine below it."""


def with_engine(model: Model, engine: Engine) -> Model:
    """Returns the model run by an engine; its name, fingerprint and whitening stay.

    The network is written to a file once, checked against torch, and kept in the cache under the fingerprint.
    A model without a network, such as ``sift``, is returned as it is; so is a model on a GPU, for ``auto``.

    Args:
        model: As `resight.load_model` gives it.
        engine: One of `ENGINES`.

    Raises:
        InvalidInput: There is no such engine, or the network cannot be run by it.
        MissingExtra: The engine is not installed.
    """
    if engine not in ENGINES:
        raise InvalidInput(f"there is no engine {engine!r}; accepted are {', '.join(ENGINES)}")
    if engine == "torch" or not _has_network(model):
        return model
    if engine != "auto":
        needed = OPENVINO if engine == "openvino" else ONNX
        if engine not in installed():
            raise MissingExtra(engine, f"the engine {engine} ({', '.join(needed)})")
        return _run_by(model, engine, least_cosine=-1.0)
    for runtime in () if _has_gpu() else installed():
        try:
            return _run_by(model, runtime, least_cosine=LEAST_COSINE)
        except (InvalidInput, StorageFailed) as error:
            _LOG.info("%s does not run %s: %s", runtime, model.name, error)
    return model


def engine_for(engine: Engine, photos: int) -> Engine:
    """Returns torch in the place of ``auto`` for so few photos that writing the network takes longer."""
    return "torch" if engine == "auto" and photos < _WORTH_PHOTOS else engine


def _has_network(model: Model) -> bool:
    describer = model.describer
    if isinstance(describer, Composite):
        return _has_network(describer.whole)
    return hasattr(describer, "through")


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _run_by(model: Model, runtime: Runtime, *, least_cosine: float) -> Model:
    describer = model.describer
    if isinstance(describer, Composite):
        whole = _run_by(describer.whole, runtime, least_cosine=least_cosine)
        return _replaced(model, Composite(whole, describer.local, weight=describer.weight))
    from resight.models.delg_describer import DELGDescriber
    from resight.models.export import check_graph, graph_of, write_onnx
    from resight.models.network_describer import NetworkDescriber

    if not isinstance(describer, NetworkDescriber | DELGDescriber):
        raise InvalidInput(f"the model {model.name} has no network of ours to be run by {runtime}")
    graph = graph_of(model, whitened=False)
    with (
        _kept(model, lambda part: write_onnx(graph, part, {})) as path,
        reading(path, f"{runtime} does not take {path}"),
    ):
        run = run_file(path, runtime)
    difference, cosine = check_graph(graph, run, model.name)
    if cosine < least_cosine:
        raise InvalidInput(f"its descriptors are at cosine {cosine:.6f} of torch's")
    _LOG.info(
        "%s runs %s: largest difference from torch %.1e, least cosine %.6f",
        runtime,
        model.name,
        difference,
        cosine,
    )
    return _replaced(model, describer.through(run))


@contextmanager
def _kept(model: Model, write: Callable[[Path], object]) -> Iterator[Path]:
    """Yields the network's file: that in the cache, or one for now where none can be kept."""
    with ExitStack() as stack:
        try:
            path = cache_folder().parent / "engines" / f"{_key(model)}.onnx"
            if not _is_whole(path):
                _LOG.info("%s is written for other engines, once", model.name)
                _write(path, write)
        except StorageFailed as error:
            _LOG.warning("%s; %s is written for other engines each time", error, model.name)
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="resight-"))
            path = Path(folder) / "network.onnx"
            write(path)
        yield path


def _key(model: Model) -> str:
    """Returns a name for the network's file: other torch, other file."""
    import torch

    text = f"{model.fingerprint} {torch.__version__} {__version__}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_whole(path: Path) -> bool:
    """Returns whether a file is there, and as it was written, where that is known."""
    digest = path.with_suffix(".sha256")
    return path.is_file() and (not digest.is_file() or digest.read_bytes() == sha256_of([path]).encode())


def _write(path: Path, write: Callable[[Path], object]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        outputs = [path, path.with_suffix(".sha256")]
        with (
            whole_files(outputs, device=False) as (stream, digest),
            tempfile.TemporaryDirectory(prefix="resight-") as folder,
        ):
            part = Path(folder) / path.name
            write(part)
            with part.open("rb") as source:
                shutil.copyfileobj(source, stream)
            digest.write(sha256_of([part]).encode())
    except OSError as error:
        raise StorageFailed(f"cannot write {path}: {error.strerror or error}") from None


def _replaced(model: Model, describer: Describer) -> Model:
    return Model(
        describer,
        name=model.name,
        whitenings=model.whitenings,
        codec=model.codec,
        licence=model.licence,
        provenance=model.provenance,
        training=model.training,
        fingerprint=model.fingerprint,
    )
