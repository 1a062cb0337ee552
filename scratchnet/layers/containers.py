"""Containers: the whole of "automatic differentiation" here. Each runs its children forward and their backwards in reverse."""

from functools import partial

from scratchnet.backend import converted, in_float32, ops
from scratchnet.layers.activation import Identity, activation_layer, is_plain_relu
from scratchnet.layers.base import Layer
from scratchnet.layers.fusion import is_open, one_pass, passes, takes_init
from scratchnet.layers.running import local, unwatched


class Sequential(Layer):
    """y = f_n(… f_2(f_1(x))), so dx = J_1ᵀ(J_2ᵀ(… J_nᵀ dy)): the chain rule, read from the right.

    Children by position (named "0", "1", …) or by keyword; names make the dotted keys. The closures are used up from
    the last to the first, and what each one holds is freed on the way. Where the first layers are frozen
    (trainable = False) and nothing below them learns, nothing is kept for them: the rare caller who asks for dx all the
    same has them run again. Without kernels of its own: it is made of its children's.
    """

    takes_images_innermost = True

    def __init__(self, *layers, **named_layers):
        for name, layer in _named(layers, named_layers):
            self.add_child(name, layer)

    def output_shape(self, input_shape):
        for layer in self._children.values():
            input_shape = layer.checked_output_shape(input_shape)
        return input_shape

    def build(self, rng, input_shape):
        for layer in self._children.values():
            input_shape = layer.init(rng, input_shape)

    def forward(self, x, training=True, **also):
        layers = list(self._children.values())
        trained = [layer.is_trained() for layer in layers]
        lowest = trained.index(True) if any(trained) else len(layers)
        frozen = 0 if local.trains_below or local.inference else _frozen_prefix(layers[:lowest])
        frozen = min(frozen, len(layers) - 1) if also else frozen        # a batch norm that also adds has a backward
        images, backwards = x if frozen else None, []
        for layer in layers[:frozen]:
            x = layer(x)
        before, forwards = local.trains_below, passes(layers[frozen:], x)
        if also:
            forwards[-1] = partial(layers[-1].forward, **also)
        if one_pass(x):
            _gate(layers[frozen:], forwards)
        for index, forward in enumerate(forwards, frozen):
            local.trains_below = before or index > lowest
            try:
                x, layer_backward = forward(x, training)
            finally:
                local.trains_below = before
            backwards.append(layer_backward)

        def backward(dy, need_dx=True, **also):
            while backwards:
                index = frozen + len(backwards) - 1
                if index < lowest and not need_dx:
                    backwards.clear()
                    return None
                dy = backwards.pop()(dy, need_dx or index > lowest, **({} if index else also))
            return _through(layers[:frozen], images, dy) if frozen and need_dx else dy
        return x, backward

    def multiply_adds(self, input_shape):
        total = 0
        for layer in self._children.values():
            total += layer.multiply_adds(input_shape)
            input_shape = layer.checked_output_shape(input_shape)
        return total

    def __len__(self):
        return len(self._children)

    def __iter__(self):
        return iter(self._children.values())

    def __getitem__(self, key):
        """A child by name or by position."""
        return self._children[key] if isinstance(key, str) else list(self._children.values())[key]


class Residual(Layer):
    """y = activation(shortcut(x) + scale · main(x)), so dx is the sum of both ways back.  He et al. 2015, figure 2.

    shortcut=None is the identity. Children `main`, `shortcut`. ValueError where the two shapes differ.
    scale: Szegedy et al. 2016, section 3.3. gated, gates: what a Sequential adds (fusion.py): the ReLU is done in dy
    already; x is the result of one, to be done in dx. kernels/reference/arithmetic.py: add; kernels/cpu/arithmetic.py.
    """

    def __init__(self, main, shortcut=None, activation=None, scale=1):
        self.add_child("main", main)
        if shortcut is not None:
            self.add_child("shortcut", shortcut)
        self.activation, self.scale = activation_layer("Residual", activation), float(scale)

    def output_shape(self, input_shape):
        main = self._children["main"].checked_output_shape(input_shape)
        shortcut = self._children["shortcut"].checked_output_shape(input_shape) if "shortcut" in self._children \
            else input_shape
        if main != shortcut:
            raise ValueError(f"{self.label()}: main gives {main} but the shortcut gives {shortcut}, and they are added; "
                             "give the shortcut a 1x1 convolution with main's strides and filters")
        return main

    def build(self, rng, input_shape):
        for child in self._children.values():
            child.init(rng, input_shape)

    def forward(self, x, training=True, gated=False, gates=False):
        shortcut, shortcut_backward = x, None
        if "shortcut" in self._children:
            shortcut, shortcut_backward = self._children["shortcut"].forward(x, training)
        y, main_backward, activation_backward = self._joined(x, shortcut, training)
        joins, gate = self.adds_in_a_pass() and one_pass(x) and local.trains_below, x if gates else None

        def backward(dy, need_dx=True):
            dy = dy if gated else activation_backward(dy)
            if joins and need_dx and not local.watchers:
                if shortcut_backward is None:    # dy is not the caller's, and has been read when the sum is written into it
                    return main_backward(dy, init=dy, gate=gate)
                return shortcut_backward(dy, init=main_backward(dy, gate=gate), gate=gate)
            dmain = dy if self.scale == 1 else _scaled(dy, self.scale)
            dx = dy if shortcut_backward is None else shortcut_backward(dy, need_dx)
            through_main = main_backward(dmain, need_dx)
            dx = ops(dy).add(dx, through_main, 1.0) if need_dx else None
            return ops(dy).relu_backward(dx, gate, 0.0, None, 0.0) if gates and need_dx else dx
        return y, backward

    def adds_in_a_pass(self):
        """Whether the first layers' backwards may add the two gradients to each other: behind a ReLU, for which dy is a new
        array anyway."""
        branches = self._children.values()
        return self.scale == 1 and is_plain_relu(self.activation) and all(
            takes_init(branch[0] if type(branch) is Sequential else branch) for branch in branches)

    def _joined(self, x, shortcut, training):
        """y, and the backwards of main and of the activation: in one pass with main's last layer, where that can be."""
        main, relu = self._children["main"], is_plain_relu(self.activation)
        plain = self.scale == 1 and (relu or type(self.activation) is Identity)
        if plain and one_pass(x) and is_open(main[-1] if type(main) is Sequential else main):
            y, main_backward = main.forward(x, training, residual=shortcut, relu=relu)
            return y, main_backward, lambda dy: ops(dy).relu_backward(dy, y, *self.activation.pieces) if relu else dy
        y, main_backward = main.forward(x, training)
        y, activation_backward = self.activation.run(ops(x).add(shortcut, y, self.scale), training)
        return y, main_backward, activation_backward

    def multiply_adds(self, input_shape):
        return sum(child.multiply_adds(input_shape) for child in self._children.values())


