"""Xception: Chollet, "Xception: deep learning with depthwise separable convolutions", 2016, figure 5.

As its weights were published in timm (legacy_xception, whose names these are). These came from Keras, whose network is
the figure's; two details differ here: the pools pad by one pixel on each side, where TensorFlow's "same" pads a grid
of even size (block2's 74x74) on one side only, and the batch norms have ε = 1e-5, not 1e-3.
"""

from scratchnet.layers import (BatchNorm, Conv2D, Dense, Dropout, GlobalAvgPool2D, MaxPool2D, ReLU, Residual,
                               SeparableConv2D, Sequential)


def xception(classes=1000, middle=8):
    """22,855,952 parameters, images (299, 299, 3). middle: how often the middle flow's block is repeated.

    he_normal, as every convolution is followed by a batch norm (and no ReLU stands inside a pair, section 4.7).
    """
    entry = {"block1": (128, 128), "block2": (256, 256), "block3": (728, 728)}
    return Sequential(
        conv1=_conv(32, 3, strides=2),                 # (299, 299, 3) -> (149, 149, 32)
        bn1=BatchNorm(activation="relu"),
        conv2=_conv(64, 3),                            # -> (147, 147, 64)
        bn2=BatchNorm(activation="relu"),
        **{name: down(*widths, first_relu=name != "block1") for name, widths in entry.items()},  # -> (19, 19, 728)
        **{f"block{number}": same(728) for number in range(4, 4 + middle)},
        **{f"block{4 + middle}": down(728, 1024)},     # -> (10, 10, 1024)
        conv3=_separable(1536),
        bn3=BatchNorm(activation="relu"),
        conv4=_separable(2048),                        # -> (10, 10, 2048)
        bn4=BatchNorm(activation="relu"),
        avgpool=GlobalAvgPool2D(),
        dropout=Dropout(0.5),                          # section 4.3
        fc=Dense(classes))


def down(first, second, first_relu=True):
    """Two separable convolutions and a pool; the shortcut is a 1x1 with the pool's strides. Entry and exit flow."""
    main = [ReLU(), _separable(first), BatchNorm(), ReLU(), _separable(second), BatchNorm(),
            MaxPool2D(3, 2, padding=1)]
    shortcut = Sequential(skip=_conv(second, 1, strides=2), skipbn=BatchNorm())
    return Residual(Sequential(*main[0 if first_relu else 1:]), shortcut)


def same(filters):
    """Three separable convolutions around an identity. Middle flow."""
    return Residual(Sequential(*(layer for _ in range(3) for layer in (ReLU(), _separable(filters), BatchNorm()))))


def _separable(filters):
    return SeparableConv2D(filters, 3, padding=1, use_bias=False, kernel_initializer="he_normal")


def _conv(filters, kernel_size, strides=1):
    return Conv2D(filters, kernel_size, strides, use_bias=False, kernel_initializer="he_normal")
