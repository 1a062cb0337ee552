"""for_inference: a model that can only predict, and does it faster.

trace.py makes a flat list of steps (steps.py) of the tree of layers, fold.py shortens it; arena.py plans its memory on
the CPU, replay.py records them for images that come in the same shape again.
"""

import copy

import numpy as np

from scratchnet.backend import array_like, array_module, in_float32, is_cupy, kernels, ops
from scratchnet.inference.arena import Plan, dying
from scratchnet.inference.fold import fold
from scratchnet.inference.replay import Replays
from scratchnet.inference.steps import Call, Linear
from scratchnet.inference.trace import Trace
from scratchnet.layers.base import Layer
from scratchnet.layers.checks import check_input
from scratchnet.layers.running import unwatched

PLANS = 64                                       # image shapes whose plans are kept


def for_inference(model):
    """A function images -> logits that computes what model(images) does, up to rounding, with less work and memory.

        predict = sn.for_inference(sn.models.create("resnet50", weights="resnet50.safetensors"))
        logits = predict(images)

    Batch norms are folded into the convolution or dense layer before them, sums of residuals and ReLUs done by it, its
    weights packed once. Any number of threads may call it at once; what it returns is the caller's. It is a copy:
    the model may be trained on, or deleted, without effect on it. Images of a shape that it has seen before are
    replayed from a recording, without Python between the kernels where these take little memory, on a GPU in one launch;
    in bfloat16 weights are rounded once. Inside use_kernels("reference") its steps, folded all the same, run there;
    sn.watch sees nothing of it.
    """
    if not isinstance(model, Layer):
        raise TypeError(f"for_inference: expected a Layer, got {type(model).__name__}")
    if model.input_shape is None:
        raise RuntimeError(f"for_inference: {model.label()} is not initialised; call init(seed, input_shape) first")
    return InferenceModel(model)


class InferenceModel:
    """What for_inference returns; `input_shape` and errors are those of the model."""

    def __init__(self, model):
        trace = Trace(model)
        self._result = trace.result
        self._steps = fold(trace.steps)
        self._deaths = dying(self._steps, trace.result)
        self._may_be_the_images = not any(
            step.output == trace.result and not isinstance(step, Call) for step in self._steps)
        self._model, copies = _without_weights(model, [step.layer for step in self._steps if isinstance(step, Call)])
        for step in self._steps:
            step.layer = copies[id(step.layer)]
        shapes = {0: model.input_shape}
        for step in self._steps:
            shapes[step.output] = step.shape([shapes[value] for value in step.inputs])
            if isinstance(step, Linear):
                step.finish()
        self._plans = {}
        self._replays = Replays(self._steps)
        self.input_shape = model.input_shape

    def __call__(self, images):
        return self._replays(check_input(self._model, images), self._run)

    def _run(self, images):
        plan = self._plan(images.shape)
        arena = plan.borrow() if plan.places and ops(images) is kernels("cpu") else None
        arrays = {0: images}
        with unwatched():
            for index, step in enumerate(self._steps):
                out = None if arena is None else plan.view(arena, index)
                y = step.run([arrays[value] for value in step.inputs], out)
                if y.shape != plan.shapes[index]:
                    raise ValueError(f"{step.layer.label()}: its output_shape says {plan.shapes[index]}, its forward "
                                     f"returned {y.shape}; make them agree")
                # A layer may return its input or a view of it, which must not change when that memory is used again.
                arrays[step.output] = _copied(y) if isinstance(step, Call) and _share(y, arena) else y
                for value in self._deaths[index]:
                    del arrays[value]
        y = in_float32(arrays[self._result])
        return y.copy() if _share(y, images) or (is_cupy(y) and self._may_be_the_images) else y

    def _plan(self, shape):
        plan = self._plans.get(shape)
        if plan is None:
            plan = Plan(self._steps, self._result, shape)
            if len(self._plans) >= PLANS:
                self._plans = {}
            self._plans[shape] = plan
        return plan

    def forward(self, x, training=True):
        """(f(x), a backward that only says that there is none)."""
        if training:
            raise self._cannot("cannot be trained")
        return self(x), self._backward

    def _backward(self, dy, need_dx=True):
        raise self._cannot("has no backward")

    def __getattr__(self, name):
        if hasattr(Layer, name):
            raise AttributeError(f"{self._words()} has no {name}: it only predicts; ask the model it was made from")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _cannot(self, what):
        return TypeError(f"{self._words()} {what}: its batch norms are folded; train the model it was made from, then "
                         "call sn.for_inference again")

    def _words(self):
        return f"{self._model.label()} for inference"

    def __repr__(self):
        """Its steps, a line each, with the layers that each stands for."""
        return "\n".join([self._words(), *(f"  {' + '.join(step.names)}" for step in self._steps)])


def _without_weights(model, called):
    """A copy of the tree, which knows shapes and errors, and {id of a layer: its copy}.

    Only the layers `called` keep their parameters; the others' are zeros that take no memory. Gradients are left out.
    """
    kept = {id(parameter) for layer in called for parameter in layer.parameters().values()}
    copies = {}
    for parameter in model.parameters().values():
        copies[id(parameter._grad)] = None
        if id(parameter) not in kept:
            value = parameter.value
            copies[id(value)] = array_module(value).broadcast_to(array_like(value, 0), value.shape)
    return copy.deepcopy(model, copies), copies


def _copied(y):
    """A copy of an array in the arena, of this call or of each replay of it."""
    return kernels("cpu.recording").computed(y.copy)


def _share(y, other):
    return isinstance(y, np.ndarray) and isinstance(other, np.ndarray) and np.may_share_memory(y, other)
