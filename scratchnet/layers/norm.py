"""Normalisation: over the batch, channel by channel, and over neighbouring channels.

Textbook, with the derivations: kernels/reference/batch_norm.py, lrn.py.  Fast: kernels/cpu/batch_norm.py, lrn.py.
"""

import math

import numpy as np

from scratchnet.backend import each_time, ops, runs_on_cuda
from scratchnet.layers.activation import activation_layer, is_plain_relu
from scratchnet.layers.base import Layer
from scratchnet.layers.geometry import image_shape, positive
from scratchnet.layers.parameter import add_gradients


class BatchNorm(Layer):
    """y = γ (x - μ)/√(σ² + ε) + β over all axes but the last, then `activation`.  Ioffe & Szegedy 2015, algorithm 1.

    weight γ (C,), bias β (C,). μ and σ² are the batch's in training and the running ones otherwise (and where
    trainable is False); running ← (1 - momentum) running + momentum batch, the variance unbiased. In training x̂ depends
    on x through μ and σ² too:  dx = γ/√(σ² + ε) (dy - mean(dy) - x̂ mean(dy x̂)).
    residual, relu: what a container adds to the pass (fusion.py).
    ValueError for a batch of one value per channel. kernels/reference/batch_norm.py: batch_norm; kernels/cpu/batch_norm.py.
    """

    def __init__(self, momentum=0.1, epsilon=1e-5, activation=None):
        if not 0 <= momentum <= 1 or not epsilon > 0:
            raise ValueError(f"BatchNorm: expected momentum in [0, 1] and epsilon > 0, got {momentum} and {epsilon}")
        self.momentum, self.epsilon = momentum, epsilon
        self.activation = activation_layer("BatchNorm", activation)

    def build(self, rng, input_shape):
        channels = input_shape[-1]
        self.weight = self.add_parameter("weight", np.ones(channels))
        self.bias = self.add_parameter("bias", np.zeros(channels))
        self.add_buffer("running_mean", np.zeros(channels, np.float32))
        self.add_buffer("running_var", np.ones(channels, np.float32))

    def forward(self, x, training=True, residual=None, relu=False):
        gamma, beta, relu = self.weight.value, self.bias.value, relu or is_plain_relu(self.activation)
        if training:
            y, mean, var = self._normalise_batch(x, gamma, beta, residual, relu)
        else:                                     # copies: a later training step writes into the running statistics
            mean, var = self.buffer("running_mean").copy(), self.buffer("running_var").copy()
            y = ops(x).batch_norm_inference(x, gamma, beta, mean, var, self.epsilon, residual, relu)
        activation_backward = None
        if not relu:
            y, activation_backward = self.activation.run(y, training)
        masks = relu and residual is None         # else Residual has: dy behind the ReLU is its shortcut's gradient too

        def backward(dy, need_dx=True):
            run = ops(dy).batch_norm_backward if training else ops(dy).batch_norm_inference_backward
            dy = dy if activation_backward is None else activation_backward(dy)
            dx, dgamma, dbeta = run(dy, x, gamma, beta, mean, var, self.epsilon, masks)
            add_gradients(self, dgamma, dbeta)
            return dx
        return y, backward

    def _normalise_batch(self, x, gamma, beta, residual, relu):
        count = math.prod(x.shape[:-1])
        if count < 2:
            raise ValueError(f"{self.label()}: a batch of shape {x.shape} has {count} value(s) per channel, and their "
                             "variance says nothing; use a batch size that leaves no last batch of one image, larger "
                             "images, or training=False")
        y, mean, var = ops(x).batch_norm(x, gamma, beta, self.epsilon, residual, relu)
        self._follow(mean, var, count)
        return y, mean, var

    def _follow(self, mean, var, count):
        """running ← (1 - momentum) running + momentum batch; on a GPU in one pass, and never to NaN or infinity."""
        if runs_on_cuda(mean):
            from scratchnet.kernels.cuda.training import running_statistics
            running_statistics(self.buffer("running_mean"), self.buffer("running_var"), mean, var, count, self.momentum)
            return
        each_time(lambda: self._follow_on_the_host(mean, var * (count / (count - 1))))

    def _follow_on_the_host(self, mean, unbiased_var):
        for name, batch in (("running_mean", mean), ("running_var", unbiased_var)):
            running = self.buffer(name)
            running += self.momentum * (batch - running)


class LocalResponseNorm(Layer):
    """y = x (k + α/n Σ x²)^-β, the sum over n = `size` neighbouring channels.  Krizhevsky et al. 2012, section 3.3.

    α is divided by the size, as Caffe and PyTorch do; the paper's own α = 1e-4, n = 5, k = 2 is alpha=5e-4, k=2 here.
    kernels/reference/lrn.py: local_response_norm; kernels/cpu/lrn.py.
    """

    def __init__(self, size=5, alpha=1e-4, beta=0.75, k=1):
        self.size = positive("LocalResponseNorm", "size", size)
        self.alpha, self.beta, self.k = float(alpha), float(beta), float(k)

    def output_shape(self, input_shape):
        return image_shape(self, input_shape)

    def forward(self, x, training=True):
        y, scale = ops(x).local_response_norm(x, self.size, self.alpha, self.beta, self.k)

        def backward(dy, need_dx=True):
            return ops(dy).local_response_norm_backward(dy, x, scale, self.size, self.alpha, self.beta)
        return y, backward

    def describe(self):
        return f"LocalResponseNorm over {self.size}"
