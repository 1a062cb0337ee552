"""What `sn.fit(..., out=FOLDER)` leaves: the files and pictures of the command, for a script's own network."""

import functools
import hashlib
import shlex
import sys

import numpy as np

from scratchnet.backend import PRECISIONS, is_cupy
from scratchnet.checkpoint import BEST, LAST
from scratchnet.fit import evaluate, fit
from scratchnet.lock import locked
from scratchnet.run_folder import RunFolder, named

SAVE_EVERY = 600            # seconds, inside a long epoch
POINTS = 11                 # of a schedule, any function, that are compared when a run goes on


def fit_into(out, resume, model, train, validation, *, epochs, optimizer, schedule, seed, after_step=None,
             after_epoch=None, **settings):
    """`fit` into a run folder; with `resume` it goes on where the run there was cut off. Returns the History.

    RunFolderError (a ValueError) where the folder holds another run; Locked where another process writes it.
    """
    classes = model.checked_output_shape(model.input_shape)[-1]
    about = {"model": "", "input_shape": model.input_shape, "classes": classes,
             "class_names": [str(number) for number in range(classes)], "preprocessing": train.preprocessing,
             "network": None, "summary": repr(model),
             "dataset": {"name": "arrays", "checksum": _checksum(train, validation)}}
    last = epochs * len(train) - 1
    written = {"command": shlex.join(sys.argv), "epochs": epochs, "batch_size": train.batch_size, "seed": train.seed,
               "shuffle": train.shuffle, "augment": _described(train.augment),
               "criterion": _described(settings["criterion"]),
               "precision": _precision(model),
               "learning_rates": [float(schedule(last * k // (POINTS - 1))) for k in range(POINTS)]}
    path = named(out, resume)
    with locked(path):
        folder = RunFolder(path, model, optimizer, about, SAVE_EVERY)
        position = folder.begin(written, resume=resume)
        finished = folder.result() is not None
        history = fit(
            model, train, validation, epochs=epochs, optimizer=optimizer, schedule=schedule, seed=seed,
            after_step=_both(folder.after_step, after_step), after_epoch=_both(folder.after_epoch, after_epoch),
            position=position, **settings)
        if not finished:
            _finish(folder, history, validation, settings["validation_criterion"] or settings["criterion"])
    return history


def _finish(folder, history, validation, criterion):
    """Pictures of the model as it is, after the last epoch, as `fit` leaves it."""
    found, values = None, {"epochs": len(history), "seconds": sum(history["seconds"]), "weights": LAST}
    if validation is not None:
        found = evaluate(folder.model, validation, criterion)
        values |= {"validation_accuracy": found.accuracy, "validation_loss": found.loss, "n": found.n,
                   "best_epoch": history.best()["epoch"], "best_weights": BEST}
    folder.finish(values, history, found, None if validation is None else validation.x, folder.model.label())


def _both(first, second):
    def look(position):
        first(position)
        if second:
            second(position)
    return look


def _precision(model):
    """The one in force, None for float32, which is also what the CPU computes in."""
    if not any(is_cupy(parameter.value) for parameter in model.parameters().values()):
        return None
    from scratchnet.kernels.cuda.precision import precision
    return None if precision.name == PRECISIONS[0] else precision.name


def _described(function):
    """A function or object in words that are the same in another process: without addresses."""
    if isinstance(function, functools.partial):
        return f"{_described(function.func)} {function.args} {function.keywords}"
    words = repr(function)
    if " at 0x" in words:
        words = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{words}, seed {function.seed}" if hasattr(function, "seed") else words


def _checksum(*datasets):
    digest = hashlib.sha256()
    for batches in datasets:
        for array in () if batches is None else (batches.x, batches.y):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            if isinstance(array, np.ndarray):
                digest.update(np.ascontiguousarray(array))
            else:                                   # image files, by their names
                digest.update("\0".join(array.names).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
