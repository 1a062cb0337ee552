"""One convolution, three ways: loops in Python, im2col and a matrix product, the same loops compiled by Numba.

    python -m examples.convolution_three_ways                          # LeNet-5's second convolution
    python -m examples.convolution_three_ways --batch 64 --channels 64 --filters 64 --repeat 9

All three compute y[n, i, j, f] = Σ_{u, v, c} x[n, i + u, j + v, c] w[u, v, c, f], x (N, H, W, C), w (KH, KW, C, F).
The loops say what a convolution is. im2col copies each window into a row of a matrix, KH·KW times the memory, and
leaves the work to one matrix product, which a library has tuned for decades (kernels/reference/conv.py does this).
Numba compiles the loops as they stand to machine code. What the engine itself runs on a CPU stands in the last line:
kernels/cpu/conv.py is Numba too, with an eye on caches, vectors and both cores.
"""

import argparse
import time

import numba
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from scratchnet.kernels import cpu


def loops(x, w):
    N, H, W, C = x.shape
    KH, KW, _, F = w.shape
    y = np.zeros((N, H - KH + 1, W - KW + 1, F), x.dtype)
    for n in range(N):
        for i in range(H - KH + 1):
            for j in range(W - KW + 1):
                for u in range(KH):
                    for v in range(KW):
                        for c in range(C):
                            for f in range(F):
                                y[n, i, j, f] += x[n, i + u, j + v, c] * w[u, v, c, f]
    return y


def im2col(x, w):
    KH, KW, C, F = w.shape
    windows = sliding_window_view(x, (KH, KW), axis=(1, 2))             # (N, OH, OW, C, KH, KW), a view
    N, OH, OW = windows.shape[:3]
    rows = windows.transpose(0, 1, 2, 4, 5, 3).reshape(N * OH * OW, KH * KW * C)         # a copy
    return (rows @ w.reshape(KH * KW * C, F)).reshape(N, OH, OW, F)     # (N*OH*OW, F) = (…, KH*KW*C) @ (KH*KW*C, F)


compiled = numba.njit(loops)


def engine(x, w):
    return cpu.conv2d(x, w, None, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)


def seconds(function, x, w, repeat):
    """The best of `repeat` runs: what else the machine does only ever adds to a time."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        function(x, w)
        best = min(best, time.perf_counter() - start)
    return best


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("batch", 16), ("size", 14), ("channels", 6), ("kernel", 5), ("filters", 16), ("repeat", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args(argv)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((args.batch, args.size, args.size, args.channels)).astype(np.float32)
    w = rng.standard_normal((args.kernel, args.kernel, args.channels, args.filters)).astype(np.float32)
    exact = im2col(x.astype(np.float64), w.astype(np.float64))
    print(f"x {x.shape} * w {w.shape} = y {exact.shape}, float32; best of {args.repeat} runs\n")

    per_image = exact[0].size * w[..., 0].size                          # multiplications and additions
    for name, function, images in (("loops in Python", loops, 1), ("im2col", im2col, args.batch),
                                   ("loops in Numba", compiled, args.batch), ("kernels/cpu", engine, args.batch)):
        got = function(x[:images], w)                                   # the first call of a compiled function compiles
        error = np.abs(got - exact[:images]).max() / np.abs(exact).max()
        if not error < 1e-5:                                            # float32 rounds to 6e-8, and some hundred times
            raise SystemExit(f"{name} differs from the same in float64 by {error:.1e} of the largest value")
        time_per_image = seconds(function, x[:images], w, 1 if function is loops else args.repeat) / images
        print(f"{name:<16} {time_per_image * 1e6:>12,.1f} µs an image {per_image / time_per_image / 1e9:>9.4f} "
              f"billion multiply-adds a second   error {error:.0e}")


if __name__ == "__main__":
    main()
