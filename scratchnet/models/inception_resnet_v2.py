"""Inception-ResNet-v2: Szegedy, Ioffe, Vanhoucke, Alemi, "Inception-v4, Inception-ResNet and the impact of residual
connections on learning", 2016, figures 15 to 20, as its weights were published (TensorFlow, timm).

Against the paper, whose figure 15 shows a smaller network: the stem is Inception-v3's, with one Inception block behind
it, not figure 3's; 10, 20 and 10 residual blocks, not 5, 10 and 5; grids of 320, 1088 and 2080 channels; the
last block is added unscaled and without a ReLU, and a 1x1 convolution to 1536 channels stands before the mean.
"""

from scratchnet.layers import (AvgPool2D, Concat, Conv2D, Dense, Dropout, GlobalAvgPool2D, MaxPool2D, Residual,
                               Sequential)
from scratchnet.models.conv_bn import conv_bn

# Section 3.3: residuals scaled down, by 0.1 to 0.3, keep the training of wide networks stable. As published, by grid.
SCALE_35, SCALE_17, SCALE_8 = 0.17, 0.10, 0.20


def inception_resnet_v2(classes=1000, repeats=(10, 20, 9)):
    """55,843,464 parameters, images (299, 299, 3). repeats: residual blocks on 35x35, 17x17, and 8x8 but the last."""
    return Sequential(
        conv2d_1a=conv_bn(32, 3, 2, "valid"),          # (299, 299, 3) -> (149, 149, 32)
        conv2d_2a=conv_bn(32, 3, 1, "valid"),          # -> (147, 147, 32)
        conv2d_2b=conv_bn(64, 3),
        maxpool_3a=MaxPool2D(3, 2),                    # -> (73, 73, 64)
        conv2d_3b=conv_bn(80, 1),
        conv2d_4a=conv_bn(192, 3, 1, "valid"),         # -> (71, 71, 192)
        maxpool_5a=MaxPool2D(3, 2),                    # -> (35, 35, 192)
        mixed_5b=inception(),                          # -> (35, 35, 320)
        repeat=Sequential(*(block_35() for _ in range(repeats[0]))),
        mixed_6a=reduction_a(),                        # -> (17, 17, 1088)
        repeat_1=Sequential(*(block_17() for _ in range(repeats[1]))),
        mixed_7a=reduction_b(),                        # -> (8, 8, 2080)
        repeat_2=Sequential(*(block_8(SCALE_8, "relu") for _ in range(repeats[2]))),
        block8=block_8(scale=1, activation=None),
        conv2d_7b=conv_bn(1536, 1),                    # -> (8, 8, 1536)
        global_pool=GlobalAvgPool2D(),
        head_drop=Dropout(0.2),                        # figure 15: keep 0.8
        classif=Dense(classes))


def inception():
    """Figure 4's block behind the stem, one window 5x5: (35, 35, 192) -> (35, 35, 320)."""
    return Concat(
        branch0=conv_bn(96, 1),
        branch1=Sequential(conv_bn(48, 1), conv_bn(64, 5)),
        branch2=Sequential(conv_bn(64, 1), conv_bn(96, 3), conv_bn(96, 3)),
        branch3=Sequential(AvgPool2D(3, 1, padding=1), conv_bn(64, 1)))


def block_35():
    """Inception-ResNet-A, figure 16."""
    return _residual(320, SCALE_35, "relu", Concat(
        branch0=conv_bn(32, 1),
        branch1=Sequential(conv_bn(32, 1), conv_bn(32, 3)),
        branch2=Sequential(conv_bn(32, 1), conv_bn(48, 3), conv_bn(64, 3))))


def reduction_a():
    """Figure 7 with table 1's k, l, m, n = 256, 256, 384, 384: (35, 35, 320) -> (17, 17, 1088)."""
    return Concat(
        branch0=conv_bn(384, 3, 2, "valid"),
        branch1=Sequential(conv_bn(256, 1), conv_bn(256, 3), conv_bn(384, 3, 2, "valid")),
        branch2=MaxPool2D(3, 2))


def block_17():
    """Inception-ResNet-B, figure 17."""
    return _residual(1088, SCALE_17, "relu", Concat(
        branch0=conv_bn(192, 1),
        branch1=Sequential(conv_bn(128, 1), conv_bn(160, (1, 7)), conv_bn(192, (7, 1)))))


def reduction_b():
    """Reduction-B, figure 18: (17, 17, 1088) -> (8, 8, 2080)."""
    return Concat(
        branch0=Sequential(conv_bn(256, 1), conv_bn(384, 3, 2, "valid")),
        branch1=Sequential(conv_bn(256, 1), conv_bn(288, 3, 2, "valid")),
        branch2=Sequential(conv_bn(256, 1), conv_bn(288, 3), conv_bn(320, 3, 2, "valid")),
        branch3=MaxPool2D(3, 2))


def block_8(scale, activation):
    """Inception-ResNet-C, figure 19."""
    return _residual(2080, scale, activation, Concat(
        branch0=conv_bn(192, 1),
        branch1=Sequential(conv_bn(192, 1), conv_bn(224, (1, 3)), conv_bn(256, (3, 1)))))


def _residual(channels, scale, activation, branches):
    """y = activation(x + scale · conv2d(branches(x))): a 1x1 without norm or ReLU brings the width back. Figure 20."""
    conv2d = Conv2D(channels, 1, kernel_initializer="he_normal")
    return Residual(Sequential(branches=branches, conv2d=conv2d), activation=activation, scale=scale)
