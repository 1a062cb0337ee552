"""scratchnet itself, as `bench` measures it."""

import scratchnet as sn
from scratchnet.kernels.cpu import threads
from scratchnet.rivals.workload import LR, MOMENTUM


def engine(workload):
    threads.set_threads(workload.threads)
    model = workload.network()
    images, labels = workload.data(model)
    if not workload.training:
        infer = sn.for_inference(model)
        return lambda: infer(images), {"logits": infer(images)}
    _, _, backward = model.loss(images, labels)
    backward()
    first = {name: parameter.grad.copy() for name, parameter in model.parameters().items()}
    optimizer = sn.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)
    optimizer.step()

    def step():
        _, _, backward = model.loss(images, labels)
        backward()
        optimizer.step()
    return step, first
