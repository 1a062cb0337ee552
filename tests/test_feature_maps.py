"""Feature maps: every layer's output of one image, as the layers give it when they are called one by one."""

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import plots
from scratchnet.plots.activations import MOST_LAYERS, _chosen, layer_outputs

IMAGE = np.random.default_rng(0).normal(size=(8, 8, 2)).astype(np.float32)


def nested():
    model = sn.Sequential(
        stem=sn.Conv2D(4, 3, padding="same", activation="relu"),
        block=sn.Residual(sn.Sequential(a=sn.Conv2D(4, 3, padding="same"), norm=sn.BatchNorm()), activation="relu"),
        fork=sn.Concat(left=sn.Conv2D(2, 1), right=sn.Sequential(b=sn.Conv2D(3, 3, padding="same"))),
        pool=sn.GlobalAvgPool2D(), drop=sn.Dropout(0.5), out=sn.Dense(3))
    model.init(0, IMAGE.shape)
    return model


def test_leaves_and_blocks_of_a_nested_model_are_seen_in_the_order_of_the_run():
    outputs = layer_outputs(nested(), IMAGE)
    assert [(path, y.shape) for path, y in outputs] == [
        ("stem", (8, 8, 4)), ("block.main.a", (8, 8, 4)), ("block.main.norm", (8, 8, 4)), ("block", (8, 8, 4)),
        ("fork.left", (8, 8, 2)), ("fork.right.b", (8, 8, 3)), ("fork", (8, 8, 5)), ("pool", (5,)), ("out", (3,))]


def test_what_is_seen_is_what_the_layers_give():
    model = nested()
    outputs = dict(layer_outputs(model, IMAGE))
    y = IMAGE[None]
    for name in ("stem", "block", "fork", "pool"):
        y = model[name](y)
        np.testing.assert_allclose(outputs[name], y[0], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(outputs["out"], model(IMAGE[None])[0], rtol=1e-5, atol=1e-6)


def test_a_layer_in_two_places_is_seen_twice():
    shared = sn.Conv2D(2, 3, padding="same")
    model = sn.Sequential(a=shared, b=shared, flat=sn.Flatten())
    model.init(0, IMAGE.shape)
    (first, once), (second, twice) = layer_outputs(model, IMAGE)
    assert first == second == "a"
    np.testing.assert_allclose(twice, shared(once[None])[0], rtol=1e-6)


def test_looking_changes_neither_running_statistics_nor_gradients():
    model = nested()
    before = model.state_dict()
    layer_outputs(model, IMAGE)
    assert all(np.array_equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters().values())


def test_an_image_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"expected one image \(8, 8, 2\), got \(1, 8, 8, 2\)"):
        layer_outputs(nested(), IMAGE[None])


def test_a_deep_model_shows_its_blocks_then_evenly_chosen_ones():
    blocks = [sn.Residual(sn.Sequential(sn.Conv2D(2, 1), sn.ReLU(), sn.Conv2D(2, 1))) for _ in range(10)]
    model = sn.Sequential(*blocks, sn.GlobalAvgPool2D())
    model.init(0, IMAGE.shape)
    assert [path for path, _ in _chosen(model, layer_outputs(model, IMAGE))] == [str(k) for k in range(11)]
    model = sn.Sequential(*[sn.Conv2D(2, 1) for _ in range(100)])
    model.init(0, IMAGE.shape)
    chosen = [int(path) for path, _ in _chosen(model, layer_outputs(model, IMAGE))]
    assert len(chosen) == MOST_LAYERS and chosen[0] == 0 and chosen[-1] == 99
    assert set(np.diff(chosen)) == {4, 5}


@pytest.mark.parametrize("names", [None, ["a", "$b$\n", "a class with a very long name"]])
def test_the_picture_has_an_image_a_map_for_each_channel_strips_and_bars(tmp_path, monkeypatch, names):
    from matplotlib.figure import Figure

    made, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **more: made.append(self) or save(self, *args, **more))
    model = nested()
    plots.feature_maps(tmp_path / "a.png", model, IMAGE, class_names=names)
    axes, = made[0].axes
    images = [image.get_array().shape for image in axes.images]
    assert images == [(8, 8)] * (1 + 4 * 4 + 2 + 3 + 5) + [(1, 5)]         # the image, maps, the pooled strip
    scores = model(IMAGE[None])[0]
    heights = np.array([-bar.get_height() for bar in axes.containers[0]])
    np.testing.assert_allclose(heights / heights[scores.argmax()], scores / scores.max(), rtol=1e-4, atol=1e-5)
    words = [text.get_text() for text in axes.texts]
    assert [name.split("\n")[0] for name in words[:3]] == ["image", "stem", "block.main.a"]
    assert all(any(text.startswith(name) for text in words[-3:]) for name in
               (["0", "1", "2"] if names is None else ["a", "$b$?", "a class with a ve…"]))
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_that_ends_in_maps_is_drawn_too(tmp_path):
    model = sn.Sequential(sn.Conv2D(20, 3))
    model.init(0, IMAGE.shape)
    plots.feature_maps(tmp_path / "a.png", model, IMAGE)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
