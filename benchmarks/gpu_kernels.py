"""What kernels/cuda reaches of a GPU: bytes beside a copy, products beside cuBLAS, and PyTorch beside both, in one run.

    python benchmarks/gpu_kernels.py [--out FILE.jsonl] [--batch N]

Times are device events, medians of 20 after a warm-up; results are compared with PyTorch's before a time counts. A
share says how much of what the device can do is used: of the bandwidth of a copy, counting once every array that must be
read or written, or of the rate of a large matrix product. Whole networks are `python -m scratchnet.bench`'s.
"""

import argparse
import json
import statistics
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import scratchnet as sn  # noqa: E402
from scratchnet import backend  # noqa: E402
from scratchnet.kernels import cuda  # noqa: E402
from scratchnet.kernels.cuda.cast import cast  # noqa: E402
from scratchnet.kernels.cuda.launch import FLOAT32, bfloat16  # noqa: E402
from scratchnet.kernels.cuda.optim import Clock  # noqa: E402
from scratchnet.kernels.cuda.precision import precision, product  # noqa: E402

# ResNet-50's convolutions: size of the image, C, F, window, stride
CONVOLUTIONS = [(224, 3, 64, 7, 2), (56, 64, 64, 1, 1), (56, 64, 64, 3, 1), (56, 128, 128, 3, 2), (28, 128, 128, 3, 1),
                (28, 512, 128, 1, 1), (56, 256, 512, 1, 2), (14, 256, 256, 3, 1), (7, 512, 512, 3, 1)]
DENSE = [(2048, 1000), (25088, 4096)]            # ResNet-50's, and VGG-16's first
TOLERANCES = {"float32": 1e-5, "tf32": 1e-3, "bf16": 1e-2}     # ‖ours - PyTorch's‖ / ‖PyTorch's‖


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


def difference(cupy, ours, theirs):
    """‖ours - theirs‖ / ‖theirs‖ of a CuPy array and a PyTorch tensor, in float32."""
    theirs = cupy.from_dlpack(theirs.detach().float().contiguous())
    return float(cupy.linalg.norm(cast(ours, FLOAT32) - theirs) / cupy.linalg.norm(theirs))


def drawn(cupy, torch, seed, *shape):
    """Normal numbers in the precision in force, as (CuPy array, PyTorch tensor)."""
    x = cupy.random.default_rng(seed).standard_normal(shape, dtype="float32")
    if precision.name == "bf16":
        return cast(x, bfloat16()), torch.from_dlpack(x).bfloat16()
    return x, torch.from_dlpack(x)


def bandwidth_of_a_copy(cupy, report):
    """GB/s, bytes read and bytes written both counted."""
    x = cupy.random.default_rng(0).standard_normal(2**28, dtype="float32")
    y = cupy.empty_like(x)
    ms = milliseconds(cupy, lambda: cupy.copyto(y, x))
    bandwidth = 2 * x.nbytes / ms / 1e6
    report.line(f"copy of {x.nbytes / 1e9:.1f} GB", ms, share=(bandwidth, bandwidth, "GB/s"))
    return bandwidth


def rate_of_a_product(cupy, torch, report, n=8192):
    """TFLOP/s of cuBLAS in the precision in force."""
    (a, _), (b, _) = drawn(cupy, torch, 0, n, n), drawn(cupy, torch, 1, n, n)
    ms = milliseconds(cupy, lambda: product(a, b))
    rate = 2 * n**3 / ms / 1e9
    report.line(f"product of {n} x {n}", ms, share=(rate, rate, "TFLOP/s"))
    return rate


def streams(cupy, torch, batch, bandwidth, report):
    """What only moves memory: `arrays` times the size of x must be read or written."""
    F = torch.nn.functional
    (x, tx), (dy, tdy) = (drawn(cupy, torch, seed, batch, 56, 56, 256) for seed in (1, 2))
    gamma, beta = (cupy.random.default_rng(seed).standard_normal(256, dtype="float32") for seed in (3, 4))
    tgamma, tbeta = torch.from_dlpack(gamma), torch.from_dlpack(beta)
    y, mean, var = cuda.batch_norm(x, gamma, beta, 1e-5, None, True)
    nchw = tx.permute(0, 3, 1, 2)

    def normed():
        return F.batch_norm(nchw, None, None, tgamma, tbeta, True, 0.1, 1e-5)
    report.line("batch norm + ReLU + add, forward",
                milliseconds(cupy, lambda: cuda.batch_norm(x, gamma, beta, 1e-5, dy, True)),
                milliseconds(cupy, lambda: (normed() + tdy.permute(0, 3, 1, 2)).relu()),
                error=difference(cupy, y, normed().relu().permute(0, 2, 3, 1)))
    for what, run, arrays in (
            ("  statistics, then apply + ReLU", lambda: cuda.batch_norm(x, gamma, beta, 1e-5, None, True), 3),
            ("  apply + ReLU + add alone",
             lambda: cuda.batch_norm_inference(x, gamma, beta, mean, var, 1e-5, dy, True), 3),
            ("  backward with ReLU", lambda: cuda.batch_norm_backward(dy, x, gamma, beta, mean, var, 1e-5, True), 5),
            ("ReLU", lambda: cuda.relu(x, 0.0, None, 0.0), 2),
            ("ReLU backward", lambda: cuda.relu_backward(dy, x, 0.0, None, 0.0), 3),
            ("add", lambda: cuda.add(x, dy, 1.0), 3),
            ("bias gradient", lambda: cuda.bias_backward(dy), 1),
            ("dropout", lambda: cuda.dropout(x, 0.5, 1, 2, 3), 2 + 1 / x.itemsize),
            ("max pool 3x3, strides 2", lambda: cuda.max_pool2d(x, (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), False),
             1.25 + 1 / x.itemsize),
            ("global average pool", lambda: cuda.global_avg_pool2d(x), 1)):
        ms = milliseconds(cupy, run)
        report.line(what, ms, share=(arrays * x.nbytes / ms / 1e6, bandwidth, "GB/s"))


