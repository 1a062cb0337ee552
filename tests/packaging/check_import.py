"""Is scratchnet whole where this Python finds it? .ci/run asks so in each way that it may be installed.

    python - FOLDER < tests/packaging/check_import.py        FOLDER must hold the package that is found

From stdin, because then the working directory is searched first, as in a person's own session.
"""

import importlib.metadata
import sys
import sysconfig
from pathlib import Path

import numpy as np

import scratchnet as sn
import scratchnet.kernels.cpu
import scratchnet.kernels.cuda
import scratchnet.kernels.reference


def main(folder):
    package = Path(sn.__file__).resolve().parent
    check(package.parent == folder, f"scratchnet comes from {package.parent}, not from {folder}")
    for name in ("cpu", "cuda", "reference"):
        found = Path(getattr(sn.kernels, name).__file__).resolve().parent
        check(found in (folder / "kernels" / name, package / "kernels" / name), f"kernels.{name} comes from {found}")
        check(not (folder == site_packages() and (folder / "kernels") in found.parents),
              f"kernels.{name} is installed outside of the package: {found}")
    check(Path(sn.kernels.cuda.__file__).with_name("probe.cu").is_file(), "kernels/cuda/probe.cu is missing")
    check(not list(site_packages().glob("kernels*")), f"something named kernels is in {site_packages()}")
    sample = sn.data.load("mnist-sample")
    check(sample.train.images.shape == (8000, 28, 28, 1), f"the embedded sample is {sample.train.images.shape}")
    fast, exact = step("cpu", "float32"), step("reference", "float64")
    check(np.isfinite(exact) and abs(fast - exact) < 1e-4, f"cpu's loss is {fast}, reference's {exact}")
    print(f"ok: {package.parent}, {installed()}, loss {fast:.4f} on both kernels")


def step(kernels, dtype):
    """The loss after a forward, a backward and a step of the optimiser."""
    with sn.use_kernels(kernels):
        model = sn.models.create("lenet5").astype(dtype)
        optimizer = sn.SGD(model.parameters(), lr=0.1)
        images = np.random.default_rng(0).standard_normal((4, 32, 32, 1)).astype(dtype)
        for _ in range(2):
            loss, _, backward = model.loss(images, np.arange(4))
            backward()
            optimizer.step()
        return float(loss)


def installed():
    """In words: whether pip has installed the distribution, which must bring nothing but scratchnet."""
    # Of site-packages alone: a checkout may hold an egg-info, which lists the sources.
    for distribution in importlib.metadata.distributions(name="scratchnet-cnn", path=[str(site_packages())]):
        tops = {file.parts[0] for file in distribution.files if file.parts[0] not in ("..", "__pycache__")}
        strangers = {top for top in tops if not top.startswith(("scratchnet", "__editable__"))}
        check(not strangers, f"installed beside scratchnet: {strangers}")
        return "installed"
    return "not installed"


def site_packages():
    return Path(sysconfig.get_path("purelib")).resolve()


def check(condition, message):
    if not condition:
        raise SystemExit(f"FAILED: {message}")


main(Path(sys.argv[1]).resolve())
