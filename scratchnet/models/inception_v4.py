"""Inception-v4: Szegedy, Ioffe, Vanhoucke, Alemi, "Inception-v4, Inception-ResNet and the impact of residual
connections on learning", 2016, figures 3 to 9, as its weights were published (TensorFlow, timm).

Against the figures: rows (1x7, 1x3) and columns (7x1, 3x1) follow each other in another order in some branches. As the
two are not the same size on an image that is not square, it is the weights that decide here.
"""

from scratchnet.layers import AvgPool2D, Concat, Dense, Dropout, GlobalAvgPool2D, MaxPool2D, Sequential
from scratchnet.models.conv_bn import conv_bn


def inception_v4(classes=1000, repeats=(4, 7, 3)):
    """42,679,816 parameters, images (299, 299, 3). repeats: how many Inception-A, -B and -C (figure 9)."""
    a, b, c = repeats
    return Sequential(
        features=Sequential(
            *stem(),                                   # (299, 299, 3) -> (35, 35, 384)
            *(inception_a() for _ in range(a)),
            reduction_a(),                             # -> (17, 17, 1024)
            *(inception_b() for _ in range(b)),
            reduction_b(),                             # -> (8, 8, 1536)
            *(inception_c() for _ in range(c))),
        global_pool=GlobalAvgPool2D(),
        head_drop=Dropout(0.2),                        # figure 9: keep 0.8
        last_linear=Dense(classes))


def stem():
    """Figure 3: three convolutions, and three times two ways to a smaller grid."""
    return (
        conv_bn(32, 3, 2, "valid"),                    # (299, 299, 3) -> (149, 149, 32)
        conv_bn(32, 3, 1, "valid"),                    # -> (147, 147, 32)
        conv_bn(64, 3),
        Concat(maxpool=MaxPool2D(3, 2), conv=conv_bn(96, 3, 2, "valid")),        # -> (73, 73, 160)
        Concat(                                        # -> (71, 71, 192)
            branch0=Sequential(conv_bn(64, 1), conv_bn(96, 3, 1, "valid")),
            branch1=Sequential(conv_bn(64, 1), conv_bn(64, (1, 7)), conv_bn(64, (7, 1)), conv_bn(96, 3, 1, "valid"))),
        Concat(conv=conv_bn(192, 3, 2, "valid"), maxpool=MaxPool2D(3, 2)))       # -> (35, 35, 384)


def inception_a():
    """Figure 4: (35, 35, 384) -> (35, 35, 384)."""
    return Concat(
        branch0=conv_bn(96, 1),
        branch1=Sequential(conv_bn(64, 1), conv_bn(96, 3)),
        branch2=Sequential(conv_bn(64, 1), conv_bn(96, 3), conv_bn(96, 3)),
        branch3=_pooled(96))


def reduction_a():
    """Figure 7 with table 1's k, l, m, n = 192, 224, 256, 384."""
    return Concat(
        branch0=conv_bn(384, 3, 2, "valid"),
        branch1=Sequential(conv_bn(192, 1), conv_bn(224, 3), conv_bn(256, 3, 2, "valid")),
        branch2=MaxPool2D(3, 2))


def inception_b():
    """Figure 5: (17, 17, 1024) -> (17, 17, 1024)."""
    return Concat(
        branch0=conv_bn(384, 1),
        branch1=Sequential(conv_bn(192, 1), conv_bn(224, (1, 7)), conv_bn(256, (7, 1))),
        branch2=Sequential(conv_bn(192, 1), conv_bn(192, (7, 1)), conv_bn(224, (1, 7)), conv_bn(224, (7, 1)),
                           conv_bn(256, (1, 7))),
        branch3=_pooled(128))


def reduction_b():
    """Figure 8: (17, 17, 1024) -> (8, 8, 1536)."""
    return Concat(
        branch0=Sequential(conv_bn(192, 1), conv_bn(192, 3, 2, "valid")),
        branch1=Sequential(conv_bn(256, 1), conv_bn(256, (1, 7)), conv_bn(320, (7, 1)), conv_bn(320, 3, 2, "valid")),
        branch2=MaxPool2D(3, 2))


def inception_c():
    """Figure 6: (8, 8, 1536) -> (8, 8, 1536)."""
    return Concat(
        branch0=conv_bn(256, 1),
        branch1=Sequential(_0=conv_bn(384, 1), _1=_row_and_column()),
        branch2=Sequential(_0=conv_bn(384, 1), _1=conv_bn(448, (3, 1)), _2=conv_bn(512, (1, 3)), _3=_row_and_column()),
        branch3=_pooled(256))


def _pooled(filters):
    return Sequential(AvgPool2D(3, 1, padding=1), conv_bn(filters, 1))


def _row_and_column():
    return Concat(a=conv_bn(256, (1, 3)), b=conv_bn(256, (3, 1)))
