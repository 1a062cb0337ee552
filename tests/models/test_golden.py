"""The published networks: with published weights, read from a file, they give the published logits."""

import golden
import pytest

import scratchnet as sn
from scratchnet.weights.names import published

KEYS = ("alexnet", "vgg16", "vgg19", "googlenet", "inception_v3", "inception_v4", "inception_resnet_v2", "xception",
        "resnet18", "resnet50", "resnext50_32x4d")
OURS = {"alexnet": "alexnet_owt", "googlenet": "googlenet_bn"}      # what torchvision means by these two
AGREEMENT = 1e-4            # of the logits' standard deviation, in float32, in another order; at most 2e-5 measured


@pytest.fixture(scope="module", params=KEYS)
def network(request):
    """(its key in zoo.json, the network with the golden weights); one at a time, as the largest has 570 MB."""
    return request.param, golden.load(sn.models.blank(OURS.get(request.param, request.param)), request.param)


def test_no_golden_network_is_left_out():
    assert set(golden.ZOO) == set(KEYS)


def test_every_array_has_a_published_name_and_there_are_as_many_parameters(network):
    key, model = network
    ours = [published(model.name, name) for name, array in model.state_dict().items() if array.dtype.kind == "f"]
    assert sorted(ours) == sorted(name for name, _ in golden.ZOO[key]["tensors"])
    assert sum(p.value.size for p in model.parameters().values()) == golden.ZOO[key]["parameters"]


@pytest.mark.parametrize("kernels, count", [("cpu", 2), ("reference", 1)])      # one image: reference takes its time
def test_logits_are_the_golden_ones(network, kernels, count):
    key, model = network
    images, logits = golden.images(model.input_shape[0])[:count], golden.logits(key)[:count]
    with sn.use_kernels(kernels):
        assert golden.distance(model(images), logits) < AGREEMENT
