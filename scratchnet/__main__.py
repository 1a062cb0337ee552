"""`scratchnet COMMAND …`, and the same as `python -m scratchnet COMMAND …`."""

import difflib
import runpy
import sys
import warnings

from scratchnet.version import __version__

COMMANDS = {
    "train": "train a network on a dataset",
    "evaluate": "score a checkpoint on a test set",
    "predict": "say what a checkpoint takes images for",
    "look": "draw what a checkpoint sees in an image",
    "summary": "show the layers of a network",
    "bench": "time a network against other engines",
    "info": "show versions, threads, caches and the GPU",
}


def main(argv=None):
    argv = sys.argv[1:] if argv is None else list(argv)
    commands = "\n".join(f"  {name:<10}{text}" for name, text in COMMANDS.items())
    usage = (f"usage: scratchnet COMMAND …\n\n{commands}\n\nscratchnet COMMAND --help shows a command's "
             "options; scratchnet --version the version.")
    if not argv:
        print(usage, file=sys.stderr)
        return 2
    if argv[0] in ("-h", "--help"):
        print(usage)
        return 0
    if argv[0] == "--version":
        print(__version__)
        return 0
    if argv[0] not in COMMANDS:
        near = difflib.get_close_matches(argv[0], COMMANDS, n=1)
        print(f"scratchnet: unknown command {argv[0]!r}; " + (f"did you mean {near[0]}? " if near else "")
              + f"Known: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    # Run, not imported: an import would put the module scratchnet.summary over the function sn.summary.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)         # in a notebook it may have been run already
        module = runpy.run_module(f"scratchnet.{argv[0]}")
    return module["main"](argv[1:])


if __name__ == "__main__":
    sys.exit(main())
