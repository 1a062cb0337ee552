"""LeNet-5 with a training loop of your own: everything scratchnet.fit does, and nothing it does for comfort.

    python -m examples.lenet5_own_loop                                 # 3 epochs on the embedded sample, some seconds
    python -m examples.lenet5_own_loop --dataset mnist --epochs 10     # all of MNIST, downloaded at first use
"""

import argparse
import math
import time

import numpy as np

import scratchnet as sn


def accuracy(model, batches):
    """The share of samples whose largest score is their label's."""
    right = sum(int((model(images).argmax(axis=1) == labels).sum()) for images, labels in batches.epoch(0))
    return right / len(batches.y)


def train(model, batches, epochs, lr, momentum=0.9):
    """SGD with momentum; the learning rate falls along half a cosine to 0. Yields (epoch, mean loss, seconds)."""
    optimizer = sn.SGD(model.parameters(), lr=lr, momentum=momentum)
    step, steps = 0, epochs * len(batches)
    for epoch in range(epochs):
        start, losses = time.perf_counter(), []
        for images, labels in batches.epoch(epoch):                  # (n, 32, 32, 1) float32, (n,) int64
            optimizer.lr = lr * 0.5 * (1 + math.cos(math.pi * step / steps))
            logits, backward = model.forward(images)                 # (n, 10)
            loss, dlogits = sn.softmax_cross_entropy(logits, labels)
            backward(dlogits, need_dx=False)                         # adds to the gradient of every parameter
            optimizer.step()                                         # uses the gradients and clears them
            losses.append(loss)
            step += 1
        yield epoch, float(np.mean(losses)), time.perf_counter() - start


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="mnist-sample", choices=sn.data.names())
    parser.add_argument("--data-dir", help="a folder with MNIST's four files")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)

    splits = sn.data.load(args.dataset, args.data_dir)
    for note in splits.notes:
        print(f"note: {note}")
    model = sn.models.create("lenet5", seed=args.seed)
    # Digits of 28x28 in a frame of zeros, as the paper has them, then (x/255 - mean)/std.
    preprocessing = sn.data.Preprocessing.for_input(splits, model.input_shape)
    batches = sn.data.Batches(*_pair(splits.train), args.batch_size, args.seed, preprocessing=preprocessing)
    test = sn.data.Batches(*_pair(splits.test), 500, shuffle=False, preprocessing=preprocessing)

    for epoch, loss, seconds in train(model, batches, args.epochs, args.lr):
        print(f"epoch {epoch + 1}  loss {loss:.4f}  {len(splits.train) / seconds:,.0f} images/s")
    print(f"accuracy {accuracy(model, test):.2%} on the {len(splits.test):,} test images of {splits.name}")


def _pair(arrays):
    return arrays.images, arrays.labels


if __name__ == "__main__":
    main()
