"""Which pixels a cell of a feature map sees, computed from the layers of any convolutional trunk.

A. Araujo, W. Norris and J. Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.
A cell of a layer with kernel k, stride s, padding p and dilation d sees the cells ``s i - p`` to
``s i - p + d (k - 1)`` of the map before. Where branches meet, the field is the smallest that holds theirs.

The trunk is run once on zeros, and each operation is told which pixels its inputs see. An operation that is
not known here is refused instead of guessed at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from resight.errors import InvalidInput
from resight.features import ReceptiveField
from resight.networks.trunks.backbone import Backbone

__all__ = ["ReceptiveField", "receptive_field"]

# Rows and columns differ, so that one is never taken for the other.
_PROBE_CELLS = (4, 5)
_PROBE_PIXELS = 32


def receptive_field(trunk: Backbone, map_index: int = -1) -> ReceptiveField:
    """Returns what a cell of one of the trunk's maps sees, in pixels of the image.

    It is the formal field: the pixels that can have an influence through the chain of kernels. What a gate
    or a normalisation takes from the mean of the whole map (squeeze and excitation, for example) weights
    channels and says nothing of places; it does not count.

    Args:
        trunk: A convolutional trunk; left as it is.
        map_index: Which of its maps.

    Raises:
        InvalidInput: There is no such map, or an operation on the way to it has no field: attention between
            places, or enlarging.
    """
    count = len(trunk.channels)
    if not -count <= map_index < count:
        raise InvalidInput(f"the trunk {trunk.trunk} gives {count} maps, so none has the index {map_index}")
    rows, columns = (max(cells * trunk.strides[-1], cells * _PROBE_PIXELS) for cells in _PROBE_CELLS)
    size = trunk.image_size or (rows, columns)
    weight = next(trunk.parameters())
    image = torch.zeros(1, 3, *size, dtype=weight.dtype, device=weight.device)
    tracing = _Tracing(trunk.trunk)
    tracing.note(image, _Seen((-2, -1), _PIXEL, _PIXEL))
    with _as_in_use(trunk), torch.no_grad(), _Linear(tracing), tracing:
        seen = tracing.seen(trunk(image)[map_index])
    if seen is None or seen.axes != (-2, -1):
        raise InvalidInput(f"the trunk {trunk.trunk} gives a map whose cells have no place in the image")
    if seen.rows != seen.columns:
        raise InvalidInput(
            f"a cell of the trunk {trunk.trunk} sees {seen.rows.size} rows and {seen.columns.size} columns: "
            "keypoints need a trunk that sees as much of both"
        )
    return ReceptiveField(seen.rows.size, seen.rows.stride, seen.rows.padding)


@dataclass(frozen=True, slots=True)
class _Span:
    """What a cell sees along one axis, as in `ReceptiveField`."""

    size: int
    stride: int
    padding: int

    def through(self, kernel: int, stride: int, padding: int, dilation: int) -> _Span:
        """Returns what a cell of the next layer sees."""
        return _Span(
            self.size + self.stride * dilation * (kernel - 1),
            self.stride * stride,
            self.padding + self.stride * padding,
        )

    def moved(self, cells: int) -> _Span:
        """Returns what a cell sees after so many cells were put before the first one."""
        return replace(self, padding=self.padding + self.stride * cells)

    def joined(self, other: _Span) -> _Span:
        """Returns the smallest span that holds both; they have one stride."""
        padding = max(self.padding, other.padding)
        end = max(self.size - self.padding, other.size - other.padding)
        return _Span(end + padding, self.stride, padding)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the cells of a tensor see; its axes of rows and columns are counted from the end."""

    axes: tuple[int, int]
    rows: _Span
    columns: _Span


_PIXEL = _Span(1, 1, 0)
_Arguments: TypeAlias = Sequence[Any]  # whatever an operation of torch takes


