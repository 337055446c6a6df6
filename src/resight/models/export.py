"""A model's network as an ONNX or OpenVINO file, which runs without this package.

The graph holds preprocessing, every scale and the whitening: RGB bytes of a photo that was reduced to the
model's size go in, the descriptor comes out. That of DELG takes the normalised photo at one scale and gives
descriptor, attention and local descriptors; its keypoints are chosen over several scales outside of it.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from resight._lazy import require
from resight.errors import InvalidInput
from resight.files import whole_files
from resight.models.bundle import Preprocessing
from resight.models.delg_describer import DELGDescriber
from resight.models.model import Model
from resight.models.network_describer import NetworkDescriber
from resight.models.preprocess import normalised
from resight.models.runtimes import ONNX, OPENVINO, Run, import_openvino, run_file
from resight.networks.delg import DELG
from resight.networks.dolg import DOLG
from resight.networks.gem import GeMNet
from resight.networks.global_net import join_scales
from resight.networks.super_global import describe_super_global
from resight.networks.trunks._timm import import_timm

__all__ = ["LARGEST_DIFFERENCE", "Exported", "Format", "check_graph", "export", "graph_of", "write_onnx"]

Format: TypeAlias = Literal["onnx", "openvino"]

LARGEST_DIFFERENCE = 1e-3
"""A file whose descriptors differ more from torch's than this, in any number, is not written."""

