"""A network as a flat list of steps, which is what other engines are told: the one walk over the public layers."""

import dataclasses
import math

from scratchnet.layers import (Auxiliary, BatchNorm, Concat, Dropout, Flatten, Identity, ReLU, Residual,
                               SeparableConv2D, Sequential, Sigmoid, Tanh)
from scratchnet.rivals import Unavailable

ACTIVATIONS = (ReLU, Tanh, Sigmoid, Flatten)     # no memory need be read or written for them


@dataclasses.dataclass(frozen=True)
class Node:
    """y = layer(x). The layer of a sum is its Residual, of branches side by side their Concat; an activation is a node.

    inputs and output are numbers of values; shape (H, W, C) or (C,) is that of the first input.
    """

    layer: object
    inputs: tuple
    output: int
    shape: tuple


class Graph:
    """The nodes of an initialised model, in an order in which they can run. Value 0 is the images, `output` the logits.

    heads: (weight, logits) of the auxiliary classifiers, which only training runs. Dropout is a node in training only,
    where its rate has to be 0: two engines drop different numbers, so nothing could be compared.
    """

    def __init__(self, model, training=False):
        self.training, self.nodes, self.heads, self.values = training, [], [], 1
        self.input_shape = tuple(model.input_shape)
        self.output, _ = self._walk(model, 0, self.input_shape)

    def multiply_adds(self):
        """Of one image: forward, and in training also for both gradients of each layer, without that of the images."""
        passes = 3 if self.training else 1
        total = sum(passes * node.layer.multiply_adds(node.shape) for node in self.nodes if _is_leaf(node))
        first = sum(node.layer.multiply_adds(node.shape) for node in self.first_layers())
        return total - first if self.training else total

    def numbers_moved(self):
        """Of one image, where each layer reads its inputs and writes its output once a pass: one in inference, three
        in training (y of x, dx of dy, dw of x and dy). Activations, and in inference batch norms, are their layer's."""
        shapes, moved = {0: self.input_shape}, 0
        for node in self.nodes:
            shapes[node.output] = shape = self._output_shape(node, [shapes[value] for value in node.inputs])
            free = ACTIVATIONS if self.training else (*ACTIVATIONS, BatchNorm)
            if not isinstance(node.layer, free):
                moved += math.prod(shape) + sum(math.prod(shapes[value]) for value in node.inputs)
        return (3 if self.training else 1) * moved

    def _output_shape(self, node, shapes):
        if isinstance(node.layer, Concat):
            return (*node.shape[:-1], sum(shape[-1] for shape in shapes))
        return node.layer.checked_output_shape(node.shape) if _is_leaf(node) else node.shape

    def weights(self):
        """How many numbers its parameters are."""
        parameters = {id(p): p for node in self.nodes if _is_leaf(node) for p in node.layer.parameters().values()}
        return sum(parameter.value.size for parameter in parameters.values())

    def first_layers(self):
        """The nodes with weights that nothing learnt comes before: nobody asks for the gradient of their input."""
        learnt, first = set(), []
        for node in self.nodes:
            below = any(value in learnt for value in node.inputs)
            own = _is_leaf(node) and node.layer.parameters()
            if own and not below:
                first.append(node)
            if own or below:
                learnt.add(node.output)
        return first

    def last_uses(self):
        """For each node the values that nobody reads after it."""
        kept, uses = {self.output, *(value for _, value in self.heads)}, []
        for node in reversed(self.nodes):
            dead = set(node.inputs) - kept
            kept |= dead
            uses.append(tuple(sorted(dead)))
        return uses[::-1]

    def _walk(self, layer, x, shape):
        """(value, shape) of what `layer` makes of value x."""
        children = layer.children()
        if isinstance(layer, (Sequential, SeparableConv2D)):
            for child in children.values():
                x, shape = self._walk(child, x, shape)
            return x, shape
        if isinstance(layer, Auxiliary):
            if self.training and children:
                self.heads.append((layer.weight, self._walk(children["head"], x, shape)[0]))
            return x, shape
        if isinstance(layer, Residual):
            main, after = self._walk(children["main"], x, shape)
            shortcut = self._walk(children["shortcut"], x, shape)[0] if "shortcut" in children else x
            return self._activated(layer, self._node(layer, (shortcut, main), after), after)
        if isinstance(layer, Concat):
            branches = [self._walk(branch, x, shape) for branch in children.values()]
            return (self._node(layer, tuple(value for value, _ in branches), branches[0][1]),
                    layer.checked_output_shape(shape))
        if children:
            raise Unavailable(f"{layer.label()}: no other engine knows this container; add it to rivals/graph.py")
        if isinstance(layer, Identity) or (isinstance(layer, Dropout) and not (self.training and layer.rate)):
            return x, shape
        if isinstance(layer, Dropout):
            raise ValueError(f"{layer.label()}: the masks of two engines differ, so what they compute cannot be "
                             "compared; set its rate to 0")
        after = layer.checked_output_shape(shape)
        return self._activated(layer, self._node(layer, (x,), shape), after)

    def _activated(self, layer, x, shape):
        activation = getattr(layer, "activation", None)
        return (x, shape) if activation is None else self._walk(activation, x, shape)

    def _node(self, layer, inputs, shape):
        self.nodes.append(Node(layer, inputs, self.values, shape))
        self.values += 1
        return self.values - 1


def _is_leaf(node):
    return not node.layer.children()


def translated(table, layer, engine):
    """table[type of layer], or Unavailable, which says where one is added."""
    if type(layer) not in table:
        raise Unavailable(f"{layer.label()} has no translation for {engine} yet; add one to {table['file']}")
    return table[type(layer)]
