"""load_weights: everything of a file or nothing, and what is left as it was is said."""

import json
import signal
import time

import numpy as np
import pytest
from safetensors_files import filled, from_pytorch, network, published_tensors, same, write

import scratchnet as sn
from scratchnet import checkpoint
from scratchnet.weights.transfer import run


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def refused(model, path, words):
    """The error of a load that must leave the model as it was."""
    before = model.state_dict()
    with pytest.raises(ValueError, match=words) as caught:
        sn.load_weights(model, path)
    assert same(model, before), "something was loaded all the same"
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "bfloat16"])
def test_published_weights_of_every_float_dtype_become_our_float32(path, dtype):
    model, tensors = network(), published_tensors(network())
    if dtype == "bfloat16":
        write(path, tensors, bfloat16=set(tensors))
        tensors = {name: (array.view("u4") & 0xFFFF0000).view("f4") for name, array in tensors.items()}
    else:
        tensors = {name: array.astype(dtype) for name, array in tensors.items()}
        write(path, tensors, {"format": "pt"})
    loaded = sn.load_weights(model, path)
    assert loaded.layout == "pytorch" and loaded.source == str(path)
    assert same(model, from_pytorch(network(), tensors))
    assert {p.value.dtype for p in model.parameters().values()} == {np.dtype("f4")}


@pytest.mark.parametrize("classes", [5, 64])
def test_a_square_matrix_lies_as_the_metadata_say(path, classes):
    """64 classes make the head square, too: no shape tells the two layouts apart."""
    model = filled(network(classes))
    square = model.state_dict()["square.weight"]
    for layout in ("scratchnet", "pytorch"):
        sn.save_weights(model, path, layout)
        assert sn.load_weights(other := network(classes), path).layout == layout
        np.testing.assert_array_equal(other.state_dict()["square.weight"], square)
    write(path, {"weight": square[:4, :4].copy()})
    sn.load_weights(plain := dense(), path)
    np.testing.assert_array_equal(plain.weight.value, square[:4, :4].T)


def dense():
    model = sn.Dense(4, use_bias=False)
    model.init(0, (4,))
    return model


def test_missing_unexpected_misshaped_and_mistyped_tensors_are_all_listed_in_the_files_own_words(path):
    tensors = published_tensors(network())
    del tensors["bn.running_mean"]
    tensors["classifier.weight"] = np.zeros((2, 3), "f4")
    tensors["conv.weight"] = tensors["conv.weight"].transpose(2, 3, 1, 0).copy()      # as we have it
    tensors["norm.weight"] = np.zeros(64, "i8")
    text = refused(network(), write(path, tensors), "do not fit Sequential in PyTorch's layout")
    for line in ("missing: bn.running_mean (6,)", "unexpected: classifier.weight (2, 3)",
                 "conv.weight: expected (6, 3, 3, 2), got (3, 2, 3, 6)", "norm.weight: expected the dtype F64, F32"):
        assert f"\n  {line}" in text


def test_a_long_list_of_problems_is_cut_and_says_so(path):
    tensors = {f"layer{n}": np.zeros(1, "f4") for n in range(500)}
    text = refused(network(), write(path, tensors), "do not fit")
    assert "and 488 more like this" in text and len(text.splitlines()) < 40


def test_pytorchs_counters_of_batches_are_ignored_and_no_others(path):
    tensors = published_tensors(network()) | {"bn.num_batches_tracked": np.array(9, "i8")}
    sn.load_weights(network(), write(path, tensors))
    write(path, tensors | {"conv.num_batches_tracked": np.array(9, "i8")})
    refused(network(), path, "unexpected: conv.num_batches_tracked")
    write(path, tensors | {f"more.{key}": np.ones(3, "f4") for key in ("running_mean", "num_batches_tracked")})
    with pytest.raises(ValueError, match="unexpected: more.running_mean") as caught:
        sn.load_weights(network(), path)
    assert "num_batches_tracked" not in str(caught.value)       # it says no more than the mean above it


@pytest.mark.parametrize("layout", ["scratchnet", "pytorch"])
def test_heads_with_another_number_of_classes_stay_as_initialised_and_that_is_said(path, layout):
    sn.save_weights(filled(network(classes=7)), path, layout, class_names=list("abcdefg"))
    model, before = network(classes=5), network(classes=5).state_dict()
    loaded = sn.load_weights(model, path)
    heads = {"fc.weight", "fc.bias", "aux.head.fc.weight", "aux.head.fc.bias"}
    for name, array in model.state_dict().items():
        if array.dtype.kind == "f":
            assert np.array_equal(array, before[name]) == (name in heads), name
    assert len([note for note in loaded.notes if "7 classes, the model 5" in note]) == 2
    assert loaded.class_names is None


