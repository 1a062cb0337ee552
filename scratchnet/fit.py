"""The training loop, all of it, and the scoring loop."""

import numbers
import time
from typing import NamedTuple

import numpy as np

from scratchnet.backend import array_like, array_module, to_host
from scratchnet.data import Batches
from scratchnet.history import History
from scratchnet.losses import softmax_cross_entropy
from scratchnet.optim import SGD
from scratchnet.progress import Progress
from scratchnet.schedules import constant
from scratchnet.tally import Tally


def fit(model, train, validation=None, *, epochs=10, batch_size=64, optimizer=None, schedule=None,
        criterion=softmax_cross_entropy, seed=0, progress=True, after_step=None, after_epoch=None):
    """Train `model` and return the History; its parameters are those of the last epoch.

    train, validation: (x, y), uint8 (N, H, W, C) or float32 images and integer labels; or Batches, to which
    batch_size and seed do not apply. optimizer: by default SGD, Nesterov momentum 0.9, lr 0.01.
    schedule(step) gives the learning rate (default: the optimiser's own, constant). progress=False is silent.
    after_step(step) and after_epoch(history) may look, save, or raise to end the training. FloatingPointError
    names the step whose loss is not a number; on the CPU the parameters are still those before it.
    """
    train = as_batches("train", train, batch_size, seed)
    if validation is not None:
        validation = as_batches("validation", validation, batch_size, shuffle=False)
    check(model, epochs, train, validation)
    optimizer = optimizer or SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    schedule = schedule or constant(optimizer.lr)
    history, step = History(), 0
    voice = Progress(epochs, len(train), progress)
    for epoch in range(epochs):
        started = time.perf_counter()
        tally = Tally(len(train), step)
        with voice.epoch(epoch):
            for images, labels in train.epoch(epoch):
                images, labels = to_model(model, images, labels)
                optimizer.lr = schedule(step)
                loss, logits, backward = model.loss(images, labels, criterion)
                tally.add(loss, logits, labels)
                backward()                      # adds dL/dparameter to every parameter.grad
                optimizer.step()                # uses the gradients and clears them
                step += 1
                voice.update(tally)
                if after_step:
                    after_step(step)
            train_loss, train_accuracy = tally.read()
        seconds = time.perf_counter() - started
        scored = evaluate(model, validation, criterion)[:2] if validation is not None else (None, None)
        history.append({
            "epoch": epoch + 1, "step": step, "lr": float(optimizer.lr),
            "seconds": seconds, "images_per_second": tally.count / seconds,
            "train_loss": train_loss, "train_accuracy": train_accuracy,
            "validation_loss": scored[0], "validation_accuracy": scored[1]})
        voice.say(history[-1])
        if after_epoch:
            after_epoch(history)
    return history


class Evaluation(NamedTuple):
    """What `evaluate` found. predictions (N,) in the order of the batches; confusion (classes, classes):
    how often the row's class was taken for the column's."""

    loss: float
    accuracy: float
    n: int
    predictions: np.ndarray
    confusion: np.ndarray


def evaluate(model, batches, criterion=softmax_cross_entropy):
    """Score `model` in inference mode in a pass over `batches` -> Evaluation. A GPU is read at the end."""
    tally, predicted, true = Tally(len(batches)), [], []
    for images, labels in batches.epoch(0):
        true.append(labels)
        images, labels = to_model(model, images, labels)
        logits = model(images)
        tally.add(criterion(logits, labels)[0], logits, labels)
        predicted.append(logits.argmax(axis=1))
    loss, accuracy = tally.read()
    predicted, true = np.concatenate([to_host(p) for p in predicted]), np.concatenate(true)
    classes = logits.shape[1]
    # A pair is the number true·classes + predicted; the counts (classes²,) -> (classes, classes).
    confusion = np.bincount(true * classes + predicted, minlength=classes ** 2).reshape(classes, classes)
    return Evaluation(loss, accuracy, tally.count, predicted, confusion)


def as_batches(name, data, batch_size, seed=0, shuffle=True):
    """Batches as they are; (x, y) as Batches."""
    if isinstance(data, Batches):
        return data
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise TypeError(f"fit: {name} must be a pair (images, labels) or sn.data.Batches, "
                        f"got {type(data).__name__}")
    return Batches(*data, batch_size, seed=seed, shuffle=shuffle)


def check(model, epochs, *datasets):
    """What would otherwise come out late, or on a GPU not at all: a label without an output of the model."""
    if isinstance(epochs, bool) or not isinstance(epochs, numbers.Integral) or epochs < 1:
        raise ValueError(f"fit: epochs must be a positive int, got {epochs!r}")
    if model.input_shape is None:
        raise RuntimeError(f"fit: {model.label()} is not initialised; call init(seed, input_shape) first")
    outputs = model.checked_output_shape(model.input_shape)[-1]
    for labels in (dataset.y for dataset in datasets if dataset is not None):
        if labels.min() < 0 or labels.max() >= outputs:
            raise ValueError(f"fit: labels run from {labels.min()} to {labels.max()}, but {model.label()} "
                             f"has {outputs} outputs, for the classes 0 to {outputs - 1}")


def to_model(model, images, labels):
    """A batch in the float dtype, and on the device, of the model."""
    for parameter in model.parameters().values():
        return array_like(parameter.value, images), array_module(parameter.value).asarray(labels)
    return images, labels
