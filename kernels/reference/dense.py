"""The fully connected layer: a matrix product."""
from .array_module import accumulator


def dense(x, w, b):
    """y = x w + b.  x (N, IN), w (IN, OUT), b (OUT,) or None -> y (N, OUT)."""
    wide = accumulator(x.dtype)
    y = x.astype(wide, copy=False) @ w.astype(wide, copy=False)      # (N, OUT) = (N, IN) @ (IN, OUT)
    if b is not None:
        y += b
    return y.astype(x.dtype, copy=False)


def dense_backward_data(dy, w):
    """dx = dy wᵀ.  Rumelhart, Hinton & Williams 1986, eq. 7."""
    wide = accumulator(dy.dtype)
    dx = dy.astype(wide, copy=False) @ w.astype(wide, copy=False).T  # (N, IN) = (N, OUT) @ (OUT, IN)
    return dx.astype(dy.dtype, copy=False)


def dense_backward_weights(dy, x):
    """dw = xᵀ dy: each weight sums over the batch.  Rumelhart, Hinton & Williams 1986, eq. 6."""
    wide = accumulator(dy.dtype)
    dw = x.astype(wide, copy=False).T @ dy.astype(wide, copy=False)  # (IN, OUT) = (IN, N) @ (N, OUT)
    return dw.astype(dy.dtype, copy=False)
