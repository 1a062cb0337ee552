"""sn.for_inference: what is folded, what stays, what it refuses. (The zoo: models/test_zoo_inference.py.)"""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
from inference_cases import CASES, SHAPE, Doubled, Halved, conv, images, initialised, steps

import scratchnet as sn
from scratchnet.kernels.cpu import packed


@pytest.mark.parametrize("case", CASES)
def test_folding(case):
    make, expected_steps = CASES[case]
    model = make()
    predict = sn.for_inference(model)
    assert steps(predict) == expected_steps
    with sn.use_kernels("reference"):
        by_reference = predict(images())
    for x in (images(), images(1), images(0)):
        expected = model(x)
        np.testing.assert_allclose(predict(x), expected, rtol=1e-5, atol=1e-5)          # float32, at unit scale
        np.testing.assert_allclose(by_reference[:len(x)], expected, rtol=1e-5, atol=1e-5)
    model.astype("float64")
    x = images(dtype="float64")
    np.testing.assert_allclose(sn.for_inference(model)(x), model(x), rtol=1e-12, atol=1e-12)


def test_a_convolution_in_two_places_is_folded_in_each_by_itself():
    shared = conv()
    model = initialised(a=shared, bn=sn.BatchNorm(), b=shared, relu=sn.ReLU(), c=shared)
    predict = sn.for_inference(model)
    assert steps(predict) == ["a + bn", "a + relu", "a"]
    np.testing.assert_allclose(predict(images()), model(images()), rtol=1e-5, atol=1e-5)


def test_folded_weights_are_rounded_once():
    model = initialised(conv=sn.Conv2D(4, 1, use_bias=False), bn=sn.BatchNorm(), shape=(1, 1, 4))
    norm = model["bn"]
    norm.bias.value = np.zeros(4)
    norm.buffer("running_mean")[...] = 0
    arrays = model["conv"].weight.value, norm.weight.value, norm.buffer("running_var")
    w, gamma, var = (array.astype("float64") for array in arrays)
    expected = (w[0, 0] * (gamma / np.sqrt(var + norm.epsilon))).astype("float32")
    y = sn.for_inference(model)(np.eye(4, dtype="float32").reshape(4, 1, 1, 4))          # the rows of the weights
    assert np.array_equal(y.reshape(4, 4), expected)


def test_other_sizes_of_image_are_taken_where_the_model_takes_them():
    model = initialised(conv=conv(), pool=sn.MaxPool2D(2), block=sn.Residual(conv()), gap=sn.GlobalAvgPool2D(),
                        fc=sn.Dense(3))
    predict = sn.for_inference(model)
    assert predict.input_shape == SHAPE
    for shape in ((9, 12, 4), (2, 2, 4), SHAPE):
        np.testing.assert_allclose(predict(images(shape=shape)), model(images(shape=shape)), rtol=1e-5, atol=1e-5)


def test_the_number_of_plans_is_bounded(monkeypatch):
    monkeypatch.setattr(sn.inference, "PLANS", 2)
    model = initialised(a=conv(), b=conv())
    predict = sn.for_inference(model)
    for batch in (1, 2, 3, 4, 1):
        np.testing.assert_allclose(predict(images(batch)), model(images(batch)), rtol=1e-5, atol=1e-5)
    assert len(predict._plans) <= 2


def test_it_refuses_what_the_model_refuses_in_the_same_words():
    model = initialised(conv=conv(), bn=sn.BatchNorm(), half=Halved(), flat=sn.Flatten(), fc=sn.Dense(3))
    predict = sn.for_inference(model)
    for wrong in (images(dtype="float64"), images().astype("int64"), images()[0], images(shape=(8, 6, 4)),
                  images(shape=(4, 7, 6)), images().tolist()):
        with pytest.raises((TypeError, ValueError)) as expected:
            model(wrong)
        with pytest.raises(expected.type) as error:
            predict(wrong)
        assert str(error.value) == str(expected.value)
    with pytest.raises(TypeError, match=r"conv \(Conv2D 3x3.* float64 but the parameters are float32"):
        predict(images(dtype="float64"))


def test_a_dtype_that_changes_on_the_way_is_refused_as_the_model_refuses_it():
    class Wide(sn.Layer):
        def forward(self, x, training=True):
            return x.astype("float64"), None
    for last in (conv(), sn.BatchNorm()):
        model = initialised(wide=Wide(), last=last)
        for function in (model, sn.for_inference(model)):
            with pytest.raises(TypeError, match="last .* float64 but the parameters are float32"):
                function(images())


def test_an_output_shape_that_the_forward_does_not_keep_is_named():
    class Cut(sn.Layer):
        def forward(self, x, training=True):
            return x[:, 1:], None
    predict = sn.for_inference(initialised(cut=Cut(), conv=conv()))
    with pytest.raises(ValueError, match=r"cut \(Cut\): its output_shape says \(3, 7, 6, 4\).* \(3, 6, 6, 4\)"):
        predict(images())


def test_it_says_what_it_cannot_do():
    predict = sn.for_inference(initialised(conv=conv()))
    with pytest.raises(TypeError, match="cannot be trained.*call sn.for_inference again"):
        predict.forward(images())
    y, backward = predict.forward(images(), training=False)
    assert np.array_equal(y, predict(images()))
    with pytest.raises(TypeError, match="has no backward"):
        backward(y)
    for name in ("parameters", "loss", "state_dict", "astype", "trainable", "init"):
        with pytest.raises(AttributeError, match=f"has no {name}: it only predicts"):
            getattr(predict, name)
    with pytest.raises(AttributeError, match="no attribute 'wieghts'"):
        predict.wieghts
    with pytest.raises(TypeError, match="expected a Layer, got InferenceModel"):
        sn.for_inference(predict)
    with pytest.raises(RuntimeError, match="Conv2D 3x3.*not initialised"):
        sn.for_inference(conv())


