"""A network of your own, trained from the command line on your images, or in a script on any arrays.

    python -m scratchnet.train examples/own_network.py:net photos        # photos/CLASS/*.jpg
    python -m examples.own_network                                       # the script below: digits, some seconds

`train` asks `net` for as many classes as there are; a function may also take input_shape, (H, W, C). The script leaves
in runs/own_network (--out) what the command leaves: metrics, checkpoints, curves, confusion, the worst mistakes.
"""

import argparse

import scratchnet as sn


def net(classes):
    return sn.Sequential(
        sn.Conv2D(16, 3, strides=2, use_bias=False), sn.BatchNorm(activation="relu"), sn.MaxPool2D(2),
        sn.Conv2D(32, 3, use_bias=False), sn.BatchNorm(activation="relu"), sn.MaxPool2D(2),
        sn.Conv2D(64, 1, use_bias=False), sn.BatchNorm(activation="relu"), sn.GlobalAvgPool2D(), sn.Dense(classes))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3, help="(default: 3)")
    parser.add_argument("--out", default="runs/own_network", help="folder for everything (default: runs/own_network)")
    args = parser.parse_args(argv)

    digits = sn.data.load("mnist-sample")
    model = net(classes=10)
    model.init(0, (28, 28, 1))
    print(model)
    history = sn.fit(model, (digits.train.images, digits.train.labels), (digits.test.images, digits.test.labels),
                     epochs=args.epochs, optimizer=sn.Adam(model.parameters(), lr=0.002), out=args.out)
    print(f"accuracy {history[-1]['validation_accuracy']:.2%} after {len(history)} epochs; see {args.out}")


if __name__ == "__main__":
    main()