def convolution(cupy, torch, batch, case, rate, report):
    """The three passes of one convolution."""
    size, C, F, window, stride = case
    side = window // 2
    x, tx = drawn(cupy, torch, 2, batch, size, size, C)
    w = cupy.random.default_rng(3).standard_normal((window, window, C, F), dtype="float32")
    rest = (stride, stride), ((side, side), (side, side)), (1, 1), 1
    y = cuda.conv2d(x, w, None, *rest)
    dy, tdy = drawn(cupy, torch, 4, *y.shape)
    tx, tdy = tx.permute(0, 3, 1, 2), tdy.permute(0, 3, 1, 2)
    tw = torch.from_dlpack(w).to(tx.dtype).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)

    def theirs(*mask):
        return torch.ops.aten.convolution_backward(tdy, tx, tw, None, [stride] * 2, [side] * 2, [1, 1], False, [0, 0],
                                                   1, mask)
    flops = 2 * y.size * C * window**2
    compare(cupy, report, f"{window}x{window}/{stride} {C} -> {F} at {size}", (
        ("forward", lambda: cuda.conv2d(x, w, None, *rest),
         lambda: torch.nn.functional.conv2d(tx, tw, None, stride, side), (0, 2, 3, 1)),
        ("data", lambda: cuda.conv2d_backward_data(dy, w, x.shape, *rest), lambda: theirs(True, False, False)[0],
         (0, 2, 3, 1)),
        ("weights", lambda: cuda.conv2d_backward_weights(dy, x, w.shape, *rest), lambda: theirs(False, True, False)[1],
         (2, 3, 1, 0))), lambda ms: (flops / ms / 1e9, rate, "TFLOP/s"))


def depthwise(cupy, torch, batch, bandwidth, report, size=19, C=728):
    """Xception's most frequent layer, which only moves memory: two images in, or one in and one out."""
    x, tx = drawn(cupy, torch, 5, batch, size, size, C)
    dy, tdy = drawn(cupy, torch, 6, batch, size, size, C)
    w = cupy.random.default_rng(7).standard_normal((3, 3, 1, C), dtype="float32")
    tx, tdy = tx.permute(0, 3, 1, 2), tdy.permute(0, 3, 1, 2)
    tw = torch.from_dlpack(w).to(tx.dtype).permute(3, 2, 0, 1).contiguous()
    window = (1, 1), ((1, 1), (1, 1)), (1, 1)

    def theirs(*mask):
        return torch.ops.aten.convolution_backward(tdy, tx, tw, None, [1, 1], [1, 1], [1, 1], False, [0, 0], C, mask)
    compare(cupy, report, f"depthwise 3x3 of {C} at {size}", (
        ("forward", lambda: cuda.depthwise_conv2d(x, w, None, *window),
         lambda: torch.nn.functional.conv2d(tx, tw, None, 1, 1, 1, C), (0, 2, 3, 1)),
        ("data", lambda: cuda.depthwise_conv2d_backward_data(dy, w, x.shape, *window),
         lambda: theirs(True, False, False)[0], (0, 2, 3, 1)),
        ("weights", lambda: cuda.depthwise_conv2d_backward_weights(dy, x, w.shape, *window),
         lambda: theirs(False, True, False)[1], (2, 3, 1, 0))), lambda ms: (2 * x.nbytes / ms / 1e6, bandwidth, "GB/s"))


