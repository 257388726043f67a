"""Records what a network computes as an ONNX graph: any number of windows, of one size.

torch's own exporters are not used: the older one will be removed and gets several of our generators wrong, the newer
one takes up to a minute and a compiler's memory, in every process that finds no copy. Generators call some thirty
functions of torch. Here stand-ins for their inputs write a node for each call (`__torch_function__`) and compute an
example beside it, from which shapes are known. What depends on weights alone torch computes, and it becomes a constant.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

OPSET = 17
IR_VERSION = 8  # of opset 17; newer ones are refused by older runtimes
BATCH = 3  # of the example; no other axis that is reshaped has this size in front


class UnsupportedOperation(ValueError):
    """A network calls something that has no counterpart here."""


class Graph:
    """Nodes and constants, in order."""

    def __init__(self) -> None:
        from onnx import helper, numpy_helper

        self._helper, self._numpy = helper, numpy_helper
        self._nodes: list[Any] = []
        self._constants: dict[Any, tuple[str, np.ndarray]] = {}
        self._inputs: list[Any] = []
        self._names = 0

    def input(self, name: str, example: Tensor) -> Traced:
        """Declare an input: numbers, whose first axis is the batch, or a part to be cut out, (4,) int64."""
        part = example.dtype == torch.int64
        self._inputs.append(self._info(name, 7, example.shape) if part else self._batch_info(name, example))
        return Traced(self, name, example)

    def node(self, kind: str, *operands: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Append a node; return the name of its output, or a list of names."""
        names = [self._new() for _ in range(outputs)]
        self._nodes.append(self._helper.make_node(kind, [self._operand(o) for o in operands], names, **attributes))
        return names if outputs > 1 else names[0]

    def to_bytes(self, output: Traced) -> bytes:
        """Return the model, whose only output, (batch, C, height, width), is called "added"."""
        self._nodes.append(self._helper.make_node("Identity", [output.name], ["added"]))
        graph = self._helper.make_graph(
            self._nodes,
            "albu_gan",
            self._inputs,
            [self._info("added", 1, ["batch", output.shape[1], "height", "width"])],
            [self._numpy.from_array(array, name) for name, array in self._constants.values()],
        )
        model = self._helper.make_model(
            graph, opset_imports=[self._helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        return bytes(model.SerializeToString())

    def _batch_info(self, name: str, example: Tensor) -> Any:
        return self._info(name, 1, ["batch", *example.shape[1:]])

    def _info(self, name: str, kind: int, shape: Sequence[int | str]) -> Any:
        return self._helper.make_tensor_value_info(name, kind, list(shape))  # 1 is float32, 7 is int64

    def _operand(self, value: Any) -> str:
        """Return a name: of what was recorded, or of a new constant."""
        if isinstance(value, Traced):
            return value.name
        if isinstance(value, str):
            return value
        if isinstance(value, Tensor):
            value = value.detach().numpy()
        array = np.array(value, None if isinstance(value, np.ndarray) else np.float32, order="C")
        key = (array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in self._constants:
            self._constants[key] = (self._new(), array)
        return self._constants[key][0]

    def _new(self) -> str:
        self._names += 1
        return f"t{self._names}"


class Traced:
    """Stands for a tensor in the forward pass of a network."""

    def __init__(self, graph: Graph, name: str, value: Tensor) -> None:
        self.graph, self.name, self.value = graph, name, value
        self.shape, self.dtype, self.ndim = value.shape, value.dtype, value.ndim

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Record a call of torch."""
        return _record(func, func.__name__, args, kwargs or {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not callable(getattr(Tensor, name, None)):
            raise UnsupportedOperation(f"Tensor.{name}")
        return lambda *args, **kwargs: _record(getattr(Tensor, name), name, (self, *args), kwargs)


def _operator(name: str) -> Callable[..., Any]:
    return lambda *args: _record(getattr(Tensor, name), name, args, {})


for _name in ("add", "sub", "mul", "truediv", "matmul"):
    for _prefix in ("", "r") if _name != "matmul" else ("",):
        setattr(Traced, f"__{_prefix}{_name}__", _operator(f"__{_prefix}{_name}__"))
for _name in ("getitem", "neg"):
    setattr(Traced, f"__{_name}__", _operator(f"__{_name}__"))


def _record(func: Any, called: str, args: Any, kwargs: Any) -> Any:
    """Write the nodes of a call and compute its example."""
    name = called.strip("_")
    if name not in OPERATIONS:
        raise UnsupportedOperation(called)
    traced = next(a for a in _flat([*args, *kwargs.values()]) if isinstance(a, Traced))
    in_place = called.endswith("_") and not called.endswith("__")
    value = func(*_examples(args, in_place), **{key: _examples(value, in_place) for key, value in kwargs.items()})
    given = {key: value for key, value in kwargs.items() if value is not None and value is not False}
    try:
        written = OPERATIONS[name](traced.graph, *args, **given)
    except TypeError as err:  # an argument that is not known here
        raise UnsupportedOperation(f"{called}: {err}") from err
    if isinstance(value, Tensor):
        return Traced(traced.graph, written.name if isinstance(written, Traced) else written, value)
    return tuple(Traced(traced.graph, *pair) for pair in zip(written, value, strict=True))


def _flat(values: Any) -> Any:
    for value in values:
        yield from _flat(value) if isinstance(value, (list, tuple)) else [value]


def _examples(value: Any, copied: bool) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_examples(v, copied) for v in value)
    if isinstance(value, Traced):
        return value.value.clone() if copied else value.value
    return value


def _int64(values: Sequence[int]) -> np.ndarray:
    return np.array(values, np.int64)


def _axes(dim: Any) -> list[int]:
    return [dim] if isinstance(dim, int) else list(dim)


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else [*value, *value][:2]


def _two(kind: str) -> Callable[..., Any]:
    return lambda g, a, b: g.node(kind, a, b)


def _swapped(kind: str) -> Callable[..., Any]:
    return lambda g, a, b: g.node(kind, b, a)


def _reduce(kind: str) -> Callable[..., Any]:
    def write(g: Graph, x: Traced, dim: Any = None, keepdim: bool = False) -> Any:
        axes = _axes(range(x.ndim) if dim is None else dim)
        if kind == "ReduceSum":
            return g.node(kind, x, _int64(axes), keepdims=int(keepdim))
        return g.node(kind, x, axes=axes, keepdims=int(keepdim))

    return write


def _norm(g: Graph, x: Traced, dim: int, keepdim: bool = False) -> Any:
    return g.node("ReduceL2", x, axes=[dim], keepdims=int(keepdim))


def _normalize(g: Graph, x: Traced, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    if p != 2:
        raise UnsupportedOperation("normalize by another norm")
    return g.node("Div", x, g.node("Max", _norm(g, x, dim, True), eps))


def _conv(
    g: Graph,
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    extra = [] if bias is None else [bias]
    options: dict[str, Any] = {"strides": _pair(stride), "dilations": _pair(dilation), "group": groups}
    return g.node("Conv", x, weight, *extra, pads=2 * _pair(padding), **options)


def _conv_transpose(
    g: Graph, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    extra = [] if bias is None else [bias]
    options: dict[str, Any] = {"strides": _pair(stride), "dilations": _pair(dilation), "group": groups}
    options["output_padding"] = _pair(output_padding)
    return g.node("ConvTranspose", x, weight, *extra, pads=2 * _pair(padding), **options)


def _linear(g: Graph, x: Any, weight: Any, bias: Any = None) -> Any:
    return g.node("Gemm", x, weight, *([] if bias is None else [bias]), transB=1)


def _leaky_relu(g: Graph, x: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    return g.node("LeakyRelu", x, alpha=negative_slope)


def _cat(g: Graph, tensors: Sequence[Any], dim: int = 0) -> Any:
    return g.node("Concat", *tensors, axis=dim)


def _split(g: Graph, x: Traced, sizes: Sequence[int], dim: int = 0) -> Any:
    return g.node("Split", x, _int64(sizes), axis=dim, outputs=len(sizes))


def _chunk(g: Graph, x: Traced, chunks: int, dim: int = 0) -> Any:
    return _split(g, x, [len(part) for part in torch.arange(x.shape[dim]).chunk(chunks)], dim)


def _addcmul(g: Graph, x: Any, a: Any, b: Any) -> Any:
    return g.node("Add", x, g.node("Mul", a, b))


def _var_mean(g: Graph, x: Traced, dim: Any, keepdim: bool = False, correction: int = 1) -> Any:
    if correction != 0:
        raise UnsupportedOperation("var_mean with a correction")
    mean = g.node("ReduceMean", x, axes=_axes(dim), keepdims=1)
    apart = g.node("Sub", x, mean)
    variance = g.node("ReduceMean", g.node("Mul", apart, apart), axes=_axes(dim), keepdims=1)
    if not keepdim:
        raise UnsupportedOperation("var_mean that drops axes")
    return variance, mean


def _reshape(g: Graph, x: Any, shape: Sequence[int]) -> Any:
    """Reshape; an axis of the batch's size in front is the batch, 0 copies it."""
    sizes = [int(size) for size in shape]
    return g.node("Reshape", x, _int64([0 if sizes[0] == BATCH else sizes[0], *sizes[1:]]))


def _view(g: Graph, x: Traced, *shape: Any) -> Any:
    return _reshape(g, x, shape[0] if isinstance(shape[0], (tuple, list)) else shape)


def _tensordot(g: Graph, x: Traced, other: Tensor, dims: int = 2) -> Any:
    if dims != 1 or x.ndim != 2:
        raise UnsupportedOperation("tensordot of more than vectors")
    return _reshape(g, g.node("MatMul", x, other.reshape(len(other), -1)), (BATCH, *other.shape[1:]))


def _roll(g: Graph, x: Any, shifts: Any, dims: Any) -> Any:
    sizes = x.shape
    for shift, dim in zip(_axes(shifts), _axes(dims), strict=True):
        cut = sizes[dim] - shift % sizes[dim]
        if cut < sizes[dim]:
            x = g.node("Concat", *(_slice(g, x, dim, a, b) for a, b in ((cut, sizes[dim]), (0, cut))), axis=dim)
    return x


def _slice(g: Graph, x: Any, axis: int, start: int, stop: int, step: int = 1) -> Any:
    return g.node("Slice", x, _int64([start]), _int64([stop]), _int64([axis]), _int64([step]))


def _cut(g: Graph, x: Any, part: Any) -> Any:
    starts, ends = g.node("Split", part, _int64([2, 2]), axis=0, outputs=2)
    return g.node("Slice", x, starts, ends, _int64([2, 3]))


def _getitem(g: Graph, x: Traced, index: Any) -> Any:
    """Slices with positive steps, and None for a new axis."""
    index = index if isinstance(index, tuple) else (index,)
    written: Any = x
    new, axis = [], 0
    for place, part in enumerate(index):
        if part is None:
            new.append(place)
            continue
        if not isinstance(part, slice):
            raise UnsupportedOperation(f"indexing by {part!r}")
        if part != slice(None):
            if axis == 0:
                raise UnsupportedOperation("a part of the batch")
            start, stop, step = part.indices(x.shape[axis])
            if (start, stop, step) != (0, x.shape[axis], 1):
                written = _slice(g, written, axis, start, stop, step)
        axis += 1
    return g.node("Unsqueeze", written, _int64(new)) if new else written


def _repeat(g: Graph, x: Any, *times: int) -> Any:
    return x if set(times) == {1} else g.node("Tile", x, _int64(times))


def _pixel_shuffle(g: Graph, x: Any, factor: int) -> Any:
    return g.node("DepthToSpace", x, blocksize=factor, mode="CRD")


def _pixel_unshuffle(g: Graph, x: Traced, factor: int) -> Any:
    _, C, H, W = x.shape
    cells = _reshape(g, x, (BATCH, C, H // factor, factor, W // factor, factor))
    cells = g.node("Transpose", cells, perm=[0, 1, 3, 5, 2, 4])
    return _reshape(g, cells, (BATCH, C * factor**2, H // factor, W // factor))


def _interpolate(
    g: Graph, x: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: Any = None
) -> Any:
    if size is not None or align_corners or mode not in ("nearest", "bilinear"):
        raise UnsupportedOperation("interpolate to a size")
    scales = np.array([1, 1, scale_factor, scale_factor], np.float32)
    options: dict[str, Any]
    if mode == "nearest":
        options = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    else:
        options = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return g.node("Resize", x, "", scales, **options)


def _same(g: Graph, x: Any, *args: Any, **kwargs: Any) -> Any:
    """A change of type or layout: all is float32, and contiguous."""
    return x


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": _two("Add"),
    "radd": _swapped("Add"),
    "sub": _two("Sub"),
    "rsub": _swapped("Sub"),
    "mul": _two("Mul"),
    "rmul": _swapped("Mul"),
    "truediv": _two("Div"),
    "rtruediv": _swapped("Div"),
    "div": _two("Div"),
    "matmul": _two("MatMul"),
    "neg": lambda g, x: g.node("Neg", x),
    "tanh": lambda g, x: g.node("Tanh", x),
    "sigmoid": lambda g, x: g.node("Sigmoid", x),
    "square": lambda g, x: g.node("Mul", x, x),
    "rsqrt": lambda g, x: g.node("Reciprocal", g.node("Sqrt", x)),
    "clamp_min": lambda g, x, low: g.node("Max", x, low),
    "amax": _reduce("ReduceMax"),
    "mean": _reduce("ReduceMean"),
    "sum": _reduce("ReduceSum"),
    "norm": _norm,
    "normalize": _normalize,
    "var_mean": _var_mean,
    "conv2d": _conv,
    "conv_transpose2d": _conv_transpose,
    "linear": _linear,
    "leaky_relu": _leaky_relu,
    "addcmul": _addcmul,
    "cat": _cat,
    "split": _split,
    "split_with_sizes": _split,
    "chunk": _chunk,
    "reshape": _view,
    "view": _view,
    "tensordot": _tensordot,
    "roll": _roll,
    "getitem": _getitem,
    "cut": _cut,
    "repeat": _repeat,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "interpolate": _interpolate,
    "float": _same,
    "to": _same,
    "contiguous": _same,
}


def record(paint: Callable[..., Any], examples: dict[str, Tensor]) -> bytes:
    """Record a function of tensors as an ONNX model.

    Args:
        paint: calls torch with its arguments and returns one of the results.
        examples: by name of the argument, one window of each, whose first axis is the batch; or (4,) int64, first row
            and column and last row and column, ends not included, of a part that a function called `cut` cuts out.

    Returns:
        The model, with inputs of these names and an output "added", (batch, C, height, width).

    Raises:
        UnsupportedOperation: if something is called that cannot be recorded.
    """
    graph = Graph()
    with torch.no_grad():
        inputs = [
            graph.input(name, value if value.dtype == torch.int64 else torch.cat([value] * BATCH))
            for name, value in examples.items()
        ]
        return graph.to_bytes(paint(*inputs))
