"""Published weights under a new head: ResNet-18 learns digits while its convolutions stay as they were.

    python -m examples.fine_tune [--weights resnet18.safetensors | hub:timm/resnet18.a1_in1k]

Without --weights a file with random ones stands in, which shows the steps, not what published features are worth.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

import scratchnet as sn
from scratchnet.heads import freeze_backbone

SIZE, TRAIN, TEST = 32, 300, 100


def stand_in(folder):
    """A file as torchvision would publish it, with weights that have seen nothing."""
    path = Path(folder) / "resnet18.safetensors"
    sn.save_weights(sn.models.create("resnet18", seed=1), path, layout="pytorch")
    return path


def new_head(weights):
    """(model, Loaded): ten classes on the features of a network that was made for a thousand."""
    model = sn.models.create("resnet18", input_shape=(SIZE, SIZE, 3), classes=10)
    loaded = sn.load_weights(model, weights)             # says that the head `fc` stays as it was drawn
    freeze_backbone(model)                               # all other layers are now fixed functions
    return model, loaded


def digits(preprocessing):
    """((images, labels) to train, to test): grey digits as the three channels that the weights expect."""
    sample = sn.data.load("mnist-sample")
    parts = []
    for part, count in ((sample.train, TRAIN), (sample.test, TEST)):
        images = np.repeat(part.images[:count], 3, axis=-1)                  # (N, 28, 28, 1) -> (N, 28, 28, 3)
        parts.append((preprocessing(images), part.labels[:count]))           # -> (N, 32, 32, 3)
    return parts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", help="a .safetensors file, or hub:OWNER/REPO")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model, loaded = new_head(args.weights or stand_in(folder))
    train, test = digits(loaded.preprocessing)
    before = model.state_dict()
    optimizer = sn.Adam(model.parameters(), lr=0.03)
    history = sn.fit(model, train, test, epochs=2, batch_size=10, optimizer=optimizer, progress=False)
    changed = [name for name, array in model.state_dict().items() if not np.array_equal(array, before[name])]
    print(f"changed: {', '.join(changed)}")
    print(f"accuracy on {TEST} unseen digits: {history[-1]['validation_accuracy']:.0%}")


if __name__ == "__main__":
    main()
