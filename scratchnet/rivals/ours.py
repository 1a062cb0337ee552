"""scratchnet itself, as `bench` measures it."""

import sys

import scratchnet as sn
from scratchnet import backend
from scratchnet.kernels.cpu import threads
from scratchnet.rivals import meters
from scratchnet.rivals.workload import LR, MOMENTUM

recorded = []               # functions that give the graphs that there are, each of which has a memory pool of its own


def engine(workload):
    threads.set_threads(workload.threads)
    model = sn.to_device(workload.network(), workload.device)
    images, labels = on_the_device(model, *workload.data(model))
    make = _training if workload.training else _inference
    step, first = make(model, images, labels, workload.precision)
    return step, {name: backend.to_host(array) for name, array in first.items()}


def on_the_device(model, images, labels):
    """A batch where the model is."""
    like = next(iter(model.parameters().values())).value
    return backend.array_like(like, images), backend.array_module(like).asarray(labels)


def _inference(model, images, labels, precision):
    with sn.use_precision(precision):
        infer = sn.for_inference(model)
    recorded.append(infer._replays.recordings.values)

    def step():
        with sn.use_precision(precision):
            return infer(images)
    first = {"logits": step()}
    if backend.is_cupy(images):
        step()                                   # the second is recorded
        _say(infer._replays.why)
    return step, first


def replayed():
    """Whether the steps come from a CUDA graph."""
    return any(len(graphs()) > 0 for graphs in recorded)


def _say(reason):
    if reason:
        print(f"scratchnet: the step is not replayed: {reason}", file=sys.stderr)


def _training(model, images, labels, precision):
    optimizer = sn.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)

    def gradients(images, labels):
        loss, logits, backward = model.loss(images, labels)
        backward()
        return loss, logits

    def run(images, labels):
        results = gradients(images, labels)
        optimizer.step()
        return results
    fastest = _replayed(run, model, optimizer, len(images))
    if backend.is_cupy(images):
        recorded.append(lambda: [fastest.captured] if getattr(fastest, "captured", None) else [])

    def step():
        with sn.use_precision(precision):
            fastest(images, labels)
    with sn.use_precision(precision):
        gradients(images, labels)
    first = {name: backend.to_host(p.grad, copy=True) for name, p in model.parameters().items()}
    optimizer.step()
    return step, first


def _replayed(run, model, optimizer, batch):
    """The step as sn.fit does it."""
    from scratchnet.replay import replayed
    return replayed(run, model, optimizer, sn.softmax_cross_entropy, batch, _say)


def meter():
    """Of CuPy: events on its stream, and what its pool, those of graphs, and cuBLAS for its workspace hold."""
    import cupy

    from scratchnet.kernels.cuda.blas import WORKSPACE
    pool = cupy.get_default_memory_pool()

    def seconds_of(step, count):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        for _ in range(count):
            step()
        end.record()
        end.synchronize()
        return cupy.cuda.get_elapsed_time(start, end) / 1e3

    def reserved():
        graphs = [graph for given in recorded for graph in given()]
        return WORKSPACE + pool.total_bytes() + sum(graph.pool.total_bytes() for graph in graphs)
    return meters.OnGPU(seconds_of, pool.free_all_blocks, reserved)
