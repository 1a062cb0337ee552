"""The registry, and LeNet-5."""

import numpy as np
import pytest

import scratchnet as sn


def test_lenet5_has_the_published_number_of_parameters():
    model = sn.models.create("lenet5")
    assert sum(p.value.size for p in model.parameters().values()) == 61_706
    assert model.multiply_adds((32, 32, 1)) == 28 * 28 * 6 * 25 + 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10


def test_lenet5_passes_the_gradient_check_as_a_whole():
    x = np.random.default_rng(0).standard_normal((2, 32, 32, 1))
    sn.gradcheck(sn.models.create("lenet5"), x, samples=4)


def test_the_seed_decides_the_weights():
    first, again, other = (sn.models.create("lenet5", seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not np.array_equal(first["conv1.weight"], other["conv1.weight"])


def test_another_input_shape_and_number_of_classes():
    model = sn.models.create("lenet5", input_shape=(40, 36, 3), classes=4)
    assert model(np.zeros((2, 40, 36, 3), np.float32)).shape == (2, 4)


def test_too_small_an_image_names_the_layer():
    with pytest.raises(ValueError, match=r"conv2 \(Conv2D 5x5, valid\): input 2 x 2 is smaller than the window"):
        sn.models.create("lenet5", input_shape=(8, 8, 1))


@pytest.mark.parametrize("name", ["lenet-5", "lenet", "LeNet5"])
def test_an_unknown_name_is_answered_with_the_nearest(name):
    with pytest.raises(ValueError, match="did you mean 'lenet5'"):
        sn.models.create(name)


@pytest.mark.parametrize("classes", [0, -1, 2.5, "ten", True])
def test_classes_must_be_a_positive_int(classes):
    with pytest.raises(ValueError, match="classes"):
        sn.models.create("lenet5", classes=classes)


def test_every_name_can_be_made_and_prints_as_a_tree():
    for name in sn.models.names():
        assert repr(sn.models.blank(name)).startswith(f"{name} (Sequential)")


def test_classes_may_come_out_of_an_array():
    assert sn.models.blank("lenet5", classes=np.array([3, 6]).max() + 1).checked_output_shape((32, 32, 1)) == (7,)


def test_a_shape_with_the_channels_first_is_answered_with_the_right_one():
    with pytest.raises(ValueError, match=r"looks like \(C, H, W\).*\(224, 224, 3\)"):
        sn.models.blank("resnet50", (3, 224, 224))
