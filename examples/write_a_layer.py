"""Write a layer with parameters of your own, break its gradient, and watch gradcheck find it.

    python -m examples.write_a_layer
    python -m examples.write_a_layer --channels 16 --seed 3

The layer is RMSNorm (Zhang & Sennrich 2019, "Root mean square layer normalization", (4)):

    y = g x / r,   r = √(mean over the channels of x² + ε),   x̂ = x / r

r depends on x as well, ∂r/∂x_i = x_i/(C r) = x̂_i/C, so each x_i reaches the loss directly and through r:

    dx_i = g_i dy_i / r - Σ_j g_j dy_j x_j / r² · x̂_i/C = (g_i dy_i - x̂_i mean_j(g_j dy_j x̂_j)) / r

A network whose layer forgets the second way still learns, only worse: nothing but a check shows it.
"""

import argparse

import numpy as np

import scratchnet as sn
from scratchnet.gradcheck import GradientError


class RMSNorm(sn.Layer):
    """y = g x / √(mean(x²) + ε) over the channels, gain g (C,).  `mistake`: None, or one of the two in `main`."""

    def __init__(self, epsilon=1e-6, mistake=None):
        self.epsilon, self.mistake = epsilon, mistake

    def build(self, rng, input_shape):
        self.gain = self.add_parameter("gain", np.ones(input_shape[-1]))

    def forward(self, x, training=True):
        gain = self.gain.value
        r = np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.epsilon)         # (N, H, W, 1)
        normalised = x / r                                                       # (N, H, W, C)

        def backward(dy, need_dx=True):
            total = np.mean if self.mistake == "mean for sum" else np.sum
            self.gain.add_grad(total(dy * normalised, axis=tuple(range(dy.ndim - 1))))    # (C,)
            d = gain * dy
            if self.mistake != "no way through r":
                d = d - normalised * (d * normalised).mean(axis=-1, keepdims=True)
            return d / r
        return gain * normalised, backward


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    x = np.random.default_rng(1998).standard_normal((2, 3, 3, args.channels))

    print("The layer as derived, alone:")
    print(sn.gradcheck(RMSNorm(), x, seed=args.seed))

    print("\nThe layer inside a network:")
    network = sn.Sequential(conv=sn.Conv2D(4, 2, use_bias=False), norm=RMSNorm(), flatten=sn.Flatten(), fc=sn.Dense(3))
    print(sn.gradcheck(network, x, seed=args.seed))

    for mistake in ("no way through r", "mean for sum"):
        print(f"\nWith a mistake, {mistake!r}:")
        try:
            sn.gradcheck(RMSNorm(mistake=mistake), x, seed=args.seed)
        except GradientError as error:
            print(error)
        else:
            raise SystemExit("gradcheck has let a wrong gradient pass")


if __name__ == "__main__":
    main()
