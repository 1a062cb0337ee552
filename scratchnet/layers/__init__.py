"""The layers: a kind a file."""

from scratchnet.layers.activation import Identity, ReLU, Sigmoid, Softmax, Tanh
from scratchnet.layers.auxiliary import Auxiliary
from scratchnet.layers.base import Layer
from scratchnet.layers.containers import Concat, Residual, Sequential
from scratchnet.layers.conv import Conv2D, DepthwiseConv2D, SeparableConv2D
from scratchnet.layers.dense import Dense, Flatten
from scratchnet.layers.dropout import Dropout
from scratchnet.layers.norm import BatchNorm, LocalResponseNorm
from scratchnet.layers.pad import Pad2D
from scratchnet.layers.parameter import Parameter
from scratchnet.layers.pool import AdaptiveAvgPool2D, AvgPool2D, GlobalAvgPool2D, MaxPool2D
from scratchnet.layers.running import watch

__all__ = ["AdaptiveAvgPool2D", "Auxiliary", "AvgPool2D", "BatchNorm", "Concat", "Conv2D", "Dense", "DepthwiseConv2D",
           "Dropout", "Flatten", "GlobalAvgPool2D", "Identity", "Layer", "LocalResponseNorm", "MaxPool2D",
           "Pad2D", "Parameter", "ReLU", "Residual", "SeparableConv2D", "Sequential", "Sigmoid", "Softmax",
           "Tanh", "watch"]
