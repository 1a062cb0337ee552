"""Do the fast kernels cost accuracy? LeNet-5 and a small ResNet, trained on digits with and without them, in pairs.

    OPENBLAS_NUM_THREADS=1 python benchmarks/paired_training.py --threads 1 --data-dir DIR [--save]

Both of a pair begin with the same weights and see the same batches in the same order. "With": float32 on `kernels/cpu`,
Winograd's convolutions included, which the small ResNet is made for and checked to use. "Without": float32 on
`kernels/reference`, NumPy as the textbook writes it, five times slower. Then `kernels/cpu` scores both: that its logits
are right is the business of tests/models; what is asked here is what was learnt.

Their roundings differ. LeNet's tanh is smooth, and both of a pair end alike; a ReLU is not, and the two ResNets drift
apart until one is right and the other wrong on some 1.5% of the digits, by chance. On MNIST's own 10,000 test images
ten pairs could then hardly tell 0.05 points from none, so all of its 70,000 digits that were not trained on are test
images here. The standard error that is printed says what the pairs can tell.
"""

import argparse
import datetime
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from scratchnet import bench_results, cli, data, info, models, recipes, use_kernels  # noqa: E402
from scratchnet.files import to_json  # noqa: E402
from scratchnet.fit import evaluate, fit  # noqa: E402
from scratchnet.kernels.cpu import cache, threads, winograd  # noqa: E402
from scratchnet.layers import BatchNorm, Conv2D, Dense, GlobalAvgPool2D, Sequential  # noqa: E402
from scratchnet.models.resnet import basic, convolution  # noqa: E402

FILE = ROOT / "benchmarks" / "paired_training.jsonl"
LIMIT = 0.05                # points, of the mean difference
INPUT = (32, 32, 1)         # the digits are padded to it
BATCH = 64


def lenet5(seed):
    return models.create("lenet5", seed=seed)


def small_resnet(seed):
    """He et al. 2015's basic blocks on maps of 8x8 and 4x4, of 32 and 64 channels: enough for Winograd, little enough for
    the reference kernels to train it ten times."""
    model = Sequential(
        conv1=convolution(32, 5, strides=4), bn1=BatchNorm(activation="relu"),      # (32, 32, 1) -> (8, 8, 32)
        layer1=basic(32, 1, projection=False),
        layer2=basic(64, 2, projection=True),                                       # -> (4, 4, 64)
        avgpool=GlobalAvgPool2D(), fc=Dense(10))
    model.init(seed, INPUT)
    return model


NETWORKS = {"lenet5": lenet5, "small resnet": small_resnet}


def winograd_layers(model):
    """{path of a convolution: the m of its F(m x m, 3x3)}, of those that `kernels/cpu` so computes in all passes."""
    found = {}
    for layer in model.leaves():
        if isinstance(layer, Conv2D):
            x, y = ((BATCH, *shape) for shape in (layer.input_shape, layer.checked_output_shape(layer.input_shape)))
            sizes = [winograd.tile_size(*shapes, layer.strides, layer.dilation, layer.groups, layer.kernel_size)
                     for shapes in ((x, y), (y, x))]
            if all(sizes):
                found[layer.path] = sizes[0]
    return found


def digits(folder, count):
    """(images, labels) to train on, `count` of MNIST's training images, and to test on, all of its others."""
    splits = data.load("mnist", folder)
    if splits.name != "mnist":
        raise SystemExit(f"expected MNIST, got {splits.name}: {'; '.join(splits.notes)}; name a folder with --data-dir")
    images, labels = (np.concatenate(parts) for parts in ((splits.train.images, splits.test.images),
                                                          (splits.train.labels, splits.test.labels)))
    preprocessing = data.Preprocessing.for_input(splits, INPUT)
    return (images[:count], labels[:count]), (images[count:], labels[count:]), preprocessing


