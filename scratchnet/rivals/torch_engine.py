"""PyTorch as `bench` measures it: eager, compiled, or (on a GPU) compiled into CUDA graphs, NCHW or channels_last;
compiled inference with frozen weights."""

import contextlib

import torch

from scratchnet.rivals import Unavailable, meters
from scratchnet.rivals.pytorch import Network, tensors
from scratchnet.rivals.workload import LR, MOMENTUM


def engine(workload, channels_last=False, compiled=None):
    torch.set_num_threads(workload.threads)
    set_precision(workload.precision)
    model = workload.network()
    device = place(workload)
    network = Network(model, workload.training).to(device)
    images, labels = (tensor.to(device) for tensor in tensors(*workload.data(model)))
    del model
    if channels_last:
        network, images = network.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    function = network.loss if workload.training else network
    if compiled:
        function = _compiled(function, compiled, device)
    make = _training if workload.training else _inference
    with _compiler_errors(device) if compiled else contextlib.nullcontext():
        return make(network, function, images, labels, workload.precision)


def place(workload):
    if workload.device == "cuda" and not torch.cuda.is_available():
        raise Unavailable(f"PyTorch {torch.__version__} sees no GPU; install its build for CUDA")
    return torch.device(workload.device)


def set_precision(precision):
    """Of products and convolutions of float32 arrays, in this process."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True        # its fastest algorithms


def casting(images, precision):
    """Inside it, operations that gain by it take bfloat16, from weights that stay float32, if that is the precision."""
    if precision != "bf16":
        return contextlib.nullcontext()          # an autocast that is off takes 8.5 µs of a CPU step all the same
    return torch.autocast(images.device.type, torch.bfloat16)


def _inference(network, function, images, labels, precision):
    if precision == "bf16":
        network.to(torch.bfloat16)               # once, where autocast would do it at every call

    dtype = next(network.parameters()).dtype

    def step():
        with torch.inference_mode():
            return function(images.to(dtype))
    return step, {"logits": step().float().cpu().numpy().copy()}


def _training(network, function, images, labels, precision):
    optimizer = torch.optim.SGD(network.parameters(), lr=LR, momentum=MOMENTUM, fused=True)      # its fastest

    def backward():
        with casting(images, precision):
            loss = function(images, labels)
        loss.backward()

    def step():
        optimizer.zero_grad()
        backward()
        optimizer.step()
    backward()
    first = {name: gradient.copy() for name, gradient in network.gradients().items()}
    optimizer.step()
    return step, first


def _compiled(function, mode, device):
    import torch._inductor.config as inductor
    inductor.freezing = True                     # weights are constants: batch norms are folded, weights packed
    if device.type == "cpu":
        inductor.compile_threads = 1             # in this process; Triton's kernels are many, and compiled side by side
    return torch.compile(function, mode=mode)


@contextlib.contextmanager
def _compiler_errors(device):
    """torch.compile writes C++, or Triton for a GPU, and not every machine has a compiler that can build it."""
    try:
        yield
    except Exception as error:
        first, *_ = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        needs = "Triton" if device.type == "cuda" else "a C++ compiler"
        raise Unavailable(f"torch.compile failed, it needs {needs}: {first.strip()}") from None


def meter():
    """Of PyTorch: events on its stream, and what its allocator holds."""
    def seconds_of(step, count):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(count):
            step()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3

    def free():
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return meters.OnGPU(seconds_of, free, torch.cuda.max_memory_reserved)
