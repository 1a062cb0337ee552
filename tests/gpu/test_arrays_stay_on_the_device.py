"""Training, scoring, inference and the way there and back with arrays that refuse what CuPy's refuse (fake_cupy.py)."""

import sys

import numpy as np
import pytest
from fake_cupy import Array

import scratchnet as sn
from scratchnet import backend
from test_cuda_models import NETWORKS, OPTIMIZERS, made


@pytest.mark.parametrize("name", NETWORKS)
def test_training_on_a_device_touches_no_host_array(name, cupy):
    model, images, labels = made(name)
    optimizer = OPTIMIZERS[name](model.parameters())
    sn.fit(model, (images, labels), epochs=1, batch_size=3, optimizer=optimizer, progress=False)
    parameters = model.parameters()
    sn.to_device(model, "cuda")
    launches = cupy.launches
    history = sn.fit(model, (images, labels), (images, labels), epochs=1, batch_size=4, optimizer=optimizer, progress=False)
    assert np.isfinite(history[-1]["validation_loss"]) and cupy.launches > launches + 20
    assert all(model.parameters()[key] is parameter for key, parameter in parameters.items())
    for arrays in (*optimizer.slots.values(), {key: p.value for key, p in parameters.items()}):
        assert all(type(array) is Array for array in arrays.values())
    scores, predictor = model(backend.array_like(next(iter(parameters.values())).value, images)), sn.for_inference(model)
    assert type(scores) is Array
    np.testing.assert_allclose(predictor(sys.modules["cupy"].asarray(images)).get(), scores.get(), rtol=1e-4, atol=1e-5)
    assert all(type(array) is np.ndarray for state in (model.state_dict(), optimizer.state_dict()) for array in state.values()
               if np.ndim(array))
    sn.to_device(model, "cpu")
    np.testing.assert_allclose(model(images), scores.get(), rtol=1e-3, atol=1e-4)
    sn.fit(model, (images, labels), epochs=1, batch_size=3, optimizer=optimizer, progress=False)
    assert all(type(array) is np.ndarray for arrays in optimizer.slots.values() for array in arrays.values())


def test_a_checkpoint_of_a_device_is_read_without_one_and_the_other_way_round(cupy, tmp_path):
    model, images, labels = made("branches")
    sn.to_device(model, "cuda")
    sn.save_weights(model, tmp_path / "weights")
    here, _, _ = made("branches")
    sn.load_weights(here, tmp_path / "weights")
    for name, array in here.state_dict().items():
        np.testing.assert_array_equal(array, model.state_dict()[name])
    for parameter in model.parameters().values():
        parameter.value = backend.array_like(parameter.value, np.zeros(parameter.value.shape))
    model.load_state_dict(here.state_dict())
    there = backend.to_host(model(sys.modules["cupy"].asarray(images)))
    np.testing.assert_allclose(here(images), there, rtol=1e-4, atol=1e-5)


def test_a_host_array_in_a_model_on_the_device_is_refused_with_what_to_do(cupy):
    model, images, _ = made("branches")
    with pytest.raises(TypeError, match="the input is a numpy array but the parameters are cupy arrays; move one of them"):
        sn.to_device(model, "cuda")(images)
