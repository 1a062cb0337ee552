"""What kernels/cuda reaches of a GPU: bytes beside a copy, products beside cuBLAS, and PyTorch beside both, in one run.

    python benchmarks/gpu_kernels.py [--out FILE.jsonl] [--batch N]

Times are device events, medians of 20 after a warm-up; results are compared with PyTorch's before a time counts. A share
says how much of what the device can do is used: of the bandwidth of a copy, counting once every array that must be read
or written, or of the rate of a large matrix product. The last lines are whole training steps, by the clock.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import scratchnet as sn  # noqa: E402
from scratchnet import backend  # noqa: E402
from scratchnet.kernels import cuda  # noqa: E402

# ResNet-50's convolutions: size of the image, C, F, window, stride
CONVOLUTIONS = [(224, 3, 64, 7, 2), (56, 64, 64, 1, 1), (56, 64, 64, 3, 1), (56, 128, 128, 3, 2), (28, 128, 128, 3, 1),
                (28, 512, 128, 1, 1), (56, 256, 512, 1, 2), (14, 256, 256, 3, 1), (7, 512, 512, 3, 1)]
TOLERANCES = {"float32": 1e-5, "tf32": 1e-3}     # ‖ours - PyTorch's‖ / ‖PyTorch's‖


def milliseconds(cupy, run, repeats=20):
    """The median time of run() on the device."""
    times = []
    for _ in range(repeats + 3):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, end))
    return statistics.median(times[3:])


class Report:
    """Prints a line for each thing measured, and keeps it as JSON."""

    def __init__(self, path):
        self.precision = "float32"
        self.file = open(path, "w", encoding="utf-8") if path else None

    def line(self, what, ours, theirs=None, share=None, error=None):
        words = f"{what:<44} {ours:9.3f} ms"
        words += f"  PyTorch {theirs:9.3f} ms  x{theirs / ours:5.2f}" if theirs else ""
        words += f"  {share[0]:7.1f} {share[2]} = {share[0] / share[1]:4.0%} of {share[1]:.0f}" if share else ""
        wrong = error is not None and not error < TOLERANCES[self.precision]
        words += f"  error {error:.0e}" + "!" * 10 * wrong if error is not None else ""
        print(words, flush=True)
        if self.file:
            line = {"what": what, "precision": self.precision, "ms": ours, "pytorch_ms": theirs, "share": share,
                    "error": error}
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()


def difference(cupy, torch, ours, theirs):
    theirs = cupy.from_dlpack(theirs.detach().contiguous())
    return float(cupy.linalg.norm(ours - theirs) / cupy.linalg.norm(theirs))


def bandwidth_of_a_copy(cupy, report):
    """GB/s, bytes read and bytes written both counted."""
    x = cupy.random.default_rng(0).standard_normal(2**28, dtype="float32")
    y = cupy.empty_like(x)
    ms = milliseconds(cupy, lambda: cupy.copyto(y, x))
    bandwidth = 2 * x.nbytes / ms / 1e6
    report.line(f"copy of {x.nbytes / 1e9:.1f} GB", ms, share=(bandwidth, bandwidth, "GB/s"))
    return bandwidth


def rate_of_a_product(cupy, report, n=8192):
    """TFLOP/s of cuBLAS in the precision in force."""
    a, b = cupy.random.default_rng(0).standard_normal((2, n, n), dtype="float32")
    ms = milliseconds(cupy, lambda: cuda.dense(a, b, None))
    rate = 2 * n**3 / ms / 1e9
    report.line(f"product of {n} x {n}", ms, share=(rate, rate, "TFLOP/s"))
    return rate


def streams(cupy, torch, batch, bandwidth, report):
    """What only moves memory: `arrays` times the size of x must be read or written."""
    rng = cupy.random.default_rng(1)
    x, dy = (rng.standard_normal((batch, 56, 56, 256), dtype="float32") for _ in range(2))
    gamma, beta = rng.standard_normal(256, dtype="float32"), rng.standard_normal(256, dtype="float32")
    y, mean, var = cuda.batch_norm(x, gamma, beta, 1e-5, None, True)
    tx, tdy, tgamma, tbeta = (torch.from_dlpack(array) for array in (x, dy, gamma, beta))
    nchw = tx.permute(0, 3, 1, 2)
    flat = torch.nn.functional.batch_norm(nchw, None, None, tgamma, tbeta, True, 0.1, 1e-5).relu().permute(0, 2, 3, 1)
    report.line("batch norm + ReLU + add, forward", milliseconds(cupy, lambda: cuda.batch_norm(x, gamma, beta, 1e-5, dy, True)),
                milliseconds(cupy, lambda: (torch.nn.functional.batch_norm(nchw, None, None, tgamma, tbeta, True, 0.1, 1e-5)
                                            + tdy.permute(0, 3, 1, 2)).relu()), error=difference(cupy, torch, y, flat))
    for what, run, arrays in (
            ("  statistics, then apply + ReLU", lambda: cuda.batch_norm(x, gamma, beta, 1e-5, None, True), 3),
            ("  apply + ReLU + add alone", lambda: cuda.batch_norm_inference(x, gamma, beta, mean, var, 1e-5, dy, True), 3),
            ("  backward with ReLU", lambda: cuda.batch_norm_backward(dy, x, gamma, beta, mean, var, 1e-5, True), 5),
            ("ReLU", lambda: cuda.relu(x, 0.0, None, 0.0), 2),
            ("ReLU backward", lambda: cuda.relu_backward(dy, x, 0.0, None, 0.0), 3),
            ("add", lambda: cuda.add(x, dy, 1.0), 3),
            ("bias gradient", lambda: cuda.bias_backward(dy), 1),
            ("dropout", lambda: cuda.dropout(x, 0.5, 1, 2, 3), 2.25),
            ("max pool 3x3, strides 2", lambda: cuda.max_pool2d(x, (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), False), 1.5),
            ("global average pool", lambda: cuda.global_avg_pool2d(x), 1)):
        ms = milliseconds(cupy, run)
        report.line(what, ms, share=(arrays * x.nbytes / ms / 1e6, bandwidth, "GB/s"))


def convolution(cupy, torch, batch, case, rate, report):
    """The three passes of one convolution."""
    size, C, F, window, stride = case
    rng, side = cupy.random.default_rng(2), window // 2
    x = rng.standard_normal((batch, size, size, C), dtype="float32")
    w = rng.standard_normal((window, window, C, F), dtype="float32")
    rest = (stride, stride), ((side, side), (side, side)), (1, 1), 1
    y = cuda.conv2d(x, w, None, *rest)
    dy = rng.standard_normal(y.shape, dtype="float32")
    tx, tdy = (torch.from_dlpack(array).permute(0, 3, 1, 2) for array in (x, dy))
    tw = torch.from_dlpack(w).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)

    def theirs(*mask):
        return torch.ops.aten.convolution_backward(tdy, tx, tw, None, [stride] * 2, [side] * 2, [1, 1], False, [0, 0], 1,
                                                   mask)
    flops = 2 * y.size * C * window**2
    for what, run, other, turn in (
            ("forward", lambda: cuda.conv2d(x, w, None, *rest),
             lambda: torch.nn.functional.conv2d(tx, tw, None, stride, side), (0, 2, 3, 1)),
            ("data", lambda: cuda.conv2d_backward_data(dy, w, x.shape, *rest), lambda: theirs(True, False, False)[0],
             (0, 2, 3, 1)),
            ("weights", lambda: cuda.conv2d_backward_weights(dy, x, w.shape, *rest), lambda: theirs(False, True, False)[1],
             (2, 3, 1, 0))):
        error = difference(cupy, torch, run(), other().permute(*turn))
        ms, their_ms = milliseconds(cupy, run), milliseconds(cupy, other)
        report.line(f"{window}x{window}/{stride} {C} -> {F} at {size}, {what}", ms, their_ms,
                    (flops / ms / 1e9, rate, "TFLOP/s"), error)


def step(name, batch, shape, classes):
    """run() is one training step of a network of ours on the device."""
    model = sn.to_device(sn.models.create(name), "cuda")
    optimizer = sn.SGD(model.parameters(), lr=0.01, momentum=0.9)
    rng = np.random.default_rng(0)
    images = backend.array_like(next(iter(model.parameters().values())).value, rng.standard_normal((batch, *shape)))
    labels = backend.array_module(images).asarray(rng.integers(0, classes, batch))

    def run():
        _, _, backward = model.loss(images, labels)
        backward()
        optimizer.step()
    return run


def their_step(torch, model, batch, shape, classes):
    model = model.cuda().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images = torch.randn(batch, shape[2], *shape[:2], device="cuda").contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, classes, (batch,), device="cuda")

    def run():
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return run


def lenet(torch):
    from torch import nn
    return nn.Sequential(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
                         nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10))


def networks(cupy, torch, torchvision, batch, report):
    """Whole training steps."""
    small, large = (32, 32, 1), (224, 224, 3)
    for what, ours, theirs, steps in (
            ("LeNet-5, a training step of 64", step("lenet5", 64, small, 10), their_step(torch, lenet(torch), 64, small, 10),
             200),
            (f"ResNet-50, a training step of {batch}", step("resnet50", batch, large, 1000),
             their_step(torch, torchvision.models.resnet50(), batch, large, 1000), 10)):
        report.line(what, wall(cupy, ours, steps), wall(cupy, theirs, steps))
    print(f"memory held by CuPy: {cupy.get_default_memory_pool().total_bytes() / 2**30:.1f} GiB")


def wall(cupy, run, steps):
    """Milliseconds a step by the clock, the host's part included: small networks wait for it."""
    for _ in range(3):
        run()
    cupy.cuda.Device().synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        run()
    cupy.cuda.Device().synchronize()
    return (time.perf_counter() - start) / steps * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", metavar="FILE")
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args()
    found, words = backend.gpu()
    if not found:
        raise SystemExit(f"no GPU can be used: {words}")
    import cupy
    import torch
    import torchvision

    torch.backends.cudnn.benchmark = True
    report = Report(args.out)
    print(f"{words}, CuPy {cupy.__version__}, PyTorch {torch.__version__}, batch {args.batch}")
    with cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream):           # both in one order, one set of events
        streams(cupy, torch, args.batch, bandwidth_of_a_copy(cupy, report), report)
        for report.precision in TOLERANCES:
            print(report.precision)
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = report.precision == "tf32"
            with sn.use_precision(report.precision):
                rate = rate_of_a_product(cupy, report)
                for case in CONVOLUTIONS:
                    convolution(cupy, torch, args.batch, case, rate, report)
                networks(cupy, torch, torchvision, args.batch, report)


if __name__ == "__main__":
    main()
