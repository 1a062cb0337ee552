"""scratchnet: convolutional networks from scratch, every forward and backward pass by hand."""

from pathlib import Path

# In a bare checkout the kernels stand beside this package, not inside it: look for scratchnet.kernels there too.
_here = Path(__file__).resolve().parent
if not (_here / "kernels").is_dir() and (_here.parent / "kernels" / "reference").is_dir():
    __path__.append(str(_here.parent))

from scratchnet import backend, data, initializers, models, schedules  # noqa: E402
from scratchnet.backend import synchronize, to_device, use_kernels, use_precision  # noqa: E402
from scratchnet.fit import fit  # noqa: E402
from scratchnet.gradcheck import gradcheck  # noqa: E402
from scratchnet.inference import for_inference  # noqa: E402
from scratchnet.layers import *  # noqa: E402, F403
from scratchnet.layers import __all__ as _layers  # noqa: E402
from scratchnet.losses import binary_cross_entropy, mean_squared_error, softmax_cross_entropy  # noqa: E402
from scratchnet.optim import SGD, Adam, AdamW, RMSProp  # noqa: E402
from scratchnet.layer_table import summary  # noqa: E402
from scratchnet.version import __version__  # noqa: E402
from scratchnet.weights import load_weights, save_weights  # noqa: E402

__all__ = ["Adam", "AdamW", "RMSProp", "SGD", "__version__", "backend", "binary_cross_entropy", "data", "fit",
           "for_inference", "gradcheck", "initializers", "load_weights", "mean_squared_error", "models", "save_weights",
           "schedules", "softmax_cross_entropy", "summary", "synchronize", "to_device", "use_kernels", "use_precision",
           *_layers]
