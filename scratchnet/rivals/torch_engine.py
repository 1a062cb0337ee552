"""PyTorch as `bench` measures it: eager or compiled, NCHW or channels_last; compiled inference with frozen weights."""

import contextlib

import torch

from scratchnet.rivals import Unavailable
from scratchnet.rivals.pytorch import Network, tensors
from scratchnet.rivals.workload import LR, MOMENTUM


def engine(workload, channels_last=False, compiled=False):
    torch.set_num_threads(workload.threads)
    torch.set_float32_matmul_precision("highest")
    model = workload.network()
    network = Network(model, workload.training)
    images, labels = tensors(*workload.data(model))
    del model
    if channels_last:
        network, images = network.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    function = network.loss if workload.training else network
    if compiled:
        function = _compiled(function)
    make = _training if workload.training else _inference
    with _compiler_errors() if compiled else contextlib.nullcontext():
        return make(network, function, images, labels)


def _inference(network, function, images, labels):
    def step():
        with torch.inference_mode():
            return function(images)
    return step, {"logits": step().numpy().copy()}


def _training(network, function, images, labels):
    optimizer = torch.optim.SGD(network.parameters(), lr=LR, momentum=MOMENTUM, fused=True)      # its fastest

    def step():
        optimizer.zero_grad()
        function(images, labels).backward()
        optimizer.step()
    function(images, labels).backward()
    first = {name: gradient.copy() for name, gradient in network.gradients().items()}
    optimizer.step()
    return step, first


def _compiled(function):
    import torch._inductor.config as inductor
    inductor.freezing = True                     # weights are constants: batch norms are folded, weights packed
    inductor.compile_threads = 1                 # in this process
    return torch.compile(function)


@contextlib.contextmanager
def _compiler_errors():
    """torch.compile writes C++, and not every machine has a compiler that can build it."""
    try:
        yield
    except Exception as error:
        first, *_ = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise Unavailable(f"torch.compile failed, it needs a C++ compiler: {first.strip()}") from None
