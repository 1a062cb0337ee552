"""ResNet: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2015, table 1; ResNeXt: Xie, Girshick,
Dollár, Tu, He, "Aggregated residual transformations for deep neural networks", 2016, table 1.

The papers' names: conv1, then conv2_x = layer1 behind the max pool, conv3_x = layer2, conv4_x = layer3, conv5_x =
layer4. Ours are torchvision's and timm's but for one level, a Residual's `main` and `shortcut` (weights/names.py).
First weights N(0, 2/fan_out), as published ones had: with batch norms the spread of a convolution matters little.
"""

from functools import partial

from scratchnet.layers import BatchNorm, Conv2D, Dense, GlobalAvgPool2D, MaxPool2D, Residual, Sequential


def resnet(block, depths, classes, expansion=4):
    """conv1, a max pool, four stages of depths[i] blocks, the mean of each channel, one dense layer.

    block(width, strides, projection) -> Layer, of expansion · width channels; projection: its shortcut has to change
    the shape. Images (224, 224, 3): 112, after the pool 56, then 56, 28, 14, 7. Every window is padded: any size does.
    """
    stages = {}
    for stage, depth in enumerate(depths):
        width, strides = 64 * 2**stage, 2 if stage else 1
        first = block(width, strides, strides > 1 or expansion > 1)
        stages[f"layer{stage + 1}"] = Sequential(first, *(block(width, 1, False) for _ in range(depth - 1)))
    return Sequential(
        conv1=convolution(64, 7, strides=2),
        bn1=BatchNorm(activation="relu"),
        maxpool=MaxPool2D(3, strides=2, padding=1),
        **stages,
        avgpool=GlobalAvgPool2D(),
        fc=Dense(classes),
    )


def basic(width, strides, projection):
    """y = relu(shortcut(x) + 3x3(relu(3x3(x)))), each 3x3 with a batch norm.  He et al., figure 5, left."""
    return Residual(
        main=Sequential(
            conv1=convolution(width, 3, strides), bn1=BatchNorm(activation="relu"),
            conv2=convolution(width, 3), bn2=BatchNorm()),
        shortcut=projected(width, strides) if projection else None,
        activation="relu")


def bottleneck(width, strides, projection, groups=1, group_width=64, v1=False):
    """y = relu(shortcut(x) + 1x1(relu(3x3(relu(1x1(x)))))), of 4 width channels.  He et al., figure 5, right.

    v1=True: the stride in the first 1x1, as in that paper, which never looks at three pixels of four. Published weights
    have it in the 3x3, "v1.5" (Goyal et al. 2017, arXiv 1706.02677, section 5.1).
    groups: the 3x3 is that many of group_width · width/64 channels side by side.  Xie et al., figure 3 (c).
    """
    inner = width * groups * group_width // 64
    return Residual(
        main=Sequential(
            conv1=convolution(inner, 1, strides if v1 else 1), bn1=BatchNorm(activation="relu"),
            conv2=convolution(inner, 3, 1 if v1 else strides, groups), bn2=BatchNorm(activation="relu"),
            conv3=convolution(4 * width, 1), bn3=BatchNorm()),
        shortcut=projected(4 * width, strides) if projection else None,
        activation="relu")


def projected(filters, strides):
    """The shortcut where the shape changes: a 1x1, option B of He et al., section 4.1."""
    return Sequential(convolution(filters, 1, strides), BatchNorm())


def convolution(filters, size, strides=1, groups=1):
    """Without a bias: the batch norm behind it subtracts any."""
    return Conv2D(filters, size, strides, padding=size // 2, groups=groups, use_bias=False,
                  kernel_initializer="he_normal_fan_out")


def resnet18(classes=1000):
    """11,689,512 parameters for 1,000 classes."""
    return resnet(basic, (2, 2, 2, 2), classes, expansion=1)


def resnet34(classes=1000):
    """21,797,672 parameters."""
    return resnet(basic, (3, 4, 6, 3), classes, expansion=1)


def resnet50(classes=1000):
    """25,557,032 parameters; 4,089,184,256 multiply-adds for an image of 224x224."""
    return resnet(bottleneck, (3, 4, 6, 3), classes)


def resnet101(classes=1000):
    """44,549,160 parameters."""
    return resnet(bottleneck, (3, 4, 23, 3), classes)


def resnet152(classes=1000):
    """60,192,808 parameters."""
    return resnet(bottleneck, (3, 8, 36, 3), classes)


def resnet50_v1(classes=1000):
    """The paper's own, with resnet50's parameters. Six classes of (64, 64, 3): examples/resnet50_blocks.py."""
    return resnet(partial(bottleneck, v1=True), (3, 4, 6, 3), classes)


def resnext50_32x4d(classes=1000):
    """Xie et al., table 1: 25,028,904 parameters."""
    return resnet(partial(bottleneck, groups=32, group_width=4), (3, 4, 6, 3), classes)


def resnext101_32x4d(classes=1000):
    """Xie et al., table 3: 44,177,704 parameters. Published by timm."""
    return resnet(partial(bottleneck, groups=32, group_width=4), (3, 4, 23, 3), classes)


def resnext101_32x8d(classes=1000):
    """Not in the paper, published by torchvision: 88,791,336 parameters."""
    return resnet(partial(bottleneck, groups=32, group_width=8), (3, 4, 23, 3), classes)