def test_every_note_is_printed_to_stderr_with_the_source(path, capsys):
    sn.save_weights(network(classes=7), path)
    loaded = sn.load_weights(network(classes=5), path)
    assert capsys.readouterr().err.splitlines() == [f"{path}: {note}" for note in loaded.notes] and loaded.notes


@pytest.mark.parametrize("name, shape", [("fc.weight", (7, 63)), ("fc.bias", (6,)), ("square.weight", (7, 64))])
def test_nothing_but_the_number_of_classes_of_a_head_may_differ(path, name, shape):
    tensors = published_tensors(network(classes=7))
    tensors[name] = np.zeros(shape, "f4")
    refused(network(classes=5), write(path, tensors), rf"{name}: expected .*, got \({shape[0]}")


def test_a_head_that_is_missing_is_no_other_number_of_classes(path):
    tensors = {name: array for name, array in published_tensors(network(classes=7)).items() if name != "fc.bias"}
    refused(network(classes=5), write(path, tensors), "missing: fc.bias")


def test_a_whole_auxiliary_may_be_absent_and_half_of_one_not(path):
    tensors = {name: array for name, array in published_tensors(network()).items() if not name.startswith("aux.")}
    model, before = network(), network().state_dict()
    loaded = sn.load_weights(model, write(path, tensors))
    assert any("auxiliary classifier aux stays as it is initialised" in note for note in loaded.notes)
    assert np.array_equal(model.state_dict()["aux.head.fc.weight"], before["aux.head.fc.weight"])
    assert not np.array_equal(model.state_dict()["fc.weight"], before["fc.weight"])
    tensors["aux.head.fc.bias"] = np.zeros(5, "f4")
    refused(network(), write(path, tensors), "missing: aux.head.fc.weight")


def test_an_auxiliary_that_small_images_leave_out_is_ignored_in_the_file(path):
    def made(side):
        model = sn.Sequential(first=sn.Conv2D(3, 1), aux1=sn.Auxiliary(sn.Sequential(
            pool=sn.MaxPool2D(9), flat=sn.Flatten(), fc1=sn.Dense(2)), 0.3), flat=sn.GlobalAvgPool2D(), fc=sn.Dense(2))
        model.init(0, (side, side, 3))
        model.name = "googlenet_bn"                                         # its ".head." is not among published names
        return model

    for layout in ("scratchnet", "pytorch"):
        sn.save_weights(filled(made(9)), path, layout)
        with pytest.warns(UserWarning, match="left out"):
            small = made(8)
        loaded = sn.load_weights(small, path)
        assert any("aux1 of the file is ignored" in note for note in loaded.notes)
        assert np.array_equal(small["fc"].weight.value, filled(made(9))["fc"].weight.value)
    refused(small, write(path, published_tensors(small) | {"aux2.fc1.bias": np.zeros(2, "f4")}), "unexpected: aux2")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "bfloat16"])
def test_numbers_that_are_none_are_refused_with_the_tensors_name(path, value, dtype):
    tensors = published_tensors(network())
    tensors["square.weight"][-1, -1] = value
    if dtype == "bfloat16":
        write(path, tensors, bfloat16={"square.weight"})
    else:
        write(path, {name: array.astype(dtype) for name, array in tensors.items()})
    refused(network(), path, "square.weight holds NaN or infinity")


def test_numbers_beyond_the_models_dtype_are_refused(path):
    tensors = {name: array.astype("f8") for name, array in published_tensors(network()).items()}
    tensors["fc.bias"][0] = 1e39
    refused(network(), write(path, tensors), "fc.bias holds .* too large for the model's float32")
    sn.load_weights(model := network().astype("float64"), path)
    assert model.state_dict()["fc.bias"][0] == 1e39


def test_weights_of_another_model_are_refused_by_the_name_in_their_metadata(path):
    saved, model = network(), network()
    saved.name, model.name = "resnet50", "resnet50_v1"                      # of the same names and shapes
    for layout in ("scratchnet", "pytorch"):
        sn.save_weights(saved, path, layout)
        refused(model, path, "expected weights of resnet50_v1, got those of resnet50")


