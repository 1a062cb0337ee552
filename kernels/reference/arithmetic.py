"""What containers do with whole arrays: sums of branches, branches side by side, sums of gradients."""
from .array_module import get_array_module


def add(x, y, scale):
    """x + scale · y.  He et al. 2016, eq. 1; scale: Szegedy et al. 2017, sec. 3.3."""
    return (x + scale * y).astype(x.dtype, copy=False)


def concat(xs):
    """The arrays side by side along the channels: (..., C1), (..., C2), ... -> (..., C1 + C2 + ...)."""
    return get_array_module(*xs).concatenate(xs, axis=-1)


def concat_backward(dy, sizes):
    """dy (..., ΣC) cut back into one contiguous array per input, (..., C1), (..., C2), ..."""
    xp = get_array_module(dy)
    parts, start = [], 0
    for size in sizes:
        parts.append(xp.ascontiguousarray(dy[..., start:start + size]))
        start += size
    return parts


def accumulate(grad, d):
    """grad += d, in place."""
    get_array_module(grad).add(grad, d, out=grad)
