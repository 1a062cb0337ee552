"""Published weights: read and written as torchvision and timm name them, or in our own layout."""

from scratchnet.weights.load import Loaded, head_classes, image_shape, load_weights
from scratchnet.weights.save import save_weights
from scratchnet.weights.source import opened

__all__ = ["Loaded", "head_classes", "image_shape", "load_weights", "opened", "save_weights"]
