"""How a model prints: as the tree of its layers, in text and, for notebooks, as HTML that folds."""

import html

from scratchnet.describe import kind, sizes


def tree_text(model):
    """A leaf on one line; of a container a line, then its children's, indented by the branches of the tree."""
    if not _children(model):
        return _words(model)
    lines = [f"{drawn} {name}: {_words(child) + _sizes(child) if first else AGAIN}"
             for _, drawn, name, child, first in branches(model)]
    return "\n".join([_head(model), *lines])


def branches(layer, level=1, indent="", seen=None):
    """(level, drawn branch, name, layer, whether it is met for the first time) of everything below, in order."""
    seen = {id(layer)} if seen is None else seen
    children = _children(layer)
    for index, (name, child) in enumerate(children.items()):
        last = index == len(children) - 1
        first = _first(child, seen)
        yield level, f"{indent}{'└─' if last else '├─'}", name, child, first
        if first:
            yield from branches(child, level + 1, indent + ("   " if last else "│  "), seen)


def tree_html(model):
    """The same as nested <details>, the first level open; names and descriptions are escaped."""
    return f'<div style="font-family: monospace">{_html(model, _head(model), {id(model)}, True)}</div>'


def _html(layer, words, seen, opened=False):
    children = _children(layer)
    if not children:
        return f"<div>{html.escape(words)}</div>"
    inside = "".join(
        _html(child, f"{name}: {_words(child)}{_sizes(child)}", seen) if _first(child, seen)
        else f"<div>{html.escape(f'{name}: {AGAIN}')}</div>" for name, child in children.items())
    return (f"<details{' open' * opened}><summary>{html.escape(words)}</summary>"
            f'<div style="margin-left: 1.5em">{inside}</div></details>')


AGAIN = "(shared, see above)"


def _first(child, seen):
    """Whether the child is met for the first time; remembers it. So a shared layer is shown once."""
    new = id(child) not in seen
    seen.add(id(child))
    return new


def _head(model):
    name = getattr(model, "name", "")
    shape = getattr(model, "input_shape", None)
    return (f"{name} ({_words(model)})" if name else _words(model)) + (
        f", input {sizes(shape)}{_sizes(model)}" if shape else _sizes(model))


# A layer of someone's own may be half made or raise anything: what it cannot say is left out, for a repr is what one
# looks at to find out why.

def _children(layer):
    return getattr(layer, "_children", {})


def _words(layer):
    try:
        return " ".join(kind(layer).split())
    except Exception:
        return type(layer).__name__


def _sizes(layer):
    """" -> H x W x F, 156 parameters", as far as init has decided it."""
    try:
        if layer.input_shape is None:
            return ""
        shape = sizes(layer.checked_output_shape(layer.input_shape))
        count = sum(parameter.value.size for parameter in layer.parameters().values())
        return f" -> {shape}" + (f", {count:,} parameters" if count else "")
    except Exception:
        return ""
