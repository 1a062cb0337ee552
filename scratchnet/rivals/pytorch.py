"""The same network in PyTorch: our graph as a torch.nn.Module of the modules a user of PyTorch would write.

Only `bench` and the parity tests import this file, and only where PyTorch is installed (the extra `peers`).
"""

import torch
import torch.nn.functional as F
from torch import nn

from scratchnet.layers import (AdaptiveAvgPool2D, AvgPool2D, BatchNorm, Concat, Conv2D, Dense, DepthwiseConv2D, Flatten,
                               GlobalAvgPool2D, LocalResponseNorm, MaxPool2D, Pad2D, ReLU, Residual, Sigmoid, Softmax,
                               Tanh)
from scratchnet.layers.geometry import resolve_padding
from scratchnet.rivals import Unavailable
from scratchnet.rivals.graph import Graph, translated


class Network(nn.Module):
    """(N, C, H, W) -> logits; in training the list of all logits, the auxiliary classifiers' after the model's.

    Weights are those of `model`, in its dtype. Batch norm uses the batch's statistics when training, else the running.
    """

    def __init__(self, model, training):
        super().__init__()
        graph, made = Graph(model, training), _Parameters()
        self.steps = nn.ModuleList(as_module(graph, made, node) for node in graph.nodes)
        self.wiring = [(node.inputs, node.output, dead) for node, dead in zip(graph.nodes, graph.last_uses())]
        self.outputs = [graph.output, *(value for _, value in graph.heads)]
        self.weights = [weight for weight, _ in graph.heads]
        self.ours = {name: made[parameter] for name, parameter in model.parameters().items() if parameter in made}
        self.train(training)

    def forward(self, images):
        values = {0: images}
        for step, (inputs, output, dead) in zip(self.steps, self.wiring):
            values[output] = step(*[values[value] for value in inputs])
            for value in dead:
                del values[value]
        logits = [values[value] for value in self.outputs]
        return logits if self.training else logits[0]

    def loss(self, images, labels):
        """Cross-entropy, that of the auxiliary classifiers included."""
        logits, *others = self(images)
        total = F.cross_entropy(logits, labels)
        for weight, other in zip(self.weights, others):
            total = total + weight * F.cross_entropy(other, labels)
        return total

    def gradients(self):
        """{our name: gradient in our layout}."""
        found = {}
        for name, parameter in self.ours.items():
            gradient = parameter.grad.cpu().numpy()
            found[name] = gradient.transpose(2, 3, 1, 0) if gradient.ndim == 4 else gradient.T
        return found


def tensors(images, labels):
    """A batch as PyTorch takes it: NHWC -> NCHW."""
    return torch.tensor(images).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)


def as_module(graph, made, node):
    """The module that does what the node's layer does."""
    return translated(MODULES, node.layer, "PyTorch")(graph, made, node)


def layer_with_activation(graph, node):
    """The module of one layer, its activation included."""
    made, own = _Parameters(), getattr(node.layer, "activation", None)
    nodes = [node, *(after for after in graph.nodes if after.inputs == (node.output,) and after.layer is own)]
    return nn.Sequential(*(as_module(graph, made, each) for each in nodes))


class _Parameters(dict):
    """Our Parameter -> theirs, one for all places it stands in.

    (KH, KW, C, F) -> (F, C, KH, KW), (IN, OUT) -> (OUT, IN).
    """

    def __missing__(self, ours):
        array = ours.value
        array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        self[ours] = nn.Parameter(torch.tensor(array.copy()), requires_grad=ours.trainable)
        return self[ours]


class Sum(nn.Module):
    """shortcut + scale · main."""

    def __init__(self, scale, in_place):
        super().__init__()
        self.scale, self.in_place = scale, in_place

    def forward(self, shortcut, main):
        return main.add_(shortcut) if self.in_place else torch.add(shortcut, main, alpha=self.scale)


class Side(nn.Module):
    """Branches side by side in the channels."""

    def forward(self, *branches):
        return torch.cat(branches, 1)


class InOurOrder(nn.Module):
    """(N, C, H, W) -> (N, H·W·C): weights stay as they are, for a copy of one small map."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x.flatten(1)


def _filled(made, kind, layer, *arguments, **options):
    """A module of `kind` with the layer's weight and bias, none drawn."""
    module = nn.utils.skip_init(kind, *arguments, bias=layer.bias is not None, **options)
    module.weight = made[layer.weight]
    if layer.bias is not None:
        module.bias = made[layer.bias]
    return module


