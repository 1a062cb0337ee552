"""What may enter a layer: the right kind of array, float dtype, shape; every message says what to do."""

import numpy as np

from scratchnet.backend import is_array, is_bfloat16, ops


def checked_shape(layer, shape):
    """An input shape without the batch axis as a tuple of positive ints, or ValueError."""
    try:
        sizes = tuple(int(size) for size in shape)
    except (TypeError, ValueError):
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise ValueError(f"{layer.label()}: expected an input shape of positive sizes without the batch axis, "
                         f"such as (32, 32, 1), got {shape!r}")
    return sizes


def check_array(layer, x, what):
    """x as a contiguous, native, writeable float array (CuPy's may be bfloat16); TypeError for any other array.

    Where the layer's kernels take it, images may lie innermost in memory (kernels/cpu/chwn.py).
    """
    if type(x) is np.ndarray and x.dtype == np.float32 and x.flags.carray:
        return x                                  # nearly always, and it happens twice a layer and step
    if not is_array(x):
        raise TypeError(f"{layer.label()}: {what} must be a NumPy or CuPy array, got {type(x).__name__}; "
                        "convert it with np.asarray(..., dtype='float32')")
    if isinstance(x, np.ndarray) and is_bfloat16(x.dtype):
        raise TypeError(f"{layer.label()}: {what} is bfloat16, which arrays on a GPU may be but NumPy's may not; write "
                        "x.astype('float32')")
    if x.dtype.kind != "f" and not is_bfloat16(x.dtype):
        raise TypeError(f"{layer.label()}: {what} must be floating point, got {x.dtype}; for images of 0 to 255 "
                        "write x.astype('float32') / 255")
    if isinstance(x, np.ndarray):
        if type(x) is not np.ndarray:             # np.matrix, masked arrays: other rules of arithmetic
            raise TypeError(f"{layer.label()}: {what} must be a plain NumPy array, got {type(x).__name__}; "
                            "convert it with np.array(...)")
        if not x.dtype.isnative:
            x = np.require(x, x.dtype.newbyteorder("="), ["C", "A", "W"])
        elif not x.flags.carray and not (layer.takes_images_innermost and _lies_images_innermost(x)):
            x = np.require(ops(x).contiguous(x), None, ["C", "A", "W"])
    elif not x.flags.c_contiguous:
        x = x.copy(order="C")
    return x


def _lies_images_innermost(x):
    """Whether x (N, H, W, C) lies in memory as (C, H, W, N), or rows (N, C) as (C, N), without gaps."""
    return x.T.flags.carray if x.ndim == 2 else x.ndim == 4 and x.transpose(3, 1, 2, 0).flags.carray


def check_operands(layer, x):
    """TypeError where x and the layer's own parameters differ in dtype, but for bfloat16 with float32, or in device."""
    for parameter in layer._parameters.values():
        value = parameter.value
        if x.dtype != value.dtype and not (is_bfloat16(x.dtype) and value.dtype == np.float32):
            raise TypeError(f"{layer.label()}: the input is {x.dtype} but the parameters are {value.dtype}; convert "
                            f"one of them: x.astype('{value.dtype}') or model.astype('{x.dtype}')")
        if type(x) is not type(value):
            raise TypeError(f"{layer.label()}: the input is a {type(x).__module__} array but the parameters are "
                            f"{type(value).__module__} arrays; move one of them with sn.to_device")
        break


def check_input(layer, x):
    """x as check_array leaves it, after comparing device, dtype and shape with what init prepared the layer for."""
    x = check_array(layer, x, "the input")
    if layer.input_shape is None:
        raise RuntimeError(f"{layer.label()}: not initialised; call init(seed, {x.shape[1:]}) once, before forward")
    check_operands(layer, x)
    shape = x.shape[1:]
    if shape not in layer._fitting_shapes:
        if shape != layer.input_shape:
            _check_other_shape(layer, x)
        layer._fitting_shapes.add(shape)
    return x


def _check_other_shape(layer, x):
    """A shape that init did not see is fine where the layer and its parameters can take it, as convolutions can."""
    expected, got = layer.input_shape, x.shape
    try:
        if len(got) != len(expected) + 1 or (len(expected) == 3 and got[-1] != expected[-1]):
            raise ValueError("another number of axes or channels")
        layer.checked_output_shape(got[1:])
    except ValueError as error:
        hint = str(error) if layer.children() else ""
        if got == expected:
            hint = "the batch axis is missing: x[None]"
        elif len(expected) == 3 and len(got) == 4 and got[1:] == (expected[2], *expected[:2]):
            hint = "it looks like (N, C, H, W), and scratchnet takes (N, H, W, C): x.transpose(0, 2, 3, 1)"
        raise ValueError(f"{layer.label()}: expected an input of shape (N, {', '.join(map(str, expected))}), "
                         f"got {got}" + (f"; {hint}" if hint else "; reshape it, or init the layer for that shape")) from None
