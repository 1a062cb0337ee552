"""Published names: what torchvision and timm call the arrays of our models.

Ours are the same wherever that costs nothing. Where our containers add a level or a paper's name reads better, the
table has regular expressions that turn our dotted name into the published one, applied in order.
"""

import re

RESIDUAL = ((r"\.main\.", "."), (r"\.shortcut\.", ".downsample."))

RENAMES = {
    # name in models.MODELS: ((pattern in our name, what it is called there), ...)
    "googlenet": ((r"^(aux\d)\.head\.", r"\1."),),
    "googlenet_bn": ((r"^(aux\d)\.head\.", r"\1."),),
    "inception_v3": ((r"^AuxLogits\.head\.", "AuxLogits."), (r"branch_pool\.1\.", "branch_pool."),
                     (r"\._(\d)\.([ab])\.", r"_\1\2."), (r"\._(\d)\.", r"_\1.")),
    "inception_v4": ((r"\._(\d)\.([ab])\.", r"_\1\2."), (r"\._(\d)\.", r"_\1.")),
    "inception_resnet_v2": ((r"\.main\.(branches\.)?", "."),),
    "xception": ((r"\.main\.", ".rep."), (r"\.shortcut\.", "."), (r"\.depthwise\.", ".conv1.")),
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet50_v1", "resnet101", "resnet152",
                     "resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d"), RESIDUAL),
}


def published(model_name, name):
    """The published name of the array that is called `name` in our model."""
    for pattern, replacement in RENAMES.get(model_name, ()):
        name = re.sub(pattern, replacement, name)
    return name
