"""Inception-v3: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception architecture for computer vision",
2015, table 1 and figures 5 to 8, 10, as its weights were published (TensorFlow, torchvision, timm).

Against table 1: the stem's 3x3 convolutions to 80, 192 and 288 channels are a 1x1 to 80, a 3x3 to 192 and a pool; the
blocks of figure 5 have a 5x5 branch beside the one of two 3x3; behind a reduction as in figure 10 there are four blocks
of figure 6, where the table counts five; the auxiliary classifier has a weight of 0.4, of which the paper says nothing.
"""

from scratchnet.layers import (Auxiliary, AvgPool2D, Concat, Dense, Dropout, GlobalAvgPool2D, MaxPool2D, Sequential)
from scratchnet.models.conv_bn import conv_bn

AUXILIARY_WEIGHT = 0.4


def inception_v3(classes=1000, pooled=(32, 64, 64), factored=(128, 160, 160, 192), expanded=2):
    """23,834,568 parameters, 27,161,264 with the auxiliary classifier, images (299, 299, 3).

    pooled: channels of the pool's branch, for each block of figure 5. factored: channels inside each block of figure 6.
    expanded: the number of blocks of figure 7.
    """
    return Sequential(
        Conv2d_1a_3x3=conv_bn(32, 3, 2, "valid"),      # (299, 299, 3) -> (149, 149, 32)
        Conv2d_2a_3x3=conv_bn(32, 3, 1, "valid"),      # -> (147, 147, 32)
        Conv2d_2b_3x3=conv_bn(64, 3),
        maxpool1=MaxPool2D(3, 2),                      # -> (73, 73, 64)
        Conv2d_3b_1x1=conv_bn(80, 1),
        Conv2d_4a_3x3=conv_bn(192, 3, 1, "valid"),     # -> (71, 71, 192)
        maxpool2=MaxPool2D(3, 2),                      # -> (35, 35, 192)
        **{f"Mixed_5{letter}": inception_a(width) for letter, width in zip("bcd", pooled)},       # -> (35, 35, 288)
        Mixed_6a=reduction_b(),                        # -> (17, 17, 768)
        **{f"Mixed_6{letter}": inception_c(width) for letter, width in zip("bcde", factored)},    # -> (17, 17, 768)
        AuxLogits=Auxiliary(auxiliary_head(classes), AUXILIARY_WEIGHT),
        Mixed_7a=reduction_d(),                        # -> (8, 8, 1280)
        **{f"Mixed_7{letter}": inception_e() for letter in "bc"[:expanded]},                      # -> (8, 8, 2048)
        avgpool=GlobalAvgPool2D(),
        dropout=Dropout(0.5),
        fc=Dense(classes))


def inception_a(pooled):
    """Figure 5: a 5x5 window costs 25/18 of two 3x3 in a row, which see as far."""
    return Concat(
        branch1x1=conv_bn(64, 1),
        branch5x5=Sequential(_1=conv_bn(48, 1), _2=conv_bn(64, 5)),
        branch3x3dbl=Sequential(_1=conv_bn(64, 1), _2=conv_bn(96, 3), _3=conv_bn(96, 3)),
        branch_pool=_pooled(pooled))


def reduction_b():
    """Figure 10: half the height and width, more channels, and no bottleneck: convolutions and a pool side by side."""
    return Concat(
        branch3x3=conv_bn(384, 3, 2, "valid"),
        branch3x3dbl=Sequential(_1=conv_bn(64, 1), _2=conv_bn(96, 3), _3=conv_bn(96, 3, 2, "valid")),
        branch_pool=MaxPool2D(3, 2))


def inception_c(width):
    """Figure 6, n = 7: a 7x7 window as a row, then a column."""
    return Concat(
        branch1x1=conv_bn(192, 1),
        branch7x7=Sequential(_1=conv_bn(width, 1), _2=conv_bn(width, (1, 7)), _3=conv_bn(192, (7, 1))),
        branch7x7dbl=Sequential(_1=conv_bn(width, 1), _2=conv_bn(width, (7, 1)), _3=conv_bn(width, (1, 7)),
                                _4=conv_bn(width, (7, 1)), _5=conv_bn(192, (1, 7))),
        branch_pool=_pooled(192))


def reduction_d():
    """Figure 10 again, one branch through 7x7."""
    return Concat(
        branch3x3=Sequential(_1=conv_bn(192, 1), _2=conv_bn(320, 3, 2, "valid")),
        branch7x7x3=Sequential(_1=conv_bn(192, 1), _2=conv_bn(192, (1, 7)), _3=conv_bn(192, (7, 1)),
                               _4=conv_bn(192, 3, 2, "valid")),
        branch_pool=MaxPool2D(3, 2))


def inception_e():
    """Figure 7: rows and columns side by side, for many features on the coarsest grid."""
    return Concat(
        branch1x1=conv_bn(320, 1),
        branch3x3=Sequential(_1=conv_bn(384, 1), _2=_row_and_column()),
        branch3x3dbl=Sequential(_1=conv_bn(448, 1), _2=conv_bn(384, 3), _3=_row_and_column()),
        branch_pool=_pooled(192))


def auxiliary_head(classes):
    """Figure 8, for a grid of 17x17: the second window covers what the pool has left."""
    return Sequential(
        pool=AvgPool2D(5, 3),                          # (17, 17, 768) -> (5, 5, 768)
        conv0=conv_bn(128, 1),
        conv1=conv_bn(768, 5, 1, "valid"),             # -> (1, 1, 768)
        avgpool=GlobalAvgPool2D(),
        fc=Dense(classes))


def _pooled(filters):
    # Means that count the padding's zeros, as torchvision and timm do; TensorFlow's leave them out.
    return Sequential(AvgPool2D(3, 1, padding=1, count_include_pad=True), conv_bn(filters, 1))


def _row_and_column():
    return Concat(a=conv_bn(384, (1, 3)), b=conv_bn(384, (3, 1)))
