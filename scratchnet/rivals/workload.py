"""What is measured: a network, a batch of random normal images, and a mode, the same in every process."""

import dataclasses

import numpy as np

from scratchnet import models
from scratchnet.layers import BatchNorm, Dropout
from scratchnet.rivals.graph import Graph

LR, MOMENTUM = 1e-3, 0.9                          # small, so that hundreds of steps on one batch stay finite


@dataclasses.dataclass(frozen=True)
class Workload:
    model: str
    mode: str                                     # "training" or "inference"
    batch: int
    threads: int
    device: str = "cpu"                           # or "cuda"
    precision: str = "float32"                    # a name of backend.PRECISIONS

    @property
    def training(self):
        return self.mode == "training"

    def network(self):
        """The network, initialised; scales, biases and running statistics moved off 1 and 0, where a missing product or
        sum would not show; dropout without effect, since two engines drop different numbers."""
        model, rng = models.create(self.model), np.random.default_rng(1)
        for parameter in model.parameters().values():
            if parameter.value.ndim == 1:
                parameter.value = parameter.value + rng.normal(0, 0.1, parameter.value.shape).astype(np.float32)
        for leaf in model.leaves():
            if isinstance(leaf, BatchNorm):
                mean, var = leaf.buffer("running_mean"), leaf.buffer("running_var")
                mean[...], var[...] = rng.normal(0, 0.1, mean.shape), rng.uniform(0.5, 1.5, var.shape)
        return without_dropout(model)

    def graph(self):
        """Its Graph, without weights."""
        return Graph(without_dropout(models.blank(self.model)), self.training)

    def bytes_moved(self, graph):
        """Of one image, through memory, layer by layer (Graph.numbers_moved). Weights are read once; in training also
        for dx, dw is written and read, and the optimiser reads and writes weights and velocities: 8 times 4 bytes."""
        width = 2 if self.precision == "bf16" else 4
        return width * graph.numbers_moved() + (32 if self.training else width) * graph.weights() / self.batch

    def data(self, model):
        """(images, labels): float32 (N, H, W, C), int64 (N,)."""
        rng = np.random.default_rng(0)
        images = rng.standard_normal((self.batch, *model.input_shape), dtype=np.float32)
        return images, rng.integers(0, model.checked_output_shape(model.input_shape)[0], self.batch)

    def images(self):
        """The batch as engines of NCHW take it: (N, C, H, W), contiguous."""
        images, _ = self.data(models.blank(self.model))
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def without_dropout(model):
    for leaf in model.leaves():
        if isinstance(leaf, Dropout):
            leaf.rate = 0.0
    return model


def has_dropout(model):
    """Whether the network of that name loses something by `without_dropout`."""
    return any(isinstance(leaf, Dropout) and leaf.rate for leaf in models.blank(model).leaves())
