"""The same network as an ONNX file, for inference: our graph, NCHW, in the operators of ONNX's opset 17.

onnxruntime and OpenVINO both read it. Only `bench` imports this file, where `onnx` is installed (the extra `peers`).
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from scratchnet.layers import (AdaptiveAvgPool2D, AvgPool2D, BatchNorm, Concat, Conv2D, Dense, DepthwiseConv2D, Flatten,
                               GlobalAvgPool2D, LocalResponseNorm, MaxPool2D, Pad2D, ReLU, Residual, Sigmoid, Softmax,
                               Tanh)
from scratchnet.layers.geometry import resolve_padding
from scratchnet.rivals import Unavailable
from scratchnet.rivals.graph import Graph, translated

OPSET = 17
INPUT = "images"


def onnx_bytes(model, batch):
    """The file's content; its input `images` is (batch, C, H, W) float32, its one output the logits."""
    graph, file = Graph(model), _File()
    for node in graph.nodes:
        file.name = file.names[node.output] = f"v{node.output}"
        translated(OPERATORS, node.layer, "ONNX")(file, node, *[file.names[value] for value in node.inputs])
    height, width, channels = graph.input_shape
    made = helper.make_graph(
        file.nodes, "scratchnet",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, (batch, channels, height, width))],
        [helper.make_tensor_value_info(file.names[graph.output], TensorProto.FLOAT,
                                       (batch, *model.checked_output_shape(graph.input_shape)))], file.arrays)
    # IR version 8 goes with opset 17, so that no reader is too old for a file without news.
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8).SerializeToString()


class _File:
    """What has been written so far. `name` is the value that the current node makes."""

    def __init__(self):
        self.nodes, self.arrays, self.names, self.written, self.name = [], [], {0: INPUT}, set(), None

    def add(self, operator, *inputs, output=None, **attributes):
        """One operator; returns the name of what it makes, the current node's value unless said otherwise."""
        self.nodes.append(helper.make_node(operator, inputs, [output or self.name], **attributes))
        return output or self.name

    def array(self, key, value):
        """The name of an initialiser; a layer that stands in two places writes its weights once."""
        if key not in self.written:
            self.written.add(key)
            self.arrays.append(numpy_helper.from_array(np.ascontiguousarray(value), key))
        return key

    def weights(self, layer):
        """Names of the weight, (F, C, KH, KW) or (IN, OUT), and of the bias where there is one."""
        w = layer.weight.value
        found = [self.array(f"{id(layer)}.weight", w.transpose(3, 2, 0, 1) if w.ndim == 4 else w)]
        return found + ([] if layer.bias is None else [self.array(f"{id(layer)}.bias", layer.bias.value)])


def _window(node, size, dilation=(1, 1)):
    layer = node.layer
    (top, bottom), (left, right) = resolve_padding(layer.padding, node.shape[:2], size, layer.strides, dilation)
    return {"kernel_shape": size, "strides": layer.strides, "pads": (top, left, bottom, right)}


def _conv(file, node, x):
    layer = node.layer
    groups = node.shape[-1] if isinstance(layer, DepthwiseConv2D) else layer.groups
    file.add("Conv", x, *file.weights(layer), group=groups, dilations=layer.dilation,
             **_window(node, layer.kernel_size, layer.dilation))


def _batch_norm(file, node, x):
    layer = node.layer
    arrays = {"weight": layer.weight.value, "bias": layer.bias.value, "mean": layer.buffer("running_mean"),
              "var": layer.buffer("running_var")}
    names = [file.array(f"{id(layer)}.{name}", array) for name, array in arrays.items()]
    file.add("BatchNormalization", x, *names, epsilon=layer.epsilon)


def _max_pool(file, node, x):
    layer = node.layer
    file.add("MaxPool", x, dilations=layer.dilation, ceil_mode=int(layer.ceil_mode),
             **_window(node, layer.pool_size, layer.dilation))


def _avg_pool(file, node, x):
    layer = node.layer
    file.add("AveragePool", x, ceil_mode=int(layer.ceil_mode), count_include_pad=int(layer.count_include_pad),
             **_window(node, layer.pool_size))


def _adaptive_avg_pool(file, node, x):
    sizes, outputs = node.shape[:2], node.layer.output_size
    if any(size % output for size, output in zip(sizes, outputs)):
        raise Unavailable(f"{node.layer.label()}: in ONNX its bins have to be of one size, got {sizes} pixels")
    size = tuple(size // output for size, output in zip(sizes, outputs))
    if size == (1, 1):
        file.names[node.output] = x
    else:
        file.add("AveragePool", x, kernel_shape=size, strides=size)


def _global_avg_pool(file, node, x):
    file.add("Flatten", file.add("GlobalAveragePool", x, output=f"{file.name}.map"), axis=1)


def _flatten(file, node, x):
    """In our order, (H, W, C), so that weights stay as they are, for a copy of one small map."""
    if len(node.shape) == 3:
        x = file.add("Transpose", x, output=f"{file.name}.nhwc", perm=(0, 2, 3, 1))
    file.add("Flatten", x, axis=1)


def _relu(file, node, x):
    negative_slope, max_value, threshold = node.layer.pieces
    if threshold or (negative_slope and max_value is not None):
        raise Unavailable(f"{node.layer.label()}: ONNX has no ReLU of these pieces")
    if max_value is not None:
        bounds = [file.array(f"bound{bound}", np.float32(bound)) for bound in (0.0, max_value)]
        file.add("Clip", x, *bounds)
    elif negative_slope:
        file.add("LeakyRelu", x, alpha=negative_slope)
    else:
        file.add("Relu", x)


def _pad(file, node, x):
    mode = {"zeros": "constant", "reflect": "reflect", "replicate": "edge"}.get(node.layer.mode)
    if mode is None:
        raise Unavailable(f"{node.layer.label()}: ONNX's opset {OPSET} cannot pad so")
    (top, bottom), (left, right) = node.layer.padding
    sides = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    file.add("Pad", x, file.array(f"{id(node.layer)}.pads", sides), mode=mode)


def _sum(file, node, shortcut, main):
    if node.layer.scale != 1:
        scale = file.array(f"scale{node.layer.scale}", np.float32(node.layer.scale))
        main = file.add("Mul", main, scale, output=f"{file.name}.scaled")
    file.add("Add", shortcut, main)


def _norm(file, node, x):
    layer = node.layer
    file.add("LRN", x, size=layer.size, alpha=layer.alpha, beta=layer.beta, bias=layer.k)


OPERATORS = {
    "file": "rivals/onnx_file.py",
    Conv2D: _conv,
    DepthwiseConv2D: _conv,
    Dense: lambda file, node, x: file.add("Gemm", x, *file.weights(node.layer)),
    MaxPool2D: _max_pool,
    AvgPool2D: _avg_pool,
    GlobalAvgPool2D: _global_avg_pool,
    AdaptiveAvgPool2D: _adaptive_avg_pool,
    LocalResponseNorm: _norm,
    BatchNorm: _batch_norm,
    Pad2D: _pad,
    Flatten: _flatten,
    Residual: _sum,
    Concat: lambda file, node, *branches: file.add("Concat", *branches, axis=1),
    Tanh: lambda file, node, x: file.add("Tanh", x),
    Sigmoid: lambda file, node, x: file.add("Sigmoid", x),
    Softmax: lambda file, node, x: file.add("Softmax", x, axis=-1),
    ReLU: _relu,
}
