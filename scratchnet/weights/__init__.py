"""Published weights: read and written as torchvision and timm name them, or in our own layout."""

from scratchnet.weights.load import Loaded, head_classes, load_weights
from scratchnet.weights.save import save_weights

__all__ = ["Loaded", "head_classes", "load_weights", "save_weights"]
