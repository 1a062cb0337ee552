"""Grad-CAM: where in the image the evidence for a class lies.  Selvaraju et al. 2017, section 3."""

import difflib

import numpy as np

from scratchnet.backend import array_like, to_host
from scratchnet.layers.activation import Softmax
from scratchnet.plots.figures import add_title, new_figure, printable, short, show, viewable, write
from scratchnet.plots.steps import follow, steps


def heat_map(model, image, class_index=None, layer=None):
    """(heat (h, w) >= 0, path, class_index): the evidence for a class in each place of a layer's output A (h, w, K).

    y, the score of the class before the softmax, is to first order y₀ + Σ_k Σ_ij ∂y/∂A_ijk dA_ijk. Map k as a whole
    is given one weight, the mean of its derivatives, and what speaks against the class is left out:
    eq. (1)  α_k = 1/(h w) Σ_ij ∂y/∂A_ijk        eq. (2)  heat_ij = ReLU(Σ_k α_k A_ijk)
    class_index: by default the network's answer. layer: a dotted path, by default that of `default_layer`. ValueError
    for a path or class that is not there, and for a layer whose output has no places. Gradients of parameters stay.
    """
    path = default_layer(model) if layer is None else layer
    seen = {}

    def look(where, when, array):
        if where == path and (when == "forward" or when not in seen):   # a shared layer: its last use
            seen[when] = array

    chain = steps(model)
    scores, back = follow(model, image, look, chain[:-1] if isinstance(chain[-1], Softmax) else chain)
    if "forward" not in seen:
        known = [step.path for step in chain] + [leaf.path for leaf in model.leaves()]
        near = difflib.get_close_matches(path, known, n=1)
        raise ValueError(f"grad_cam: {model.label()} has no layer {path!r}; "
                         + (f"did you mean {near[0]!r}?" if near else f"it has {', '.join(dict.fromkeys(known))}"))
    if seen["forward"].ndim != 4:
        raise ValueError(f"grad_cam: the output of {path} is {tuple(seen['forward'].shape[1:])}, without height and "
                         "width; name a layer before the classifier")
    class_index = int(to_host(scores).argmax()) if class_index is None else int(class_index)
    if not 0 <= class_index < scores.shape[1]:
        raise ValueError(f"grad_cam: expected a class from 0 to {scores.shape[1] - 1}, got {class_index}")
    dy = np.zeros(scores.shape, scores.dtype)
    dy[0, class_index] = 1
    back(array_like(scores, dy))
    maps, gradient = (to_host(seen[when][0]).astype(np.float64) for when in ("forward", "backward"))    # (h, w, K)
    alpha = gradient.mean(axis=(0, 1))                                      # eq. (1), (h, w, K) -> (K,)
    heat = np.maximum(maps @ alpha, 0)                                      # eq. (2), (h, w, K) @ (K,) = (h, w)
    if not np.isfinite(heat).all():
        raise ValueError(f"grad_cam: the output of {path}, or the gradient there, is not finite; take a checkpoint "
                         "from before the training failed")
    return heat, path, class_index


def default_layer(model):
    """The path of the last step (a leaf or a whole block) with a convolution and an output of more than one place:
    "the last convolutional layers [have] the best compromise between high-level semantics and detailed spatial
    information" (section 3). ValueError where there is none."""
    for layer in (*reversed(steps(model)), *reversed(model.leaves())):
        shape = layer.input_shape and layer.checked_output_shape(layer.input_shape)
        if shape and len(shape) == 3 and shape[0] * shape[1] > 1 and any(
                parameter.value.ndim == 4 for parameter in layer.parameters().values()):
            return layer.path
    raise ValueError(f"grad_cam: expected a model with a convolution, got {model.label()} without one whose output "
                     "has height and width")


def upsampled(heat, size):
    """heat (h, w) over size (H, W), bilinear."""
    from PIL import Image

    height, width = size
    return np.asarray(Image.fromarray(heat.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))


def grad_cam(path, model, image, class_index=None, layer=None, class_names=None, title=None, preprocessing=None):
    """The image (H, W, C, as the model takes it), and over it the heat map of a class (default: the answer).

    layer: a dotted path (default: see `default_layer`). Returns the heat map's layer and class. ValueError as in
    `heat_map`.
    """
    image = np.asarray(image)
    heat, layer, class_index = heat_map(model, image, class_index, layer)       # (h, w)
    name = str(class_index) if class_names is None else class_names[class_index]
    height, width = image.shape[:2]
    tall = min(max(4.2 * height / width, 1.5), 9)
    figure = new_figure(9.6, tall + 0.9)
    left, right = figure.subplots(1, 2)
    shown = viewable(image, preprocessing)
    show(left, shown, vmin=0, vmax=1)
    left.set_title("what the network sees", fontsize=10, loc="left")
    show(right, shown.mean(axis=-1, keepdims=True), vmin=0, vmax=1)      # grey below, so that colour is heat alone
    top = float(heat.max())
    fine = max(1, 300 // max(height, width))                            # a small image is drawn large: smooth heat
    share = upsampled(heat / (top or 1), (fine * height, fine * width))
    # Red is seen on black and on white; where there is no heat, the image is as it was.
    drawn = right.imshow(share, cmap="turbo", vmin=0, vmax=1, alpha=0.75 * np.sqrt(share),
                         extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    words = f"what speaks for {short(name)}" if top > 0 else f"nothing here speaks for {short(name)}"
    right.set_title(f"{words}, seen by {printable(layer)}", fontsize=10, loc="left", parse_math=False)
    bar = figure.colorbar(drawn, ax=right, fraction=0.046, pad=0.02, ticks=[0, 1])
    bar.ax.set_yticklabels(["none", "most"])
    add_title(figure, f"Grad-CAM for {short(name)}" if title is None else title)
    write(path, figure)
    return layer, class_index
