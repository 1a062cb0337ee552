"""AlexNet: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", 2012,
figure 2, and the single tower of Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.

First weights of both are the layers' own, Glorot & Bengio's, biases 0. The paper's N(0, 0.01) with biases of 1 (section
5) goes with pixels that spread over a hundred grey levels: with a spread of 1, two images leave it with the same logits
but for 1e-4. N(0, 2/fan_in) makes the logits 10 and more, since every max pool raises the mean square.
"""

from scratchnet.layers import (AdaptiveAvgPool2D, Conv2D, Dense, Dropout, Flatten, LocalResponseNorm, MaxPool2D, ReLU,
                               Sequential)


def alexnet(classes=1000):
    """The network of 2012: 60,965,224 parameters for 1,000 classes, images (227, 227, 3).

    conv2, conv4 and conv5 see one half of the channels each: the halves stood on two GPUs (section 3.2). The pools
    overlap (3.4). The norms' α = 1e-4 is not divided by n = 5 in the paper (3.3), ours is. The paper says 224x224; its
    55x55 first maps need 227. Images of another size are pooled to the 6x6 that fc6 expects.
    """
    return Sequential(
        conv1=Conv2D(96, 11, strides=4, activation="relu"),                   # 227 -> 55
        norm1=LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2),
        pool1=MaxPool2D(3, strides=2),                                        # -> 27
        conv2=Conv2D(256, 5, padding=2, groups=2, activation="relu"),
        norm2=LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2),
        pool2=MaxPool2D(3, strides=2),                                        # -> 13
        conv3=Conv2D(384, 3, padding=1, activation="relu"),
        conv4=Conv2D(384, 3, padding=1, groups=2, activation="relu"),
        conv5=Conv2D(256, 3, padding=1, groups=2, activation="relu"),
        pool5=MaxPool2D(3, strides=2),                                        # -> (6, 6, 256)
        avgpool=AdaptiveAvgPool2D(6),                                         # of 6x6 maps: the maps themselves
        flatten=Flatten(),                                                    # -> (9216,)
        fc6=Dense(4096, activation="relu"),
        drop6=Dropout(0.5),                                                   # section 4.2
        fc7=Dense(4096, activation="relu"),
        drop7=Dropout(0.5),
        fc8=Dense(classes),
    )


def alexnet_owt(classes=1000):
    """The tower of 2014: 61,100,840 parameters for 1,000 classes, images (224, 224, 3).

    As torchvision publishes it under the name alexnet, with its names (features.N, classifier.N). Against the network
    of 2012: one tower without groups, fewer filters in conv1, conv2 and conv4, no response normalisation, and dropout
    before fc6 and fc7 instead of behind them.
    """
    return Sequential(
        features=Sequential(
            Conv2D(64, 11, strides=4, padding=2), ReLU(),                     # 224 -> 55
            MaxPool2D(3, strides=2),                                          # -> 27
            Conv2D(192, 5, padding=2), ReLU(),
            MaxPool2D(3, strides=2),                                          # -> 13
            Conv2D(384, 3, padding=1), ReLU(),
            Conv2D(256, 3, padding=1), ReLU(),
            Conv2D(256, 3, padding=1), ReLU(),
            MaxPool2D(3, strides=2)),                                         # -> (6, 6, 256)
        avgpool=AdaptiveAvgPool2D(6),
        flatten=Flatten(),                                                    # -> (9216,)
        classifier=Sequential(
            Dropout(0.5), Dense(4096), ReLU(),
            Dropout(0.5), Dense(4096), ReLU(),
            Dense(classes)),
    )
