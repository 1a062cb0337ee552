"""Layer: one function that returns its output and its own derivative."""

import numpy as np

from scratchnet.backend import array_like, in_float32, to_host
from scratchnet.layers.checks import checked_shape
from scratchnet.layers.parameter import Parameter
from scratchnet.layers.running import Objective, guarded, local
from scratchnet.layers.tree import tree_html, tree_text


class Layer:
    """The base of every layer. A layer of your own says up to three things:

    output_shape(input_shape)    shapes without the batch axis; raises what is wrong with them. Default: unchanged
    build(rng, input_shape)      makes parameters with `add_parameter`. Default: none
    forward(x, training=True)    returns (y, backward), where backward(dy, need_dx=True) adds to the gradient of each
                                 parameter and returns dL/dx

    What backward needs later it closes over; nothing of a forward is kept on the layer, so one layer may stand in two
    places. Around every forward the engine checks the input, and makes of backward a `Backward`, which runs once.
    Both receive C-contiguous arrays, unless the class says that it takes_images_innermost too (kernels/cpu/chwn.py).
    """

    takes_images_innermost = False

    def __new__(cls, *args, **kwargs):          # here, so that a subclass need not call super().__init__()
        self = super().__new__(cls)
        self.path = ""                          # dotted name from the root of the model
        self.name = ""                          # of the root, for messages: models.create gives it
        self.input_shape = None                 # set by init
        self._parameters, self._buffers, self._children = {}, {}, {}
        self._trainable = True
        self._fitting_shapes = set()            # input shapes that have passed the check
        return self

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "forward" in cls.__dict__:
            cls.run = cls.forward                       # without the checks: for a layer inside another (activation=)
            cls.forward = guarded(cls.forward)

    # -- what a layer of your own overrides -----------------------------------------------------------------------

    def output_shape(self, input_shape):
        return input_shape

    def build(self, rng, input_shape):
        pass

    def forward(self, x, training=True):
        raise TypeError(f"{type(self).__name__}: a layer defines forward(x, training=True) -> (y, backward)")

    def describe(self):
        """What stands in brackets behind the layer's name in messages and summaries."""
        return type(self).__name__

    def multiply_adds(self, input_shape):
        """Multiplications followed by an addition, for one sample, as papers count them."""
        return 0

    # -- initialisation -------------------------------------------------------------------------------------------

    def init(self, seed_or_rng, input_shape):
        """Make the parameters, drawn from the seed, for inputs of input_shape (no batch axis); return the output shape.

        Raises ValueError, naming the layer, where the shapes do not fit. A layer that stands in two places of a model
        is initialised once.
        """
        rng = np.random.default_rng(seed_or_rng)
        input_shape = checked_shape(self, input_shape)
        outermost = local.initialised is None
        if outermost:
            local.initialised = set()
            self._forget()
        try:
            output_shape = self.checked_output_shape(input_shape)
            if id(self) not in local.initialised:
                local.initialised.add(id(self))
                self.build(rng, input_shape)
                self.input_shape = input_shape
        finally:
            if outermost:
                local.initialised = None
        return output_shape

    def _forget(self):
        """Back to before init, the whole tree."""
        self._parameters, self._buffers, self._fitting_shapes, self.input_shape = {}, {}, set(), None
        for child in self._children.values():
            child._forget()

    def checked_output_shape(self, input_shape):
        """output_shape(input_shape), after making sure that it fits the parameters that were made by init."""
        if self._parameters and self.input_shape is not None and (
                len(input_shape) != len(self.input_shape) or input_shape[-1] != self.input_shape[-1]):
            raise ValueError(f"{self.label()}: expected an input of shape {self.input_shape}, got {input_shape}; "
                             "its parameters were made for that many channels, call init again for another number")
        return tuple(int(size) for size in self.output_shape(input_shape))

    def add_parameter(self, name, value):
        """Register a learnt array under `name` and return its Parameter (float32; astype changes a whole model)."""
        self._parameters[name] = Parameter(np.array(value, np.float32), self._trainable)
        return self._parameters[name]

    def add_buffer(self, name, value):
        """Register a state that is saved but not learnt: running statistics, counters. Read it as self.buffer(name)."""
        self._buffers[name] = np.array(value)

    def buffer(self, name):
        return self._buffers[name]

    # -- the tree -------------------------------------------------------------------------------------------------

    def children(self):
        """{name: layer}, in order; empty for a leaf."""
        return dict(self._children)

    def add_child(self, name, layer):
        if not isinstance(layer, Layer):
            raise TypeError(f"{type(self).__name__}: child {name!r} must be a Layer, got {type(layer).__name__}"
                            + ("; write Tanh(), not Tanh" if isinstance(layer, type) else ""))
        if "." in name or "/" in name:
            raise ValueError(f"{type(self).__name__}: the name {name!r} holds a '.' or '/', which separate the names "
                             "of layers; use '_'")
        if layer not in self._children.values():
            layer.set_path(name)
        self._children[name] = layer

    def set_path(self, path):
        self.path = path
        for name, child in reversed(self._children.items()):     # so that a shared layer keeps its first name
            child.set_path(f"{path}.{name}" if path else name)

    def label(self):
        """The layer in a message: "conv2 (Conv2D 5x5, valid)"."""
        return f"{self.path} ({self.describe()})" if self.path else self.name or self.describe()

    def _entries(self, table, prefix="", seen=None):
        """(dotted name, owner's table, key) of the tree's "_parameters" or "_buffers"; shared layers once."""
        seen = set() if seen is None else seen
        if id(self) not in seen:
            seen.add(id(self))
            own = getattr(self, table)
            for name in own:
                yield prefix + name, own, name
            for name, child in self._children.items():
                yield from child._entries(table, f"{prefix}{name}.", seen)

    def parameters(self):
        """{dotted name: Parameter}, in order."""
        return {name: own[key] for name, own, key in self._entries("_parameters")}

    def leaves(self):
        """The layers without children, in order, shared ones once."""
        seen = {}
        if self._children:
            for child in self._children.values():
                seen.update((id(leaf), leaf) for leaf in child.leaves())
            return list(seen.values())
        return [self]

    @property
    def trainable(self):
        """False: a fixed function. No gradient for its parameters, and it runs as in inference (batch norm on its
        running statistics, no dropout). Setting it sets the whole subtree."""
        return self._trainable

    @trainable.setter
    def trainable(self, value):
        self._trainable = bool(value)
        for parameter in self._parameters.values():
            parameter.trainable = self._trainable
        for child in self._children.values():
            child.trainable = value

    def is_trained(self):
        """Whether any parameter of the tree takes a gradient."""
        return any(parameter.trainable for parameter in self._parameters.values()) or any(
            child.is_trained() for child in self._children.values())

    # -- state ----------------------------------------------------------------------------------------------------

    def state_dict(self):
        """{dotted name: NumPy array}, copies: parameters, running statistics and counters."""
        arrays = {name: p.value for name, p in self.parameters().items()}
        arrays.update((name, own[key]) for name, own, key in self._entries("_buffers"))
        return {name: to_host(a, copy=True) for name, a in arrays.items()}

    def load_state_dict(self, state):
        """Copy `state` in. All names and shapes must agree, else ValueError lists what differs and nothing changes."""
        parameters = self.parameters()
        buffers = {name: (own, key) for name, own, key in self._entries("_buffers")}
        expected = {name: p.value.shape for name, p in parameters.items()}
        expected.update((name, own[key].shape) for name, (own, key) in buffers.items())
        problems = [f"missing: {name} {shape}" for name, shape in expected.items() if name not in state]
        problems += [f"unexpected: {name} {np.shape(state[name])}" for name in state if name not in expected]
        problems += [f"{name}: expected {expected[name]}, got {np.shape(a)}" for name, a in state.items()
                     if name in expected and np.shape(a) != expected[name]]
        if problems:
            raise ValueError(f"{self.label()}: this state belongs to another model:\n  " + "\n  ".join(problems))
        for name, parameter in parameters.items():
            parameter.value = array_like(parameter.value, state[name])
        for name, (own, key) in buffers.items():
            own[key][...] = array_like(own[key], state[name])

    def astype(self, dtype):
        """Convert parameters and running statistics to another float dtype; returns the layer itself."""
        dtype = np.dtype(dtype)
        if dtype.kind != "f":
            raise TypeError(f"{self.label()}: astype takes a float dtype, got {dtype}")
        return self.convert(lambda array: array.astype(dtype))

    def convert(self, function):
        """Replace every float array of the tree by function(array), Parameter objects staying the same."""
        for parameter in self.parameters().values():
            parameter.value = function(parameter.value)
        for _, own, key in self._entries("_buffers"):
            if own[key].dtype.kind == "f":
                own[key] = function(own[key])
        return self

    # -- running --------------------------------------------------------------------------------------------------

    def __call__(self, x):
        """Inference: y alone. No closure outlives its layer, so memory is that of one layer's input and output."""
        before, local.inference = local.inference, True
        try:
            return self.forward(x, training=False)[0]
        finally:
            local.inference = before

    def loss(self, x, labels, criterion=None):
        """(loss, logits, backward) of a batch; backward() takes no argument and asks for no gradient of the images.

        criterion(logits, labels) -> (loss, dlogits): softmax_cross_entropy unless given. Auxiliary classifiers inside
        the model add theirs (see Auxiliary).
        """
        if criterion is None:
            from scratchnet.losses import softmax_cross_entropy as criterion
        before, local.objective = local.objective, Objective(criterion, labels)
        try:
            logits, backward = self.forward(x, training=True)
            logits = in_float32(logits)
            auxiliary = local.objective.losses
        finally:
            local.objective = before
        value, dlogits = criterion(logits, labels)
        return sum(auxiliary, value), logits, lambda: backward(dlogits, need_dx=False)

    def __repr__(self):
        return tree_text(self)

    def _repr_html_(self):                      # what a notebook shows
        return tree_html(self)
