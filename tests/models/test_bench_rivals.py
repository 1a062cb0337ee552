"""The networks that `bench` hands to other engines compute what ours compute."""

import copy
import math
import warnings

import numpy as np
import pytest
from shrunken import shrunken

import scratchnet as sn
from scratchnet.models import MODELS

AGREEMENT = 2e-5            # of the outputs' standard deviation, in float32, in other orders; at most 8e-6 measured


def odd_layers():
    """What the zoo lacks, here or there: sides padded unlike, ceil_mode, other activations, normalised rows."""
    return sn.Sequential(
        sn.Conv2D(6, (3, 5), strides=2, padding=((0, 1), (2, 1)), activation=sn.ReLU(negative_slope=0.1)),
        sn.Concat(sn.MaxPool2D(3, 2, padding=((1, 0), (0, 1))), sn.Conv2D(4, 4, strides=2, padding="same")),
        sn.Pad2D(((1, 0), (2, 1)), mode="reflect"), sn.Pad2D(1), sn.Pad2D(((0, 2), (1, 1)), mode="replicate"),
        sn.DepthwiseConv2D(3, depth_multiplier=2, dilation=2, activation=sn.ReLU(max_value=6)),
        sn.AvgPool2D(3, 2, padding=1, count_include_pad=True), sn.Dropout(0.5),
        sn.Residual(sn.Conv2D(20, 3, padding=1, groups=4, activation="sigmoid"), scale=0.3, activation="tanh"),
        sn.MaxPool2D(2, 2, ceil_mode=True), sn.Flatten(), sn.Dense(12, use_bias=False), sn.BatchNorm(), sn.ReLU(),
        sn.Dense(7), sn.Softmax())


NETWORKS = {                # builder(), images
    "lenet5": (MODELS["lenet5"].builder, (32, 32, 1)),
    "vgg11_bn": (lambda: MODELS["vgg11_bn"].builder(10), (224, 224, 3)),
    "googlenet": (lambda: MODELS["googlenet"].builder(10), (64, 64, 3)),
    "inception_v3": (lambda: MODELS["inception_v3"].builder(10), (107, 107, 3)),
    "xception": (lambda: MODELS["xception"].builder(10), (99, 99, 3)),
    "resnet50": (lambda: MODELS["resnet50"].builder(10), (64, 64, 3)),
    "odd layers": (odd_layers, (33, 32, 3)),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    """(its name, a shrunken network, two images, its outputs in float64)."""
    build, shape = NETWORKS[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")          # GoogLeNet's auxiliary classifiers do not fit
        model = shrunken(build(), shape, 1 if build is odd_layers else 16)
    rng = np.random.default_rng(2)
    for leaf in model.leaves():
        if isinstance(leaf, sn.BatchNorm):
            leaf.buffer("running_mean")[...] = rng.normal(0, 0.5, leaf.buffer("running_mean").shape)
            leaf.buffer("running_var")[...] = rng.uniform(0.5, 1.5, leaf.buffer("running_var").shape)
    images = rng.standard_normal((2, *shape)).astype("float32")
    return request.param, model, images, copy.deepcopy(model).astype("float64")(images.astype("float64"))


def agree(outputs, exact):
    assert outputs.shape == exact.shape
    assert np.abs(outputs - exact).max() < AGREEMENT * exact.std()


def channels_first(images):
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("channels_last", [False, True], ids=["NCHW", "channels_last"])
def test_pytorch_computes_the_same(network, channels_last):
    torch = pytest.importorskip("torch")
    from scratchnet.rivals.pytorch import Network
    _, model, images, exact = network
    layout = torch.channels_last if channels_last else torch.contiguous_format
    with torch.inference_mode():
        theirs = Network(model, training=False).to(memory_format=layout)
        agree(theirs(torch.tensor(channels_first(images)).to(memory_format=layout)).numpy(), exact)


def test_the_onnx_file_computes_the_same_in_onnxruntime(network):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from scratchnet.rivals.onnx_file import INPUT, onnx_bytes
    _, model, images, exact = network
    session = onnxruntime.InferenceSession(onnx_bytes(model, 2), providers=["CPUExecutionProvider"])
    agree(session.run(None, {INPUT: channels_first(images)})[0], exact)


def test_the_onnx_file_computes_the_same_in_openvino(network):
    openvino = pytest.importorskip("openvino")
    pytest.importorskip("onnx")
    from scratchnet.rivals.onnx_file import onnx_bytes
    _, model, images, exact = network
    core = openvino.Core()
    theirs = core.compile_model(core.read_model(onnx_bytes(model, 2)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    agree(theirs(channels_first(images))[0], exact)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace", "ignore:Converting a tensor")
def test_what_pnnx_makes_of_it_computes_the_same_in_ncnn(network, tmp_path):
    for package in ("torch", "pnnx", "ncnn"):
        pytest.importorskip(package)
    from scratchnet.rivals.ncnn_engine import loaded, outputs
    from scratchnet.rivals.ncnn_files import write
    name, model, images, exact = network
    if name == "odd layers":
        pytest.skip("not ncnn's: padding of sides unlike, in layers of no network of the zoo")
    write(model, tmp_path)
    agree(outputs(loaded(tmp_path, threads=2), channels_first(images)), exact)


@pytest.mark.parametrize("name, side, divisor", [("googlenet", 224, 32), ("resnet50", 64, 16)])
def test_loss_and_gradients_are_pytorchs_auxiliary_classifiers_included(name, side, divisor):
    torch = pytest.importorskip("torch")
    from scratchnet.rivals.pytorch import Network, tensors
    model = shrunken(MODELS[name].builder(5), (side, side, 3), divisor)
    for leaf in model.leaves():
        if isinstance(leaf, sn.Dropout):
            leaf.rate = 0.0
    model.astype("float64")
    images, labels = np.random.default_rng(0).standard_normal((2, side, side, 3)), np.array([1, 4])
    network = Network(model, training=True)
    theirs = network.loss(*tensors(images, labels))
    theirs.backward()
    loss, _, backward = model.loss(images, labels)
    backward()
    assert theirs.dtype == torch.float64 and math.isclose(float(loss), theirs.item(), rel_tol=1e-12)
    gradients = network.gradients()
    assert set(gradients) == set(model.parameters())
    for name, parameter in model.parameters().items():
        assert np.abs(gradients[name] - parameter.grad).max() <= 1e-10 * np.abs(parameter.grad).max(), name
