"""The engines of `bench`, each in a process of its own, taking turns over the same batch."""

import multiprocessing
import time

import numpy as np

LR, MOMENTUM = 1e-3, 0.9                          # small, so that hundreds of steps on one batch stay finite


class Contender:
    """A process that holds one engine. `first` is what its first step gave; `turn` is one timed run."""

    def __init__(self, engine, settings):
        context = multiprocessing.get_context("spawn")           # never fork: OpenMP's threads do not survive it
        self.engine = engine
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, engine, settings), daemon=True)
        self.process.start()
        other.close()
        self.first = self._answer()

    def turn(self, seconds):
        """Images a second over at least `seconds`."""
        self.connection.send(seconds)
        return self._answer()

    def close(self):
        self.connection.close()
        self.process.join(10)

    def _answer(self):
        try:
            answer = self.connection.recv()
        except EOFError:
            raise RuntimeError(f"bench: the process of {self.engine} ended; its message stands above") from None
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve(connection, engine, settings):
    try:
        step, first = ENGINES[engine](settings)
        connection.send(first)
        while True:
            connection.send(_images_per_second(step, settings["batch"], connection.recv()))
    except EOFError:                             # the parent has what it wanted
        pass
    except (ValueError, ImportError) as error:
        connection.send(error)


def _images_per_second(step, batch, seconds):
    steps, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        step()
        steps += 1
    return steps * batch / (time.perf_counter() - started)


def _batch(settings, model):
    rng = np.random.default_rng(0)
    images = rng.standard_normal((settings["batch"], *model.input_shape), dtype=np.float32)
    return images, rng.integers(0, model.checked_output_shape(model.input_shape)[0], settings["batch"])


def _ours(settings):
    import scratchnet as sn
    from scratchnet.kernels.cpu import threads
    threads.set_threads(settings["threads"])
    model = sn.models.create(settings["model"])
    images, labels = _batch(settings, model)
    if settings["mode"] == "inference":
        return lambda: model(images), {"logits": model(images)}
    loss, _, backward = model.loss(images, labels)
    backward()
    first = {"loss": np.asarray(loss), **{name: p.grad.copy() for name, p in model.parameters().items()}}
    optimizer = sn.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)
    optimizer.step()

    def step():
        _, _, backward = model.loss(images, labels)
        backward()
        optimizer.step()
    return step, first


def _torch(settings):
    import torch
    import scratchnet as sn
    from scratchnet.torch_rival import TorchRival
    model = sn.models.create(settings["model"])
    rival = TorchRival(model, settings["threads"], settings["mode"] == "training")
    images, labels = rival.tensors(*_batch(settings, model))
    if settings["mode"] == "inference":
        def infer():
            with torch.inference_mode():
                return rival.forward(images)
        return infer, {"logits": infer().numpy()}

    optimizer = rival.sgd(LR, MOMENTUM)

    def step():
        optimizer.zero_grad()
        loss = rival.loss(images, labels)
        loss.backward()
        optimizer.step()
        return loss
    loss = step()
    return step, {"loss": loss.detach().numpy(), **rival.gradients()}


def exact(settings):
    """What the first step gives in float64 on the reference kernels: the truth that both are measured against."""
    import scratchnet as sn
    model = sn.models.create(settings["model"])
    images, labels = _batch(settings, model)
    model.astype("float64")
    images = images.astype("float64")
    if settings["mode"] == "inference":
        return {"logits": model(images)}
    loss, _, backward = model.loss(images, labels)
    backward()
    return {"loss": np.asarray(loss), **{name: p.grad for name, p in model.parameters().items()}}


ENGINES = {"scratchnet": _ours, "torch": _torch}
