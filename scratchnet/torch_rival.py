"""The same network in PyTorch, for `bench`: a walk over the public layers that calls torch.nn.functional.

Only `bench` imports this file, and only where PyTorch is installed (the extra `peers`).
"""

import torch
import torch.nn.functional as F

from scratchnet.layers import (AdaptiveAvgPool2D, Auxiliary, AvgPool2D, BatchNorm, Concat, Conv2D, Dense, DepthwiseConv2D,
                               Dropout, Flatten, GlobalAvgPool2D, Identity, LocalResponseNorm, MaxPool2D, ReLU, Residual,
                               SeparableConv2D, Sequential, Sigmoid, Tanh)
from scratchnet.layers.geometry import resolve_padding


class TorchRival:
    """Eager PyTorch on NCHW tensors with the weights of `model`, in their dtype."""

    def __init__(self, model, threads, training):
        torch.set_num_threads(threads)
        self.model, self.training = model, training
        self.statistics = {}                     # id of our BatchNorm -> its running mean and variance
        self.auxiliaries = []                    # (weight, logits) of the forward that has run
        self.weights = {}                        # id of our Parameter -> tensor in PyTorch's layout
        for parameter in model.parameters().values():
            array = parameter.value
            if array.ndim == 4:
                array = array.transpose(3, 2, 0, 1)              # (KH, KW, C, F) -> (F, C, KH, KW)
            elif array.ndim == 2:
                array = array.T                                  # (IN, OUT) -> (OUT, IN)
            self.weights[id(parameter)] = torch.tensor(array.copy(), requires_grad=parameter.trainable)

    def tensors(self, images, labels):
        """A batch as PyTorch takes it: NHWC -> NCHW."""
        return torch.tensor(images).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)

    def sgd(self, lr, momentum):
        return torch.optim.SGD(list(self.weights.values()), lr=lr, momentum=momentum)

    def gradients(self):
        """{our name: gradient in our layout}."""
        found = {}
        for name, parameter in self.model.parameters().items():
            gradient = self.weights[id(parameter)].grad.numpy()
            found[name] = gradient.transpose(2, 3, 1, 0) if gradient.ndim == 4 else gradient.T
        return found

    def loss(self, x, labels):
        """Cross-entropy, that of the auxiliary classifiers included."""
        self.auxiliaries.clear()
        total = F.cross_entropy(self.forward(x), labels)
        return sum((weight * F.cross_entropy(logits, labels) for weight, logits in self.auxiliaries), total)

    def forward(self, x, layer=None):
        """Logits; batch norm on the batch's statistics when training, else on the running ones."""
        layer = self.model if layer is None else layer
        if isinstance(layer, (Sequential, SeparableConv2D)):
            for child in layer.children().values():
                x = self.forward(x, child)
            return x
        if isinstance(layer, Auxiliary):
            if self.training and layer.children():
                self.auxiliaries.append((layer.weight, self.forward(x, layer.children()["head"])))
            return x
        if isinstance(layer, Residual):
            children = layer.children()
            shortcut = self.forward(x, children["shortcut"]) if "shortcut" in children else x
            return self.forward(shortcut + layer.scale * self.forward(x, children["main"]), layer.activation)
        if isinstance(layer, Concat):
            return torch.cat([self.forward(x, branch) for branch in layer.children().values()], 1)
        if type(layer) not in LEAVES:
            raise ValueError(f"bench: {layer.label()} has no translation for PyTorch yet; add one to torch_rival.py")
        x = LEAVES[type(layer)](self, layer, x)
        return self.forward(x, layer.activation) if hasattr(layer, "activation") else x

    def weight(self, parameter):
        return None if parameter is None else self.weights[id(parameter)]

    def padded(self, layer, x, window, dilation=(1, 1), value=0.0):
        """x with the layer's padding, which may differ from side to side, made explicit; symmetric stays an argument."""
        (top, bottom), (left, right) = resolve_padding(layer.padding, x.shape[2:], window, layer.strides, dilation)
        if top == bottom and left == right:
            return x, (top, left)
        return F.pad(x, (left, right, top, bottom), value=value), (0, 0)


def _conv(rival, layer, x):
    x, padding = rival.padded(layer, x, layer.kernel_size, layer.dilation)
    return F.conv2d(x, rival.weight(layer.weight), rival.weight(layer.bias), layer.strides, padding, layer.dilation,
                    layer.groups)


def _depthwise_conv(rival, layer, x):
    x, padding = rival.padded(layer, x, layer.kernel_size, layer.dilation)
    return F.conv2d(x, rival.weight(layer.weight), rival.weight(layer.bias), layer.strides, padding, layer.dilation,
                    x.shape[1])


def _max_pool(rival, layer, x):
    x, padding = rival.padded(layer, x, layer.pool_size, layer.dilation, float("-inf"))
    return F.max_pool2d(x, layer.pool_size, layer.strides, padding, layer.dilation, layer.ceil_mode)


def _avg_pool(rival, layer, x):
    (top, bottom), (left, right) = resolve_padding(layer.padding, x.shape[2:], layer.pool_size, layer.strides)
    if (top, left) != (bottom, right):
        raise ValueError(f"bench: {layer.label()}: PyTorch's average pooling pads both sides alike")
    return F.avg_pool2d(x, layer.pool_size, layer.strides, (top, left), layer.ceil_mode, layer.count_include_pad)


def _batch_norm(rival, layer, x):
    mean, var = rival.statistics.setdefault(id(layer), [torch.tensor(layer.buffer(name))
                                                        for name in ("running_mean", "running_var")])
    return F.batch_norm(x, mean, var, rival.weight(layer.weight), rival.weight(layer.bias), rival.training,
                        layer.momentum, layer.epsilon)


def _relu(rival, layer, x):
    negative_slope, max_value, threshold = layer.pieces
    if threshold:
        raise ValueError(f"bench: {layer.label()}: PyTorch's ReLU has no threshold")
    x = F.leaky_relu(x, negative_slope) if negative_slope else torch.relu(x)
    return x if max_value is None else x.clamp(max=max_value)


def _dropout(rival, layer, x):
    if rival.training and layer.rate:
        raise ValueError(f"{layer.label()}: the masks of two engines differ, so what they compute cannot be compared; set "
                         "its rate to 0")
    return x


def _flatten(rival, layer, x):
    return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x.flatten(1)      # our order: (H, W, C)


LEAVES = {
    Conv2D: _conv,
    DepthwiseConv2D: _depthwise_conv,
    Dense: lambda rival, layer, x: F.linear(x, rival.weight(layer.weight), rival.weight(layer.bias)),
    MaxPool2D: _max_pool,
    AvgPool2D: _avg_pool,
    GlobalAvgPool2D: lambda rival, layer, x: x.mean((2, 3)),
    AdaptiveAvgPool2D: lambda rival, layer, x: F.adaptive_avg_pool2d(x, layer.output_size),
    LocalResponseNorm: lambda rival, layer, x: F.local_response_norm(x, layer.size, layer.alpha, layer.beta, layer.k),
    Dropout: _dropout,
    BatchNorm: _batch_norm,
    Flatten: _flatten,
    Tanh: lambda rival, layer, x: torch.tanh(x),
    Sigmoid: lambda rival, layer, x: torch.sigmoid(x),
    ReLU: _relu,
    Identity: lambda rival, layer, x: x,
}
