"""LeNet-5 to the letter: its own small layers, its numbers, and that it learns."""

import numpy as np
import pytest
from shrunken import check_gradients

import scratchnet as sn
from scratchnet.layers import AvgPool2D, Conv2D
from scratchnet.layers.geometry import TooSmall
from scratchnet.models.lenet_1998 import TABLE_1, RadialBasis, Squash, Subsampling, TableConv2D, digits, lenet5_1998

LAYERS = {
    "squash": (Squash(), (3, 5)), "subsampling": (Subsampling(), (2, 5, 6, 3)),
    "table": (TableConv2D(TABLE_1, 3), (2, 5, 4, 6)),
    "radial basis, digits": (RadialBasis(10), (3, 84)), "radial basis, random": (RadialBasis(4), (3, 7)),
}


def normal(*shape):
    return np.random.default_rng(1998).standard_normal(shape)


def initialised(layer, *input_shape):
    layer.init(0, input_shape)
    return layer


def test_it_has_the_papers_numbers_of_parameters_and_connections():
    model = sn.models.create("lenet5_1998")
    numbers, connections, shape = {}, {}, model.input_shape
    for name, layer in model.children().items():
        numbers[name] = sum(parameter.value.size for parameter in layer.parameters().values())
        connections[name], shape = layer.multiply_adds(shape), layer.output_shape(shape)
    assert {name: number for name, number in numbers.items() if number} == {
        "c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}
    biases = {"c1": 28 * 28 * 6, "c3": 10 * 10 * 16, "c5": 120, "f6": 84}      # which the paper counts as connections
    assert {name: connections[name] + count for name, count in biases.items()} == {
        "c1": 122_304, "c3": 151_600, "c5": 48_120, "f6": 10_164}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_of_its_layers(name, dtype):
    layer, shape = LAYERS[name]
    sn.gradcheck(layer, normal(*shape), dtype=dtype, samples=40)


def test_the_whole_passes_the_gradient_check():
    check_gradients(initialised(lenet5_1998(), 32, 32, 1), batch=2, samples=3)


def test_the_squashing_function_leaves_one_and_minus_one():
    y = initialised(Squash(), 3)(np.array([[-1.0, 0.0, 1.0]]))
    np.testing.assert_allclose(y, [[-1, 0, 1]], atol=1e-4)               # A and S are rounded to give this


def test_subsampling_is_a_sum_times_a_coefficient_plus_a_bias():
    layer, x = initialised(Subsampling(), 5, 4, 2), normal(3, 5, 4, 2).astype(np.float32)
    layer.weight.value, layer.bias.value = np.float32([0.25, 2]), np.float32([0, 1])
    mean = initialised(AvgPool2D(2), 5, 4, 2)(x)
    np.testing.assert_allclose(layer(x), mean * [1, 8] + [0, 1], atol=1e-6)


def test_the_table_is_a_convolution_with_holes():
    x = normal(2, 7, 6, 6).astype(np.float32)
    sparse, full = initialised(TableConv2D(TABLE_1, 5), 7, 6, 6), initialised(Conv2D(16, 5), 7, 6, 6)
    weights = iter(np.moveaxis(sparse.weight.value, 2, 0))               # 60 windows (5, 5)
    dense = np.zeros((5, 5, 6, 16), np.float32)
    for map_, channels in enumerate(TABLE_1):
        for channel in channels:
            dense[:, :, channel, map_] = next(weights)
    full.weight.value, full.bias.value = dense, sparse.bias.value
    np.testing.assert_allclose(sparse(x), full(x), atol=1e-6)


def test_table_1_uses_every_map_of_s2_ten_times():
    assert [sum(channel in channels for channels in TABLE_1) for channel in range(6)] == [10] * 6
    assert [len(set(channels)) for channels in TABLE_1] == [3] * 6 + [4] * 9 + [6]
    with pytest.raises(ValueError, match="names 6 channels, got an input of shape"):
        TableConv2D(TABLE_1, 5).init(0, (9, 9, 5))


def test_the_cross_entropy_of_its_logits_is_equation_9():
    x, labels = normal(4, 84), np.array([7, 0, 3, 9])
    y = ((x[:, None] - digits()) ** 2).sum(axis=2)                       # (7)
    criterion = y[np.arange(4), labels] + np.log(np.exp(-y).sum(axis=1))         # (9) as its constant j grows
    loss, _ = sn.softmax_cross_entropy(initialised(RadialBasis(10), 84)(x), labels)
    np.testing.assert_allclose(loss, criterion.mean(), rtol=1e-12)


def test_codes_are_fixed_and_tell_classes_apart():
    codes = digits()
    assert codes.shape == (10, 7 * 12) and set(codes.ravel()) == {-1, 1}
    assert min((a != b).sum() for i, a in enumerate(codes) for b in codes[:i]) >= 14
    model = sn.models.create("lenet5_1998")
    np.testing.assert_array_equal(model.state_dict()["output.codes"], codes)
    assert "output.codes" not in model.parameters()


def test_other_classes_have_random_codes_that_the_seed_decides():
    first, again, other = (sn.models.create("lenet5_1998", classes=26, seed=seed).state_dict()["output.codes"]
                           for seed in (1, 1, 2))
    assert first.shape == (26, 84) and set(first.ravel()) == {-1, 1}
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_first_weights_are_drawn_over_the_fan_in():
    weights = {name: p.value for name, p in sn.models.create("lenet5_1998").parameters().items() if "weight" in name}
    limits = {"c1": 2.4 / 25, "s2": 2.4 / 4, "s4": 2.4 / 4, "c5": 2.4 / 400, "f6": 2.4 / 120}
    for name, limit in limits.items():
        assert 0.6 * limit < np.abs(weights[f"{name}.weight"]).max() <= limit * (1 + 1e-6)
    channels = [len(channels) for channels in TABLE_1]
    for count in (3, 4, 6):
        largest = np.abs(weights["c3.weight"][:, :, np.repeat(channels, channels) == count]).max()
        assert 0.95 < largest / (2.4 / (25 * count)) <= 1 + 1e-6


def test_both_kernels_agree():
    model, x = sn.models.create("lenet5_1998"), normal(3, 32, 32, 1).astype(np.float32)
    fast = model(x)
    with sn.use_kernels("reference"):
        np.testing.assert_allclose(fast, model(x), rtol=1e-5)


def test_larger_images_and_too_small_ones():
    model = sn.models.create("lenet5_1998", input_shape=(40, 37, 3), classes=4)
    assert model(np.zeros((2, 40, 37, 3), np.float32)).shape == (2, 4)
    with pytest.raises(TooSmall, match=r"c5 \(Conv2D 5x5, valid\): input 4 x 5 .*at least 32x32"):
        sn.models.create("lenet5_1998", input_shape=(31, 32, 1))


def test_it_learns_digits():
    sample, model = sn.data.load("mnist-sample"), sn.models.create("lenet5_1998")
    preprocessing = sn.data.Preprocessing.for_input(sample, model.input_shape)
    train = sn.data.Batches(sample.train.images, sample.train.labels, 32, preprocessing=preprocessing)
    optimizer = sn.SGD(model.parameters(), lr=0.003, momentum=0.9)
    for step, (images, labels) in enumerate(train.epoch(0)):
        _, logits, backward = model.loss(images, labels)
        backward()
        optimizer.step()
        if step == 80:
            break
    test = preprocessing(sample.test.images[:500])
    assert (model(test).argmax(axis=1) == sample.test.labels[:500]).mean() > 0.7          # 10% is chance
