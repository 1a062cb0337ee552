"""VGG: Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014, table 1.

All convolutions are 3x3 with padding 1, five stages of them, and the image is halved after each. The names are
torchvision's (features.N, classifier.N); table 1's conv3-64 is a 3x3 of 64 channels.
"""

from scratchnet.layers import (AdaptiveAvgPool2D, BatchNorm, Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU,
                               Sequential)

# The columns of table 1: the widths of each stage.
A = ((64,), (128,), (256, 256), (512, 512), (512, 512))
B = ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512))
D = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
E = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512, 512, 512, 512))


def vgg(stages, batch_norm, classes):
    """The network with these widths, stage by stage; images (224, 224, 3) leave the last pool as (7, 7, 512).

    batch_norm=True is torchvision's _bn, which the paper does not have: a norm after each convolution. Images of
    another size are pooled to the 7x7 that the dense layers expect. First weights are the layers' own, Glorot &
    Bengio's: the paper found that they train the deep columns at once, where it had started from a trained column A
    (section 3.1).
    """
    features = []
    for widths in stages:
        for width in widths:
            features.append(Conv2D(width, 3, padding=1))
            features += [BatchNorm(), ReLU()] if batch_norm else [ReLU()]
        features.append(MaxPool2D(2))
    return Sequential(
        features=Sequential(*features),
        avgpool=AdaptiveAvgPool2D(7),                  # of 7x7 maps: the maps themselves
        flatten=Flatten(),                             # -> (25088,)
        classifier=Sequential(
            Dense(4096), ReLU(), Dropout(0.5),
            Dense(4096), ReLU(), Dropout(0.5),
            Dense(classes)),
    )


def vgg11(classes=1000, batch_norm=False):
    """Column A: 132,863,336 parameters for 1,000 classes."""
    return vgg(A, batch_norm, classes)


def vgg13(classes=1000, batch_norm=False):
    """Column B: 133,047,848 parameters."""
    return vgg(B, batch_norm, classes)


def vgg16(classes=1000, batch_norm=False):
    """Column D: 138,357,544 parameters."""
    return vgg(D, batch_norm, classes)


def vgg19(classes=1000, batch_norm=False):
    """Column E: 143,667,240 parameters."""
    return vgg(E, batch_norm, classes)
