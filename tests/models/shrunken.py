"""Small copies of the big architectures, for gradient checks: the same layers in the same order, only narrower.

(How many blocks there are is an argument of each architecture's own function, so a copy can be made shorter as well.)
"""

import warnings

import numpy as np

import scratchnet as sn

KEPT = 16                       # widths up to here stay: a stem's few filters, the classes of a test


def shrunken(model, input_shape, divisor=16, seed=0):
    """`model`, not initialised yet, with its widths divided and many groups made two; initialised for images of
    input_shape. Equal widths stay equal, so sums still fit; where sizes of concatenated branches have to add up, take a
    divisor of all of them. Scales and biases are moved off 1 and 0, where a missing product or sum would not show."""
    for leaf in model.leaves():
        for width in ("filters", "units"):
            if getattr(leaf, width, 0) > KEPT:
                setattr(leaf, width, max(2, getattr(leaf, width) // divisor))
        if getattr(leaf, "groups", 1) > 2:
            leaf.groups = 2
    model.init(seed, input_shape)
    rng = np.random.default_rng([seed, 1])
    for parameter in model.parameters().values():
        if parameter.value.ndim == 1:
            parameter.value = parameter.value + (0.1 * rng.standard_normal(parameter.value.shape)).astype(np.float32)
    return model


def check_gradients(model, batch=3, samples=2, labels=None):
    """gradcheck of an initialised model on random images; with labels, of model.loss, auxiliary classifiers and all."""
    x = np.random.default_rng(0).standard_normal((batch, *model.input_shape))
    with warnings.catch_warnings():             # a bias before a batch norm has no gradient: compared as zero
        warnings.filterwarnings("ignore", "gradcheck.*no gradient")
        report = sn.gradcheck(model, x, samples=samples, labels=labels)
    largest = [size for _, _, size in report.compared.values()]
    assert sum(size > 1e-7 for size in largest) > len(largest) / 2, "where ReLUs let nothing through, little is checked"
    return report
