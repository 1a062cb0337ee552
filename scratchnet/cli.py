"""What all commands share: options, streams, errors in one line, exit codes.

stdout carries results, stderr everything else. Exit codes: 0; 2 for what could be known before any data was
opened (UsageError); 1 for failures after that; 130 and 143 after Ctrl-C and SIGTERM.
"""

import argparse
import contextlib
import difflib
import importlib.util
import math
import os
import sys
import traceback
import warnings

from scratchnet import backend, data
from scratchnet.files import to_json
from scratchnet.signals import Stopped, at_once
from scratchnet.weights.hub import PREFIX, parsed

EXACT = backend.PRECISIONS[0]
MOST_NAMES = 50             # of an error's "Known: ": ImageNet has a thousand classes


class UsageError(Exception):
    """The command line asks for something that cannot be: exit code 2."""


class Parser(argparse.ArgumentParser):
    """argparse, with short errors, nearest names, and --option never cut short to something else."""

    def __init__(self, name, description, **settings):
        super().__init__(prog=f"scratchnet {name}", description=description, allow_abbrev=False, **settings)

    def error(self, message):
        raise UsageError(message)

    def parse(self, argv):
        """The Namespace. The shared options come last in --help. UsageError, or SystemExit after --help."""
        shared = self.add_argument_group("shared by all commands")
        shared.add_argument("--json", action="store_true", help="print the result as a JSON object on stdout")
        shared.add_argument("--threads", type=threads, metavar="N", help=f"default: all, {cores()} here")
        shared.add_argument("--device", choices=("auto", "cpu", "cuda"),
                            help="default: auto, a GPU where one works, else the CPU")
        shared.add_argument("--traceback", action="store_true", help="show where an error comes from")
        args, unknown = self.parse_known_args(argv)
        if unknown:
            options = [option for action in self._actions for option in action.option_strings]
            hint = nearest(unknown[0].partition("=")[0], options)
            raise UsageError(f"unknown argument {unknown[0]!r}{hint} --help lists them")
        return args


def run(parser, command, argv):
    """Parse argv, call command(args), and return the exit code. Errors become words on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):      # not in a notebook
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        with at_once(), warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
            args = parser.parse(argv)
            with precision(args):
                command(args)
            sys.stdout.flush()                  # a full disk or a closed pipe shows itself here
        return 0
    except UsageError as error:
        return fail(parser, argv, 2, error)
    except Stopped as stopped:
        print(f"{parser.prog}: {stopped}", file=sys.stderr)
        return 128 + stopped.signum
    except BrokenPipeError:                     # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return fail(parser, argv, 1, error)


def fail(parser, argv, code, error):
    """Print the error's words where they were written for users, and its kind, too, where they were not."""
    words = "\n".join(line.rstrip() for line in str(error).splitlines())      # lists, and lines of code to copy
    if "--traceback" in argv:
        traceback.print_exception(error)
    elif isinstance(error, (UsageError, ValueError, RuntimeError, FloatingPointError, OSError)) and words:
        print(f"{parser.prog}: {words}", file=sys.stderr)
    else:
        print(f"{parser.prog}: {type(error).__name__}: {words} (--traceback shows where)", file=sys.stderr)
    return code


def known(what, name, names):
    """`name` if it is one of the names, else a UsageError with the nearest."""
    if name not in names:
        more = f", … ({len(names):,} in all)" if len(names) > MOST_NAMES else ""
        raise UsageError(f"unknown {what} {name!r}{nearest(name, names)} Known: {', '.join(names[:MOST_NAMES])}{more}")
    return name


def nearest(name, names):
    """"; did you mean X?", or ";"."""
    near = difflib.get_close_matches(str(name).lower(), names, n=1)
    return f"; did you mean {near[0]}?" if near else ";"


def choose_device(args):
    """"cpu" or "cuda", with a line on stderr why it is not the GPU that was asked for; sets threads, too. UsageError for
    a GPU that cannot be had, or a precision that only a GPU has."""
    if args.threads:
        from scratchnet.kernels.cpu.threads import set_threads
        set_threads(args.threads)
    exact = getattr(args, "precision", EXACT) == EXACT
    if exact and args.device is None and importlib.util.find_spec("cupy") is None:
        return "cpu"                            # who has no CuPy and asks for nothing need not hear of it
    try:
        device, reason = backend.choose_device(args.device or "auto")
    except RuntimeError as error:
        raise UsageError(str(error)) from None
    if device == "cpu" and not exact:
        why = f" ({reason})" if reason else ""
        raise UsageError(f"--precision {args.precision}: expected a GPU, got the CPU{why}, which computes in {EXACT}; take "
                         "--device cuda where there is one, or leave --precision out")
    if not exact:
        try:
            backend.check_precision(args.precision)
        except RuntimeError as error:
            raise UsageError(f"--precision {error}") from None
    if reason:
        print(f"running on the CPU: {reason}", file=sys.stderr)
    return device


