"""Local response normalisation across channels.  Krizhevsky, Sutskever & Hinton 2012, sec. 3.3.

The window is PyTorch's, size//2 channels before and (size-1)//2 after, and alpha/size is the paper's alpha.
"""
from .array_module import accumulator, get_array_module


def _window_sum(x, before, after):
    """out[..., c] = Σ x[..., c - before : c + after + 1], nothing beyond the first and last channel."""
    xp = get_array_module(x)
    C = x.shape[-1]
    padded = xp.pad(x, [(0, 0)] * (x.ndim - 1) + [(before, after)])              # (..., C + before + after)
    total = xp.zeros_like(x)
    for offset in range(before + after + 1):
        total += padded[..., offset:offset + C]
    return total


def local_response_norm(x, size, alpha, beta, k):
    """scale = k + alpha/size · Σ_window x²; y = x · scale^-beta.  x (..., C) -> y, scale (..., C).

    `scale` comes back in the accumulator's dtype (float32 for float16 data).
    """
    wide = x.astype(accumulator(x.dtype), copy=False)
    scale = k + (alpha / size) * _window_sum(wide * wide, size // 2, (size - 1) // 2)
    return (wide * scale ** -beta).astype(x.dtype, copy=False), scale


def local_response_norm_backward(dy, x, scale, size, alpha, beta):
    """dx = dy · scale^-beta - 2 alpha beta/size · x · Σ_window' dy x scale^-(beta+1).

    window' is the mirrored window: the channels j whose own window holds this one.
    """
    wide = accumulator(x.dtype)
    dy, scale = dy.astype(wide, copy=False), scale.astype(wide, copy=False)
    power = scale ** -beta
    through_scale = _window_sum(dy * x * power / scale, (size - 1) // 2, size // 2)
    dx = dy * power - (2 * alpha * beta / size) * x * through_scale
    return dx.astype(x.dtype, copy=False)
