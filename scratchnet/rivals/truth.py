"""What the first step gives in float64, that all engines' float32 is measured against."""

import importlib.util

import numpy as np

AFFORDABLE = 16e9           # multiply-adds on the reference kernels: some ten seconds


class Truth:
    """Saves float64 arrays as `path`.npz. `words`: what they are, None where there are none."""

    def __init__(self, workload, path):
        make = _gradients if workload.training else _logits
        self.said, arrays = make(workload, workload.graph().multiply_adds())
        if arrays:
            np.savez(path, **arrays)

    def words(self):
        return self.said


def _logits(workload, work):
    if _torch_has_a_gpu(workload):
        return "logits, largest difference / standard deviation, against PyTorch in float64", _logits_by_torch(workload)
    count = int(max(1, min(workload.batch, AFFORDABLE // work)))
    model = workload.network()
    images, _ = workload.data(model)
    some = f" on the first {count} of the {workload.batch} images" if count < workload.batch else ""
    return ("logits, largest difference / standard deviation, against our reference kernels in float64" + some,
            {"logits": model.astype("float64")(images[:count].astype("float64"))})


def _gradients(workload, work):
    words = "gradients of the first step, ‖difference‖ / ‖gradient‖ over all parameters, against "
    if work * workload.batch <= AFFORDABLE and not _torch_has_a_gpu(workload):
        return words + "our reference kernels in float64", _by_reference(workload)
    if importlib.util.find_spec("torch") is not None:
        return words + "PyTorch in float64", _by_torch(workload)
    return None, None


def error(first, path):
    """How far an engine's first results are from the truth."""
    with np.load(f"{path}.npz") as truth:
        if "logits" in first:
            exact = truth["logits"]
            return float(np.abs(first["logits"][:len(exact)] - exact).max() / exact.std())
        squares = np.zeros(2)
        for name in truth.files:                 # one after the other: those of VGG-16 are a gigabyte
            exact = truth[name]
            squares += np.sum((first[name] - exact) ** 2), np.sum(exact ** 2)
        return float(np.sqrt(squares[0] / squares[1]))


def _by_reference(workload):
    model = workload.network()
    images, labels = workload.data(model)
    _, _, backward = model.astype("float64").loss(images.astype("float64"), labels)
    backward()
    return {name: parameter.grad for name, parameter in model.parameters().items()}


def _torch_has_a_gpu(workload):
    """Where float64 takes seconds, whatever the network."""
    if workload.device != "cuda" or importlib.util.find_spec("torch") is None:
        return False
    import torch
    return torch.cuda.is_available()


def _by_torch(workload):
    network, images, labels = _torch_in_float64(workload)
    network.loss(images, labels).backward()
    return network.gradients()


def _logits_by_torch(workload):
    import torch
    network, images, _ = _torch_in_float64(workload)
    with torch.inference_mode():
        return {"logits": network(images).cpu().numpy()}


def _torch_in_float64(workload):
    import torch

    from scratchnet.rivals.pytorch import Network, tensors
    from scratchnet.rivals.torch_engine import place
    torch.set_num_threads(workload.threads)
    device, model = place(workload), workload.network()
    images, labels = workload.data(model)
    images, labels = tensors(images.astype("float64"), labels)
    return Network(model.astype("float64"), workload.training).to(device), images.to(device), labels.to(device)