def test_metadata_that_were_edited_or_are_of_later_versions_are_refused(path):
    sn.save_weights(network(), path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8:8 + length])
    values = json.loads(header["__metadata__"]["scratchnet"])

    def edited(text):
        header["__metadata__"] = {"scratchnet": text}
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length:])

    for change, words in [({"format": 2}, "install that"), ({"kind": "x"}, "'x'"), ({"layout": "keras"}, "'keras'"),
                          ({"class_names": [1]}, "class names"), ({"input_shape": 3}, "TypeError"),
                          ({"preprocessing": {}}, "Preprocessing"), ({"model": None}, "layout"),
                          ({"classes": 0}, "0 classes")]:
        edited(json.dumps(values | change))
        refused(network(), path, words)
    for text in ("{", "[]", "[" * 100_000):
        edited(text)
        refused(network(), path, "metadata in JSON")


@pytest.mark.parametrize("program", ["tf", "flax", "jax", "mlx", "paddle"])
def test_weights_that_were_saved_for_another_program_are_refused(path, program):
    write(path, {"a": np.zeros(1, "f4")}, {"format": program})
    refused(network(), path, f"those of {program},")


def test_frozen_parameters_are_loaded_and_gradients_of_old_values_dropped(path):
    sn.save_weights(filled(network()), path)
    model = network()
    model["square"].trainable = False
    with sn.use_kernels("reference"):
        model.loss(np.ones((2, 8, 7, 3), "f4"), np.array([0, 1]))[2]()
    parameter, version = model.parameters()["fc.weight"], model.parameters()["fc.weight"].version
    where = parameter.value.__array_interface__["data"]
    sn.load_weights(model, path)
    assert same(model, filled(network()).state_dict())
    assert parameter.grad is None and parameter.version == version + 1
    assert parameter.value.__array_interface__["data"] == where             # written in place


def saved_checkpoint(path, model, name):
    checkpoint.save(path, checkpoint.Checkpoint(
        model=name, input_shape=model.input_shape, classes=5, class_names=list("abcde"),
        preprocessing=sn.data.Preprocessing([.5] * 3, [.25] * 3), dataset={}, optimizer={}, counters={},
        model_state=model.state_dict(), optimizer_state={"velocity/fc.weight": np.ones(3)}))


def test_a_checkpoint_is_read_and_a_run_folder_stands_for_its_best_one(tmp_path):
    model = filled(network())
    saved_checkpoint(tmp_path / "best.safetensors", model, "")
    for path in (tmp_path, tmp_path / "best.safetensors"):
        loaded = sn.load_weights(other := network(), path)
        assert same(other, model.state_dict()) and loaded.layout == "scratchnet"
        assert loaded.class_names == list("abcde") and loaded.preprocessing.mean == (.5,) * 3
    content = bytearray((tmp_path / "best.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "best.safetensors").write_bytes(content)
    refused(network(), tmp_path / "best.safetensors", "checksum")
    saved_checkpoint(tmp_path / "best.safetensors", model, "lenet5")
    other = network()
    other.name = "mine"
    refused(other, tmp_path / "best.safetensors", "got those of lenet5")


def test_a_bad_call_says_what_was_expected(tmp_path):
    with pytest.raises(TypeError, match="a Layer such as sn.models.create makes, got str 'resnet18'"):
        sn.load_weights("resnet18", tmp_path)
    with pytest.raises(ValueError, match="before init"):
        sn.load_weights(sn.Dense(3), tmp_path)
    with pytest.raises(FileNotFoundError, match="no-such-file"):
        sn.load_weights(network(), tmp_path / "no-such-file")
    with pytest.raises(FileNotFoundError, match="best.safetensors"):
        sn.load_weights(network(), tmp_path)


def test_create_takes_weights(path):
    model = filled(sn.models.create("lenet5"))
    sn.save_weights(model, path)
    assert same(sn.models.create("lenet5", weights=path), model.state_dict())


def test_an_error_in_a_thread_reaches_the_caller():
    def fail():
        raise MemoryError("no room")
    done = []
    with pytest.raises(MemoryError, match="no room"):
        run([fail, *[lambda: done.append(1)] * 20])
    assert len(done) == 20


def test_an_interruption_waits_for_what_is_being_written():
    done = []

    def interrupt():
        time.sleep(0.02)                                # until all threads run
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run([interrupt, *[lambda: (time.sleep(0.01), done.append(1))] * 20])
    assert len(done) == 20