def _padded(node, window, dilation, make, value=0.0):
    """make(padding), behind a module that pads where the layer's padding differs from side to side."""
    layer = node.layer
    (top, bottom), (left, right) = resolve_padding(layer.padding, node.shape[:2], window, layer.strides, dilation)
    if (top, left) == (bottom, right):
        return make((top, left))
    return nn.Sequential(nn.ConstantPad2d((left, right, top, bottom), value), make((0, 0)))


def _conv(graph, made, node):
    layer, channels = node.layer, node.shape[-1]
    groups = channels if isinstance(layer, DepthwiseConv2D) else layer.groups
    filters = layer.weight.value.shape[-1]
    return _padded(node, layer.kernel_size, layer.dilation, lambda padding: _filled(
        made, nn.Conv2d, layer, channels, filters, layer.kernel_size, layer.strides, padding, layer.dilation, groups))


def _dense(graph, made, node):
    return _filled(made, nn.Linear, node.layer, *node.layer.weight.value.shape)


def _batch_norm(graph, made, node):
    layer = node.layer
    make = nn.BatchNorm2d if len(node.shape) == 3 else nn.BatchNorm1d
    module = make(node.shape[-1], layer.epsilon, layer.momentum)
    module.weight, module.bias = made[layer.weight], made[layer.bias]
    for name in ("running_mean", "running_var"):
        setattr(module, name, torch.tensor(layer.buffer(name)))
    return module


def _max_pool(graph, made, node):
    layer = node.layer
    return _padded(node, layer.pool_size, layer.dilation, lambda padding: nn.MaxPool2d(
        layer.pool_size, layer.strides, padding, layer.dilation, ceil_mode=layer.ceil_mode), float("-inf"))


def _avg_pool(graph, made, node):
    layer = node.layer
    (top, bottom), (left, right) = resolve_padding(layer.padding, node.shape[:2], layer.pool_size, layer.strides)
    if (top, left) != (bottom, right):
        raise Unavailable(f"{layer.label()}: PyTorch's average pooling pads both sides alike")
    return nn.AvgPool2d(layer.pool_size, layer.strides, (top, left), layer.ceil_mode, layer.count_include_pad)


def _sum(graph, made, node):
    """In place, as torchvision's networks have it, where nobody else reads main: no node, and not its own backward."""
    main, scale = node.inputs[1], node.layer.scale
    own = any(before.output == main and isinstance(before.layer, (Conv2D, DepthwiseConv2D, BatchNorm))
              for before in graph.nodes)
    readers = sum(after.inputs.count(main) for after in graph.nodes)
    return Sum(scale, in_place=own and readers == 1 and scale == 1)


def _relu(graph, made, node):
    """In place, as torchvision's networks have it, where it follows a layer as its activation."""
    negative_slope, max_value, threshold = node.layer.pieces
    own = any(before.output == node.inputs[0] and getattr(before.layer, "activation", None) is node.layer
              for before in graph.nodes)
    if threshold or (negative_slope and max_value is not None):
        raise Unavailable(f"{node.layer.label()}: PyTorch has no ReLU of these pieces")
    if max_value is not None:
        return nn.Hardtanh(0.0, max_value, inplace=own)
    return nn.LeakyReLU(negative_slope, inplace=own) if negative_slope else nn.ReLU(inplace=own)


def _pad(graph, made, node):
    kinds = {"zeros": nn.ZeroPad2d, "reflect": nn.ReflectionPad2d, "replicate": nn.ReplicationPad2d,
             "circular": nn.CircularPad2d}
    (top, bottom), (left, right) = node.layer.padding
    return kinds[node.layer.mode]((left, right, top, bottom))


def _norm(graph, made, node):
    return nn.LocalResponseNorm(node.layer.size, node.layer.alpha, node.layer.beta, node.layer.k)


MODULES = {
    "file": "rivals/pytorch.py",
    Conv2D: _conv,
    DepthwiseConv2D: _conv,
    Dense: _dense,
    MaxPool2D: _max_pool,
    AvgPool2D: _avg_pool,
    GlobalAvgPool2D: lambda graph, made, node: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    AdaptiveAvgPool2D: lambda graph, made, node: nn.AdaptiveAvgPool2d(node.layer.output_size),
    LocalResponseNorm: _norm,
    BatchNorm: _batch_norm,
    Pad2D: _pad,
    Flatten: lambda graph, made, node: InOurOrder(),
    Residual: _sum,
    Concat: lambda graph, made, node: Side(),
    Tanh: lambda graph, made, node: nn.Tanh(),
    Sigmoid: lambda graph, made, node: nn.Sigmoid(),
    Softmax: lambda graph, made, node: nn.Softmax(-1),
    ReLU: _relu,
}