def trained(name, seed, kernels, train, preprocessing, epochs):
    """The network of that seed after its training on `kernels`."""
    recipe = recipes.adapt(recipes.find("lenet5", "mnist"), epochs=epochs, batch_size=BATCH)
    batches = data.Batches(*train, BATCH, seed, shuffle=True, preprocessing=preprocessing)
    model = NETWORKS[name](seed)
    with use_kernels(kernels):
        fit(model, batches, epochs=epochs, optimizer=recipe.make_optimizer(model.parameters()),
            schedule=recipe.make_schedule(len(batches)), progress=False)
    return model


def pair(name, seed, train, test, preprocessing, epochs):
    """Accuracies and their difference in points, hundredths of the test images; `one_is_right`: where just one is."""
    started = time.perf_counter()
    batches = data.Batches(*test, 4 * BATCH, shuffle=False, preprocessing=preprocessing)
    scored = [evaluate(trained(name, seed, kernels, train, preprocessing, epochs), batches)
              for kernels in ("cpu", "reference")]
    right = [found.predictions == found.true for found in scored]
    fast, reference = (100 * float(np.mean(each)) for each in right)
    found = {"seed": seed, "fast": fast, "reference": reference, "difference": fast - reference,
             "one_is_right": 100 * float(np.mean(right[0] != right[1]))}
    print(f"{name}, seed {seed}: {fast:.3f}% with the fast kernels, {reference:.3f}% without, difference "
          f"{fast - reference:+.3f} points; just one is right on {found['one_is_right']:.2f}% "
          f"({time.perf_counter() - started:.0f} s)", flush=True)
    return found


def summed_up(found):
    """Mean of the differences, their standard error, and whether the mean is within LIMIT."""
    differences = np.array([pair["difference"] for pair in found])
    mean, error = differences.mean(), differences.std(ddof=1) / len(differences) ** 0.5
    return {"mean_difference": float(mean), "standard_error": float(error), "within_limit": bool(abs(mean) < LIMIT)}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="folder of MNIST's files (default: as `train` looks for them)")
    parser.add_argument("--seeds", type=cli.number(2, kind=int), default=10, help="pairs of each network (default: 10)")
    parser.add_argument("--images", type=cli.number(1, kind=int), default=6400, help="to train on (default: 6400)")
    parser.add_argument("--epochs", type=cli.number(1, kind=int), default=3, help="default: 3")
    parser.add_argument("--threads", type=cli.threads, default=cli.cores(), help="of the fast kernels (default: all)")
    parser.add_argument("--save", action="store_true", help=f"append the results to benchmarks/{FILE.name}")
    args = parser.parse_args(argv)
    threads.set_threads(args.threads)
    train, test, preprocessing = digits(args.data_dir, args.images)
    print(f"{len(train[1]):,} digits to train on, {args.epochs} epochs, batches of {BATCH}; {len(test[1]):,} to test")
    transformed = {name: winograd_layers(NETWORKS[name](0)) for name in NETWORKS}
    if not transformed["small resnet"]:
        raise SystemExit("the small ResNet has no convolution that kernels/cpu/winograd.py takes; make it larger")
    for name, layers in transformed.items():
        print(f"{name}: Winograd in {', '.join(f'{path} (F({m}x{m}, 3x3))' for path, m in layers.items()) or 'none'}")
    pairs = {name: [] for name in NETWORKS}
    for seed in range(args.seeds):
        for name in NETWORKS:
            pairs[name].append(pair(name, seed, train, test, preprocessing, args.epochs))
    for name, found in pairs.items():
        result = summed_up(found)
        print(f"{name}: mean of {len(found)} differences {result['mean_difference']:+.4f} points, its standard error "
              f"{result['standard_error']:.4f}: {'' if result['within_limit'] else 'NOT '}within {LIMIT}")
        if args.save:
            line = {"date": datetime.date.today().isoformat(), "machine": bench_results.machine(),
                    "versions": info.versions(), "kernels": cache.fingerprint(), "network": name,
                    "images": len(train[1]), "epochs": args.epochs, "batch": BATCH, "test_images": len(test[1]),
                    "winograd": transformed[name], **result, "pairs": found}
            with open(FILE, "a", encoding="utf-8") as file:
                file.write(to_json(line) + "\n")


if __name__ == "__main__":
    main()
