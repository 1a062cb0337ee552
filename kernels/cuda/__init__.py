"""Every operation for float32 and bfloat16 CuPy arrays: the names, arguments and results of `reference`, by CUDA kernels
of our own and, for products of matrices, cuBLAS. CuPy is imported by the first launch, not by this.

Whatever has no kernel here is `reference`'s, which takes CuPy arrays too.
"""
from ..reference.chwn import contiguous, flatten, flatten_backward
from .activation import (relu, relu_backward, sigmoid, sigmoid_backward, softmax, softmax_backward, tanh,
                         tanh_backward)
from .arithmetic import accumulate, add, concat, concat_backward
from .avg_pool import (adaptive_avg_pool2d, adaptive_avg_pool2d_backward, avg_pool2d, avg_pool2d_backward,
                       global_avg_pool2d, global_avg_pool2d_backward)
from .batch_norm import batch_norm, batch_norm_backward, batch_norm_inference, batch_norm_inference_backward
from .bias import bias_backward, relu_bias_backward, tanh_bias_backward
from .conv import conv2d, conv2d_backward, conv2d_backward_data, conv2d_backward_weights, conv2d_input
from .dense import dense, dense_backward, dense_backward_data, dense_backward_weights
from .depthwise import depthwise_conv2d, depthwise_conv2d_backward_data, depthwise_conv2d_backward_weights
from .dropout import dropout, dropout_backward
from .loss import binary_cross_entropy, mean_squared_error, softmax_cross_entropy
from .lrn import local_response_norm, local_response_norm_backward
from .max_pool import max_pool2d, max_pool2d_backward
from .optim import adam, adamw, rmsprop, sgd
from .pad import pad2d, pad2d_backward

__all__ = [
    "accumulate", "adam", "adamw", "adaptive_avg_pool2d", "adaptive_avg_pool2d_backward", "add", "avg_pool2d",
    "avg_pool2d_backward", "batch_norm", "batch_norm_backward", "batch_norm_inference",
    "batch_norm_inference_backward", "bias_backward", "binary_cross_entropy", "concat", "concat_backward",
    "contiguous", "conv2d", "conv2d_backward", "conv2d_backward_data", "conv2d_backward_weights", "conv2d_input",
    "dense", "dense_backward", "dense_backward_data", "dense_backward_weights", "depthwise_conv2d",
    "depthwise_conv2d_backward_data", "depthwise_conv2d_backward_weights", "dropout", "dropout_backward", "flatten",
    "flatten_backward", "global_avg_pool2d", "global_avg_pool2d_backward", "local_response_norm",
    "local_response_norm_backward", "max_pool2d", "max_pool2d_backward", "mean_squared_error", "pad2d",
    "pad2d_backward", "relu", "relu_backward", "relu_bias_backward", "rmsprop", "sgd", "sigmoid",
    "sigmoid_backward", "softmax", "softmax_backward", "softmax_cross_entropy", "tanh", "tanh_backward",
    "tanh_bias_backward",
]
