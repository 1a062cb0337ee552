"""Which size a network is made for: the data decide where they can, and files are read at the size that is wanted."""

import numpy as np
import pytest
from PIL import Image

from scratchnet import data
from scratchnet.data import Arrays, Preprocessing, Splits
from scratchnet.sizing import MOST, UNTOLD, Network, in_words, sized_for, size_of
from scratchnet.train import prepared

NET = """
import scratchnet as sn
def net(input_shape, classes): return sn.Sequential(sn.Conv2D(2, 3), sn.GlobalAvgPool2D(), sn.Dense(classes))
def deep(classes): return sn.Sequential(*(sn.MaxPool2D(2) for _ in range(6)), sn.Flatten(), sn.Dense(classes))
def fixed():
    model = sn.Sequential(sn.Flatten(), sn.Dense(2))
    model.init(0, (24, 20, 3))
    return model
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "sizes.py").write_text(NET)
    return lambda name: Network(f"{tmp_path / 'sizes.py'}:{name}")


def arrays(height, width, channels=1):
    part = Arrays(np.arange(4 * height * width * channels).reshape(4, height, width, channels).astype(np.uint8),
                  np.array([0, 1, 0, 1]))
    return Splits("made up", part, part, ["a", "b"], "", "")


def files(folder, *sizes, mode="RGB"):
    """Splits of image files, of sizes (H, W) in turn."""
    for index in range(12):
        place = folder / "images" / "train" / "ab"[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        height, width = sizes[index % len(sizes)]
        Image.new(mode, (width, height), 20 * index if mode == "L" else (20 * index, 0, 9)).save(place / f"{index}.png")
    return data.load(str(folder / "images"))


def made(network, splits, size=None):
    """(input shape, Preprocessing, what is printed) as `train` has them."""
    model = network.made_for(splits, size, seed=0)
    sized = sized_for(splits, model.input_shape)
    preprocessing = Preprocessing.for_input(sized, model.input_shape)
    batch = preprocessing(sized.train.images.take(np.arange(2)) if splits.size else sized.train.images[:2])
    assert batch.shape[1:] == model.input_shape
    return model.input_shape, preprocessing, in_words(splits, model.input_shape, preprocessing)


def test_images_a_little_smaller_than_usual_are_padded(tmp_path):
    for splits in (arrays(28, 28), files(tmp_path, (28, 28), mode="L")):
        shape, preprocessing, words = made(Network("lenet5"), splits)
        assert shape == (32, 32, 1) and preprocessing.padding == ((2, 2), (2, 2))
        assert words == "28x28x1 images, zero-padded to 32x32"


def test_the_data_decide_the_size_where_the_network_can_be_made_for_it(own, tmp_path):
    for splits in (arrays(40, 36, 3), files(tmp_path, (40, 36))):
        assert made(Network("lenet5"), splits)[0] == made(own("net"), splits)[0] == (40, 36, 3)
        assert made(own("net"), splits)[2] == "40x36x3 images"


def test_small_images_for_a_deep_network_are_resized_which_is_said(own, tmp_path):
    for splits in (arrays(20, 20, 3), files(tmp_path, (20, 20))):
        assert made(own("deep"), splits)[::2] == ((*UNTOLD, 3), "20x20x3 images, resized to 128x128")


def test_photographs_and_images_of_many_sizes_are_resized(own, tmp_path):
    many, large = files(tmp_path / "many", (20, 20), (30, 40)), files(tmp_path / "large", (MOST + 1, 100))
    assert size_of(many) is size_of(large) is None
    assert made(own("net"), large)[0] == (*UNTOLD, 3)
    assert made(own("net"), large, size=(64, 96))[::2] == ((64, 96, 3), "images of 3 channels, resized and cut to 64x96")
    assert made(Network("lenet5"), large)[0] == (32, 32, 3)


def test_a_network_that_is_initialised_already_decides_size_and_channels(own, tmp_path):
    grey = files(tmp_path, (16, 16), mode="L")
    assert made(own("fixed"), grey)[0] == (24, 20, 3)


def test_what_is_too_small_at_the_size_that_was_asked_for_names_the_layer(own):
    with pytest.raises(ValueError, match=r"4 \(MaxPool2D .*smaller than the window"):
        own("deep").made_for(arrays(20, 20, 3), (20, 20), seed=0)


def test_with_weights_a_network_is_made_for_their_images_or_the_usual_ones(own, tmp_path):
    photographs = files(tmp_path, (60, 90), (50, 44))

    def shape(network, saved, size=None):
        return network.made_for_weights(saved, photographs, size, seed=0).input_shape
    assert shape(Network("lenet5"), (40, 36, 3)) == (40, 36, 3)
    assert shape(Network("lenet5"), (40, 36, 3), size=(48, 44)) == (48, 44, 3)
    assert shape(Network("lenet5"), None) == (32, 32, 1)
    assert shape(own("net"), None) == (*UNTOLD, 3)
    assert shape(own("fixed"), None) == (24, 20, 3)


def test_arrays_of_other_channels_than_the_weights_are_refused_in_a_sentence_and_files_are_not(tmp_path):
    with pytest.raises(ValueError, match="made up: the model expects 224x224x3 images, got 28x28x1"):
        Network("resnet18").made_for_weights(None, arrays(28, 28), None, seed=0)
    grey = files(tmp_path, (28, 28), mode="L")
    assert Network("lenet5").made_for_weights((32, 32, 3), grey, None, seed=0).input_shape == (32, 32, 3)


def test_of_weights_that_say_nothing_of_sizes_mean_and_deviation_are_kept():
    sized, preprocessing = prepared(arrays(28, 28), (32, 32, 1), Preprocessing([0.25], [0.125]))
    assert preprocessing == Preprocessing([0.25], [0.125], padding=((2, 2), (2, 2)))
    assert sized.image_shape == (28, 28, 1)


def test_files_are_read_as_the_preprocessing_of_weights_has_it(tmp_path):
    splits = files(tmp_path, (60, 90), (50, 44))
    preprocessing = Preprocessing((0,) * 3, (1,) * 3, size=(32, 32), resize=40, interpolation="bicubic")
    images = sized_for(splits, (32, 32, 3), preprocessing).test.images
    assert (images.shape[1:], images.centre) == ((32, 32, 3), preprocessing.centre)
    assert in_words(splits, (32, 32, 3), preprocessing) == \
        "images whose shorter side is resized to 40 and the centre cut to 32x32"
