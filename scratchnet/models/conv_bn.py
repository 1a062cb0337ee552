"""The unit of every Inception network since the second: a convolution, a batch norm, a ReLU."""

from scratchnet.layers import BatchNorm, Conv2D, Sequential


def conv_bn(filters, kernel_size, strides=1, padding="same"):
    """ReLU(BN(x * w)): the norm's β stands for the convolution's bias.  Ioffe & Szegedy 2015, section 3.2.

    ε = 1e-3 in all published Inception weights. he_normal: before a batch norm the scale of w is free, so any of the
    usual choices trains, and this one also keeps the size of the signal where the norm is a fixed function.
    """
    return Sequential(
        conv=Conv2D(filters, kernel_size, strides, padding, use_bias=False, kernel_initializer="he_normal"),
        bn=BatchNorm(epsilon=1e-3, activation="relu"))
