"""Whole networks at full size, in training mode: how far their float32 gradients are from those in float64.

Both engines start from the same weights and the same images. PyTorch in float64 is the truth, its distance in float32
the yardstick: what rounding makes of a network this deep; four times that, because Winograd's products are rounded some
five times as much as direct ones (kernels/cpu/winograd.py). The model's own loss is what is differentiated, auxiliary
classifiers and all.

Where rounding turns a ReLU or the winner of a max pool the other way, a gradient jumps. Behind batch norms there are
many such jumps and they average out. In the plain networks there is one or none for an image, worth a thousand times
the rounding itself, and it may hit either engine, the more often the more it rounds: so the batches are of four images,
of which some jump in both, and two are averaged.
"""

import copy

import numpy as np
import pytest

import scratchnet as sn

torch = pytest.importorskip("torch")
from scratchnet.rivals.pytorch import Network, tensors  # noqa: E402


@pytest.mark.parametrize("name, batches, size", [
    ("resnet50", 1, 2), ("vgg16", 2, 4), ("googlenet", 2, 4), ("inception_v3", 1, 2), ("xception", 1, 2)])
def test_gradients_are_at_most_four_times_as_far_from_float64_as_pytorchs(name, batches, size):
    model = sn.models.create(name)
    for leaf in model.leaves():
        if isinstance(leaf, sn.Dropout):
            leaf.rate = 0.0                     # two engines drop different numbers
    exact_model = copy.deepcopy(model).astype("float64")
    distances = []
    for batch in range(batches):
        rng = np.random.default_rng(batch)
        images = rng.standard_normal((size, *model.input_shape), dtype=np.float32)
        labels = rng.integers(0, 1000, size)
        exact = by_pytorch(exact_model, images.astype("float64"), labels)
        ours = by_scratchnet(model, images, labels)
        assert set(ours) == set(exact) and all(np.any(gradient) for gradient in exact.values())
        distances.append((apart(ours, exact), apart(by_pytorch(model, images, labels), exact)))
    distance, yardstick = np.mean(distances, axis=0)
    assert 0 < distance <= 4 * yardstick, f"ours, PyTorch's: {distances}"


def by_scratchnet(model, images, labels):
    _, _, backward = model.loss(images, labels)
    backward()
    gradients = {name: parameter.grad.copy() for name, parameter in model.parameters().items()}
    for parameter in model.parameters().values():
        parameter.clear_grad()
    return gradients


def by_pytorch(model, images, labels):
    torch.set_num_threads(2)
    network = Network(model, training=True)
    network.loss(*tensors(images, labels)).backward()
    return network.gradients()


def apart(gradients, exact):
    """‖g - g64‖/‖g64‖ over all parameters together."""
    squares = [(np.linalg.norm(gradients[name] - exact[name]) ** 2, np.linalg.norm(exact[name]) ** 2) for name in exact]
    return float(np.sqrt(sum(error for error, _ in squares) / sum(size for _, size in squares)))
