"""What the published logits do not show: dropout, first weights, and the response norms of the paper's GoogLeNet."""

import numpy as np
import pytest

from scratchnet.layers import Conv2D, DepthwiseConv2D, Dropout, LocalResponseNorm
from scratchnet.models import MODELS

DROPOUT = {"alexnet": [0.5, 0.5], "alexnet_owt": [0.5, 0.5], "vgg11": [0.5, 0.5], "vgg16_bn": [0.5, 0.5],
           "googlenet": [0.7, 0.7, 0.4], "googlenet_bn": [0.7, 0.7, 0.2], "inception_v3": [0.5], "inception_v4": [0.2],
           "inception_resnet_v2": [0.2], "xception": [0.5]}
SHAPE = WINDOW, _, IN, OUT = 9, 1, 64, 256
GLOROT = 2 / (WINDOW * (IN + OUT))
VARIANCES = {"alexnet": GLOROT, "alexnet_owt": GLOROT, "vgg11": GLOROT, "vgg11_bn": GLOROT,
             "resnet18": 2 / (WINDOW * OUT), "resnet50_v1": 2 / (WINDOW * OUT), "resnext50_32x4d": 2 / (WINDOW * OUT),
             "googlenet": 1 / (WINDOW * IN), "googlenet_bn": 2 / (WINDOW * IN), "inception_v3": 2 / (WINDOW * IN),
             "inception_v4": 2 / (WINDOW * IN), "inception_resnet_v2": 2 / (WINDOW * IN), "xception": 2 / (WINDOW * IN)}


def leaves(name, *kinds):
    return [leaf for leaf in MODELS[name].builder(1000).leaves() if isinstance(leaf, kinds)]


@pytest.mark.parametrize("name", DROPOUT)
def test_dropout_has_the_published_rates(name):
    assert [leaf.rate for leaf in leaves(name, Dropout)] == DROPOUT[name]


@pytest.mark.parametrize("name", VARIANCES)
def test_first_weights_of_convolutions_have_the_spread_of_their_family(name):
    initializers = {leaf.kernel_initializer for leaf in leaves(name, Conv2D, DepthwiseConv2D)}
    variances = [np.var(draw(np.random.default_rng(0), SHAPE)) for draw in initializers]
    np.testing.assert_allclose(variances, VARIANCES[name], rtol=0.02)           # of 147,456 draws: five deviations


def test_the_papers_googlenet_starts_from_biases_of_a_fifth_and_has_the_norms_of_caffe():
    biases = [leaf.bias_initializer(None, (3,)) for leaf in leaves("googlenet", Conv2D)]
    np.testing.assert_array_equal(biases, np.full((3 + 9 * 6 + 2, 3), 0.2))
    norms = leaves("googlenet", LocalResponseNorm)
    assert [(norm.size, norm.alpha, norm.beta, norm.k) for norm in norms] == 2 * [(5, 1e-4, 0.75, 1)]
