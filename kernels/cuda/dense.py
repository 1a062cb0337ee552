"""The fully connected layer: products of matrices by cuBLAS."""
from .bias import add_bias
from .launch import array
from .precision import product


def dense(x, w, b):
    """y = x w + b.  x (N, IN), w (IN, OUT), b (OUT,) or None -> y (N, OUT)."""
    x = array("dense", "x", x, (None, None))
    w = array("dense", "w", w, (x.shape[1], None))
    b = None if b is None else array("dense", "b", b, w.shape[1:])
    return add_bias(product(x, w), b, None)                          # (N, OUT) = (N, IN) @ (IN, OUT)


def dense_backward_data(dy, w):
    """dx = dy wᵀ."""
    dy = array("dense_backward_data", "dy", dy, (None, None))
    w = array("dense_backward_data", "w", w, (None, dy.shape[1]))
    return product(dy, w.T)                                          # (N, IN) = (N, OUT) @ (OUT, IN)


def dense_backward_weights(dy, x):
    """dw = xᵀ dy: each weight sums over the batch."""
    dy = array("dense_backward_weights", "dy", dy, (None, None))
    x = array("dense_backward_weights", "x", x, (dy.shape[0], None))
    return product(x.T, dy)                                          # (IN, OUT) = (IN, N) @ (N, OUT)
