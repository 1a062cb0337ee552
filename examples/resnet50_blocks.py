"""ResNet-50 from an identity block and a convolutional block, step by step, for images of 64x64 in six classes.

    python -m examples.resnet50_blocks                   # --steps 20 trains longer

He et al. 2015, table 1, with the stride in the first 1x1 as the paper has it: the network of a well-known course's
exercise, which tells 0 to 5 raised fingers apart. (There the convolutions have biases, which the batch norms behind
them cancel, and the max pool has no padding.) Built here by hand, then compared with the zoo's.
"""

import argparse

import numpy as np

import scratchnet as sn


def convolution(filters, size, strides=1):
    return sn.Conv2D(filters, size, strides, padding=size // 2, use_bias=False, kernel_initializer="he_normal_fan_out")


def main_path(width, filters, strides):
    """1x1 down to `width` channels, 3x3, 1x1 up to `filters`: the bottleneck."""
    return sn.Sequential(
        convolution(width, 1, strides), sn.BatchNorm(activation="relu"),
        convolution(width, 3), sn.BatchNorm(activation="relu"),
        convolution(filters, 1), sn.BatchNorm())


def identity_block(width, filters):
    """y = relu(x + main(x)): the shape stays, so the shortcut is the input itself."""
    return sn.Residual(main_path(width, filters, strides=1), activation="relu")


def convolutional_block(width, filters, strides):
    """y = relu(1x1(x) + main(x)): the shape changes, so the shortcut has a convolution of its own."""
    shortcut = sn.Sequential(convolution(filters, 1, strides), sn.BatchNorm())
    return sn.Residual(main_path(width, filters, strides), shortcut, activation="relu")


def stage(width, filters, strides, blocks):
    return sn.Sequential(convolutional_block(width, filters, strides),
                         *(identity_block(width, filters) for _ in range(blocks - 1)))


def resnet50(classes):
    return sn.Sequential(
        stage1=sn.Sequential(convolution(64, 7, strides=2), sn.BatchNorm(activation="relu"),
                             sn.MaxPool2D(3, strides=2, padding=1)),
        stage2=stage(64, 256, strides=1, blocks=3),
        stage3=stage(128, 512, strides=2, blocks=4),
        stage4=stage(256, 1024, strides=2, blocks=6),
        stage5=stage(512, 2048, strides=2, blocks=3),
        pool=sn.GlobalAvgPool2D(),
        fc=sn.Dense(classes))


def count(model):
    return sum(parameter.value.size for parameter in model.parameters().values())


def raised_fingers(n, rng):
    """n images (64, 64, 3) of 0 to 5 bright bars on noise, somewhere, and how many bars: a stand-in for photographs."""
    images, labels = 0.2 * rng.standard_normal((n, 64, 64, 3)), np.arange(n) % 6
    for image, fingers in zip(images, labels):
        left = rng.integers(4, 12)
        for finger in range(fingers):
            image[rng.integers(8, 24):56, left + 10 * finger:left + 10 * finger + 6] += 1
    return images.astype(np.float32), labels


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5, help="of training (default: 5)")
    args = parser.parse_args(argv)

    model = resnet50(classes=6)
    model.init(0, (64, 64, 3))
    shape = model.input_shape
    for name, part in model.children().items():
        shape = part.output_shape(shape)
        print(f"{name:<7} {str(shape):<15} {count(part):>11,} parameters")

    zoo = sn.models.create("resnet50_v1", input_shape=(64, 64, 3), classes=6)
    for ours, theirs in zip(model.parameters().values(), zoo.parameters().values(), strict=True):
        theirs.value = ours.value                                    # a copy; the names differ, the order does not
    images, labels = raised_fingers(6, np.random.default_rng(0))
    difference = np.abs(model(images) - zoo(images)).max()
    print(f"by hand {count(model):,}, resnet50_v1 {count(zoo):,} parameters; logits differ by at most {difference:g}")

    optimizer = sn.Adam(model.parameters(), lr=0.001)
    for step in range(args.steps):
        loss, _, backward = model.loss(images, labels)
        backward()
        optimizer.step()
        print(f"step {step + 1}  loss {loss:.3f}")


if __name__ == "__main__":
    main()
