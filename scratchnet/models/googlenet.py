"""GoogLeNet, or Inception-v1: Szegedy et al., "Going deeper with convolutions", 2014, table 1, figures 2(b) and 3.

`googlenet` is the paper's, `googlenet_bn` the variant with batch norm whose weights torchvision publishes.
"""

import numpy as np

from scratchnet.layers import (AdaptiveAvgPool2D, Auxiliary, AvgPool2D, Concat, Conv2D, Dense, Dropout, Flatten,
                               GlobalAvgPool2D, LocalResponseNorm, MaxPool2D, Sequential)
from scratchnet.models.conv_bn import conv_bn

# Table 1, a row a block: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj.
TABLE_1 = {
    "3a": (64, 96, 128, 16, 32, 32),          # (28, 28, 192) -> (28, 28, 256)
    "3b": (128, 128, 192, 32, 96, 64),        # -> (28, 28, 480)
    "4a": (192, 96, 208, 16, 48, 64),         # (14, 14, 480) -> (14, 14, 512)
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),        # -> (14, 14, 528)
    "4e": (256, 160, 320, 32, 128, 128),      # -> (14, 14, 832)
    "5a": (256, 160, 320, 32, 128, 128),      # (7, 7, 832) -> (7, 7, 832)
    "5b": (384, 192, 384, 48, 128, 128),      # -> (7, 7, 1024)
}
AUXILIARIES = {"4a": "aux1", "4d": "aux2"}    # section 5: on top of these two
AUXILIARY_WEIGHT = 0.3                        # section 5


def googlenet(classes=1000, table=TABLE_1):
    """The paper's network: 6,998,552 parameters, 13,378,280 with the auxiliary classifiers, images (224, 224, 3).

    What the paper leaves open is as in Caffe's GoogLeNet: the settings of the local response norms (Krizhevsky's, but α
    over the size and k = 1), padding 3 in the first convolution, pools that round up (figure 3's "same" for images of
    224 pixels), and first weights of variance 1/fan_in with biases of 0.2: there is no batch norm, and with these a
    signal only halves from the first block to the last. (With he_normal the first loss is three times ln 1000.)
    """
    return Sequential(
        conv1=_conv(64, 7, strides=2, padding=3),      # (224, 224, 3) -> (112, 112, 64)
        maxpool1=_max_pool(3),                         # -> (56, 56, 64)
        norm1=LocalResponseNorm(),
        conv2=_conv(64, 1),
        conv3=_conv(192, 3),                           # -> (56, 56, 192)
        norm2=LocalResponseNorm(),
        maxpool2=_max_pool(3),                         # -> (28, 28, 192)
        **_blocks(table, _conv, third=5, last_pool=3, auxiliary_pool=lambda: AvgPool2D(5, 3), classes=classes),
        avgpool=GlobalAvgPool2D(),
        dropout=Dropout(0.4),
        fc=Dense(classes))


def googlenet_bn(classes=1000, table=TABLE_1):
    """torchvision's `googlenet`: 6,624,904 parameters, 13,004,888 with the auxiliary classifiers, images (224, 224, 3).

    Against the paper: batch norm and neither biases nor local response norms; 3x3 windows where the third branch has
    5x5; 2x2 windows in the fourth pool; the auxiliary classifiers pool adaptively to 4x4; dropout of 0.2, not 0.4.
    """
    return Sequential(
        conv1=conv_bn(64, 7, strides=2, padding=3),
        maxpool1=_max_pool(3),
        conv2=conv_bn(64, 1),
        conv3=conv_bn(192, 3),
        maxpool2=_max_pool(3),
        **_blocks(table, conv_bn, third=3, last_pool=2, auxiliary_pool=lambda: AdaptiveAvgPool2D(4), classes=classes),
        avgpool=GlobalAvgPool2D(),
        dropout=Dropout(0.2),
        fc=Dense(classes))


def _blocks(table, unit, third, last_pool, auxiliary_pool, classes):
    """{name: layer}: the table's blocks, a pool before stages 4 and 5, the auxiliary classifiers.

    unit(filters, kernel_size): a convolution and what belongs to it; third: the window of each block's third branch.
    """
    layers, stage, pools = {}, "3", {"4": _max_pool(3), "5": _max_pool(last_pool)}
    for name, widths in table.items():
        if name[0] != stage:
            layers[f"maxpool{stage}"], stage = pools[name[0]], name[0]
        layers[f"inception{name}"] = inception(widths, unit, third)
        if name in AUXILIARIES:
            head = auxiliary_head(auxiliary_pool(), unit, classes)
            layers[AUXILIARIES[name]] = Auxiliary(head, AUXILIARY_WEIGHT)
    return layers


def inception(widths, unit, third):
    """Figure 2(b): four views of the same input side by side, the larger windows behind 1x1 reductions."""
    ones, reduce_second, second, reduce_third, last_third, pooled = widths
    return Concat(
        branch1=unit(ones, 1),
        branch2=Sequential(unit(reduce_second, 1), unit(second, 3)),
        branch3=Sequential(unit(reduce_third, 1), unit(last_third, third)),
        branch4=Sequential(MaxPool2D(3, 1, padding=1), unit(pooled, 1)))


def auxiliary_head(pool, unit, classes):
    """Section 5: a 4x4 summary of the image, 128 channels, 1,024 units, 70% dropout."""
    return Sequential(
        pool=pool,                                     # (14, 14, C) -> (4, 4, C)
        conv=unit(128, 1),
        flatten=Flatten(),                             # -> (2048,)
        fc1=Dense(1024, activation="relu", kernel_initializer="he_normal"),
        dropout=Dropout(0.7),
        fc2=Dense(classes))


def _conv(filters, kernel_size, strides=1, padding="same"):
    return Conv2D(filters, kernel_size, strides, padding, activation="relu", kernel_initializer="lecun_uniform",
                  bias_initializer=lambda rng, shape: np.full(shape, 0.2))


def _max_pool(window):
    return MaxPool2D(window, 2, ceil_mode=True)
