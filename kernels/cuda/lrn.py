"""Local response normalisation across channels. Kernels: lrn.cu.

The window is PyTorch's, size//2 channels before and (size-1)//2 after, and alpha/size is the paper's alpha.
"""
from .launch import array, each, empty, real


def local_response_norm(x, size, alpha, beta, k):
    """scale = k + alpha/size · Σ_window x²; y = x · scale^-beta.  x (..., C) -> y, scale (..., C)."""
    x = real("local_response_norm", "x", x)
    y, scale = empty(x.shape, x.dtype), empty(x.shape)
    each("lrn", "local_response_norm", x.size, x=x, y=y, scale=scale, C=x.shape[-1], before=size // 2,
         after=(size - 1) // 2, alpha_by_size=alpha / size, beta=beta, k=k)
    return y, scale


def local_response_norm_backward(dy, x, scale, size, alpha, beta):
    """dx = dy · scale^-beta - 2 alpha beta/size · x · Σ_window' dy x scale^-(beta+1), window' the mirrored one."""
    x = real("local_response_norm_backward", "x", x)
    dy = array("local_response_norm_backward", "dy", dy, x.shape, x.dtype)
    scale, dx = array("local_response_norm_backward", "scale", scale, x.shape), empty(x.shape, x.dtype)
    each("lrn", "local_response_norm_backward", x.size, dy=dy, x=x, scale=scale, dx=dx, C=x.shape[-1],
         before=(size - 1) // 2, after=size // 2, alpha_by_size=alpha / size, beta=beta)
    return dx