def dense(cupy, torch, batch, IN, OUT, rate, report):
    (x, tx), (dy, tdy) = drawn(cupy, torch, 8, batch, IN), drawn(cupy, torch, 9, batch, OUT)
    w = cupy.random.default_rng(10).standard_normal((IN, OUT), dtype="float32")
    tw = torch.from_dlpack(w).to(tx.dtype)
    compare(cupy, report, f"dense {IN} -> {OUT}", (
        ("forward", lambda: cuda.dense(x, w, None), lambda: tx @ tw, (0, 1)),
        ("data", lambda: cuda.dense_backward_data(dy, w), lambda: tdy @ tw.T, (0, 1)),
        ("weights", lambda: cuda.dense_backward_weights(dy, x), lambda: tx.T @ tdy, (0, 1))),
        lambda ms: (2 * batch * IN * OUT / ms / 1e9, rate, "TFLOP/s"))


def compare(cupy, report, what, cases, share):
    """A line for each (name, ours, theirs, how their axes become ours)."""
    for name, run, other, turn in cases:
        error = difference(cupy, run(), other().permute(*turn))
        ms = milliseconds(cupy, run)
        report.line(f"{what}, {name}", ms, milliseconds(cupy, other), share(ms), error)


def updates(cupy, torch, bandwidth, report, arrays=160, size=160_000):
    """An optimiser's step over as many numbers as ResNet-50 has; PyTorch's fused one beside it."""
    value, grad, first, second = ([cupy.random.default_rng(seed).standard_normal(size, dtype="float32")
                                   for _ in range(arrays)] for seed in range(4))
    second = [abs(array) for array in second]
    theirs = [torch.from_dlpack(array).clone().requires_grad_() for array in value]
    for mine, other in zip(grad, theirs):
        other.grad = torch.from_dlpack(mine)
    sgd = torch.optim.SGD(theirs, lr=1e-9, momentum=0.9, fused=True)
    adam = torch.optim.Adam(theirs, lr=1e-9, fused=True)
    clock = Clock([4] * arrays)                  # as sn.fit has it: gradients are read twice, first for what is not finite
    clock.lr = 1e-9
    for what, run, other, moved in (
            ("SGD with momentum", lambda: cuda.sgd(value, grad, first, clock, 0.9, False, 0.0), sgd.step, 6),
            ("Adam", lambda: cuda.adam(value, grad, first, second, None, clock, 0.9, 0.999, 1e-8, 0.0), adam.step, 8)):
        ms = milliseconds(cupy, run)
        report.line(f"{what}, {arrays} arrays", ms, milliseconds(cupy, other),
                    (4 * moved * arrays * size / ms / 1e6, bandwidth, "GB/s"))


def loss(cupy, torch, batch, report, classes=1000):
    logits = cupy.random.default_rng(11).standard_normal((batch, classes), dtype="float32")
    labels = cupy.random.default_rng(12).integers(0, classes, batch)
    theirs, their_labels = torch.from_dlpack(logits).clone().requires_grad_(), torch.from_dlpack(labels)

    def both():
        theirs.grad = None
        torch.nn.functional.cross_entropy(theirs, their_labels).backward()
        return theirs.grad

    def run():
        return cuda.softmax_cross_entropy(logits, labels, 0.0)
    report.line(f"softmax cross-entropy of {classes}, both ways", milliseconds(cupy, run), milliseconds(cupy, both),
                error=difference(cupy, run()[1], both()))


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

    torch.backends.cudnn.benchmark = True
    report = Report(args.out)
    print(f"{words}, CuPy {cupy.__version__}, PyTorch {torch.__version__}, batch {args.batch}")
    with cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream):     # both in one order, one set of events
        bandwidth = bandwidth_of_a_copy(cupy, report)
        for report.precision in TOLERANCES:
            print(report.precision)
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = report.precision == "tf32"
            with sn.use_precision(report.precision):
                parts = [lambda rate, case=case: convolution(cupy, torch, args.batch, case, rate, report)
                         for case in CONVOLUTIONS]
                parts += [lambda rate, sizes=sizes: dense(cupy, torch, args.batch, *sizes, rate, report)
                          for sizes in DENSE]
                if report.precision != "tf32":                       # what does not multiply matrices knows no TF32
                    parts += [lambda rate: streams(cupy, torch, args.batch, bandwidth, report),
                              lambda rate: depthwise(cupy, torch, args.batch, bandwidth, report)]
                if report.precision == "float32":
                    parts += [lambda rate: updates(cupy, torch, bandwidth, report),
                              lambda rate: loss(cupy, torch, args.batch, report)]
                rate, = each_by_itself(cupy, [lambda _: rate_of_a_product(cupy, torch, report)], None)
                each_by_itself(cupy, parts, rate or float("nan"))


def each_by_itself(cupy, parts, rate):
    """What each part gives. What fails says so and gives None, and the others go on."""
    found = []
    for part in parts:
        found.append(None)
        try:
            found[-1] = part(rate)
        except Exception:
            traceback.print_exc()
        cupy.get_default_memory_pool().free_all_blocks()
    return found


if __name__ == "__main__":
    main()