@final
class _Tracing(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types for its modes
    """Follows what each tensor sees through the operations that make it."""

    def __init__(self, trunk: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self._trunk = trunk
        # The tensors are kept, or another one could get the place in memory that names it.
        self._known: dict[int, tuple[Tensor, _Seen]] = {}
        self.paused = False

    def note(self, tensor: Tensor, seen: _Seen) -> None:
        self._known[id(tensor)] = tensor, seen

    def seen(self, value: object) -> _Seen | None:
        return self._known[id(value)][1] if id(value) in self._known else None

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: _Arguments = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        output = func(*args, **(kwargs or {}))
        inputs = [] if self.paused else list(self._inputs(args))
        if inputs:
            seen = self._follow(func, args, inputs, output)
            for each in output if isinstance(output, list | tuple) else [output]:
                if seen is not None and isinstance(each, Tensor) and each.ndim >= 2:
                    self.note(each, seen)
        return output

    def _inputs(self, args: _Arguments) -> Iterator[tuple[Tensor, _Seen]]:
        for value in args:
            if isinstance(value, list | tuple):
                yield from self._inputs(value)
            elif id(value) in self._known:
                yield self._known[id(value)]

    def _follow(
        self, func: Any, args: _Arguments, inputs: Sequence[tuple[Tensor, _Seen]], output: Any
    ) -> _Seen | None:
        name = func.overloadpacket.__name__.removesuffix("_")
        tensor, seen = inputs[0]
        axes = tuple(axis + tensor.ndim for axis in seen.axes)
        if name in _KERNELS and seen.axes == (-2, -1):
            return self._through_kernel(name, args, seen)
        if torch.Tag.pointwise in func.tags or name in _KEEPING:
            return self._joined(inputs)
        if name == "cat" and _axis(args, 1, 0) % tensor.ndim not in axes:
            return self._joined(inputs)
        if name == "stack" and _axis(args, 1, 0) % output.ndim <= min(axes):
            return self._joined(inputs)
        if name in _PADDINGS and seen.axes == (-2, -1):
            left, _, top, _ = (*args[1], 0, 0)[:4]
            return _Seen(seen.axes, seen.rows.moved(top), seen.columns.moved(left))
        if name in _CHANNEL_PARTS and _axis(args, _CHANNEL_PARTS[name], 0) % tensor.ndim not in axes:
            return seen
        if name == "slice" and (len(args) < 5 or args[4] == 1):
            return self._cut(seen, _axis(args, 1, 0) % tensor.ndim, axes, args[2] or 0)
        if name in ("permute", "transpose"):
            return _reordered(seen, axes, _order(name, args, tensor.ndim))
        if name in ("view", "_unsafe_view", "reshape", "_reshape_alias"):
            if seen.axes == (-2, -1) and output.ndim >= 3 and output.shape[-2:] == tensor.shape[-2:]:
                return seen
        elif name == "native_layer_norm" and len(args[1]) <= -max(seen.axes) - 1:
            return seen
        elif name in _REDUCTIONS:
            reduced = _reduced(args, tensor.ndim)
            if set(axes) <= reduced:
                return None
            # Axes are counted from the end: one that disappears before them changes nothing.
            if not set(axes) & reduced and (output.ndim == tensor.ndim or max(reduced) < min(axes)):
                return seen
        elif name in _WHOLE and set(output.shape[-2:]) == {1}:
            return None
        raise InvalidInput(
            f"what a cell of the trunk {self._trunk} sees cannot be computed: the operation {name} mixes "
            "places, or is not known here; choose a convolutional trunk"
        )

    def _through_kernel(self, name: str, args: _Arguments, seen: _Seen) -> _Seen:
        if name == "convolution":
            if args[6]:
                raise InvalidInput(f"the trunk {self._trunk} enlarges its maps: choose another one")
            kernel, stride, padding, dilation = args[1].shape[2:], args[3], args[4], args[5]
        else:
            kernel = args[1]
            stride = (args[2] if len(args) > 2 else None) or kernel
            padding = args[3] if len(args) > 3 else 0
            dilation = args[4] if len(args) > 4 and name.startswith("max") else 1
        each = [_pair(value) for value in (kernel, stride, padding, dilation)]
        rows, columns = ([pair[axis] for pair in each] for axis in (0, 1))
        return _Seen(seen.axes, seen.rows.through(*rows), seen.columns.through(*columns))

    def _joined(self, inputs: Sequence[tuple[Tensor, _Seen]]) -> _Seen:
        seen = inputs[0][1]
        for _, other in inputs[1:]:
            steps = {(each.axes, each.rows.stride, each.columns.stride) for each in (seen, other)}
            if len(steps) > 1:
                raise InvalidInput(
                    f"the trunk {self._trunk} joins maps of different strides: choose another one"
                )
            seen = _Seen(seen.axes, seen.rows.joined(other.rows), seen.columns.joined(other.columns))
        return seen

    def _cut(self, seen: _Seen, axis: int, axes: tuple[int, ...], start: int) -> _Seen:
        if axis not in axes or start == 0:
            return seen
        if start < 0:
            raise InvalidInput(f"the trunk {self._trunk} cuts its maps from the end: choose another one")
        if axis == axes[0]:
            return replace(seen, rows=seen.rows.moved(-start))
        return replace(seen, columns=seen.columns.moved(-start))


@final
class _Linear(TorchFunctionMode):
    """Takes a linear layer over channels as one operation; below it is a product of flattened places."""

    def __init__(self, tracing: _Tracing) -> None:
        super().__init__()
        self._tracing = tracing

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: _Arguments = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        seen = self._tracing.seen(args[0]) if args and func is nn.functional.linear else None
        if seen is None or -1 in seen.axes:
            return func(*args, **(kwargs or {}))
        self._tracing.paused = True
        try:
            output = func(*args, **(kwargs or {}))
        finally:
            self._tracing.paused = False
        self._tracing.note(output, seen)
        return output


_KERNELS = frozenset({"convolution", "max_pool2d_with_indices", "max_pool2d", "avg_pool2d"})
_PADDINGS = frozenset({"constant_pad_nd", "reflection_pad2d", "replication_pad2d"})
# Each cell of the output sees what the same cell of the inputs sees.
_KEEPING = frozenset(
    {
        "_native_batch_norm_legit_no_training",
        "_to_copy",
        "alias",
        "clone",
        "contiguous",
        "cudnn_batch_norm",
        "detach",
        "hardswish",
        "mish",
        "native_batch_norm",
        "native_dropout",
        "native_group_norm",
        "_prelu_kernel",
        "prelu",
    }
)
# Parts of the channels, and which argument names the axis.
_CHANNEL_PARTS = {"split": 2, "split_with_sizes": 2, "unbind": 1, "_softmax": 1}
_REDUCTIONS = frozenset({"amax", "amin", "linalg_vector_norm", "mean", "std", "sum", "var", "max"})
_WHOLE = frozenset({"_adaptive_avg_pool2d", "adaptive_max_pool2d", "_adaptive_max_pool2d"})


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def _axis(args: _Arguments, place: int, otherwise: int) -> int:
    return int(args[place]) if len(args) > place else otherwise


def _order(name: str, args: _Arguments, ndim: int) -> list[int]:
    """Returns for each axis of the output which one of the input it is."""
    if name == "permute":
        return [axis % ndim for axis in args[1]]
    order = list(range(ndim))
    first, second = args[1] % ndim, args[2] % ndim
    order[first], order[second] = order[second], order[first]
    return order


def _reordered(seen: _Seen, axes: tuple[int, ...], order: Sequence[int]) -> _Seen:
    rows, columns = (order.index(axis) - len(order) for axis in axes)
    return replace(seen, axes=(rows, columns))


def _reduced(args: _Arguments, ndim: int) -> set[int]:
    """Returns the axes a reduction takes together; without any named, all of them."""
    named = next((each for each in args[1:] if isinstance(each, list | tuple)), None)
    if named is None and len(args) > 1 and isinstance(args[1], int) and not isinstance(args[1], bool):
        named = [args[1]]
    return set(range(ndim)) if not named else {axis % ndim for axis in named}


@contextmanager
def _as_in_use(trunk: nn.Module) -> Iterator[None]:
    """Sets eval mode, in which nothing is learned from the zeros, and gives every module its own back."""
    training = {module: module.training for module in trunk.modules()}
    trunk.eval()
    try:
        yield
    finally:
        for module, was in training.items():
            module.training = was
