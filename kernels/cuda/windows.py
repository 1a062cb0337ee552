"""Windows over images, as the kernels take them: int parameters of these names, for pools and convolutions alike."""


def window(x_shape, output, size, strides, padding, dilation):
    """{H W C of the image, OH OW, KH KW, SH SW, top left, DH DW}."""
    return dict(zip(("H", "W", "C", "OH", "OW", "KH", "KW", "SH", "SW", "top", "left", "DH", "DW"),
                    (*x_shape[1:], *output, *size, *strides, padding[0][0], padding[1][0], *dilation)))
