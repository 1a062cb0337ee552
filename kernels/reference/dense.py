"""The fully connected layer: a matrix product."""
from .activation import ACTIVATIONS
from .array_module import accumulator
from .bias import activation_and_bias_backward


def dense(x, w, b, activation=None):
    """y = activation(x w + b), for None, "relu" or "tanh".  x (N, IN), w (IN, OUT), b (OUT,) or None -> y (N, OUT)."""
    wide = accumulator(x.dtype)
    y = x.astype(wide, copy=False) @ w.astype(wide, copy=False)      # (N, OUT) = (N, IN) @ (IN, OUT)
    if b is not None:
        y += b
    return ACTIVATIONS[activation](y.astype(x.dtype, copy=False))


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


def dense_backward(dy, y, x, w, activation, needs):
    """dx, dw and db of y = activation(x w + b), None for those that `needs` does not name: three flags. y and x are used
    for the activation and for dw only."""
    dz, db = activation_and_bias_backward(dy, y, activation, needs[2])
    return dense_backward_data(dz, w) if needs[0] else None, dense_backward_weights(dz, x) if needs[1] else None, db
