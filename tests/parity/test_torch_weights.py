"""Weights go from torchvision and timm to us and back, and the network computes the same either way."""

import numpy as np
import pytest

import scratchnet as sn

torch = pytest.importorskip("torch")
published = pytest.importorskip("published")

# of the logits' standard deviation: both sides compute in float32, rounding differs by 1e-5 of it (measured)
TOLERANCE = 1e-4
SIDE = {"xception": 71}                 # pixels, the least there are
MODELS = [pytest.param(library, name, id=f"{name} of {library}") for library, name in [
    ("torchvision", "googlenet_bn"), ("torchvision", "resnet18"), ("timm", "resnet18"), ("timm", "xception")]]


def theirs_and_ours(library, name):
    """(their model with batch norms that do something, ours with other weights, images)."""
    side = SIDE.get(name, 64)
    images = np.random.default_rng(0).standard_normal((2, side, side, 3)).astype(np.float32)
    torch.manual_seed(0)
    theirs = {"torchvision": published.torchvision_model, "timm": published.timm_model}[library](name)
    for key, array in theirs.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            array.uniform_(0.5, 1.5)
    return theirs, sn.models.create(name, (side, side, 3)), images


def agree(theirs, ours, images):
    with torch.no_grad():
        expected = theirs(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    assert np.abs(ours(images) - expected).max() < TOLERANCE * expected.std()


@pytest.mark.parametrize("library, name", MODELS)
def test_weights_go_there_and_back(library, name, tmp_path):
    import safetensors.torch
    theirs, ours, images = theirs_and_ours(library, name)
    state = theirs.state_dict()
    safetensors.torch.save_file(state, tmp_path / "theirs.safetensors")
    assert sn.load_weights(ours, tmp_path / "theirs.safetensors").layout == "pytorch"
    agree(theirs, ours, images)
    sn.save_weights(ours, tmp_path / "ours.safetensors", layout="pytorch")
    back = safetensors.torch.load_file(tmp_path / "ours.safetensors")
    assert all(torch.equal(back[key], array) for key, array in state.items())
    theirs.load_state_dict(back, strict=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_widths_are_read_as_pytorch_converts_them(dtype, tmp_path):
    import safetensors.torch
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8 * 4 * 4, 5))
    ours = sn.Sequential(sn.Conv2D(8, 3), sn.Flatten(), sn.Dense(5))
    ours.init(0, (6, 6, 3))
    narrow = {name: array.to(getattr(torch, dtype)) for name, array in theirs.state_dict().items()}
    safetensors.torch.save_file(narrow, tmp_path / "w.safetensors")
    sn.load_weights(ours, tmp_path / "w.safetensors")
    theirs.load_state_dict({name: array.float() for name, array in narrow.items()})
    agree(theirs, ours, np.random.default_rng(0).standard_normal((2, 6, 6, 3)).astype(np.float32))
