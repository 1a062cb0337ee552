"""PyTorch's side of the layer table: functions (x, p) -> y on (N, H, W, C) tensors, and what makes them.

p holds the parameters in our layout; they are permuted inside, so that their gradients come back in ours.
"""

import numpy as np
import torch
import torch.nn.functional as F


def plain(function):
    """A function of x alone, whatever its axes mean."""
    return lambda x, p=None: function(x)


def images(function):
    """`function` of (N, C, H, W) tensors, on (N, H, W, C) ones."""
    return plain(lambda x: function(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


def chain(*functions):
    """f_n(… f_1(x))."""
    def function(x, p):
        for f in functions:
            x = f(x, p)
        return x
    return function


def conv(pad=(0, 0, 0, 0), at="", **options):
    """pad: (left, right, top, bottom), F.pad's order; at: where in the tree the parameters are."""
    def function(x, p):
        weight = p[at + "weight"].permute(3, 2, 0, 1)                    # (F, C/groups, KH, KW)
        return images(lambda x: F.conv2d(F.pad(x, pad), weight, p.get(at + "bias"), **options))(x)
    return function


def dense(at=""):
    return lambda x, p: F.linear(x, p[at + "weight"].T, p.get(at + "bias"))


def flatten_then_dense(x, p):
    """Flatten in PyTorch's order (C, H, W), with the rows of the weight in that order too."""
    H, W, C = x.shape[1:]
    weight = p["1.weight"].reshape(H, W, C, -1).permute(3, 2, 0, 1).flatten(1)           # (units, C*H*W)
    return F.linear(x.permute(0, 3, 1, 2).flatten(1), weight, p["1.bias"])


def max_pool(*window, pad=(0, 0, 0, 0)):
    """window: kernel_size, stride, padding, dilation, ceil_mode; pad: of minus infinities, on top of it."""
    return images(lambda x: F.max_pool2d(F.pad(x, pad, value=-np.inf), *window))


def avg_pool(*window):
    """window: kernel_size, stride, padding, ceil_mode, count_include_pad."""
    return images(lambda x: F.avg_pool2d(x, *window))


def avg_pool_of_pixels(pad, *window):
    """A window's sum over its number of pixels: PyTorch's own cannot pad one side more than the other."""
    def mean(x):
        total = F.avg_pool2d(F.pad(x, pad), *window, divisor_override=1)
        return total / F.avg_pool2d(F.pad(torch.ones_like(x), pad), *window, divisor_override=1)
    return images(mean)


def batch_norm(at="", training=True, epsilon=1e-5):
    def function(x, p):
        mean, var = (None, None) if training else (p[at + "running_mean"], p[at + "running_var"])
        gamma, beta = p[at + "weight"], p[at + "bias"]
        return F.batch_norm(x.movedim(-1, 1), mean, var, gamma, beta, training, eps=epsilon).movedim(1, -1)
    return function


def three_piece_relu(slope, top, threshold):
    def function(x):
        return torch.where(x >= top, top, torch.where(x >= threshold, x, slope * (x - threshold)))
    return plain(function)


tanh, relu, sigmoid = plain(torch.tanh), plain(torch.relu), plain(torch.sigmoid)
softmax = plain(lambda x: x.softmax(-1))