def _scaled(dy, scale):
    """scale · dy, of which bfloat16 would have rounded the scale too, which the way there does not."""
    wide = in_float32(dy)
    return converted(wide * wide.dtype.type(scale), dy.dtype)


class Concat(Layer):
    """y = the branches' outputs side by side in the channels, so each branch gets its slice of dy, and dx is the sum.

    Branches by position or keyword. ValueError where their heights and widths differ.  Szegedy et al. 2014, figure 2.
    kernels/reference/arithmetic.py: concat; kernels/cpu/arithmetic.py.
    """

    def __init__(self, *branches, **named_branches):
        for name, branch in _named(branches, named_branches):
            self.add_child(name, branch)

    def output_shape(self, input_shape):
        shapes = [branch.checked_output_shape(input_shape) for branch in self._children.values()]
        if any(shape[:-1] != shapes[0][:-1] for shape in shapes):
            given = ", ".join(f"{name} {shape}" for name, shape in zip(self._children, shapes))
            raise ValueError(f"{self.label()}: branches must agree in all but the channels, got {given}; "
                             "pad or stride them alike")
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def build(self, rng, input_shape):
        for branch in self._children.values():
            branch.init(rng, input_shape)

    def forward(self, x, training=True):
        ys, backwards = zip(*(branch.forward(x, training) for branch in self._children.values()))
        sizes, backwards = [y.shape[-1] for y in ys], list(backwards)

        def backward(dy, need_dx=True):
            dys, dx = ops(dy).concat_backward(dy, sizes), None
            while backwards:
                d = backwards.pop()(dys.pop(), need_dx)
                if need_dx:
                    dx = d if dx is None else ops(d).add(dx, d, 1.0)
            return dx
        return ops(x).concat(list(ys)), backward

    def multiply_adds(self, input_shape):
        return sum(branch.multiply_adds(input_shape) for branch in self._children.values())


def _gate(layers, forwards):
    """Of two Residuals in a row the second one's backward does the ReLU of the first in the pass of its own sum."""
    for index, (layer, follower) in enumerate(zip(layers, layers[1:])):
        if type(layer) is type(follower) is Residual and is_plain_relu(layer.activation) and follower.adds_in_a_pass():
            forwards[index] = partial(forwards[index], gated=True)
            forwards[index + 1] = partial(forwards[index + 1], gates=True)


def _named(layers, named_layers):
    children = [*((str(index), layer) for index, layer in enumerate(layers)), *named_layers.items()]
    if not children:
        raise ValueError("a container needs at least one layer")
    return children


def _frozen_prefix(layers):
    """How many of the first layers, which learn nothing, are fixed functions: frozen, or without any state.
    0 where none of them holds a parameter: then nothing was frozen, and closures cost less than a second run."""
    count = 0
    for layer in layers:
        if not all(not leaf.trainable or not (leaf._parameters or leaf._buffers) for leaf in layer.leaves()):
            break
        count += 1
    return count if any(layer.parameters() for layer in layers[:count]) else 0


def _through(layers, x, dy):
    """dL/dx through frozen layers whose closures were not kept: run them again, then back."""
    backwards, before = [], local.trains_below
    local.trains_below = True
    try:
        with unwatched():
            for layer in layers:
                x, backward = layer.forward(x, training=False)
                backwards.append(backward)
    finally:
        local.trains_below = before
    while backwards:
        dy = backwards.pop()(dy)
    return dy
