"""Layers and losses for neural networks, on plain and on traced arrays alike. Images are NHWC, kernels HWIO."""

from __future__ import annotations

from .activations import dropout, elu, leaky_relu, maxout, relu, sigmoid, stop_gradient
from .convolution import conv2d, conv2d_transpose
from .losses import logsumexp, softmax, softmax_cross_entropy
from .normalisation import batch_norm, local_response_norm
from .pooling import avg_pool2d, max_pool2d, upsample2d

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "conv2d_transpose",
    "dropout",
    "elu",
    "leaky_relu",
    "local_response_norm",
    "logsumexp",
    "max_pool2d",
    "maxout",
    "relu",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
    "stop_gradient",
    "upsample2d",
]
