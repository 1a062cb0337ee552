"""Sums of branches, branches side by side, sums of gradients. Kernels: arithmetic.cu."""
from .cast import cast
from .launch import FLOAT32, array, each, empty, in_place, real


def add(x, y, scale):
    """x + scale · y."""
    x, y = _alike([real("add", "x", x), real("add", "y", y, x.shape)])
    out = empty(x.shape, x.dtype)
    each("arithmetic", "add", x.size, x=x, y=y, out=out, scale=scale)
    return out


def concat(xs):
    """The arrays side by side along the channels: (..., C1), (..., C2), ... -> (..., C1 + C2 + ...)."""
    xs = _alike([real("concat", "xs", x, (*xs[0].shape[:-1], None)) for x in xs])
    out, first = empty((*xs[0].shape[:-1], sum(x.shape[-1] for x in xs)), xs[0].dtype), 0
    for x in xs:
        _copy(out, x, first, back=0)
        first += x.shape[-1]
    return out


def concat_backward(dy, sizes):
    """dy (..., ΣC) cut back into one contiguous array per input, (..., C1), (..., C2), ..."""
    dy, parts, first = real("concat_backward", "dy", dy), [], 0
    for size in sizes:
        parts.append(empty((*dy.shape[:-1], size), dy.dtype))
        _copy(dy, parts[-1], first, back=1)
        first += size
    return parts


def _alike(xs):
    """The arrays as they are, if all are bfloat16 or none is; else all in float32."""
    return xs if len({x.dtype for x in xs}) == 1 else [cast(x, FLOAT32) for x in xs]


def _copy(wide, narrow, first, back):
    each("arithmetic", "copy_columns", narrow.size, wide=wide, narrow=narrow, C=narrow.shape[-1], across=wide.shape[-1],
         first=first, back=back)


def accumulate(grad, d):
    """grad += d, in place."""
    grad = in_place("accumulate", "grad", grad)
    d = array("accumulate", "d", d, grad.shape)
    each("arithmetic", "accumulate", d.size, grad=grad, d=d)
