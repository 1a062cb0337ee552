"""A model as a table."""

HEADS = ("layer", "kind", "output", "parameters", "multiply-adds")


def summary(model):
    """The table as text: each layer's kind, output shape, parameters and multiply-adds for one image; totals.

    A layer that stands in two places is listed once; its work counts twice in the total. RuntimeError where
    the model is not initialised, and has no shapes yet.
    """
    if model.input_shape is None:
        raise RuntimeError(f"summary: {model.label()} is not initialised; call init(seed, input_shape) first")
    rows = [HEADS, ("input", "", sizes(model.input_shape), "", "")]
    rows += _rows(model, "", set())
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = ["  ".join(cell.ljust(width) if column < 3 else cell.rjust(width)
                       for column, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]
    lines.insert(1, "-" * (sum(widths) + 2 * len(widths) - 2))
    total = totals(model)
    learnt = "" if total["parameters"] == total["trainable"] else f", {total['trainable']:,} of them trained"
    lines += [lines[1], f"{total['parameters']:,} parameters{learnt}; "
                        f"{total['multiply_adds']:,} multiply-adds for one image"]
    return "\n".join(lines)


def totals(model):
    """{"parameters", "trainable", "multiply_adds"} of an initialised model."""
    parameters = model.parameters().values()
    return {"parameters": sum(p.value.size for p in parameters),
            "trainable": sum(p.value.size for p in parameters if p.trainable),
            "multiply_adds": model.multiply_adds(model.input_shape)}


def _rows(layer, indent, seen):
    """A row for each child, and below it, indented, for its own."""
    for name, child in (layer.children() or {layer.path or "model": layer}).items():
        if id(child) in seen:
            yield indent + name, "(shared, see above)", "", "", ""
            continue
        seen.add(id(child))
        output = sizes(child.checked_output_shape(child.input_shape))
        if child.children():
            yield indent + name, child.describe(), output, "", ""
            yield from _rows(child, indent + "  ", seen)
        else:
            size = sum(p.value.size for p in child.parameters().values())
            work = child.multiply_adds(child.input_shape)
            yield indent + name, kind(child), output, *(f"{n:,}" if n else "" for n in (size, work))


def kind(layer):
    """What the layer is, its activation included: "Conv2D 5x5, valid, tanh"."""
    activation = getattr(layer, "activation", None)
    name = "" if activation is None else activation.describe()
    return layer.describe() + (f", {name.lower()}" if name not in ("", "Identity") else "")


def sizes(shape):
    """(28, 28, 6) -> "28 x 28 x 6"."""
    return " x ".join(map(str, shape))
