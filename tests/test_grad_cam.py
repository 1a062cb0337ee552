"""Grad-CAM against its formulas worked out by hand, in every place a layer can stand."""

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import plots
from scratchnet.plots.attention import default_layer, heat_map, upsampled

IMAGE = np.random.default_rng(0).normal(size=(9, 7, 2)).astype(np.float32)
CLOSE = {"rtol": 1e-4, "atol": 1e-6}            # float32 sums of some hundred terms against float64


def network(*end, frozen=()):
    """With global average pooling and one dense layer: there y_c = Σ_k w_kc mean(A_k) + b_c."""
    model = sn.Sequential(
        first=sn.Conv2D(3, 3, activation="tanh"),
        block=sn.Residual(sn.Sequential(a=sn.Conv2D(3, 3, padding="same"), norm=sn.BatchNorm()), activation="relu"),
        last=sn.Conv2D(5, 3, activation="relu"), pool=sn.GlobalAvgPool2D(), out=sn.Dense(4), **dict(end))
    model.init(1, IMAGE.shape)
    for name in frozen:
        model[name].trainable = False
    return model


def by_hand(model, class_index):
    """ReLU(Σ_k w_kc A_k) / (h w), which Grad-CAM is for such a network (section 3.1 of the paper, CAM)."""
    maps = model["last"](model["block"](model["first"](IMAGE[None])))[0].astype(np.float64)
    weight = model.parameters()["out.weight"].value[:, class_index].astype(np.float64)
    return np.maximum(maps @ weight, 0) / (maps.shape[0] * maps.shape[1])


@pytest.mark.parametrize("class_index", range(4))
def test_it_is_the_class_activation_map_of_a_network_with_global_pooling(class_index):
    model = network()
    heat, path, explained = heat_map(model, IMAGE, class_index)
    assert (path, explained, heat.shape) == ("last", class_index, (5, 3))
    np.testing.assert_allclose(heat, by_hand(model, class_index), **CLOSE)


def test_by_default_it_explains_the_answer():
    model = network()
    answer = int(model(IMAGE[None]).argmax())
    heat, _, explained = heat_map(model, IMAGE)
    assert explained == answer
    np.testing.assert_allclose(heat, by_hand(model, answer), **CLOSE)


