"""Pictures of a run and of what a network sees, each a PNG. Matplotlib's Figure, never pyplot: no window, no state.

Every function takes the path first. Matplotlib is imported when the first picture is drawn.
"""

from scratchnet.plots.activations import feature_maps
from scratchnet.plots.attention import grad_cam
from scratchnet.plots.inputs import seen
from scratchnet.plots.learning import curves
from scratchnet.plots.predictions import confusion, mistakes
from scratchnet.plots.weights import filters

__all__ = ["confusion", "curves", "feature_maps", "filters", "grad_cam", "mistakes", "seen"]