def test_it_is_a_copy_and_the_model_is_left_as_it_was():
    model = initialised(conv=conv(), bn=sn.BatchNorm(), lrn=sn.LocalResponseNorm(), bn2=sn.BatchNorm(),
                        custom=Doubled(4, 3), flat=sn.Flatten(), fc=sn.Dense(5), fc2=sn.Dense(3, use_bias=False))
    model.loss(images(), np.array([0, 1, 2]))[2]()
    state, gradients = model.state_dict(), {name: p.grad.copy() for name, p in model.parameters().items()}
    predict = sn.for_inference(model)

    def logits():
        with sn.use_kernels("reference"):
            by_reference = predict(images())
        return np.stack([predict(images()), by_reference])
    first = logits()
    assert all(np.array_equal(state[name], array) for name, array in model.state_dict().items())
    assert all(np.array_equal(gradients[name], p.grad) for name, p in model.parameters().items())
    for parameter in model.parameters().values():
        parameter.value = parameter.value * 0
    model["bn2"].buffer("running_mean")[...] = 7
    assert np.array_equal(logits(), first)
    model.init(0, (5, 5, 9))
    assert np.array_equal(logits(), first)


def test_it_keeps_nothing_of_the_model_alive():
    model = initialised(conv=conv(), bn=sn.BatchNorm(activation="relu"), custom=Doubled(4, 3))
    model.loss(images(), np.zeros((3, 5, 4, 4), np.float32), sn.mean_squared_error)[2]()
    predict = sn.for_inference(model)
    seen = [weakref.ref(thing) for layer in (model, *model.leaves()) for thing in (layer, *layer._parameters.values())]
    seen += [weakref.ref(array) for p in model.parameters().values() for array in (p.value, p.grad)]
    del model
    gc.collect()
    assert not any(reference() is not None for reference in seen)
    predict(images())


def test_its_copy_of_the_tree_takes_no_memory_but_for_layers_that_are_called():
    model = initialised(conv=conv(), bn=sn.BatchNorm(activation="relu"), custom=Doubled(4, 3))
    model.loss(images(), np.zeros((3, 5, 4, 4), np.float32), sn.mean_squared_error)[2]()
    copied = sn.for_inference(model)._model.parameters()
    assert all(parameter.grad is None and parameter._grad is None for parameter in copied.values())
    held = {name for name, parameter in copied.items() if any(parameter.value.strides)}
    assert held == {"custom.weight", "custom.bias"}


def test_under_use_kernels_reference_no_packed_kernel_runs(monkeypatch):
    model = initialised(conv=conv(), flat=sn.Flatten(), fc=sn.Dense(3))
    predict, calls = sn.for_inference(model), []
    for kind in (packed.PackedConv2D, packed.PackedDense):
        run = kind.__call__
        monkeypatch.setattr(kind, "__call__", lambda self, *args, run=run: calls.append(1) or run(self, *args))
    predict(images())
    assert len(calls) == 2
    with sn.use_kernels("reference"):
        predict(images())
    assert len(calls) == 2


def test_weights_are_packed_once(monkeypatch):
    made = []
    for kind in (packed.PackedConv2D, packed.PackedDense):
        init = kind.__init__
        monkeypatch.setattr(kind, "__init__", lambda self, *args, init=init: made.append(args) or init(self, *args))
    predict = sn.for_inference(initialised(conv=conv(6), pool=sn.MaxPool2D(2), deep=sn.DepthwiseConv2D(3),
                                           flat=sn.Flatten(), fc=sn.Dense(3)))
    for batch in (1, 3, 1):
        predict(images(batch))
    assert [arguments[2:] for arguments in made] == [((1, 1), (1, 1), 1), ((1, 1), (1, 1), 6), ()]


def test_watch_sees_nothing_of_it():
    predict, seen = sn.for_inference(initialised(conv=conv(), half=Halved(), pool=sn.MaxPool2D(2))), []
    with sn.watch(lambda *event: seen.append(event)):
        predict(images())
    assert not seen


def test_a_nan_in_an_image_is_seen_in_its_logits_and_in_no_others():
    model = initialised(conv=conv(activation="relu"), block=sn.Residual(conv(), activation="relu"), flat=sn.Flatten(),
                        fc=sn.Dense(3))
    x = images()
    x[1, 3, 3, 0] = np.nan
    assert np.isnan(sn.for_inference(model)(x)).any(axis=1).tolist() == [False, True, False]


def test_it_can_be_copied_and_pickled():
    predict = sn.for_inference(initialised(conv=conv(), bn=sn.BatchNorm(), pool=sn.MaxPool2D(2)))
    for copied in (copy.deepcopy(predict), pickle.loads(pickle.dumps(predict))):
        assert np.array_equal(copied(images()), predict(images()))


def test_its_memory_is_given_back_with_its_last_reference():
    predict = sn.for_inference(initialised(conv=conv(), flat=sn.Flatten(), fc=sn.Dense(3)))
    predict(images())
    seen, enabled = [weakref.ref(predict), *map(weakref.ref, predict._steps)], gc.isenabled()
    gc.disable()
    try:
        del predict
        assert not any(reference() is not None for reference in seen)
    finally:
        if enabled:
            gc.enable()