@pytest.mark.parametrize("layer", ["first", "block", "block.main.a", "block.main.norm"])
def test_the_gradient_of_any_layer_agrees_with_central_differences(layer):
    """In float64: the score as a function of the layer's output, moved a map at a time: Σ_ij ∂y/∂A_ijk."""
    model = network().astype(np.float64)
    image, moved, step = IMAGE.astype(np.float64), {}, 1e-6

    class Moved(sn.Layer):
        def __init__(self, inner):
            self.inner, self.input_shape = inner, inner.input_shape

        def forward(self, x, training=True):
            y = self.inner(x)
            moved["maps"] = y[0]
            return y + step * moved.get("by", 0) * np.eye(y.shape[-1])[moved.get("map", 0)], None

    heat, _, _ = heat_map(model, image, 2, layer)
    *above, name = layer.split(".")
    parent = model
    for key in above:
        parent = parent.children()[key]
    parent._children[name] = Moved(parent.children()[name])

    def score(channel, by):
        moved.update(map=channel, by=by)
        return model(image[None])[0, 2]

    score(0, 0)
    maps = moved["maps"]
    sums = [(score(k, 1) - score(k, -1)) / (2 * step) for k in range(3)]
    alpha = np.array(sums) / (maps.shape[0] * maps.shape[1])
    np.testing.assert_allclose(heat, np.maximum(maps @ alpha, 0), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("frozen", [("first",), ("first", "block"), ("first", "block", "last", "out")])
@pytest.mark.parametrize("layer", ["first", "block.main.a", "last"])
def test_frozen_layers_are_explained_as_well(frozen, layer):
    np.testing.assert_allclose(heat_map(network(frozen=frozen), IMAGE, 1, layer)[0],
                               heat_map(network(), IMAGE, 1, layer)[0], **CLOSE)


def test_a_frozen_beginning_inside_a_block_is_explained_as_well():
    model, expected = network(), heat_map(network(), IMAGE, 1, "block.main.a")[0]
    model["block"].children()["main"]["a"].trainable = False
    np.testing.assert_allclose(heat_map(model, IMAGE, 1, "block.main.a")[0], expected, **CLOSE)


def test_the_score_is_the_one_before_the_softmax():
    heat = heat_map(network(("softmax", sn.Softmax())), IMAGE, 3)[0]
    np.testing.assert_allclose(heat, heat_map(network(), IMAGE, 3)[0], **CLOSE)


def test_of_a_shared_layer_the_last_use_is_explained():
    shared = sn.Conv2D(2, 3, padding="same")
    model = sn.Sequential(a=shared, relu=sn.ReLU(), b=shared, pool=sn.GlobalAvgPool2D(), out=sn.Dense(2))
    model.init(0, IMAGE.shape)
    maps = shared(model["relu"](shared(IMAGE[None])))[0]
    weight = model.parameters()["out.weight"].value[:, 1]
    np.testing.assert_allclose(heat_map(model, IMAGE, 1, "a")[0], np.maximum(maps @ weight, 0) / 63, **CLOSE)


def test_parameters_gradients_and_statistics_are_as_before():
    model = network(frozen=("first",))
    rng = np.random.default_rng(0)
    for name, parameter in model.parameters().items():
        if name.startswith("last"):
            parameter.add_grad(rng.normal(size=parameter.value.shape).astype(np.float32))
    gradients = {name: parameter.grad for name, parameter in model.parameters().items()}
    copies = {name: None if grad is None else grad.copy() for name, grad in gradients.items()}
    trained = {name: parameter.trainable for name, parameter in model.parameters().items()}
    state = model.state_dict()
    heat_map(model, IMAGE, 0, "first")
    for name, parameter in model.parameters().items():
        assert parameter.grad is gradients[name] and parameter.trainable == trained[name]
        assert parameter.grad is None or np.array_equal(parameter.grad, copies[name])
    assert all(np.array_equal(state[name], value) for name, value in model.state_dict().items())


def test_the_default_layer_is_the_last_convolution_or_the_block_that_holds_it():
    assert default_layer(sn.models.create("lenet5")) == "conv2"
    block = sn.Residual(sn.Sequential(sn.Conv2D(2, 3, padding="same"), sn.BatchNorm()))
    model = sn.Sequential(body=sn.Sequential(stem=sn.Conv2D(2, 3), block=block), tail=sn.AvgPool2D(2))
    model.init(0, IMAGE.shape)
    assert default_layer(model) == "body.block"


@pytest.mark.parametrize("arguments, message", [
    ({"layer": "lats"}, "no layer 'lats'; did you mean 'last'"),
    ({"layer": "out"}, r"the output of out is \(4,\), without height and width"),
    ({"class_index": 4}, "expected a class from 0 to 3, got 4"),
])
def test_what_cannot_be_explained_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        heat_map(network(), IMAGE, **arguments)


def test_a_model_without_a_convolution_is_refused():
    model = sn.Sequential(sn.Flatten(), sn.Dense(3))
    model.init(0, IMAGE.shape)
    with pytest.raises(ValueError, match="expected a model with a convolution"):
        heat_map(model, IMAGE)


def test_a_network_that_has_failed_is_refused():
    model = network()
    model.parameters()["out.weight"].value = np.full((5, 4), np.nan, np.float32)
    with pytest.raises(ValueError, match="the output of last, or the gradient there, is not finite"):
        heat_map(model, IMAGE, 1)


def test_the_heat_map_covers_the_image():
    heat = upsampled(np.array([[0.0, 1.0], [0.0, 0.0]]), (8, 12))
    assert heat.shape == (8, 12)
    assert heat[:2, -3:].min() == pytest.approx(1) and heat[-2:].max() == 0 and 0 < heat[3, 6] < 1


@pytest.mark.parametrize("sign", [1, -1])
def test_the_picture_shows_the_image_and_the_heat_over_it_even_where_there_is_none(tmp_path, monkeypatch, sign):
    from matplotlib.figure import Figure

    made, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **more: made.append(self) or save(self, *args, **more))
    model = network()
    model.parameters()["out.weight"].value = sign * np.ones((5, 4), np.float32)     # of maps >= 0: all or nothing
    assert plots.grad_cam(tmp_path / "a.png", model, IMAGE, 1, class_names=["a", "b$", "c", "d"]) == ("last", 1)
    left, right = made[0].axes[:2]
    assert left.images[0].get_array().shape == (9, 7) and len(right.images) == 2
    assert right.get_title(loc="left").startswith(("what" if sign == 1 else "nothing here") + " speaks for b$")
    assert right.images[1].get_array().max() == pytest.approx(1 if sign == 1 else 0, abs=0.02)    # interpolated
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
