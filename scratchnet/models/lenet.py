"""LeNet-5: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998, figure 2."""

from scratchnet.layers import AvgPool2D, Conv2D, Dense, Flatten, Sequential


def lenet5(classes=10):
    """The network in its usual modern form: 61,706 parameters for 10 classes, images (32, 32, 1).

    Against the paper: C3 is connected to all maps of S2 (its table I leaves some out), S2 and S4 are plain means without
    weights of their own, tanh instead of 1.7159 tanh(2x/3), and a softmax instead of the radial output units. The
    paper's names: conv1 = C1, pool1 = S2, conv2 = C3, pool2 = S4, fc1 = C5, fc2 = F6.
    """
    return Sequential(
        conv1=Conv2D(6, 5, activation="tanh"),         # (32, 32, 1) -> (28, 28, 6)
        pool1=AvgPool2D(2),                            # -> (14, 14, 6)
        conv2=Conv2D(16, 5, activation="tanh"),        # -> (10, 10, 16)
        pool2=AvgPool2D(2),                            # -> (5, 5, 16)
        flatten=Flatten(),                             # -> (400,)
        fc1=Dense(120, activation="tanh"),
        fc2=Dense(84, activation="tanh"),
        fc3=Dense(classes),                            # logits: the softmax belongs to the loss
    )
