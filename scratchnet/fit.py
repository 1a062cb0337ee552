"""The training loop, all of it, and the scoring loop."""

import numbers
import time
from typing import NamedTuple

import numpy as np

from scratchnet.arriving import arriving
from scratchnet.backend import array_module, each_time, in_float32, memory_in_words, to_host
from scratchnet.data import Batches
from scratchnet.layers import Layer, Softmax
from scratchnet.losses import softmax_cross_entropy
from scratchnet.nonfinite import check_state, naming_the_culprit
from scratchnet.optim import SGD
from scratchnet.position import Position
from scratchnet.progress import Progress
from scratchnet.replay import replayed
from scratchnet.schedules import constant
from scratchnet.tally import Tally


def fit(model, train, validation=None, *, epochs=10, batch_size=64, optimizer=None, schedule=None,
        criterion=softmax_cross_entropy, validation_criterion=None, seed=0, progress=True, out=None, resume=False,
        after_step=None, after_epoch=None, position=None):
    """Train `model` and return the History; its parameters are those of the last epoch.

    train, validation: (x, y), uint8 (N, H, W, C) or float32 images and integer labels; or Batches, to which
    batch_size and seed do not apply. optimizer: by default SGD, Nesterov momentum 0.9, lr 0.01. schedule(step)
    gives the learning rate (default: the optimiser's own, constant). validation_criterion: by default criterion.
    progress=False is silent. out: a folder for metrics, checkpoints and pictures, as the command leaves them;
    resume=True goes on from its last checkpoint. after_step(position) and after_epoch(position) may look, save, or
    raise to end the training; position: where to begin, a Position that was seen there.

    FloatingPointError names the step whose loss is not a number; on the CPU the parameters are still those before it.
    On a GPU a step of a float32 model with a gradient that is not finite is skipped and counted (skipped_steps in the
    epoch's row), and 100 of them in a row, or a whole epoch, are that error. A step is replayed without
    its Python where it can be (scratchnet/replay.py).
    """
    train = as_batches("train", train, batch_size, seed)
    if validation is not None:
        validation = as_batches("validation", validation, batch_size, shuffle=False)
    check(model, epochs, train=train, validation=validation)
    optimizer = optimizer or SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    check_optimizer(model, optimizer)
    schedule = schedule or constant(optimizer.lr)
    if out is None and resume:
        raise ValueError("fit: resume=True needs out, the folder of the run to go on with")
    if out is not None and position is not None:
        raise ValueError("fit: expected out or position, got both; with out, resume=True finds the position")
    position = position or Position()
    if out is not None:
        from scratchnet.script_run import fit_into         # matplotlib and more, which a bare fit needs not
        return fit_into(out, resume, model, train, validation, epochs=epochs, optimizer=optimizer, schedule=schedule,
                        criterion=criterion, validation_criterion=validation_criterion, seed=seed,
                        progress=progress, after_step=after_step, after_epoch=after_epoch)

    def check_loss(loss, images):
        with naming_the_culprit(model, images):
            position.tally.check(loss)

    def run(images, labels):
        loss, logits, backward = model.loss(images, labels, criterion)
        each_time(lambda: check_loss(loss, images))
        backward()                              # adds dL/dparameter to every parameter.grad
        optimizer.step()                        # uses the gradients and clears them
        return loss, logits

    for parameter in model.parameters().values():
        parameter.clear_grad()                   # of a step that Ctrl-C cut off
    voice = Progress(epochs, len(train), progress)
    step = replayed(run, model, optimizer, criterion, min(train.batch_size, len(train.y)), voice.say_of_the_graph)
    for epoch in range(position.epoch, epochs):
        done = position.step - epoch * len(train)          # batches, where the position is inside an epoch
        tally = position.tally = position.tally or Tally(len(train), position.step)
        started = time.perf_counter() - position.seconds
        with voice.epoch(epoch, done), memory_in_words(model, train.batch_size):
            for images, labels in arriving(model, train, epoch, done):
                optimizer.lr = learning_rate(schedule, position.step)
                loss, logits = step(images, labels)
                tally.add(loss, logits, labels, getattr(optimizer, "skipped", None))
                position.step += 1
                position.seconds = time.perf_counter() - started
                voice.update(tally)
                if after_step:
                    after_step(position)
            train_loss, train_accuracy = tally.read()
        check_state(model.state_dict(), position.step)
        scored = (None, None)
        if validation is not None:
            scored = evaluate(model, validation, validation_criterion or criterion)[:2]
        skipped = {"skipped_steps": tally.skipped} if tally.skipped else {}
        position.history.append({
            "epoch": epoch + 1, "step": position.step, "lr": float(optimizer.lr),
            "seconds": position.seconds, "images_per_second": tally.count / position.seconds,
            "train_loss": train_loss, "train_accuracy": train_accuracy,
            "validation_loss": scored[0], "validation_accuracy": scored[1], **skipped})
        position.tally, position.seconds = None, 0.0
        voice.say(position.history[-1], train)
        if after_epoch:
            after_epoch(position)
    return position.history


