"""A model as a table: what each layer makes, holds, costs and sees."""

import dataclasses
import math

from scratchnet.describe import kind, sizes
from scratchnet.heads import auxiliaries
from scratchnet.layers import Auxiliary, Concat, Flatten, Residual
from scratchnet.layers.tree import AGAIN, branches
from scratchnet.receptive_field import Field, fields

HEADS = ("name", "layer", "output", "parameters", "multiply-adds", "activations", "receptive field")
LEFT = 3                    # columns of words, the others are of numbers
FLOAT = 4                   # bytes of a float32


@dataclasses.dataclass
class Row:
    """One layer. The numbers are its own; of a block whose inside is not shown, those of all in it."""

    drawn: str              # the branches of the tree, and its name
    layer: object
    output_shape: tuple = ()
    parameters: int = 0
    multiply_adds: int = 0  # in inference, so none in an auxiliary classifier
    activation_bytes: int = 0
    field: Field = None     # of its output, None where there are no images


def summary(model, batch=None, depth=None):
    """The table as text: each layer's output shape, parameters, multiply-adds, memory of its output in float32, and
    receptive field in pixels (see receptive_field.py); totals.

    For one image, or for a batch of `batch`; a block inside of depth - 1 others is summed up in its line. A layer that
    stands in two places is listed once; its work counts twice in the total. RuntimeError where the model is not
    initialised, and has no shapes yet.
    """
    _check(model)
    many = () if batch is None else (batch,)
    lines = [HEADS, ("input", "", sizes((*many, *model.input_shape)), "", "", "", "")]
    lines += [_cells(row, many) for row in rows(model, batch or 1, depth)]
    widths = [max(len(cells[column]) for cells in lines) for column in range(len(HEADS))]
    text = ["  ".join(cell.ljust(width) if column < LEFT else cell.rjust(width)
                      for column, (cell, width) in enumerate(zip(cells, widths))).rstrip() for cells in lines]
    text.insert(1, "-" * (sum(widths) + 2 * len(widths) - 2))
    return "\n".join([*text, text[1], *_in_words(totals(model, batch or 1), batch)])


def rows(model, batch=1, depth=None):
    """A Row for each layer, in order; one without a shape where a shared layer stands again."""
    seen_by, table = fields(model), []
    spare = {id(layer) for auxiliary in auxiliaries(model) for _, _, _, layer, _ in branches(auxiliary)}
    leaf = [(1, "", model.path or "model", model, True)]
    for level, drawn, name, layer, first in branches(model) if model.children() else leaf:
        row = Row(f"{drawn[3:]} {name}" if level > 1 else name, layer)      # the outermost need no branches
        if first:
            row.output_shape = layer.checked_output_shape(layer.input_shape)
            row.parameters = sum(parameter.value.size for parameter in layer._parameters.values())
            row.activation_bytes = _output_bytes(layer) * batch
            row.field = seen_by.get(id(layer))
            if id(layer) not in spare and (level == depth or not layer.children()):
                row.multiply_adds = layer.multiply_adds(layer.input_shape) * batch
        if depth is None or level <= depth:
            table.append(row)
        else:
            table[-1].parameters += row.parameters
            table[-1].activation_bytes += row.activation_bytes
    return table


def totals(model, batch=1):
    """What a model takes: {what: how much}, as a dict for JSON.

    activation_bytes: the outputs of all its layers in float32, auxiliary classifiers included; training keeps most of
    them. largest_layer_bytes: the largest sum of one layer's input and output, which inference needs at least.
    """
    _check(model)
    parameters = model.parameters().values()
    spare = {id(p) for auxiliary in auxiliaries(model) for p in auxiliary.parameters().values()}
    buffers = [own[key] for _, own, key in model._entries("_buffers")]
    return {"parameters": sum(p.value.size for p in parameters),
            "parameters_in_auxiliaries": sum(p.value.size for p in parameters if id(p) in spare),
            "trainable": sum(p.value.size for p in parameters if p.trainable),
            "parameter_bytes": sum(p.value.nbytes for p in parameters),
            "buffers": sum(buffer.size for buffer in buffers),
            "buffer_bytes": sum(buffer.nbytes for buffer in buffers),
            "multiply_adds": model.multiply_adds(model.input_shape) * batch,
            "activation_bytes": sum(row.activation_bytes for row in rows(model, batch)),
            "largest_layer_bytes": batch * max(
                math.prod(leaf.input_shape) * FLOAT + _output_bytes(leaf) for leaf in model.leaves())}


def as_dict(row):
    """A Row for JSON, or None where a shared layer stands again."""
    if not row.output_shape:
        return None
    field = row.field
    return {"path": row.layer.path, "kind": kind(row.layer), "input_shape": row.layer.input_shape,
            "output_shape": row.output_shape, "parameters": row.parameters, "multiply_adds": row.multiply_adds,
            "activation_bytes": row.activation_bytes,
            "receptive_field": None if field is None or not field.known else field.size or "all"}


def in_bytes(count):
    """"1.3 kB", "102.2 MB"."""
    if count < 1000:
        return f"{count} B"
    for unit, word in ((1e3, "kB"), (1e6, "MB")):
        if round(count / unit, 1) < 1000:
            return f"{count / unit:.1f} {word}"
    return f"{count / 1e9:,.1f} GB"


def _check(model):
    if model.input_shape is None:
        raise RuntimeError(f"summary: {model.label()} is not initialised; call init(seed, input_shape) first")


def _cells(row, many):
    if not row.output_shape:
        return row.drawn, AGAIN, "", "", "", "", ""
    return (row.drawn, kind(row.layer), sizes((*many, *row.output_shape)),
            *(f"{count:,}" if count else "" for count in (row.parameters, row.multiply_adds)),
            in_bytes(row.activation_bytes) if row.activation_bytes else "", str(row.field or ""))


def _in_words(total, batch):
    images = "one image" if batch in (None, 1) else f"{batch:,} images"
    yield (f"activations for {images}: {in_bytes(total['activation_bytes'])}, the outputs of all layers, most of which "
           f"training keeps; {in_bytes(total['largest_layer_bytes'])}, the largest input and output of a layer")
    beside = f"; {total['buffers']:,} running statistics and counters: {in_bytes(total['buffer_bytes'])}"
    yield f"memory of the parameters: {in_bytes(total['parameter_bytes'])}" + (beside if total["buffers"] else "")
    spare, trained = total["parameters_in_auxiliaries"], total["trainable"]
    yield (f"{total['parameters']:,} parameters"
           + (f", {total['parameters'] - spare:,} without the auxiliary classifiers" if spare else "")
           + (f", {trained:,} of them trained" if trained != total["parameters"] else "")
           + f"; {total['multiply_adds']:,} multiply-adds for {images}")


def _output_bytes(layer):
    """Of what one layer makes for an image: containers hand on what their last layer made, but for those that add or
    join."""
    if isinstance(layer, (Flatten, Auxiliary)) or (layer.children() and not isinstance(layer, (Residual, Concat))):
        return 0
    return math.prod(layer.checked_output_shape(layer.input_shape)) * FLOAT
