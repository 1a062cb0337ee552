"""What weights say of classes and images before there is a model for them."""

import pytest
from safetensors_files import network, published_tensors, write

import scratchnet as sn
from scratchnet.weights import head_classes, image_shape, opened


def test_classes_and_images_are_known_before_there_is_a_model(tmp_path):
    path = tmp_path / "weights.safetensors"
    model = sn.models.create("lenet5", (36, 32, 3), classes=7)
    for layout in ("scratchnet", "pytorch"):
        sn.save_weights(model, path, layout)
        with opened(path) as source:
            assert (head_classes("lenet5", source), image_shape("lenet5", source)) == (7, (36, 32, 3))
            with pytest.raises(ValueError, match="expected weights of vgg11, got those of lenet5"):
                image_shape("vgg11", source)
    sn.save_weights(sn.models.create("lenet5_1998"), path)                  # has no head, its metadata say it
    with opened(path) as source:
        assert head_classes("lenet5_1998", source) == 10
    write(path, published_tensors(model))
    with opened(path) as source:
        assert (head_classes("lenet5", source), image_shape("lenet5", source)) == (7, None)
    config = path.parent / "config.json"
    for text, shape in [('{"pretrained_cfg": {"input_size": [3, 36, 32]}}', (36, 32, 3)), ("[]", None),
                        ('{"pretrained_cfg": null}', None),
                        ('{"input_size": [3, 36, 32]}', (36, 32, 3)), ('{"input_size": [3, 36, 0]}', None)]:
        config.write_text(text)
        with opened(path) as source:
            assert image_shape("lenet5", source) == shape
    write(path, published_tensors(network()))
    with opened(path) as source:
        assert head_classes("lenet5", source) is None                       # load_weights lists what is missing


def test_a_folder_stands_for_the_only_file_in_it_unless_that_is_an_unfinished_runs(tmp_path):
    model = network()
    write(tmp_path / "model.safetensors", published_tensors(model))
    with opened(tmp_path) as source:
        assert source.path == tmp_path / "model.safetensors"
    (tmp_path / "model.safetensors").rename(tmp_path / "last.safetensors")
    with pytest.raises(FileNotFoundError, match="its run has not finished an epoch"), opened(tmp_path):
        pass