def add_precision(group):
    group.add_argument("--precision", metavar="NAME", type=one_of(backend.PRECISIONS), default=EXACT,
                       help=f"of a GPU: {', '.join(backend.PRECISIONS)}, that is factors rounded to 11 bits, or factors and "
                            f"activations to 8, in half the memory (default: {EXACT})")


def precision(args):
    """A context in which the command computes as --precision says, where it has that option."""
    wish = getattr(args, "precision", EXACT)
    return contextlib.nullcontext() if wish == EXACT else backend.use_precision(wish)


DATASET_HELP = f"{', '.join(data.names())}; or a folder, zip or tar with {{train,val,test}}/CLASS/IMAGES"


def known_dataset(name):
    """UsageError where it is neither a dataset's name nor a folder or archive that is there."""
    if name not in data.names() and not os.path.exists(name):
        if data.is_path(name):
            raise UsageError(f"{name}: expected a folder, zip or tar of images, got no such file; correct the path")
        known("dataset", name, data.names())


def add_data_dir(group):
    group.add_argument("--data-dir", metavar="DIR", help="folder that holds the dataset (default: $SCRATCHNET_DATA, "
                                                         "else the cache, else downloaded)")


def add_network(parser):
    parser.add_argument("--network", metavar="FILE.py:FUNCTION",
                        help="makes the network, where it is your own: a checkpoint's code is never run")


def add_weights(parser):
    parser.add_argument("--weights", metavar="WEIGHTS",
                        help="published or saved weights of a network by name: a .safetensors file, a run "
                             "folder (its best checkpoint), or hub:OWNER/REPO[@REVISION] (needs the extra `hub`)")


def check_weights(weights):
    """UsageError where --weights names a file that is not there, or nothing that could be on the hub."""
    if weights is not None and weights.startswith(PREFIX):
        try:
            parsed(weights)
        except ValueError as error:
            raise UsageError(f"--weights {error}") from None
    elif weights is not None and not os.path.exists(weights):
        raise UsageError(f"--weights {weights}: expected a .safetensors file or hub:OWNER/REPO, got no such file; "
                         "correct the path")


def load_data(name, folder, **settings):
    """The dataset's Splits, its notes on stderr. The name of what comes may be the sample's instead."""
    splits = data.load(name, folder, **settings)
    for note in splits.notes:
        print(note, file=sys.stderr)
    return splits


def print_json(values):
    print(to_json(values))


# -- types of options: functions of the text, whose errors argparse puts behind the option's name ------------

def number(least, below=math.inf, above=None, kind=float):
    """A finite number of at least `least` (or more than `above`), less than `below`."""
    expected = f"more than {above}" if above is not None else f"of at least {least}"
    expected += f" and less than {below}" if below < math.inf else ""

    def convert(text):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (least <= value < below) or (above is not None and not value > above):
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"expected {what} {expected}, got {text!r}")
        return value
    return convert


def one_of(names):
    def convert(text):
        if text not in names:
            known = ", ".join(names)
            raise argparse.ArgumentTypeError(f"unknown {text!r}{nearest(text, names)} known: {known}")
        return text
    return convert


def size(text):
    """"96x128" -> (96, 128), "224" -> (224, 224)."""
    sizes = [number(1, kind=int)(part) for part in text.lower().split("x")]
    if len(sizes) > 2:
        raise argparse.ArgumentTypeError(f"expected HxW, or one number for both, got {text!r}")
    return (sizes[0], sizes[-1])


def folder(text):
    if not text:
        raise argparse.ArgumentTypeError("expected the name of a folder, got nothing")
    return text


def png(text):
    """The path of a picture that is to be written."""
    if not text.lower().endswith(".png") or not os.path.isdir(os.path.dirname(text) or "."):
        raise argparse.ArgumentTypeError(f"expected a file ending in .png, in a folder that is there, got {text!r}")
    return text


def cores():
    """How many threads can run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(text):
    count = number(1, kind=int)(text)
    if count > cores():
        raise argparse.ArgumentTypeError(f"{count} are more than the {cores()} cores here")
    return count
