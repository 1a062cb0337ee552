"""The golden files of the zoo: published names and shapes, weights that a rule fills, and the logits they give.

torchvision 0.28 and timm computed tests/golden/zoo_logits.npz in inference mode from `fill` and `images`: a model that
reads the published names and gives those logits is the published architecture.
"""

import json
import os
import pathlib
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from safetensors.numpy import save_file

import scratchnet as sn

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "golden"
ZOO = json.loads((FOLDER / "zoo.json").read_text("utf-8"))


def fill(name, shape, seed=0):
    """The array of the published `name`, in PyTorch's layout: its first axis counts outputs, the others a fan-in."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    leaf = name.rsplit(".", 1)[1]
    if leaf == "running_mean":
        return (0.1 * rng.standard_normal(shape)).astype(np.float32)
    if leaf == "bias":
        return (0.01 * rng.standard_normal(shape)).astype(np.float32)
    if leaf == "running_var" or len(shape) == 1:                       # the latter is a batch norm's scale
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    weights = rng.standard_normal(shape)
    weights *= np.sqrt(2 / np.prod(shape[1:]))
    return weights.astype(np.float32)


def images(size, n=2, seed=0):
    """(n, size, size, 3): tiles of 13 x 13 pixels of one colour, and noise."""
    rng = np.random.default_rng(seed)
    side = -(-size // 13)
    coarse = rng.standard_normal((n, side, side, 3)).repeat(13, 1).repeat(13, 2)[:, :size, :size]
    return (coarse + 0.3 * rng.standard_normal((n, size, size, 3))).astype(np.float32)


def published(name, seed=0):
    """{published key: filled array} for a key of zoo.json."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:                  # NumPy draws beside Python
        filled = pool.map(lambda tensor: fill(*tensor, seed), ZOO[name]["tensors"])
        return {key: array for (key, _), array in zip(ZOO[name]["tensors"], filled)}


def logits(name):
    """(2, 1000): what the published model makes of `published(name)` and `images(its input size)`."""
    with np.load(FOLDER / "zoo_logits.npz") as archive:
        return archive[name]


def distance(ours, theirs):
    """The largest difference as a share of the published logits' standard deviation."""
    return float(np.abs(ours - theirs).max() / theirs.std())


def load(model, name, seed=0):
    """Give `model` the filled arrays of `name`, a key of zoo.json, through a file as users do; returns the model."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.safetensors"
        save_file(published(name, seed), path)
        sn.load_weights(model, path)
    return model