class Evaluation(NamedTuple):
    """What `evaluate` found. true, predictions, confidences (N,) in the order of the batches, a confidence being the
    softmax of the predicted class; confusion (classes, classes): how often the row's class was taken for the column's."""

    loss: float
    accuracy: float
    n: int
    true: np.ndarray
    predictions: np.ndarray
    confidences: np.ndarray
    confusion: np.ndarray


def evaluate(model, batches, criterion=softmax_cross_entropy):
    """Score `model` in inference mode in a pass over `batches` -> Evaluation. A GPU is read at the end."""
    tally, predicted, confident, true = Tally(len(batches)), [], [], []
    with memory_in_words(model, batches.batch_size):
        for images, labels in arriving(model, batches):
            true.append(labels.copy())
            logits = in_float32(model(images))
            tally.add(criterion(logits, labels)[0], logits, labels)
            predicted.append(logits.argmax(axis=1))
            # The largest of the softmax: exp(0) over the sum of exp(z - max z).
            confident.append(1 / array_module(logits).exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1))
    loss, accuracy = tally.read()
    true, predicted, confident = (np.concatenate([to_host(a) for a in arrays])
                                  for arrays in (true, predicted, confident))
    classes = logits.shape[1]
    # A pair is the number true·classes + predicted; the counts (classes²,) -> (classes, classes).
    confusion = np.bincount(true * classes + predicted, minlength=classes ** 2).reshape(classes, classes)
    return Evaluation(loss, accuracy, tally.count, true, predicted, confident, confusion)


def as_batches(name, data, batch_size, seed=0, shuffle=True):
    """Batches as they are; (x, y) as Batches."""
    if isinstance(data, Batches):
        return data
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise TypeError(f"fit: {name} must be a pair (images, labels) or sn.data.Batches, "
                        f"got {type(data).__name__}")
    return Batches(*data, batch_size, seed=seed, shuffle=shuffle)


def check(model, epochs, **datasets):
    """What would otherwise come out late, or not at all: images or labels the model is not made for, two softmaxes."""
    if isinstance(epochs, bool) or not isinstance(epochs, numbers.Integral) or epochs < 1:
        raise ValueError(f"fit: epochs must be a positive int, got {epochs!r}")
    if not isinstance(model, Layer):
        raise TypeError(f"fit: expected a model, a Layer such as sn.Sequential, got {type(model).__name__}")
    if model.input_shape is None:
        raise RuntimeError(f"fit: {model.label()} is not initialised; call init(seed, input_shape) first")
    last = model.leaves()[-1]
    if isinstance(last, Softmax) or isinstance(getattr(last, "activation", None), Softmax):
        raise ValueError(f"fit: {last.label()} ends {model.label()} in a softmax, but the loss contains one; leave it "
                         "out, the scores before it are what the loss takes")
    outputs = model.checked_output_shape(model.input_shape)[-1]
    for name, batches in datasets.items():
        if batches is None:
            continue
        labels, shape = batches.y, batches.image_shape
        if labels.min() < 0 or labels.max() >= outputs:
            raise ValueError(f"fit: labels run from {labels.min()} to {labels.max()}, but {model.label()} "
                             f"has {outputs} outputs, for the classes 0 to {outputs - 1}")
        try:
            if len(shape) != len(model.input_shape) or shape[-1] != model.input_shape[-1]:
                raise ValueError("give it such images, or init it for these")
            model.checked_output_shape(shape)
        except ValueError as error:
            raise ValueError(f"fit: {model.label()} takes images of {model.input_shape}, got {shape} in {name}; "
                             f"{error}") from None


def check_optimizer(model, optimizer):
    known = {id(parameter) for parameter in model.parameters().values()}
    strange = [name for name, parameter in optimizer.parameters.items() if id(parameter) not in known]
    if strange:
        raise ValueError(f"fit: the optimizer was made for other parameters than the model's ({strange[0]}, …); make "
                         "it with model.parameters(), after init")


def learning_rate(schedule, step):
    rate = schedule(step)
    if not 0 <= rate < np.inf:
        raise ValueError(f"fit: expected a learning rate of at least 0 and finite, got {rate} from schedule({step})")
    return rate
