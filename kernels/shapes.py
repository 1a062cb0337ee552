"""The size arithmetic of windows that slide over an axis; shared by the kernels and the layers."""


def output_size(size, window, stride, padding, dilation=1, ceil_mode=False):
    """How many windows fit on one axis; 0 where none does (the layers raise).

    (size + before + after - dilation·(window - 1) - 1) / stride + 1, rounded down, or up with ceil_mode.
    A window that ceil_mode adds must start inside the input or the leading padding (PyTorch's rule), so
    that no window sees only what lies beyond the end. `padding` is (before, after).
    Dumoulin & Visin 2016, "A guide to convolution arithmetic", relationships 6 and 15.
    """
    before, after = padding
    extent = dilation * (window - 1) + 1
    room = size + before + after - extent
    count = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (count - 1) * stride >= before + size:
        count -= 1
    return max(count, 0)
