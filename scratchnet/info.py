"""`info`: what this installation is and runs on; the first thing to send with a question."""

import importlib.metadata
import platform
import sys

from scratchnet import backend, cli
from scratchnet.kernels.cuda.probe import DISTRIBUTIONS
from scratchnet.version import __version__

PACKAGES = ("numpy", "numba", "llvmlite", "safetensors", "pillow", "matplotlib")


def versions(*more):
    """{name: version} of Python, scratchnet, the packages it stands on and `more` packages, those that are there."""
    found = {"scratchnet": __version__, "python": platform.python_version()}
    for package in (*PACKAGES, *DISTRIBUTIONS, *more):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def command(args):
    cli.choose_device(args)
    from scratchnet.kernels.cpu import cache, threads
    from scratchnet.kernels.cuda import probe

    try:
        folder = str(cache.open_folder())
    except (OSError, RuntimeError) as error:
        folder = f"none, kernels are compiled in every run: {error}"
    works, words = backend.gpu()
    facts = {
        **versions(), "platform": platform.platform(), "processor": processor(), "cores": cli.cores(),
        "threads": threads.threads(), "threading layer": threads.threading_layer(), "kernel cache": folder,
        "gpu": words if works else None, **(probe.facts() if works else {"why no gpu": words}),
    }
    if works and probe.conflict():
        print(f"warning: {probe.conflict()}", file=sys.stderr)
    if args.json:
        cli.print_json(facts)
    else:
        width = max(map(len, facts))
        for name, value in facts.items():
            print(f"{name:<{width}}  {'none' if value is None else value}")


def processor():
    """The processor's name, with the instruction set that kernels are compiled for."""
    import llvmlite.binding

    return f"{platform.processor() or platform.machine()}, {llvmlite.binding.get_host_cpu_name()}"


def main(argv=None):
    return cli.run(cli.Parser("info", "Show versions, threads, the cache of compiled kernels, and the GPU."),
                   command, argv)


if __name__ == "__main__":
    sys.exit(main())
