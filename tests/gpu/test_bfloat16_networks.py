"""Whole networks in bfloat16: beside the float64 reference, and what their users see."""

import sys

import numpy as np
import pytest
from fake_cupy import Array
from engines import normal

import scratchnet as sn
from scratchnet import backend
from test_cuda_models import NETWORKS, OPTIMIZERS, made, steps


def on_the_device(name):
    model, images, labels = made(name)
    asarray = sys.modules["cupy"].asarray
    return sn.to_device(model, "cuda"), asarray(images), asarray(labels)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_trained_in_bfloat16_near_the_reference(name, cupy):
    model, images, labels = made(name)
    with sn.use_kernels("reference"):
        model.astype("float64")
        exact = steps(model, images.astype("f8"), labels, OPTIMIZERS[name](model.parameters()), 3)
    model, images, labels = on_the_device(name)
    with sn.use_precision("bf16"):
        got = steps(model, images, labels, OPTIMIZERS[name](model.parameters()), 3)
    np.testing.assert_allclose(got[0], exact[0], rtol=0.02)
    errors = {}
    for key, gradient in exact[1].items():
        assert got[1][key].dtype == np.float32
        errors[key] = np.linalg.norm(got[1][key] - gradient) / np.linalg.norm(gradient)
    print(errors)
    assert 1e-4 < max(errors.values())
