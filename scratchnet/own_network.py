"""Networks of the user's own, named FILE.py:FUNCTION on the command line."""

import contextlib
import difflib
import inspect
import os
import sys
import traceback
import types
from pathlib import Path

from scratchnet.layers import Layer

GIVEN = ("input_shape", "classes", "seed")      # what FUNCTION may ask for, each under its name


def is_own(text):
    """Whether a MODEL on the command line means a file rather than a name."""
    return text.endswith(".py") or ".py:" in text


def load(text):
    """The OwnNetwork that FILE.py:FUNCTION names; FILE is run for it. ValueError for all that can be wrong."""
    path, separator, name = text.rpartition(":")
    if not separator or not path.endswith(".py"):
        path, name = text, ""
    try:
        source = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected a Python file that can be read, got {error}") from None
    module = types.ModuleType(Path(path).stem)
    module.__file__ = str(path)
    sys.modules.setdefault(module.__name__, module)     # for dataclasses and the like, which look themselves up
    try:
        with _neighbours(path):
            exec(compile(source, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{path}: {_where(path, error)}{type(error).__name__}: {error}") from None
    functions = [key for key, value in vars(module).items()
                 if inspect.isfunction(value) and value.__module__ == module.__name__]
    if name not in functions:
        near = difflib.get_close_matches(name, functions, n=1)
        hint = f"did you mean {path}:{near[0]}?" if near else f"it has {', '.join(functions) or 'none'}"
        raise ValueError(f"{text}: expected FILE.py:FUNCTION with a function of that file, got "
                         f"{repr(name) if name else 'no name'}; {hint}")
    return OwnNetwork(path, name, source, getattr(module, name))


@contextlib.contextmanager
def _neighbours(path):
    """Inside it a file may import those beside it, as under `python FILE.py`."""
    folder = os.path.abspath(os.path.dirname(path))
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


class OwnNetwork:
    """`function` may take input_shape (H, W, C), classes and seed, those it names, and returns a Layer."""

    def __init__(self, path, name, source, function):
        self.path, self.source, self.function = path, source, function
        self.name = f"{Path(path).name}:{name}"         # without folders: it shall mean the same on every machine
        self.parameters = inspect.signature(function).parameters
        needed = [key for key, p in self.parameters.items() if p.default is p.empty and key not in GIVEN
                  and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or p.kind == p.POSITIONAL_ONLY]
        if needed:
            raise ValueError(f"{self.name}: expected a function of {', '.join(GIVEN)} (any of them), got one that also "
                             f"needs {', '.join(needed)}; give them defaults")

    def input_shape(self):
        """The (H, W, C) that the network is meant for: its function's default, or that of the model if the function
        initialises it without being told. None where it says neither."""
        if "input_shape" in self.parameters:
            default = self.parameters["input_shape"].default
            if default is inspect.Parameter.empty or default is None:
                return None
            if not isinstance(default, (tuple, list)) or len(default) != 3:
                raise ValueError(f"{self.name}: expected input_shape to be (H, W, C), got the default {default!r}")
            return tuple(default)
        needed = [key for key, p in self.parameters.items() if p.default is p.empty and key in GIVEN]
        return None if needed else self._call({}).input_shape

    def build(self, input_shape, classes, seed):
        """The model, initialised. ValueError where it does not end in `classes` numbers, or cannot take the images."""
        given = {"input_shape": tuple(input_shape), "classes": classes, "seed": seed}
        model = self._call({key: value for key, value in given.items() if key in self.parameters})
        model.name = self.name
        if model.input_shape is None:
            model.init(seed, input_shape)
        elif tuple(model.input_shape) != tuple(input_shape):
            raise ValueError(f"{self.name}: expected a network for images of {_by(input_shape)}, got one for "
                             f"{_by(model.input_shape)}; let {self.name} take input_shape, or return it without init")
        output = model.checked_output_shape(model.input_shape)
        if output != (classes,):
            raise ValueError(f"{self.name}: expected an output of shape ({classes},), a number for each class, got "
                             f"{output}; end it with Dense({classes}), or let it take classes")
        return model

    def _call(self, arguments):
        try:
            with _neighbours(self.path):
                model = self.function(**arguments)
        except (Exception, SystemExit) as error:
            raise ValueError(f"{self.name}: {_where(self.path, error)}{type(error).__name__}: {error}") from None
        if isinstance(model, tuple):
            raise ValueError(f"{self.name}: expected it to return a model, got a tuple; init returns a shape: call it "
                             "on a line of its own, or not at all, and return the model")
        if not isinstance(model, Layer):
            raise ValueError(f"{self.name}: expected it to return a model, a Layer such as sn.Sequential, got "
                             f"{type(model).__name__}; is there a return?")
        return model


def _where(path, error):
    """"line 7: ", the last one of the user's file on the way to the error."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"line {error.lineno}: "
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"line {lines[-1]}: " if lines else ""


def _by(shape):
    return "x".join(map(str, shape))
