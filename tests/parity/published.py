"""torchvision and timm as oracles for the zoo: their models, with the weights that the test chooses.

torchvision's compiled operators (nms and the like, which no classifier needs) are built for one PyTorch of many, and
where they do not load its import fails on registering shapes for them; so they are declared here first. Where a library
is not installed, the tests that ask for it are skipped.
"""

import functools
import importlib.util
import pathlib
import re
import sys

import pytest

torch = pytest.importorskip("torch")

VGG = ("vgg11", "vgg13", "vgg16", "vgg19")
TORCHVISION = {name: name for name in (
    *VGG, *(f"{name}_bn" for name in VGG), "inception_v3", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "resnext50_32x4d", "resnext101_32x8d")} | {"alexnet_owt": "alexnet", "googlenet_bn": "googlenet"}
TIMM = {name: name for name in ("inception_v3", "inception_v4", "inception_resnet_v2", "resnet18", "resnet50",
                                "resnext50_32x4d")} | {"xception": "legacy_xception"}


def torchvision_model(name, **settings):
    """torchvision's model of our `name`, in evaluation mode, its first weights drawn by PyTorch."""
    models = _torchvision().models
    if name in ("googlenet_bn", "inception_v3"):
        settings = {"aux_logits": True, "transform_input": False, "init_weights": False} | settings
    return getattr(models, TORCHVISION[name])(weights=None, **settings).eval()


def timm_model(name, **settings):
    """timm's model of our `name`, in evaluation mode."""
    _torchvision()
    timm = pytest.importorskip("timm")
    return timm.create_model(TIMM[name], pretrained=False, **settings).eval()


@functools.cache
def _torchvision():
    try:
        import torchvision
    except ImportError:
        pytest.skip("torchvision is not installed")
    except RuntimeError:                        # operator torchvision::nms does not exist
        _declared_operators()
        import torchvision
    return torchvision


@functools.cache                                # kept: declarations live as long as their Library
def _declared_operators():
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    folder = pathlib.Path(importlib.util.find_spec("torchvision").origin).parent
    text = (folder / "_meta_registrations.py").read_text("utf-8")
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in sorted(set(re.findall(r'register_(?:meta|fake)\("(?:torchvision::)?(\w+)"\)', text))):
        library.define(f"{name}(Tensor x) -> Tensor")
    return library
