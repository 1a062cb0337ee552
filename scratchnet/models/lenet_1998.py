"""LeNet-5 to the letter: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition",
1998, section II.B, figure 2. (models/lenet.py is the usual modern form.)"""

import math

import numpy as np

from scratchnet.backend import array_module, ops
from scratchnet.layers import Conv2D, Dense, Flatten, Layer, Sequential
from scratchnet.layers.geometry import describe_window, image_shape, pair, positive, sliding_shape

# Table I: which maps of S2 each of the 16 maps of C3 is connected to.
TABLE_1 = ((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (4, 5, 0), (5, 0, 1),
           (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 0), (4, 5, 0, 1), (5, 0, 1, 2),
           (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5))

# In the manner of figure 3: 0 to 9 in 12 rows of 7 pixels, the code that F6 is to show for each digit.
DIGITS = """
.......  .......  .......  .......  .......
..###..  ...##..  .#####.  ######.  ....##.
.##.##.  ..###..  ##...##  .....##  ...###.
##...##  .####..  .....##  ....##.  ..####.
##...##  ...##..  .....##  ..###..  .##.##.
##...##  ...##..  ....##.  ....##.  ##..##.
##...##  ...##..  ..###..  .....##  ##..##.
##...##  ...##..  .##....  .....##  #######
.##.##.  ...##..  ##.....  ##...##  ....##.
..###..  .######  #######  .#####.  ....##.
.......  .......  .......  .......  .......
.......  .......  .......  .......  .......

.......  .......  .......  .......  .......
#######  ...###.  #######  .#####.  .#####.
##.....  ..##...  ##...##  ##...##  ##...##
##.....  .##....  ....##.  ##...##  ##...##
######.  ##.###.  ....##.  .##.##.  ##..###
.....##  ###..##  ...##..  ..###..  .###.##
.....##  ##...##  ...##..  .##.##.  .....##
.....##  ##...##  ..##...  ##...##  ....##.
##...##  ##...##  ..##...  ##...##  ...##..
.#####.  .#####.  ..##...  .#####.  .###...
.......  .......  .......  .......  .......
.......  .......  .......  .......  .......
"""


def lenet5_1998(classes=10):
    """60,000 trainable parameters for images (32, 32, 1): C1 156, S2 12, C3 1,516, S4 32, C5 48,120, F6 10,164.

    Every unit up to F6 ends in the squashing function of (6). The paper's pixels are -0.1 for white and 1.175 for
    black, mean 0 and variance 1. First weights: U(-2.4/F, 2.4/F) with F inputs to a unit (appendix A); biases, of which
    it says nothing, 0. The paper trains with a rate of its own for every weight (appendix C); here a small one for
    all does, SGD's 0.003 with momentum 0.9: distances of 84 units make large gradients. Not to the letter: the codes
    are drawn in the manner of figure 3, not copied from it.
    """
    return Sequential(
        c1=Conv2D(6, 5, kernel_initializer=over_fan_in), squash1=Squash(),         # (32, 32, 1) -> (28, 28, 6)
        s2=Subsampling(), squash2=Squash(),                                        # -> (14, 14, 6)
        c3=TableConv2D(TABLE_1, 5), squash3=Squash(),                              # -> (10, 10, 16)
        s4=Subsampling(), squash4=Squash(),                                        # -> (5, 5, 16)
        c5=Conv2D(120, 5, kernel_initializer=over_fan_in), squash5=Squash(),       # -> (1, 1, 120)
        flatten=Flatten(),
        f6=Dense(84, kernel_initializer=over_fan_in), squash6=Squash(),            # 84 = 7x12 pixels
        output=RadialBasis(classes),
    )


def over_fan_in(rng, shape):
    """U(-2.4/F, 2.4/F), F = inputs to a unit. LeCun et al. 1998, appendix A."""
    limit = 2.4 / math.prod(shape[:-1])
    return rng.uniform(-limit, limit, shape)


class Squash(Layer):
    """y = A tanh(S x), A = 1.7159, S = 2/3, so that f(±1) ≈ ±1; dx = dy A S (1 - tanh²(S x)).  Appendix A."""

    A, S = 1.7159, 2 / 3

    def forward(self, x, training=True):
        t = ops(x).tanh(x * x.dtype.type(self.S))

        def backward(dy, need_dx=True):
            return ops(dy).tanh_backward(dy, t) * dy.dtype.type(self.A * self.S)
        return t * t.dtype.type(self.A), backward


class Subsampling(Layer):
    """y = w[c] Σ (the 2x2 pixels of a window of channel c) + b[c]: (N, H, W, C) -> (N, ⌊H/2⌋, ⌊W/2⌋, C).

    dw = Σ dy · sum, db = Σ dy, and each pixel receives w dy of its window. weight and bias (C,): the "trainable
    coefficient" and "trainable bias" of S2 and S4, section II.B.
    """

    pool_size, strides, padding = (2, 2), (2, 2), "valid"

    def output_shape(self, input_shape):
        height, width, channels = image_shape(self, input_shape)
        return (*sliding_shape(self, (height, width), self.pool_size, self.strides, self.padding), channels)

    def build(self, rng, input_shape):
        self.weight = self.add_parameter("weight", rng.uniform(-2.4 / 4, 2.4 / 4, input_shape[-1]))
        self.bias = self.add_parameter("bias", np.zeros(input_shape[-1]))

    def forward(self, x, training=True):
        w, shape = self.weight.value, x.shape
        window = (self.pool_size, self.strides, ((0, 0), (0, 0)), False, False)        # no padding, of any kind
        total = ops(x).avg_pool2d(x, *window) * x.dtype.type(4)                        # (N, H/2, W/2, C)

        def backward(dy, need_dx=True):
            self.weight.add_grad((dy * total).sum(axis=(0, 1, 2)))
            self.bias.add_grad(ops(dy).bias_backward(dy))
            return ops(dy).avg_pool2d_backward(dy * (w * w.dtype.type(4)), shape, *window) if need_dx else None
        return total * w + self.bias.value, backward

    def describe(self):
        return describe_window("Subsampling", self.pool_size, self.strides, self.padding)


class TableConv2D(Layer):
    """A convolution whose map f sees the channels table[f] only; the same sums as Conv2D's, fewer of them.

    weight (KH, KW, connections): one window for each connection, maps in order; bias (F,). It is laid out in a
    (KH, KW, C, F) that is 0 where there is no connection, and dw is read off the same places. Table I.
    """

    strides, padding, dilation = (1, 1), "valid", (1, 1)

    def __init__(self, table, kernel_size):
        self.kernel_size = pair("TableConv2D", "kernel_size", kernel_size)
        self.maps = len(table)
        connections = [(c, f) for f, channels in enumerate(table) for c in channels]
        self.places = tuple(zip(*connections))                               # (c, ...), (f, ...)

    def output_shape(self, input_shape):
        height, width, channels = image_shape(self, input_shape)
        if channels != max(self.places[0]) + 1:
            raise ValueError(f"{self.label()}: the table names {max(self.places[0]) + 1} channels, got an input of "
                             f"shape {input_shape}; give the layer before it that many maps")
        return (*sliding_shape(self, (height, width), self.kernel_size, self.strides, self.padding), self.maps)

    def build(self, rng, input_shape):
        seen = np.bincount(self.places[1])[list(self.places[1])]             # channels of each connection's map
        limit = 2.4 / (math.prod(self.kernel_size) * seen)
        self.weight = self.add_parameter("weight", rng.uniform(-limit, limit, (*self.kernel_size, len(limit))))
        self.bias = self.add_parameter("bias", np.zeros(self.maps))

    def forward(self, x, training=True):
        channels, maps = map(list, self.places)
        window = (self.strides, ((0, 0), (0, 0)), self.dilation, 1)          # no padding, one group
        w = array_module(x).zeros((*self.kernel_size, x.shape[-1], self.maps), x.dtype)
        w[:, :, channels, maps] = self.weight.value

        def backward(dy, need_dx=True):
            dw = ops(dy).conv2d_backward_weights(dy, x, w.shape, *window)
            self.weight.add_grad(dw[:, :, channels, maps])                   # (KH, KW, connections)
            self.bias.add_grad(ops(dy).bias_backward(dy))
            return ops(dy).conv2d_backward_data(dy, w, x.shape, *window) if need_dx else None
        return ops(x).conv2d(x, w, self.bias.value, *window), backward

    def multiply_adds(self, input_shape):
        height, width, _ = self.output_shape(input_shape)
        return height * width * math.prod(self.kernel_size) * len(self.places[0])

    def describe(self):
        return describe_window("TableConv2D", self.kernel_size, self.strides, self.padding)


class RadialBasis(Layer):
    """logits = -y, y_i = Σ_j (x_j - w_ij)², the squared distance to class i's code (7): (N, 84) -> (N, classes).

    softmax_cross_entropy of them is y_D + log Σ_i e^{-y_i}: the paper's criterion (9) but for its constant e^{-j}, the
    rubbish class; its first term alone is (8). dx = -2 Σ_i dlogits_i (x - w_i).
    codes (classes, units), of -1 and +1, are fixed, a buffer: `digits()` for ten classes and 84 units, else drawn with
    equal probabilities, as section II.B allows.
    """

    def __init__(self, classes):
        self.classes = positive("RadialBasis", "classes", classes)

    def output_shape(self, input_shape):
        if len(input_shape) != 1:
            raise ValueError(f"{self.label()}: expected rows (IN,), got an input of shape {input_shape}; put Flatten() "
                             "before it")
        return (self.classes,)

    def build(self, rng, input_shape):
        codes = digits()
        if codes.shape != (self.classes, *input_shape):
            codes = rng.choice([-1, 1], (self.classes, *input_shape))
        self.add_buffer("codes", codes.astype(np.float32))

    def forward(self, x, training=True):
        distance = x[:, None, :] - self.buffer("codes")                     # (N, classes, units)

        def backward(dy, need_dx=True):
            return dy.dtype.type(-2) * (dy[:, :, None] * distance).sum(axis=1)
        return -(distance * distance).sum(axis=2), backward

    def describe(self):
        return f"RadialBasis {self.classes}"


def digits():
    """(10, 84): the bitmaps row by row, +1 for ink."""
    halves = [[line.split() for line in half.splitlines()] for half in DIGITS.strip().split("\n\n")]    # 12 x 5 words
    pictures = ["".join(line[digit] for line in half) for half in halves for digit in range(5)]
    return np.array([[1 if pixel == "#" else -1 for pixel in picture] for picture in pictures])
