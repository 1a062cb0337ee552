"""The zoo on images of odd sizes, with other weights, against torchvision's and timm's own models in float64.

The golden files (tests/models) know one size each. Where a pool rounds up, a grid is even or an image is not square,
a network with another rule for its padding would give other logits.
"""

import numpy as np
import pytest
from safetensors.numpy import save_file

import scratchnet as sn

torch = pytest.importorskip("torch")
from published import timm_model, torchvision_model  # noqa: E402

NETWORKS = {
    "alexnet_owt": (torchvision_model, (70, 131)),
    "vgg11_bn": (torchvision_model, (40, 67)),
    "vgg13": (torchvision_model, (67, 40)),
    "resnet34": (torchvision_model, (33, 50)),
    "resnet101": (torchvision_model, (50, 33)),
    "resnext101_32x8d": (torchvision_model, (33, 50)),
    "resnext50_32x4d": (timm_model, (50, 33)),
    "googlenet_bn": (torchvision_model, (97, 130)),
    "inception_v3": (torchvision_model, (75, 108)),
    "inception_v4": (timm_model, (92, 75)),
    "inception_resnet_v2": (timm_model, (75, 108)),
    "xception": (timm_model, (64, 83)),
}


@pytest.mark.filterwarnings("ignore:.*is left out")             # auxiliary classifiers, on images as small as these
@pytest.mark.parametrize("name", NETWORKS)
def test_logits_on_another_image_size_are_the_published_networks(name, tmp_path):
    make, (height, width) = NETWORKS[name]
    torch.manual_seed(1)
    theirs = make(name)
    for key, array in theirs.state_dict().items():
        if array.ndim == 1:
            array.uniform_(0.5, 1.5)                            # norms that do something, and biases
    ours = sn.models.blank(name, (height, width, 3))
    save_file({key: array.numpy() for key, array in theirs.state_dict().items()}, tmp_path / "model.safetensors")
    sn.load_weights(ours, tmp_path / "model.safetensors")
    images = np.random.default_rng(1).standard_normal((1, height, width, 3), dtype=np.float32)
    with torch.no_grad():
        expected = theirs.double()(torch.from_numpy(images).double().permute(0, 3, 1, 2)).numpy()
    # Ours in float32: sums of thousands of terms through up to 250 layers; at most 3e-6 measured.
    assert np.abs(ours(images) - expected).max() < 3e-5 * expected.std()
