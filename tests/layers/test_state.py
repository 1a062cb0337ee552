"""Parameters, state dictionaries, dtypes, freezing."""

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.layers import BatchNorm, Conv2D, Dense, Dropout, Flatten, Sequential

IMAGES = np.random.default_rng(0).standard_normal((4, 8, 8, 3)).astype("float32")


def model():
    m = Sequential(conv=Conv2D(4, 3), norm=BatchNorm(activation="relu"), drop=Dropout(0.3), flat=Flatten(), out=Dense(5))
    m.init(0, (8, 8, 3))
    return m


def train_once(m):
    y, backward = m.forward(IMAGES)
    backward(y)
    sn.SGD(m.parameters(), lr=0.01).step()


def test_a_state_dict_holds_parameters_statistics_and_counters_by_dotted_name():
    assert list(model().state_dict()) == ["conv.weight", "conv.bias", "norm.weight", "norm.bias", "out.weight", "out.bias",
                                          "norm.running_mean", "norm.running_var", "drop.seed", "drop.calls"]


def test_loading_a_state_continues_to_the_same_bits():
    first, second = model(), model()
    train_once(first)
    second.load_state_dict(first.state_dict())
    train_once(first)
    train_once(second)
    for name, array in first.state_dict().items():
        assert np.array_equal(array, second.state_dict()[name]), name
    assert first.state_dict()["drop.calls"] == 2


def test_a_state_dict_is_a_copy():
    m = model()
    before = m.state_dict()
    kept = {name: array.copy() for name, array in before.items()}
    train_once(m)
    assert all(np.array_equal(before[name], kept[name]) for name in kept)


def test_a_state_that_does_not_fit_is_listed_whole_and_changes_nothing():
    m = model()
    before = m.state_dict()
    state = {name: array + 1 for name, array in before.items() if name != "conv.bias"}
    state["out.weight"] = np.zeros((3, 3))
    state["extra"] = np.zeros(2)
    with pytest.raises(ValueError) as error:
        m.load_state_dict(state)
    assert all(words in str(error.value) for words in ("missing: conv.bias (4,)", "unexpected: extra (2,)",
                                                       "out.weight: expected (144, 5), got (3, 3)"))
    assert all(np.array_equal(before[name], array) for name, array in m.state_dict().items())


def test_the_engine_writes_values_in_place():
    m = model()
    train_once(m)
    addresses = {name: p.value.ctypes.data for name, p in m.parameters().items()}
    train_once(m)
    m.load_state_dict(m.state_dict())
    assert addresses == {name: p.value.ctypes.data for name, p in m.parameters().items()}


def test_a_gradient_is_a_copy_unless_it_is_given_away():
    p = model().parameters()["out.bias"]
    d, second = np.ones(5, np.float32), np.full(5, 2, np.float32)
    p.add_grad(d)
    p.add_grad(second)
    assert (p.grad == 3).all() and (d == 1).all()
    p.clear_grad()
    p.add_grad(d, own=True)
    assert p.grad is d
    p.add_grad(second, own=True)
    assert p.grad is d and (d == 3).all() and (second == 2).all()
    p.clear_grad()
    p.add_grad(np.ones(10, np.float32)[::2], own=True)
    assert p.grad.flags.c_contiguous, "later gradients are added in place"


def test_assigning_a_value_drops_the_gradient_and_keeps_the_shape():
    p = model().parameters()["out.bias"]
    p.grad = np.ones(5, np.float32)
    p.value = np.full(5, 3, np.float32)
    assert p.grad is None and (p.value == 3).all()
    with pytest.raises(ValueError, match=r"expected a value of shape \(5,\), got \(4,\)"):
        p.value = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="expected a gradient"):
        p.add_grad(np.zeros(5))


def test_astype_converts_parameters_and_statistics_but_not_counters():
    m = model()
    parameters = m.parameters()
    assert m.astype("float64") is m and m.parameters() == parameters
    dtypes = {name: array.dtype for name, array in m.state_dict().items()}
    assert {str(d) for name, d in dtypes.items() if "drop" not in name} == {"float64"} and dtypes["drop.calls"] == "int64"
    assert m(IMAGES.astype("float64")).dtype == "float64"
    with pytest.raises(TypeError, match="float dtype"):
        m.astype("int32")


