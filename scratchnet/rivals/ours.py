"""scratchnet itself, as `bench` measures it."""

import scratchnet as sn
from scratchnet import backend
from scratchnet.rivals import meters
from scratchnet.rivals.workload import LR, MOMENTUM


def engine(workload):
    from scratchnet.kernels.cpu import threads
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

    def step():
        with sn.use_precision(precision):
            return infer(images)
    return step, {"logits": step()}


def _training(model, images, labels, precision):
    optimizer = sn.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)

    def step(after_backward=lambda: None):
        with sn.use_precision(precision):
            _, _, backward = model.loss(images, labels)
            backward()
            after_backward()
            optimizer.step()
    first = {}
    step(lambda: first.update({name: backend.to_host(p.grad, copy=True) for name, p in model.parameters().items()}))
    return step, first


def meter():
    """Of CuPy: events on its stream, and what its pool holds. What cuBLAS takes for itself is not in it."""
    import cupy

    pool = cupy.get_default_memory_pool()

    def seconds_of(step, count):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        for _ in range(count):
            step()
        end.record()
        end.synchronize()
        return cupy.cuda.get_elapsed_time(start, end) / 1e3
    return meters.OnGPU(seconds_of, pool.free_all_blocks, pool.total_bytes)
