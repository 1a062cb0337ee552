"""The fully connected layer: products of matrices by cuBLAS."""
from .bias import activation_and_bias_backward, add_bias
from .launch import FLOAT32, array, real
from .precision import product


def dense(x, w, b, activation=None):
    """y = activation(x w + b), for None, "relu" or "tanh".  x (N, IN), w (IN, OUT), b (OUT,) or None -> y (N, OUT)."""
    x = real("dense", "x", x, (None, None))
    w = real("dense", "w", w, (x.shape[1], None))
    b = None if b is None else array("dense", "b", b, w.shape[1:])
    return add_bias(product(x, w), b, activation)                    # (N, OUT) = (N, IN) @ (IN, OUT)


def dense_backward_data(dy, w):
    """dx = dy wᵀ."""
    dy = real("dense_backward_data", "dy", dy, (None, None))
    w = array("dense_backward_data", "w", w, (None, dy.shape[1]))
    return product(dy, w.T)                                          # (N, IN) = (N, OUT) @ (OUT, IN)


def dense_backward_weights(dy, x):
    """dw = xᵀ dy: each weight sums over the batch."""
    dy = real("dense_backward_weights", "dy", dy, (None, None))
    x = real("dense_backward_weights", "x", x, (dy.shape[0], None))
    return product(x.T, dy, FLOAT32)                                 # (IN, OUT) = (IN, N) @ (N, OUT)


def dense_backward(dy, y, x, w, activation, needs):
    """dx, dw and db of y = activation(x w + b), None for those that `needs` does not name: three flags. y and x are used
    for the activation and for dw only."""
    dz, db = activation_and_bias_backward(dy, y, activation, needs[2])
    return dense_backward_data(dz, w) if needs[0] else None, dense_backward_weights(dz, x) if needs[1] else None, db
