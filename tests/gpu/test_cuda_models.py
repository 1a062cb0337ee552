"""Whole networks on the CUDA kernels: gradients and training steps beside the reference in float64."""

import numpy as np
import pytest
from engines import normal

import scratchnet as sn
from replayed_cases import branches
from scratchnet import backend
from scratchnet.layers import BatchNorm, Conv2D, Dense, GlobalAvgPool2D, MaxPool2D, ReLU, Residual, Sequential


def residual():
    return Sequential(
        first=Conv2D(8, 7, strides=2, padding=3, use_bias=False), norm=BatchNorm(), relu=ReLU(),
        pool=MaxPool2D(3, 2, padding=1),
        block=Residual(Sequential(a=Conv2D(6, 1, use_bias=False), an=BatchNorm(activation="relu"),
                                  b=Conv2D(6, 3, strides=2, padding=1, use_bias=False), bn=BatchNorm(activation="relu"),
                                  c=Conv2D(20, 1, use_bias=False), cn=BatchNorm()),
                       Sequential(c=Conv2D(20, 1, strides=2, use_bias=False), n=BatchNorm()), activation="relu"),
        mean=GlobalAvgPool2D(), out=Dense(5))


def row():
    """Of two Residuals in a row the second does the first's ReLU on its way back."""
    return Sequential(
        first=Residual(Conv2D(3, 3, padding=1), activation="relu"),
        second=Residual(Sequential(a=Conv2D(6, 3, padding=1, activation="relu"), b=Conv2D(5, 1)), Conv2D(5, 1),
                        activation="relu"),
        third=Residual(Sequential(a=Conv2D(4, 1, use_bias=False), an=BatchNorm(activation="relu"),
                                  b=Conv2D(5, 3, padding=1)), activation="relu"),
        mean=GlobalAvgPool2D(), out=Dense(5))


NETWORKS = {"LeNet-5": (lambda: sn.models.create("lenet5", classes=5), (32, 32, 1)),
            "residual": (residual, (19, 21, 3)), "branches": (branches, (12, 11, 3)),
            "row": (row, (9, 8, 3))}
OPTIMIZERS = {"LeNet-5": lambda parameters: sn.SGD(parameters, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
              "residual": lambda parameters: sn.AdamW(parameters, lr=0.01),
              "branches": lambda parameters: sn.RMSProp(parameters, lr=0.001, momentum=0.9, centered=True, epsilon=0.1),
              "row": lambda parameters: sn.Adam(parameters, lr=0.01)}


def made(name):
    make, shape = NETWORKS[name]
    model = make()
    if model.input_shape is None:
        model.init(0, shape)
    return model, normal(0, 6, *shape), np.random.default_rng(1).integers(0, 5, 6)


def steps(model, images, labels, optimizer, count):
    """The losses of `count` training steps, the gradients of the first, and the state after the last."""
    losses, gradients = [], None
    for _ in range(count):
        loss, _, backward = model.loss(images, labels)
        backward()
        gradients = gradients or {name: backend.to_host(p.grad, copy=True) for name, p in model.parameters().items()}
        optimizer.step()
        losses.append(float(backend.to_host(loss)))
    return losses, gradients, model.state_dict(), backend.to_host(model(images))


@pytest.fixture
def on_the_engine(engine, monkeypatch):
    """place(model, images, labels) -> the same where the engine computes; on the host NumPy arrays get CUDA kernels."""
    def place(model, images, labels):
        if engine.name == "cuda":
            return sn.to_device(model, "cuda"), engine.to_device(images), engine.to_device(labels)
        monkeypatch.setattr(backend._choice, "forced", backend.kernels("cuda"))
        return model, images, labels
    yield place


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_trained_as_the_reference_trains_it(name, on_the_engine):
    model, images, labels = made(name)
    with sn.use_kernels("reference"):
        model.astype("float64")
        exact = steps(model, images.astype("f8"), labels, OPTIMIZERS[name](model.parameters()), 3)
    model, images, labels = made(name)
    optimizer = OPTIMIZERS[name](model.parameters())                   # made before the move: its parameters stay the same
    got = steps(*on_the_engine(model, images, labels), optimizer, 3)
    np.testing.assert_allclose(got[0], exact[0], rtol=1e-4)
    for key, gradient in exact[1].items():
        # Rounding of a few dozen layers and, in the residual network, of gradients that batch norm makes nearly cancel.
        assert np.linalg.norm(got[1][key] - gradient) <= 1e-4 * np.linalg.norm(gradient) + 1e-6, key
    for key, value in exact[2].items():
        np.testing.assert_allclose(got[2][key], value, rtol=2e-3, atol=2e-4, err_msg=key)
    np.testing.assert_allclose(got[3], exact[3], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", ["residual", "branches"])
def test_a_network_for_inference_gives_what_the_network_gives(name, on_the_engine):
    model, images, labels = made(name)
    model, images, labels = on_the_engine(model, images, labels)
    steps(model, images, labels, OPTIMIZERS[name](model.parameters()), 1)              # so that batch norms do something
    expected, got = backend.to_host(model(images)), backend.to_host(sn.for_inference(model)(images))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_training_twice_gives_the_same_bits(on_the_engine):
    def once():
        model, images, labels = made("branches")
        optimizer = OPTIMIZERS["branches"](model.parameters())
        return steps(*on_the_engine(model, images, labels), optimizer, 2)
    first, second = once(), once()
    for one, other in ((first[1], second[1]), (first[2], second[2])):
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)


@pytest.mark.gpu
@pytest.mark.parametrize("engine", ["cuda"], indirect=True)
def test_the_state_of_an_optimiser_follows_its_parameters_to_the_device_and_back(engine, on_the_engine):
    model, images, labels = made("LeNet-5")
    optimizer = OPTIMIZERS["LeNet-5"](model.parameters())
    steps(model, images, labels, optimizer, 1)
    before = dict(model.parameters())
    steps(*on_the_engine(model, images, labels), optimizer, 1)
    assert all(backend.is_cupy(array) for array in optimizer.slots["velocity"].values())
    assert all(before[name] is parameter for name, parameter in model.parameters().items())
    steps(sn.to_device(model, "cpu"), images, labels, optimizer, 1)
    assert all(isinstance(array, np.ndarray) for array in optimizer.slots["velocity"].values())
    assert set(optimizer.steps.values()) == {3}


@pytest.mark.gpu
@pytest.mark.parametrize("engine", ["cuda"], indirect=True)
def test_fit_on_the_gpu_trains_as_on_the_cpu_and_its_checkpoint_is_read_without_one(engine, tmp_path):
    x, y = normal(0, 50, 32, 32, 1), np.random.default_rng(1).integers(0, 5, 50)
    histories, models = [], []
    for device in ("cpu", "cuda"):
        model = sn.to_device(sn.models.create("lenet5", classes=5, seed=0), device)
        histories.append(sn.fit(model, (x, y), (x, y), epochs=2, batch_size=16, progress=False))     # a last batch of 2
        models.append(model)
    for here, there in zip(*(history[-1].items() for history in histories)):
        if here[0] in ("train_loss", "validation_loss"):
            np.testing.assert_allclose(there[1], here[1], rtol=1e-3)
    sn.save_weights(models[1], tmp_path / "weights")
    fresh = sn.models.create("lenet5", classes=5, seed=1)
    sn.load_weights(fresh, tmp_path / "weights")
    np.testing.assert_allclose(fresh(x), backend.to_host(models[1](engine.to_device(x))), rtol=1e-4, atol=1e-5)