def test_running_statistics_move_in_training_only():
    m = model()
    before = m.state_dict()["norm.running_mean"]
    m(IMAGES)
    m.forward(IMAGES, training=False)
    assert np.array_equal(before, m.state_dict()["norm.running_mean"])
    m.forward(IMAGES)
    assert not np.array_equal(before, m.state_dict()["norm.running_mean"])


def test_running_statistics_move_by_momentum_towards_the_mean_and_the_unbiased_variance():
    layer, rng = BatchNorm(momentum=0.3), np.random.default_rng(0)
    layer.init(0, (2,))
    layer.astype("float64")
    mean, var = np.zeros(2), np.ones(2)
    for _ in range(2):
        x = 3 + 2 * rng.standard_normal((5, 2))
        layer.forward(x)
        mean, var = 0.7 * mean + 0.3 * x.mean(0), 0.7 * var + 0.3 * x.var(0, ddof=1)
    np.testing.assert_allclose(layer.buffer("running_mean"), mean, rtol=1e-12)
    np.testing.assert_allclose(layer.buffer("running_var"), var, rtol=1e-12)


def test_a_backward_of_inference_keeps_the_statistics_of_its_forward():
    layer, x = BatchNorm(), np.random.default_rng(0).standard_normal((5, 2))
    layer.init(0, (2,))
    layer.astype("float64")
    _, backward = layer.forward(x, training=False)
    layer.forward(9 * x)                                             # a training step in between
    np.testing.assert_allclose(backward(x), x / np.sqrt(1 + 1e-5), rtol=1e-12)


def test_batch_norm_refuses_a_single_value_per_channel():
    layer = BatchNorm()
    layer.init(0, (5,))
    with pytest.raises(ValueError, match="1 value.s. per channel"):
        layer.forward(np.zeros((1, 5), np.float32))
    assert layer(np.zeros((1, 5), np.float32)).shape == (1, 5)


# -- freezing -------------------------------------------------------------------------------------------------------

def test_a_frozen_layer_takes_no_gradient_and_runs_on_running_statistics():
    m = model()
    m["conv"].trainable = m["norm"].trainable = False
    before = m.state_dict()
    train_once(m)
    after = m.state_dict()
    for name, array in before.items():
        assert np.array_equal(array, after[name]) == (not name.startswith(("out", "drop.calls"))), name


def test_below_the_lowest_trained_layer_nothing_is_kept_and_dx_is_right_all_the_same():
    x = IMAGES.astype("float64")
    m = model().astype("float64")
    m["conv"].trainable = m["norm"].trainable = False
    y, backward = m.forward(x)
    held = [cell.cell_contents for cell in backward.function.__closure__]
    closures = next(value for value in held if isinstance(value, list) and value and hasattr(value[0], "layer"))
    assert [c.layer.path for c in closures] == ["drop", "flat", "out"]
    sn.gradcheck(m, x, samples=20)


def test_a_whole_frozen_model_still_gives_dx():
    m = model()
    m.trainable = False
    sn.gradcheck(m, IMAGES.astype("float64"), samples=20)
    y, backward = m.forward(IMAGES)
    assert backward(y, need_dx=False) is None and all(p.grad is None for p in m.parameters().values())


def test_a_frozen_block_above_a_trained_layer_passes_the_gradient_on():
    m = Sequential(first=Dense(6), block=Sequential(Dense(6), Dense(6, activation="tanh")), last=Dense(2))
    m.init(0, (5,))
    m["block"].trainable = False
    sn.gradcheck(m, np.random.default_rng(0).standard_normal((3, 5)))
    y, backward = m.forward(np.ones((3, 5), np.float32))
    backward(y)
    assert [name for name, p in m.parameters().items() if p.grad is not None] == [
        "first.weight", "first.bias", "last.weight", "last.bias"]


def test_what_was_frozen_in_the_forward_is_so_in_its_backward():
    for layer, x in ((Conv2D(3, 2, activation="relu"), IMAGES), (Dense(3), np.ones((4, 5), np.float32))):
        layer.init(0, x.shape[1:])
        layer.trainable = False
        y, backward = layer.forward(x)           # and does not keep x
        layer.trainable = True
        assert backward(y).shape == x.shape and layer.weight.grad is None


def test_unfreezing_trains_again():
    m = model()
    m.trainable = False
    m.trainable = True
    train_once(m)
    assert m.state_dict()["drop.calls"] == 1 and not np.array_equal(m.state_dict()["conv.weight"],
                                                                    model().state_dict()["conv.weight"])
