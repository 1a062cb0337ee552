"""Dropout: in training each value is zero with probability `rate`."""

import zlib

import numpy as np

from scratchnet.backend import each_time, ops, runs_on_cuda, varying
from scratchnet.layers.base import Layer


class Dropout(Layer):
    """y = x m/(1 - rate), m = 0 with probability `rate` else 1; dx = dy m/(1 - rate). In inference y = x.

    m is a function of (seed, layer, call number, element) by a counter-based generator, so it does not depend on kernels
    or threads; the call number is part of state_dict.  Srivastava et al. 2014; Salmon et al. 2011 (Philox).
    kernels/reference/dropout.py: dropout; kernels/cpu/dropout.py.
    """

    def __init__(self, rate):
        if not 0 <= rate < 1:
            raise ValueError(f"Dropout: rate is the fraction that is dropped, 0 <= rate < 1, got {rate!r}")
        self.rate = float(rate)

    def build(self, rng, input_shape):
        self.add_buffer("seed", rng.integers(2**63, dtype=np.int64))
        self.add_buffer("calls", np.int64(0))

    def forward(self, x, training=True):
        if not training or self.rate == 0:
            return x, lambda dy, need_dx=True: dy
        calls = self.buffer("calls")
        layer = zlib.crc32(self.path.encode())                  # 32 bits that tell layers of one seed apart
        call = varying(lambda: int(calls))
        buffer = self.buffer("seed")             # of 64 bits, which a place in a CUDA graph has not; there it stays
        seed = int(buffer) if runs_on_cuda(x) else varying(lambda: int(buffer))
        y, mask = ops(x).dropout(x, self.rate, seed, layer, call)
        each_time(self._count)

        def backward(dy, need_dx=True):
            return ops(dy).dropout_backward(dy, mask, self.rate)
        return y, backward

    def _count(self):
        calls = self.buffer("calls")
        calls += 1

    def describe(self):
        return f"Dropout {self.rate:g}"