_OPSET = 20
_EXAMPLE = (160, 224)
_TRIED = ((160, 224), (203, 131), (97, 320))


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        path: The ``.onnx`` file, or the ``.xml`` file of OpenVINO, which has a ``.bin`` beside it.
        inputs: Names of the graph's inputs with their shapes; -1 is any number.
        outputs: Names of its outputs.
        largest_difference: From torch's values, over photos of several sizes.
        least_cosine: Between the descriptors.
    """

    path: Path
    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    largest_difference: float
    least_cosine: float


def export(model: Model, path: Path, to: Format) -> Exported:
    """Returns what was written of a model: its whole way from pixels to the descriptor.

    Args:
        model: With a network of ours.
        path: The file; ``.onnx``, or ``.xml`` for OpenVINO.
        to: Which runtime the file is for.

    Raises:
        InvalidInput: The model has no network, its network cannot be exported, or the file gives other
            descriptors than torch by more than `LARGEST_DIFFERENCE`; nothing is left then.
        MissingExtra: What writes or runs such files is not installed.
        OSError: The file cannot be written.
    """
    suffix = {"onnx": ".onnx", "openvino": ".xml"}[to]
    if path.suffix != suffix:
        raise InvalidInput(f"a file for {to} ends in {suffix}, not in {path.name!r}")
    require(to, ONNX if to == "onnx" else (*OPENVINO, *ONNX[:2]), f"a file for {to}")
    graph = graph_of(model)
    # OpenVINO keeps the weights beside the graph: both files are one output.
    outputs = [path] if to == "onnx" else [path, path.with_suffix(".bin")]
    with whole_files(outputs) as streams, tempfile.TemporaryDirectory(prefix="resight-") as folder:
        made = write_onnx(graph, Path(folder) / "model.onnx", _facts(model))
        if to == "openvino":
            made = _to_openvino(made, _facts(model))
        differences = check_graph(graph, run_file(made, to), model.name)
        for output, stream in zip(outputs, streams, strict=True):
            with made.with_suffix(output.suffix).open("rb") as source:
                shutil.copyfileobj(source, stream)
    return Exported(path, {graph.input_name: graph.shape}, graph.outputs, *differences)


class Graph(nn.Module):
    """What is exported: a module from one tensor to named tensors.

    Attributes:
        input_name: Name of its input.
        shape: Shape of its input; -1 is any number.
        outputs: Names of its outputs.
    """

    input_name: str
    shape: tuple[int, ...]
    outputs: tuple[str, ...] = ("descriptor",)

    def example(self, size: tuple[int, int], seed: int) -> Tensor:
        """Returns an input of these rows and columns, or of the only ones it takes."""
        generator = torch.Generator().manual_seed(seed)
        fixed = [side for side in self.shape if side > 3]
        rows, columns = fixed or size
        # Blocks of colour: noise alone has no structure that the reduced scales keep.
        blocks = torch.rand(1, 3, rows // 16 + 1, columns // 16 + 1, generator=generator)
        image = nn.functional.interpolate(blocks, (rows, columns), mode="bilinear")
        image = (image + torch.rand(image.shape, generator=generator) / 8).clamp(max=1)
        if self.input_name == "image":
            return (image - 0.45) / 0.225
        return (image * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


class _Pixels(Graph):
    """RGB bytes to the descriptor, whitened."""

    input_name = "pixels"

    def __init__(self, describer: NetworkDescriber, model: Model | None) -> None:
        super().__init__()
        self.describer_net = describer.net.cpu()
        self.scales, self.super_global = describer.traits.scales, describer.super_global
        self.power = describer.net.scale_power if isinstance(describer.net, GeMNet) else 1.0
        self.order = describer.preprocessing.channel_order
        self.dim = describer.traits.dim
        self.shape = (1, *(describer.net.trunk.image_size or (-1, -1)), 3)
        _register(self, describer.preprocessing)
        for number, whitening in enumerate(model.whitenings if model is not None else ()):
            self.register_buffer(f"whitening_mean_{number}", torch.tensor(whitening.mean).float())
            self.register_buffer(f"whitening_matrix_{number}", torch.tensor(whitening.matrix).float())
        self.whitenings = 0 if model is None else len(model.whitenings)

    def forward(self, pixels: UInt8[Tensor, "1 rows columns 3"]) -> Float[Tensor, "1 dim"]:
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        values = normalised(pixels, mean, std, channel_order=self.order)
        net = self.describer_net
        if self.super_global is not None:
            descriptor = describe_super_global(net, values, self.scales, self.super_global).descriptor
        else:
            # As the network's describe_at, with an exponent that is a number and no tensor.
            descriptor = join_scales(
                lambda shown: net(shown).descriptor,
                values,
                self.scales,
                power=self.power,
                rounded=isinstance(net, DOLG | DELG),
            )
        # As the describer: no response at all gets the direction without a preference.
        empty = (descriptor == 0).all(dim=1, keepdim=True)
        descriptor = torch.where(empty, torch.full_like(descriptor, self.dim**-0.5), descriptor)
        for number in range(self.whitenings):
            mean = self.get_buffer(f"whitening_mean_{number}")
            matrix = self.get_buffer(f"whitening_matrix_{number}")
            descriptor = nn.functional.normalize((descriptor - mean) @ matrix.T, dim=1)
        return descriptor


class _Maps(Graph):
    """DELG at one scale: a normalised image to descriptor, attention and local descriptors."""

    input_name = "image"
    outputs = ("descriptor", "attention", "local")

    def __init__(self, describer: DELGDescriber) -> None:
        super().__init__()
        self.describer_net = describer.net.cpu()
        self.shape = (1, 3, -1, -1)

    def forward(self, image: Float[Tensor, "1 3 rows columns"]) -> tuple[Tensor, Tensor, Tensor]:
        output = self.describer_net.maps_at(image)
        return output.descriptor, output.attention, output.local


def graph_of(model: Model, *, whitened: bool = True) -> Graph:
    """Returns the module of a model that is exported.

    Args:
        model: With a network of ours.
        whitened: Whether its whitenings belong to it.

    Raises:
        InvalidInput: The model has no network of ours.
    """
    describer = model.describer
    if isinstance(describer, NetworkDescriber):
        return _Pixels(describer, model if whitened else None).eval()
    if isinstance(describer, DELGDescriber):
        return _Maps(describer).eval()
    raise InvalidInput(
        f"{model.name} is a model of kind {describer.traits.kind}, which has no network to export: take one "
        "with a network alone"
    )


def write_onnx(graph: Graph, path: Path, facts: Mapping[str, str]) -> Path:
    """Writes a graph as an ONNX file with metadata, and returns its path.

    Raises:
        InvalidInput: torch cannot export it.
        MissingExtra: onnx or onnxscript is not installed.
    """
    require("onnx", ONNX[:2], "a file for onnx")
    try:
        with torch.no_grad(), _quiet():
            write = _write_traced if _pads_by_size(graph) else _write_followed
            write(graph, path, dict(facts))
    # Whatever torch's exporter raises: the network holds what no graph of ONNX can say.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidInput(f"the network cannot be exported ({type(error).__name__}: {reason})") from error
    return path


def _pads_by_size(graph: Graph) -> bool:
    """Returns whether what a layer adds at the border depends on the size, as TensorFlow's networks do it.

    Each such size is a term of the one before, several times over: the symbols of torch's newer exporter grow
    for minutes. The older one writes down what it sees being done to sizes.
    """
    layers = import_timm("a file for onnx").layers
    kinds = (layers.Conv2dSame, layers.AvgPool2dSame, layers.pool2d_same.MaxPool2dSame)
    return any(isinstance(module, kinds) for module in graph.modules())


def _write_traced(graph: Graph, path: Path, facts: dict[str, str]) -> None:
    import onnx

    axes = {place: f"side_{place}" for place, side in enumerate(graph.shape) if side == -1}
    torch.onnx.export(
        graph.eval(),
        (graph.example(_EXAMPLE, 0),),
        str(path),
        input_names=[graph.input_name],
        output_names=list(graph.outputs),
        dynamic_axes={graph.input_name: axes},
        opset_version=_OPSET,
        dynamo=False,
    )
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, facts)
    onnx.save(model, str(path))


def _write_followed(graph: Graph, path: Path, facts: dict[str, str]) -> None:
    axes = {place: torch.export.Dim.DYNAMIC for place, side in enumerate(graph.shape) if side == -1}
    program: Any = torch.onnx.export(
        graph,
        (graph.example(_EXAMPLE, 0),),
        input_names=[graph.input_name],
        output_names=list(graph.outputs),
        dynamic_shapes=(axes,),
        opset_version=_OPSET,
        dynamo=True,
        verbose=False,
    )
    program.model.metadata_props.update(facts)
    program.save(str(path))


def check_graph(graph: Graph, run: Run, name: str) -> tuple[float, float]:
    """Returns the largest difference of a file's outputs from torch's, and the least cosine of descriptors.

    Over made photos of three sizes.

    Raises:
        InvalidInput: A value differs by more than `LARGEST_DIFFERENCE`.
    """
    largest, cosine = 0.0, 1.0
    for seed, size in enumerate(_TRIED):
        example = graph.example(size, seed)
        with torch.inference_mode():
            expected = graph(example)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for output, found, wanted in zip(graph.outputs, run(example.numpy()), expected, strict=True):
            difference = float(np.abs(found - wanted.numpy()).max())
            # Attention has a scale of its own.
            scale = max(1.0, float(wanted.abs().max())) if output == "attention" else 1.0
            largest = max(largest, difference / scale)
            if output == "descriptor":
                cosine = min(cosine, float((found * wanted.numpy()).sum()))
    if not largest <= LARGEST_DIFFERENCE:
        raise InvalidInput(
            f"the exported network of {name} gives other values than torch, by up to {largest:.2g}; at most "
            f"{LARGEST_DIFFERENCE:g} is accepted: use torch for it"
        )
    return largest, cosine


def _facts(model: Model) -> dict[str, str]:
    """Returns what a file says of its model, text by name."""
    preprocessing: Preprocessing = model.describer.preprocessing  # type: ignore[attr-defined]  # a network's describer
    return {
        "resight.model": model.name,
        "resight.fingerprint": model.fingerprint,
        "resight.licence": model.licence,
        "resight.preprocessing": json.dumps(asdict(preprocessing)),
        "resight.scales": json.dumps(model.facts.scales),
    }


def _to_openvino(onnx: Path, facts: Mapping[str, str]) -> Path:
    openvino = import_openvino()
    graph = openvino.Core().read_model(str(onnx))
    for key, value in facts.items():
        graph.set_rt_info(value, ["resight", key.removeprefix("resight.")])
    path = onnx.with_suffix(".xml")
    openvino.save_model(graph, str(path), compress_to_fp16=False)
    return path


def _register(module: nn.Module, preprocessing: Preprocessing) -> None:
    for name in ("mean", "std"):
        module.register_buffer(name, torch.tensor(getattr(preprocessing, name)).view(3, 1, 1))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps torch's exporter from telling of its steps and of its own deprecations."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
